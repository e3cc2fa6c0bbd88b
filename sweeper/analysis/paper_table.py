"""Table of a paper: sizes at accuracies and accuracies within sizes, of the arms of some sweeps.

Of a confirmed sweep they are those of its fresh seeds, with intervals over repeats; of another one
those of the networks that its search found, which claim nothing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from sweeper.analysis.conclusion import ConfirmationResult
from sweeper.analysis.front import selection_metrics
from sweeper.analysis.intervals import FEWEST
from sweeper.analysis.sweep_comparability import (
    inequalities,
    named_arms,
    refuse_other_questions,
    unequal_keys,
)
from sweeper.analysis.sweep_record import SweepRecord
from sweeper.analysis.table_cells import (
    NOT_REACHED,
    TOO_LARGE,
    Column,
    PaperCell,
    best_arm,
    confirmed_cells,
    network_cell,
)
from sweeper.errors import InputError, pluralize
from sweeper.types import Track


@dataclass(frozen=True, slots=True)
class PaperRow:
    """One arm of one sweep."""

    sweep: str
    arm: str
    track: Track | None
    """None for a script."""
    confirmed: bool
    cells: tuple[PaperCell, ...]


@dataclass(frozen=True, slots=True)
class PaperTable:
    """A table for a paper as plain values."""

    columns: tuple[Column, ...]
    rows: tuple[PaperRow, ...]
    measure: str
    size: str
    """What the axes are called: `accuracy`, `nonzero parameters`."""
    split: str
    """The examples that a search is read on, `validation` or `TEST`."""
    captions: tuple[str, ...]
    """What the numbers are, as sentences; of each kind of sweep one."""
    origins: tuple[str, ...]
    """Sweeps with their digests."""
    differences: tuple[str, ...] = ()
    """What is unequal between several sweeps, as sentences."""

    @property
    def several(self) -> bool:
        """Whether it holds several sweeps."""
        return len({row.sweep for row in self.rows}) > 1

    @property
    def notes(self) -> tuple[str, ...]:
        """What its empty and its odd cells are, a sentence for each reason."""
        told: dict[str, list[str]] = {}
        for row in self.rows:
            name = f"{row.sweep}/{row.arm}" if self.several else row.arm
            for column, cell in zip(self.columns, row.cells, strict=True):
                if cell.note:
                    told.setdefault(cell.note, []).append(f"{name} {column_text(column)}")
        # Most empty cells are of these kinds: whatever is not named otherwise.
        plain = [f"–: {note}." for note in (NOT_REACHED, TOO_LARGE) if note in told]
        return (
            *plain,
            *(
                f"{note[:1].upper()}{note[1:]}: {', '.join(places)}."
                for note, places in told.items()
                if note not in (NOT_REACHED, TOO_LARGE)
            ),
        )


def column_text(column: Column) -> str:
    """Return where a column is read, such as `at 97 %` or `within 2,000`."""
    if column.accuracy is not None:
        return f"at {100 * column.accuracy:.6g} %"
    return f"within {column.size:,}"


def paper_table(
    records: Sequence[SweepRecord],
    columns: Sequence[Column] = (),
    *,
    arms: Sequence[str] = (),
    track: Track | None = None,
) -> PaperTable:
    """Return the table of the arms of some sweeps, at the first one's target accuracies by default.

    An arm is named for all sweeps that have it, or as `sweep/arm` for one. On the track that is
    not the objective's nothing is ever confirmed. Raises InputError for sweeps of other data, for
    an arm that none has, and for a size within which a confirmation chose nothing.
    """
    sweeps = [record.sweep for record in records]
    refuse_other_questions(sweeps)
    chosen = named_arms(sweeps, arms)
    first = sweeps[0]
    columns = tuple(columns) or tuple(Column(accuracy=at) for at in first.targets.accuracy)
    rows: list[PaperRow] = []
    captions: dict[str, list[str]] = {}
    for record in records:
        sweep = record.sweep
        names = [arm for arm in sweep.arms if f"{sweep.name}/{arm}" in chosen]
        if record.problems:
            problems = f"arms are not ranked. {' '.join(record.problems)}"
            captions.setdefault(problems, []).append(sweep.name)
        if confirmation := _confirmation(record, track):
            _refuse_other_sizes(record, confirmation, columns)
            of_sweep = [
                PaperRow(
                    sweep.name,
                    arm,
                    _track(record),
                    True,
                    confirmed_cells(confirmation, columns, arm),
                )
                for arm in names
            ]
            # Repeats of several sweeps are no pairs.
            is_ranked = len(records) == 1 and not record.problems
            rows += _with_best(confirmation, columns, of_sweep) if is_ranked else of_sweep
            caption = _confirmed_caption(record, confirmation)
        else:
            rows += _searched_rows(record, columns, names, track)
            caption = _searched_caption(record, track)
        captions.setdefault(caption, []).append(sweep.name)
    differing = ", ".join(unequal_keys(sweeps))
    said = [f"{', '.join(names)}: {text}" for text, names in captions.items()]
    if differing:
        said.append(f"Not ranked: the study files differ in {differing}.")
    by, _ = selection_metrics(first)
    return PaperTable(
        columns=columns,
        rows=tuple(rows),
        measure=first.measure_label,
        size=first.size_label,
        split="validation" if by == "val_accuracy" else "TEST",
        captions=tuple(said),
        differences=inequalities(records) if len(records) > 1 else (),
        origins=tuple(f"{sweep.name} (sha256 {sweep.digest[:12]})" for sweep in sweeps),
    )


def _confirmation(record: SweepRecord, track: Track | None) -> ConfirmationResult | None:
    """Return the finished confirmation of a sweep on a track; None without one."""
    confirmation = record.confirmation
    if confirmation is None or not confirmation.is_comparable:
        return None
    return confirmation if track in (None, record.sweep.sparsification.track) else None


def _refuse_other_sizes(
    record: SweepRecord, confirmation: ConfirmationResult, columns: Iterable[Column]
) -> None:
    for column in columns:
        if column.size is not None and column.size not in confirmation.sizes:
            allowed = ", ".join(str(size) for size in confirmation.sizes)
            raise InputError(
                f"--size: {record.sweep.name} chose nothing within {column.size} to be confirmed; "
                f"allowed: {allowed} (its targets.{record.sweep.size_key})"
            )


def _with_best(
    confirmation: ConfirmationResult, columns: Sequence[Column], rows: Sequence[PaperRow]
) -> list[PaperRow]:
    """Return rows with the best cell of each column marked, where chance cannot explain it."""
    best = [
        best_arm(confirmation, column, {row.arm: row.cells[place] for row in rows})
        for place, column in enumerate(columns)
    ]
    return [
        replace(
            row,
            cells=tuple(
                replace(cell, best=row.arm == arm)
                for cell, arm in zip(row.cells, best, strict=True)
            ),
        )
        for row in rows
    ]


def _marked(arm: str, cell: PaperCell, best: str | None) -> PaperCell:
    return replace(cell, best=arm == best)


def _searched_rows(
    record: SweepRecord, columns: Sequence[Column], arms: Iterable[str], track: Track | None
) -> Iterable[PaperRow]:
    fronts = record.fronts(track)
    for arm in arms:
        cells = tuple(network_cell(fronts[arm], column) for column in columns)
        yield PaperRow(record.sweep.name, arm, _track(record, track), False, cells)


def _track(record: SweepRecord, track: Track | None = None) -> Track | None:
    return None if record.sweep.script else track or record.sweep.sparsification.track


def _confirmed_caption(record: SweepRecord, confirmation: ConfirmationResult) -> str:
    repeats = record.sweep.search.repeats
    split = "validation" if record.sweep.select_on == "validation" else "TEST (select_on: test)"
    of = "one search" if repeats == 1 else f"each of {repeats} independent searches"
    spread = (
        "in brackets the 95 % t-interval"
        if repeats >= FEWEST
        else f"without intervals, which need {FEWEST} repeats"
    )
    return (
        f"test {record.sweep.measure_label} of networks trained again with "
        f"{pluralize(confirmation.seeds, 'fresh seed')}: of {of} the best on {split} within each "
        f"size. Means over {pluralize(repeats, 'repeat')}, {spread}."
    )


def _searched_caption(record: SweepRecord, track: Track | None) -> str:
    sweep, status = record.sweep, record.status
    by, show = selection_metrics(sweep)
    names = {"val_accuracy": "validation", "test_accuracy": "test"}
    other = track not in (None, sweep.sparsification.track)
    kind = f", {track.replace('_', ' ')}" if track and other else ""
    done = "" if status.finished else f", {status.done:,} of {status.budget:,} trials done"
    return (
        f"nothing is confirmed. Networks of the search itself{kind} "
        f"({pluralize(sweep.search.repeats, 'repeat')}, pooled{done}), chosen on {names[by]} "
        f"{sweep.measure_label}; in brackets the {names[show]} {sweep.measure_label} in % of the "
        "same network."
    )
