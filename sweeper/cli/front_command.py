"""The command `front`: each arm's front, as tables, JSON or CSV."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from sweeper.cli.activity import activity
from sweeper.cli.answer import print_answer
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
    with open_store(storage) as store, activity(f"{name}: reading all trials"):
        record = load_record(store, name)
        fronts = record.fronts(selected_track, selected_by)
        warnings = strength_range.edge_warnings(record.ranged_sweep, fronts)
    if as_json:
        typer.echo(json.dumps(_fronts_json(record, fronts, warnings), indent=2))
    elif as_csv:
        _write_csv(fronts, record.sweep)
    else:
        terminal = console()
        for arm, front in fronts.items():
            size = f"{len(front.points)} of {front.candidates} networks"
            track = "" if record.sweep.script else f" ({front.track.replace('_', ' ')})"
            terminal.print(f"{arm}: {size}{track}", soft_wrap=True)
            terminal.print(front_table(record.sweep, front))
        images = "validation" if front.by == "val_accuracy" else "test"
        goal = f"{images} {record.sweep.measure_label}"
        terminal.print(f"{record.sweep.size_label} of the smallest network at a {goal}:")
        terminal.print(target_table(record.sweep, fronts))
        if record.dropped_sentence:
            terminal.print(record.dropped_sentence, soft_wrap=True)
        print_answer(record)
        if warnings:
            warn(strength_range.summarize_edges(warnings))


def parse_choice(option: str, word: str, allowed: Mapping[str, T]) -> T:
    """Return what a word of an option stands for. Raises InputError with those allowed."""
    if word not in allowed:
        raise InputError(f"{option}: {choices(word, allowed)}")
    return allowed[word]


def front_table(sweep: "Sweep", front: "Front") -> "Table":
    """Return the networks of one front."""
    counted = [] if sweep.script else [">effective"]
    density = [">density"] if sweep.rungs > 1 else []
    heads = (*counted, ">val %", ">test %", *density, ">repeat", ">trial")
    networks = table(f">{sweep.size_unit}", *heads)
    for point in front.points:
        networks.add_row(
            count(point.nonzero),
            *([] if sweep.script else [count(point.effective)]),
            percent(point.val_accuracy),
            percent(point.test_accuracy),
            *([f"{point.params['density']:g}"] if density else []),
            str(point.repeat),
            str(point.trial),
        )
    return networks


def target_table(sweep: "Sweep", fronts: "Mapping[str, Front]") -> "Table":
    """Return the size of the smallest network at each of the file's target accuracies."""
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
    from dataclasses import asdict

    from sweeper.config.column_names import column_name

    sweep = record.sweep
    measure, size = sweep.measure_key, sweep.size_key
    return {
        "sweep": sweep.name,
        "digest": sweep.digest,
        "done": record.status.done,
        "budget": record.status.budget,
        "warnings": list(warnings),
        "dropped": [asdict(trial) for trial in record.dropped],
        "fronts": {
            arm: {
                **({} if sweep.script else {"track": front.track}),
                "by": column_name(sweep, front.by),
                "candidates": front.candidates,
                "points": [_row(sweep, point) for point in front.points],
                f"{size}_at_{measure}": {
                    f"{accuracy:g}": point.nonzero if point else None
                    for accuracy in sweep.targets.accuracy
                    for point in [front.at(accuracy=accuracy)]
                },
                f"{measure}_at_{size}": {
                    str(nonzero): point.accuracy(front.by) if point else None
                    for nonzero in sweep.targets.nonzero
                    for point in [front.at(nonzero=nonzero)]
                },
            }
            for arm, front in fronts.items()
        },
    }


def _row(sweep: "Sweep", point: "FrontPoint") -> dict[str, Any]:
    from dataclasses import asdict

    from sweeper.config.column_names import column_name

    named = ((column_name(sweep, key), value) for key, value in asdict(point).items())
    values = {name: value for name, value in named if name is not None}
    return {**values, "params": dict(point.params)}


def _write_csv(fronts: "Mapping[str, Front]", sweep: "Sweep") -> None:
    from sweeper.analysis import fronts_to_pandas
    from sweeper.config.column_names import column_name

    frame, stream = fronts_to_pandas(fronts, plain=True), data_stream()
    names = {key: column_name(sweep, key) for key in frame.columns}
    frame = frame[[key for key, name in names.items() if name is not None]].rename(columns=names)
    if stream.isatty():
        frame = frame.rename(columns=visible).map(_visible)
    stream.write(frame.to_csv(index=False, lineterminator="\n"))


def _visible(value: Any) -> Any:
    return visible(value) if isinstance(value, str) else value
