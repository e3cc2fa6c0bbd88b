"""Commands that show results: front, report."""

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from sweeper.cli.common import (
    Artifacts,
    Name,
    Storage,
    console,
    count,
    data_stream,
    open_store,
    percent,
    table,
    warn,
)
from sweeper.errors import InputError, choices
from sweeper.redact import visible
from sweeper.settings import DEFAULT_STORAGE
from sweeper.types import Accuracy, Track

if TYPE_CHECKING:
    from rich.table import Table

    from sweeper.analysis import Front, FrontPoint
    from sweeper.analysis.sweep_record import SweepRecord
    from sweeper.config import Sweep

TRACKS: dict[str, Track] = {"pruned": "pruned", "as_trained": "as_trained"}
T = TypeVar("T")
BY: dict[str, Accuracy] = {"validation": "val_accuracy", "test": "test_accuracy"}


def register(app: typer.Typer) -> None:
    """Add these commands to the application."""
    for command in (front, report):
        app.command()(command)


def front(
    name: Name,
    storage: Storage = DEFAULT_STORAGE,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="As CSV, one line for a network.")] = False,
    track: Annotated[
        str | None, typer.Option(help="pruned or as_trained.  [default: the file's objective]")
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(help="validation or test decides membership.  [default: the file's choice]"),
    ] = None,
) -> None:
    """Show each arm's front: the networks that no other one of the arm beats in both respects."""
    from sweeper.analysis import strength_range
    from sweeper.lifecycle import load_record

    if as_json and as_csv:
        raise InputError("--json and --csv: choose one")
    chosen_track = _chosen("--track", track, TRACKS)
    chosen_by = _chosen("--by", by, BY)
    with open_store(storage) as store:
        record = load_record(store, name)
    fronts = record.fronts(chosen_track, chosen_by)
    warnings = strength_range.edge_warnings(record.ranged_sweep, fronts)
    if as_json:
        typer.echo(json.dumps(_plain(record, fronts, warnings), indent=2))
    elif as_csv:
        _write_csv(fronts)
    else:
        terminal = console()
        for arm, front in fronts.items():
            size = f"{len(front.points)} of {front.candidates} networks"
            terminal.print(f"{arm}: {size} ({front.track.replace('_', ' ')})", soft_wrap=True)
            terminal.print(front_table(front))
        images = "validation" if front.by == "val_accuracy" else "test"
        terminal.print(f"nonzero parameters of the smallest network at a {images} accuracy:")
        terminal.print(target_table(record.sweep, fronts))
        if warnings:
            warn(strength_range.summarize_edges(warnings))


def _chosen(option: str, given: str | None, allowed: Mapping[str, T]) -> T | None:
    if given is None:
        return None
    if given not in allowed:
        raise InputError(f"{option}: {choices(given, allowed)}")
    return allowed[given]


def front_table(front: "Front") -> "Table":
    """Return the networks of one front."""
    shown = table(">nonzero", ">effective", ">val %", ">test %", ">repeat", ">trial")
    for point in front.points:
        shown.add_row(
            count(point.nonzero),
            count(point.effective),
            percent(point.val_accuracy),
            percent(point.test_accuracy),
            str(point.repeat),
            str(point.trial),
        )
    return shown


def target_table(sweep: "Sweep", fronts: "Mapping[str, Front]") -> "Table":
    """Return the nonzeros of the smallest network at each of the file's target accuracies."""
    targets = sweep.targets.accuracy
    heads = (f">{100 * accuracy:g} %" for accuracy in targets)
    shown = table("arm", *heads)
    for arm, front in fronts.items():
        reached = (front.at(accuracy=accuracy) for accuracy in targets)
        shown.add_row(arm, *(count(point.nonzero if point else None) for point in reached))
    return shown


