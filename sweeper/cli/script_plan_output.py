"""Output of the plan of a script: what is run, its values, where it fits, how long at most."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from sweeper.cli.common import console, duration, table, warn
from sweeper.errors import pluralize

if TYPE_CHECKING:
    from rich.table import Table

    from sweeper.config import Sweep
    from sweeper.operations.script_plan import ScriptPlan
    from sweeper.types import Scalar


def print_script_plan(sweep: "Sweep", oddities: Iterable[str]) -> None:
    """Print what a study file of a script would run on this machine, and what is odd about it."""
    from sweeper.operations.script_plan import script_plan
    from sweeper.worker.launch.machine import Machine

    planned, terminal = script_plan(sweep, Machine.here()), console()
    text = sweep.script.text if sweep.script else ""
    terminal.print(f"{sweep.name}: {text}", soft_wrap=True)
    terminal.print(f"axes: {sweep.size_label} against {sweep.measure_label}", soft_wrap=True)
    terminal.print(_arms_table(planned))
    common = ", ".join(planned.searched) or "nothing"
    terminal.print(f"searched in every arm: {common}", soft_wrap=True)
    if planned.fixed:
        terminal.print(f"fixed in every arm: {_values(planned.fixed)}", soft_wrap=True)
    search = sweep.search
    terminal.print(
        f"{pluralize(len(planned.arms), 'arm')} x {pluralize(search.repeats, 'repeat')} x "
        f"{pluralize(search.trials, 'trial')} = {pluralize(planned.trials, 'trial')} "
        f"({search.sampler})"
    )
    places = f"{pluralize(planned.workers, 'worker')} here" if planned.workers else "does not fit"
    terminal.print(f"a trial takes {planned.share}: {places}", soft_wrap=True)
    terminal.print(f"time: {_time(sweep, planned)}", soft_wrap=True)
    for warning in (*oddities, *planned.warnings):
        warn(warning)


def _time(sweep: "Sweep", planned: "ScriptPlan") -> str:
    if sweep.time_limit is None:
        return "unknown, and without limit: time_limit ends a trial that hangs"
    limit = f"a trial is ended after {duration(sweep.time_limit)}"
    if planned.most_seconds is None:
        return f"unknown; {limit}"
    return f"at most {duration(planned.most_seconds)} here, for {limit}"


def _arms_table(planned: "ScriptPlan") -> "Table":
    """Return a line for each arm, with what not all arms search or are given."""
    columns = ["arm", "penalty", "way", "searched"]
    fixes = any(planned.own_values.values())
    lines = table(*columns, *(["fixed"] if fixes else []))
    for arm in planned.arms:
        searched = ", ".join(key for key in arm.searched if key not in planned.searched)
        row = [arm.name, arm.penalty, arm.way, searched or "-"]
        lines.add_row(*row, *([_values(planned.own_values[arm.name])] if fixes else []))
    return lines


def _values(values: Iterable[tuple[str, "Scalar"]]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values) or "-"
