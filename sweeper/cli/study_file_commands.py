"""Commands about study files and data: check, schema, init, data."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files as package_files
from pathlib import Path
from typing import Annotated

import typer

from sweeper.cli.common import (
    DataFolder,
    StudyFile,
    console,
    count,
    duration,
    pluralize,
    table,
    waiting,
    warn,
)
from sweeper.errors import InputError

TEMPLATE = "study.yaml"
WIDEST = 29
"""Columns for `conditional_entropy.strength,`: whatever else is long, that is not broken."""


def register(app: typer.Typer) -> None:
    """Add these commands to the application."""
    for command in (check, schema, init, data):
        app.command()(command)


def template() -> str:
    """Return the commented study file that `init` writes."""
    return package_files("sweeper.cli").joinpath(TEMPLATE).read_text(encoding="utf-8")


def check(file: StudyFile) -> None:
    """Say what a study file would run: arms, trials, steps, time, and what is odd about it."""
    from sweeper.config import Sweep
    from sweeper.operations.plan import plan, refuse_alike
    from sweeper.operations.try_out import try_out

    sweep = Sweep.load(file)
    refuse_alike(sweep, str(file))
    terminal = console()
    with waiting() as on_wait:
        odd = try_out(sweep, str(file), on_wait=on_wait)
    found = plan(sweep)
    total = f", {count(found.parameters)} parameters" if found.parameters else ""
    terminal.print(f"{sweep.name}: {sweep.model.text} on {sweep.dataset}{total}", soft_wrap=True)
    shared = set(sweep.shared_domains())
    rows = []
    for arm in found.arms:
        own = [key for key in arm.searched if key not in shared]
        named = [f"{key} (auto)" if key in arm.auto_parameters else key for key in own]
        rows.append((arm.name, arm.penalty, arm.way, ", ".join(named) or "-"))
    shown = table("arm", "penalty", "way", "searched")
    for row in rows:
        shown.add_row(*row)
    # Where it is narrow a long name of an arm is broken, but not a formula's or a parameter's.
    penalties = ["penalty", *(row[1] for row in rows)]
    word = max(len(word) for text in penalties for word in text.split())
    shown.columns[1].width = min(max(map(len, penalties)), word + 5, WIDEST)
    shown.columns[3].width = min(max(map(len, ["searched", *(row[3] for row in rows)])), WIDEST)
    terminal.print(shown)
    common = [key for key in found.arms[0].searched if key in shared]
    terminal.print(f"searched in every arm: {', '.join(common) or 'nothing'}", soft_wrap=True)
    search = sweep.search
    terminal.print(
        f"{pluralize(len(found.arms), 'arm')} x {pluralize(search.repeats, 'repeat')} x "
        f"{pluralize(search.trials, 'trial')} = {pluralize(found.trials, 'trial')} "
        f"({search.sampler})"
    )
    if found.probe.ranges:
        probe = found.probe
        terminal.print(
            f"{pluralize(probe.ranges, 'range')} to find first: {probe.probes} x {probe.networks} "
            f"networks x {probe.steps:,} steps",
            soft_wrap=True,
        )
    terminal.print(f"{found.trials:,} x {found.steps_in_all:,} = {found.steps:,} training steps")
    if found.seconds is None:
        terminal.print("time: unknown for a network of your own")
    else:
        terminal.print(f"time: roughly {duration(found.seconds)} on this machine's CPU")
    for warning in (*odd, *found.warnings):
        warn(warning)


def schema() -> None:
    """Print the JSON Schema of study files, for editors that complete and check while typing."""
    import json

    from sweeper.config.json_schema import json_schema

    typer.echo(json.dumps(json_schema(), indent=2))


def init(
    folder: Annotated[Path, typer.Argument(help="Where the file goes.")] = Path(),
) -> None:
    """Write a commented study file, study.yaml, that runs as it is."""
    path = folder / TEMPLATE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file, _gone_unless_written(path):
            file.write(template())
            file.flush()
    except FileExistsError:
        if not folder.is_dir():
            raise InputError(f"{folder}: must be a folder, and is a file") from None
        raise InputError(f"{path}: is there already, and is left as it is") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from error
    typer.echo(f"wrote {path}; next: sweeper check {path}, then sweeper run {path}")


@contextmanager
def _gone_unless_written(path: Path) -> Iterator[None]:
    """Take a new file away again where a `with` block could not write all of it."""
    try:
        yield
    except OSError:
        path.unlink()
        raise


def data(
    name: Annotated[str, typer.Argument(help="digits, mnist or fashion-mnist.")],
    folder: DataFolder = None,
) -> None:
    """Fetch a dataset, once, however many ask at the same time."""
    from sweeper.config.registry import DATASETS
    from sweeper.errors import DataError, choices

    if name not in DATASETS:  # said here: loading torch to say it would take seconds
        raise DataError(f"no such dataset: {choices(name, DATASETS)}")
    from sweeper.training.datasets import fetch

    where = fetch(name, folder)
    typer.echo(f"{name}: ready{f' in {where}' if where else ', for it comes with scikit-learn'}")
