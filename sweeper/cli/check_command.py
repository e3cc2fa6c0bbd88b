"""The command `check`: the plan of a study file, before anything is registered."""

from typing import TYPE_CHECKING

import typer

from sweeper.cli.activity import activity
from sweeper.cli.common import (
    Changes,
    DataFolder,
    StudyFile,
    console,
    count,
    duration,
    table,
    warn,
)
from sweeper.cli.script_plan_output import print_script_plan
from sweeper.errors import pluralize

if TYPE_CHECKING:
    from rich.table import Table

    from sweeper.config import Sweep
    from sweeper.config.dataset import DatasetFacts
    from sweeper.operations.plan import Plan
    from sweeper.operations.try_out import TriedStudy

MAX_WIDTH = 29
"""Columns for `conditional_entropy.strength,`: whatever else is long, that is not broken."""


def register(app: typer.Typer) -> None:
    """Add this command to the application."""
    app.command()(check)


def check(file: StudyFile, changes: Changes = None, data: DataFolder = None) -> None:
    """Say what a study file would run: arms, trials, steps, time, and what is odd about it."""
    from sweeper.config import Sweep
    from sweeper.config.name_clashes import refuse_alike
    from sweeper.config.study_changes import parse_changes
    from sweeper.operations.try_out import try_out

    sweep = Sweep.load(file, parse_changes(changes or ()))
    refuse_alike(sweep, str(file))
    with activity(f"{sweep.name}: trying out what the study file names") as on_wait:
        tried = try_out(sweep, str(file), folder=data, on_wait=on_wait)
    if tried.sweep.script is None:
        _print_plan(tried)
    else:
        print_script_plan(tried.sweep, tried.oddities)


def _print_plan(tried: "TriedStudy") -> None:
    from sweeper.operations.plan import plan
    from sweeper.plots.labels import networks_text

    sweep, terminal = tried.sweep, console()
    planned = plan(sweep, network=tried.network)
    size = f", {count(planned.parameters)} parameters" if planned.parameters else ""
    terminal.print(
        f"{sweep.name}: {sweep.model.text} on {sweep.dataset.text}{size}", soft_wrap=True
    )
    if line := _pruning_text(sweep, planned):
        terminal.print(f"pruned: {line}", soft_wrap=True)
    if sweep.facts:
        for line in (_facts_text(sweep.facts), *tried.data_notes):
            terminal.print(f"dataset: {line}", soft_wrap=True)
    terminal.print(_arms_table(sweep, planned))
    shared = set(sweep.shared_domains())
    common = [key for key in planned.arms[0].searched if key in shared]
    terminal.print(f"searched in every arm: {', '.join(common) or 'nothing'}", soft_wrap=True)
    search = sweep.search
    terminal.print(
        f"{pluralize(len(planned.arms), 'arm')} x {pluralize(search.repeats, 'repeat')} x "
        f"{pluralize(search.trials, 'trial')} = {pluralize(planned.trials, 'trial')} "
        f"({search.sampler})"
    )
    if brings := networks_text(sweep):
        line = f"each trial: {brings}; {count(sweep.networks)} networks in all"
        terminal.print(line, soft_wrap=True)
    if sweep.warm_start:
        terminal.print(sweep.warm_start.text, soft_wrap=True)
    if planned.probe.ranges:
        probe = planned.probe
        terminal.print(
            f"{pluralize(probe.ranges, 'range')} to find first: {probe.probes} x {probe.networks} "
            f"networks x {probe.steps:,} steps",
            soft_wrap=True,
        )
    steps = f"{planned.trials:,} x {planned.steps_in_all:,} = {planned.steps:,}"
    terminal.print(f"{steps} training steps")
    if planned.seconds is None:
        terminal.print("time: unknown for a network that cannot be run here")
    else:
        terminal.print(f"time: roughly {duration(planned.seconds)} on this machine's CPU")
    for warning in (*tried.oddities, *planned.warnings):
        warn(warning)


def _facts_text(facts: "DatasetFacts") -> str:
    shape = " x ".join(f"{size:,}" for size in facts.shape)
    sizes = f"{facts.train:,} for training, {facts.validation:,} for validation, {facts.test:,} "
    return f"examples of {shape} {facts.targets_text}: {sizes}for the test"


def _pruning_text(sweep: "Sweep", planned: "Plan") -> str:
    """Return what is pruned, and how; empty where it is the smallest weights of all layers."""
    from sweeper.config.domains import values

    rule = sweep.sparsification
    if not (rule.prune or rule.scope != "global" or rule.granularity != "weight"):
        return ""
    units = {"weight": "weights", "input": "input units", "output": "output units"}
    by = units.get(rule.granularity, f"{rule.granularity} of consecutive inputs")
    scopes = {"global": "", "per_layer": ", each layer alike", "erk": ", layers by their sides"}
    if not planned.weights:
        return by + scopes[rule.scope]
    densities = list(rule.densities) or [
        value for value in values(rule.density) if isinstance(value, float)
    ]
    sizes = [count(round(density * planned.weights)) for density in densities]
    left = " to ".join(dict.fromkeys(sizes))
    of = f"{count(planned.weights)} weights in {', '.join(sweep.prunable or rule.prune)}"
    return f"{by}{scopes[rule.scope]}: {left} of {of}"


def _arms_table(sweep: "Sweep", planned: "Plan") -> "Table":
    """Return a line for each arm, with the parameters that not all arms search."""
    shared = set(sweep.shared_domains())
    rows = []
    for arm in planned.arms:
        keys = [key for key in arm.searched if key not in shared]
        names = [f"{key} (auto)" if key in arm.auto_parameters else key for key in keys]
        rows.append((arm.name, arm.penalty, arm.way, ", ".join(names) or "-"))
    arms = table("arm", "penalty", "way", "searched")
    for row in rows:
        arms.add_row(*row)
    # Where it is narrow a long name of an arm is broken, but not a formula's or a parameter's.
    penalties = ["penalty", *(row[1] for row in rows)]
    word = max(len(word) for text in penalties for word in text.split())
    arms.columns[1].width = min(max(map(len, penalties)), word + 5, MAX_WIDTH)
    arms.columns[3].width = min(max(map(len, ["searched", *(row[3] for row in rows)])), MAX_WIDTH)
    return arms
