"""Cells of a paper's table: an arm at an accuracy or within a size, and which is best."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sweeper.analysis.conclusion import ConfirmationResult
from sweeper.analysis.confirmation import (
    AccuracyAtSize,
    ConfirmedConfig,
    accuracy_at_size,
    confirmed_curves,
    size_at_accuracy,
)
from sweeper.analysis.front import Front
from sweeper.analysis.interpolation import WIDEST, Curve
from sweeper.analysis.intervals import Estimate, mean, paired_ratio
from sweeper.errors import pluralize
from sweeper.types import Accuracy

TEST: Accuracy = "test_accuracy"
NOT_REACHED, TOO_LARGE = "not reached", "no network that small"


@dataclass(frozen=True, slots=True)
class Column:
    """A level at which all arms are read: an accuracy, or a size."""

    accuracy: float | None = None
    """The column holds sizes at this accuracy."""
    size: int | None = None
    """The column holds accuracies within this size."""


@dataclass(frozen=True, slots=True)
class PaperCell:
    """One number of a table with what it rests on, or the reason for none."""

    value: float | None = None
    """A size or an accuracy: a mean over repeats, or that of one network."""
    low: float | None = None
    high: float | None = None
    """Ends of the 95 % interval; of a bound `high` alone, its one-sided limit."""
    n: int = 0
    """Repeats that it rests on."""
    beside: float | None = None
    """Of one network of a search: the accuracy that nothing was selected on."""
    bound: bool = False
    """What the arm needs is at most that: its smallest networks are better already."""
    best: bool = False
    """Whether it differs from all others of its column by more than chance."""
    note: str = ""
    """Why there is no value, or what to know of it."""


def confirmed_cells(
    confirmation: ConfirmationResult, columns: Sequence[Column], arm: str
) -> tuple[PaperCell, ...]:
    """Return what the fresh seeds of an arm reach at each column."""
    sweep, configs = confirmation.sweep, confirmation.configs
    curves = confirmed_curves(sweep, configs, TEST).get(arm, {})
    return tuple(
        _size_cell(curves, column.accuracy, sweep.search.repeats)
        if column.accuracy is not None
        else _accuracy_cell(accuracy_at_size(sweep, configs, arm, column.size or 0, TEST))
        for column in columns
    )


def network_cell(front: Front, column: Column) -> PaperCell:
    """Return the network of a search that a front has at a column."""
    if column.accuracy is not None:
        point = front.at(accuracy=column.accuracy)
        if point is None:
            return PaperCell(note=NOT_REACHED)
        return PaperCell(float(point.nonzero), n=1, beside=point.accuracy(front.show))
    point = front.at(nonzero=column.size or 0)
    if point is None:
        return PaperCell(note=TOO_LARGE)
    return PaperCell(point.accuracy(front.by), n=1, beside=point.accuracy(front.show))


def best_arm(
    confirmation: ConfirmationResult, column: Column, cells: Mapping[str, PaperCell]
) -> str | None:
    """Return the arm that is better at a column than all others by more than chance, if any is.

    None as well where the cell of an arm is open: a bound, too few repeats, a wide bracket.
    """
    # Who never reaches it is worse for sure.
    reached = {
        arm: cell for arm, cell in cells.items() if cell.note not in (NOT_REACHED, TOO_LARGE)
    }
    if len(reached) < 2 or any(cell.low is None or cell.note for cell in reached.values()):
        return None
    curves = confirmed_curves(confirmation.sweep, confirmation.configs, TEST)
    values = {
        arm: _by_repeat(column, curves.get(arm, {}), confirmation.configs, arm) for arm in reached
    }
    smallest = column.accuracy is not None
    return next(
        (
            arm
            for arm, ours in values.items()
            if all(
                _beats(ours, theirs, smallest=smallest)
                for other, theirs in values.items()
                if other != arm
            )
        ),
        None,
    )


def _by_repeat(
    column: Column, curves: Mapping[int, Curve], configs: Iterable[ConfirmedConfig], arm: str
) -> dict[int, float]:
    """Return the value of each repeat of an arm at a column."""
    if column.accuracy is not None:
        readings = size_at_accuracy(curves, column.accuracy).readings
        return {repeat: at.exact for repeat, at in readings.items() if at.exact is not None}
    return {
        config.repeat: config.accuracy(TEST)
        for config in configs
        if config.arm == arm and column.size in config.sizes
    }


def _beats(ours: Mapping[int, float], theirs: Mapping[int, float], *, smallest: bool) -> bool:
    repeats = sorted(ours.keys() & theirs.keys())
    mine, others = ([of[repeat] for repeat in repeats] for of in (ours, theirs))
    if smallest:
        ratio = paired_ratio(mine, others)
        return ratio is not None and ratio.high is not None and ratio.high < 1
    apart = mean([one - other for one, other in zip(mine, others, strict=True)])
    return apart is not None and apart.low is not None and apart.low > 0


def _size_cell(curves: Mapping[int, Curve], accuracy: float, repeats: int) -> PaperCell:
    at = size_at_accuracy(curves, accuracy)
    wide = f"read between sizes more than {WIDEST} times apart"
    note = wide if at.widest and not at.widest.close else ""
    if at.estimate:
        return _cell(at.estimate, note)
    if at.most:
        limit = "≤ is a one-sided 95 % limit" if at.most.high else "≤ is a mean of bounds, no limit"
        text = f"{limit}, since smaller networks than the smallest would do"
        return PaperCell(at.most.center, None, at.most.high, at.most.n, bound=True, note=text)
    if at.reached:
        return PaperCell(note=f"reached in {at.reached} of {pluralize(repeats, 'repeat')}")
    return PaperCell(note=NOT_REACHED)


def _accuracy_cell(at: AccuracyAtSize) -> PaperCell:
    if at.mean:
        return _cell(at.mean, "")
    if at.reached:
        return PaperCell(note=f"a network in {at.reached} of {pluralize(at.repeats, 'repeat')}")
    return PaperCell(note=TOO_LARGE)


def _cell(estimate: Estimate, note: str) -> PaperCell:
    return PaperCell(estimate.center, estimate.low, estimate.high, estimate.n, note=note)
