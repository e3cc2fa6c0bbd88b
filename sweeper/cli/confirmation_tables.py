"""What confirmed networks reached, as tables for the terminal."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from sweeper.cli.common import count, percent, pluralize, table
from sweeper.types import Accuracy, TrialRecord

if TYPE_CHECKING:
    from rich.table import Table

    from sweeper.analysis.confirmation import ConfirmedConfig, SizeAtAccuracy
    from sweeper.config import Sweep

TEST: Accuracy = "test_accuracy"


def show(
    sweep: "Sweep", facts: Iterable[TrialRecord], searched: Iterable[TrialRecord]
) -> "Iterable[str | Table]":
    """Yield what is to be printed of a confirmation; `searched` are the facts of the search."""
    from sweeper.analysis.confirmation import confirmed_configs

    found = confirmed_configs(sweep, facts, searched)
    if not found:
        return
    yield "test accuracy (%) of networks trained again, mean over seeds, then over repeats if all"
    yield "have one; shrinkage: points of validation accuracy that the search promised too much:"
    yield sizes_table(sweep, found)
    yield "nonzero parameters at a test accuracy, between these means:"
    yield levels_table(sweep, found)


def sizes_table(sweep: "Sweep", found: "Sequence[ConfirmedConfig]") -> "Table":
    """Return test accuracies within each size, and how much the search promised too much."""
    from sweeper.analysis.confirmation import accuracy_at_size

    sizes = sweep.targets.nonzero
    shown = table("arm", ">trained", ">failed", ">shrinkage", *(f">≤{_short(s)}" for s in sizes))
    for arm in sweep.arms:
        mine = [one for one in found if one.arm == arm]
        if not mine:
            continue
        lost = sum(one.shrinkage("val_accuracy") for one in mine) / len(mine)
        cells = [accuracy_at_size(sweep, found, arm, size, TEST).mean for size in sizes]
        shown.add_row(
            arm,
            str(sum(len(one.facts) for one in mine)),
            str(sum(one.failed for one in mine)),
            f"{100 * lost:+z.2f}",
            *(percent(cell.center if cell else None) for cell in cells),
        )
    return shown


def levels_table(sweep: "Sweep", found: "Sequence[ConfirmedConfig]") -> "Table":
    """Return nonzeros at the file's target accuracies, with the interval over repeats."""
    from sweeper.analysis.confirmation import confirmed_curves, size_at_accuracy

    targets = sweep.targets.accuracy
    shown = table("arm", *(f">at {100 * accuracy:g} %" for accuracy in targets))
    for arm, of in confirmed_curves(sweep, found, TEST).items():
        cells = [_cell(size_at_accuracy(of, accuracy)) for accuracy in targets]
        shown.add_row(arm, *cells)
    return shown


def _cell(at: "SizeAtAccuracy") -> str:
    if at.estimate:
        text = count(round(at.estimate.center))
        ends = (at.estimate.low, at.estimate.high)
        return text if None in ends else f"{text} ({'-'.join(count(round(e or 0)) for e in ends)})"
    if at.most is not None:
        return f"≤ {count(round(at.most.high or at.most.center))}"
    return f"{at.reached} of {pluralize(at.repeats, 'repeat')}" if at.reached else "not reached"


def _short(size: int) -> str:
    return f"{size / 1000:g}k" if size >= 1000 else str(size)