def arms_table(record: "SweepRecord") -> "Table":
    """Return a line for each arm: its best network, and nonzeros at accuracies selected on.

    At most three of the targets, so that it fits 80 columns.
    """
    from sweeper.report.summary import arm_rows

    targets = record.sweep.targets.accuracy[-3:]
    heads = (f">at {100 * accuracy:g} %" for accuracy in targets)
    shown = table("arm", ">done", ">failed", ">val %", ">test %", *heads)
    for row in arm_rows(record, record.sweep.sparsification.track):
        reached = row.at_accuracy[len(row.at_accuracy) - len(targets) :]
        shown.add_row(
            row.arm,
            f"{row.done}/{row.budget}",
            str(row.diverged + row.collapsed),
            percent(row.best.val_accuracy if row.best else None),
            percent(row.best.test_accuracy if row.best else None),
            *(count(point.nonzero if point else None) for point in reached),
        )
    return shown


def _plain(
    record: "SweepRecord", fronts: "Mapping[str, Front]", warnings: Sequence[str]
) -> dict[str, Any]:
    sweep = record.sweep
    return {
        "sweep": sweep.name,
        "digest": sweep.digest,
        "done": record.status.done,
        "budget": record.status.budget,
        "warnings": list(warnings),
        "fronts": {
            arm: {
                "track": front.track,
                "by": front.by,
                "candidates": front.candidates,
                "points": [_row(point) for point in front.points],
                "nonzero_at_accuracy": {
                    f"{accuracy:g}": point.nonzero if point else None
                    for accuracy in sweep.targets.accuracy
                    for point in [front.at(accuracy=accuracy)]
                },
                "accuracy_at_nonzero": {
                    str(nonzero): point.accuracy(front.by) if point else None
                    for nonzero in sweep.targets.nonzero
                    for point in [front.at(nonzero=nonzero)]
                },
            }
            for arm, front in fronts.items()
        },
    }


def _row(point: "FrontPoint") -> dict[str, Any]:
    from dataclasses import asdict

    return {**asdict(point), "params": dict(point.params)}


def _write_csv(fronts: "Mapping[str, Front]") -> None:
    rows = []
    for front in fronts.values():
        for point in front.points:
            row = _row(point)
            params = row.pop("params")
            rows.append({**row, **{f"params_{key}": value for key, value in params.items()}})
    stream = data_stream()
    if stream.isatty():
        rows = [{visible(name): _shown(value) for name, value in row.items()} for row in rows]
    writer = csv.DictWriter(stream, _columns(rows), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)


def _shown(value: Any) -> Any:
    return visible(value) if isinstance(value, str) else value


def _columns(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    from dataclasses import fields

    from sweeper.analysis import FrontPoint

    usual = [field.name for field in fields(FrontPoint) if field.name != "params"]
    return list(dict.fromkeys([*usual, *(key for row in rows for key in row)]))


def report(
    name: Name,
    storage: Storage = DEFAULT_STORAGE,
    out: Annotated[
        Path | None,
        typer.Option(help="Where it goes.  [default: sweeps/NAME/report.html]", show_default=False),
    ] = None,
    figure: Annotated[
        Path | None,
        typer.Option(help="Only the figure, as .png or .svg (needs sweeper[figures])."),
    ] = None,
    artifacts: Artifacts = None,
) -> None:
    """Write one HTML file that says what a sweep found; it works offline."""
    from sweeper.lifecycle import load_record
    from sweeper.report import write_report

    with open_store(storage) as store:
        sweep = store.sweep(name)
        if sweep.confirms:
            raise InputError(
                f"{name}: is part of another report: sweeper report {sweep.confirms.of}"
            )
        record = load_record(store, name, artifacts=artifacts)
    if figure:
        from sweeper.plots import overlay_figure, save_figure

        drawn = overlay_figure(record.fronts(), record.sweep)
        typer.echo(f"figure: {save_figure(drawn, figure)}")
    if out or not figure:
        typer.echo(f"report: {write_report(out or report_path(name), record)}")


def report_path(name: str) -> Path:
    """Return where the report of a sweep goes unless told otherwise."""
    return Path("sweeps") / name / "report.html"
