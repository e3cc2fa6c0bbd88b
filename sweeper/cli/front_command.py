"""The command `front`: each arm's front, as tables, JSON or CSV."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from sweeper.cli.common import (
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
    """Add this command to the application."""
    app.command()(front)


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
    selected_track = None if track is None else parse_choice("--track", track, TRACKS)
    selected_by = None if by is None else parse_choice("--by", by, BY)
    with open_store(storage) as store:
        record = load_record(store, name)
    fronts = record.fronts(selected_track, selected_by)
    warnings = strength_range.edge_warnings(record.ranged_sweep, fronts)
    if as_json:
        typer.echo(json.dumps(_fronts_json(record, fronts, warnings), indent=2))
    elif as_csv:
        _write_csv(fronts, record.sweep.measure)
    else:
        terminal = console()
        for arm, front in fronts.items():
            size = f"{len(front.points)} of {front.candidates} networks"
            terminal.print(f"{arm}: {size} ({front.track.replace('_', ' ')})", soft_wrap=True)
            terminal.print(front_table(front))
        images = "validation" if front.by == "val_accuracy" else "test"
        goal = f"{images} {record.sweep.measure_label}"
        terminal.print(f"nonzero parameters of the smallest network at a {goal}:")
        terminal.print(target_table(record.sweep, fronts))
        if warnings:
            warn(strength_range.summarize_edges(warnings))


def parse_choice(option: str, word: str, allowed: Mapping[str, T]) -> T:
    """Return what a word of an option stands for. Raises InputError with those allowed."""
    if word not in allowed:
        raise InputError(f"{option}: {choices(word, allowed)}")
    return allowed[word]


def front_table(front: "Front") -> "Table":
    """Return the networks of one front."""
    networks = table(">nonzero", ">effective", ">val %", ">test %", ">repeat", ">trial")
    for point in front.points:
        networks.add_row(
            count(point.nonzero),
            count(point.effective),
            percent(point.val_accuracy),
            percent(point.test_accuracy),
            str(point.repeat),
            str(point.trial),
        )
    return networks


def target_table(sweep: "Sweep", fronts: "Mapping[str, Front]") -> "Table":
    """Return the nonzeros of the smallest network at each of the file's target accuracies."""
    targets = sweep.targets.accuracy
    heads = (f">{100 * accuracy:g} %" for accuracy in targets)
    lines = table("arm", *heads)
    for arm, front in fronts.items():
        reached = (front.at(accuracy=accuracy) for accuracy in targets)
        lines.add_row(arm, *(count(point.nonzero if point else None) for point in reached))
    return lines


def _fronts_json(
    record: "SweepRecord", fronts: "Mapping[str, Front]", warnings: Sequence[str]
) -> dict[str, Any]:

    sweep = record.sweep
    measure = sweep.measure_key
    return {
        "sweep": sweep.name,
        "digest": sweep.digest,
        "done": record.status.done,
        "budget": record.status.budget,
        "warnings": list(warnings),
        "fronts": {
            arm: {
                "track": front.track,
                "by": _renamed(front.by, measure),
                "candidates": front.candidates,
                "points": [_row(point, measure) for point in front.points],
                f"nonzero_at_{measure}": {
                    f"{accuracy:g}": point.nonzero if point else None
                    for accuracy in sweep.targets.accuracy
                    for point in [front.at(accuracy=accuracy)]
                },
                f"{measure}_at_nonzero": {
                    str(nonzero): point.accuracy(front.by) if point else None
                    for nonzero in sweep.targets.nonzero
                    for point in [front.at(nonzero=nonzero)]
                },
            }
            for arm, front in fronts.items()
        },
    }


def _row(point: "FrontPoint", measure: str) -> dict[str, Any]:
    from dataclasses import asdict

    values = {_renamed(key, measure): value for key, value in asdict(point).items()}
    return {**values, "params": dict(point.params)}


def _renamed(key: str, measure: str) -> str:
    """Return the name of a value under that of its measure, such as `val_f1`."""
    return f"{key.removesuffix('accuracy')}{measure}" if key in BY.values() else key


def _write_csv(fronts: "Mapping[str, Front]", measure: str) -> None:
    from sweeper.analysis import fronts_to_pandas
    from sweeper.config.measure import target_key

    frame, stream = fronts_to_pandas(fronts, plain=True), data_stream()
    frame = frame.rename(columns=lambda key: _renamed(key, target_key(measure)))
    if stream.isatty():
        frame = frame.rename(columns=visible).map(_visible)
    stream.write(frame.to_csv(index=False, lineterminator="\n"))


def _visible(value: Any) -> Any:
    return visible(value) if isinstance(value, str) else value
