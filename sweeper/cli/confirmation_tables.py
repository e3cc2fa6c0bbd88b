"""Tables of a confirmation for the terminal: accuracies within sizes, sizes at accuracies."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from sweeper.cli.common import count, percent, table
from sweeper.errors import pluralize
from sweeper.types import Accuracy

if TYPE_CHECKING:
    from rich.table import Table

    from sweeper.analysis.conclusion import ConfirmationResult
    from sweeper.analysis.confirmation import SizeAtAccuracy

TEST: Accuracy = "test_accuracy"


def show(confirmation: "ConfirmationResult") -> "Iterable[str | Table]":
    """Yield the lines and tables that are printed of a confirmation."""
    from sweeper.analysis import FEWEST

    if not confirmation.configs:
        return
    measure = confirmation.sweep.measure_label
    yield f"test {measure} (%) of networks trained again, mean over seeds, then over repeats if all"
    yield f"have one; shrinkage: points of validation {measure} that the search promised too much:"
    yield sizes_table(confirmation)
    yield f"{confirmation.sweep.size_label} at a test {measure}, between these means; in brackets"
    yield f"the 95 % interval, ≤ for a one-sided 95 % limit, both from {FEWEST} repeats on:"
    yield levels_table(confirmation)


def sizes_table(confirmation: "ConfirmationResult") -> "Table":
    """Return test accuracies within each size, and how much the search promised too much."""
    from sweeper.analysis.confirmation import accuracy_at_size
    from sweeper.plots.labels import short_count

    sweep, sizes = confirmation.sweep, confirmation.sweep.targets.nonzero
    shown = table(
        "arm", ">trained", ">failed", ">shrinkage", *(f">≤{short_count(s)}" for s in sizes)
    )
    for arm in sweep.arms:
        configs = [config for config in confirmation.configs if config.arm == arm]
        if not configs:
            continue
        lost = sum(config.shrinkage("val_accuracy") for config in configs) / len(configs)
        means = [accuracy_at_size(sweep, configs, arm, size, TEST).mean for size in sizes]
        shown.add_row(
            arm,
            str(sum(len(config.records) for config in configs)),
            str(sum(config.failed for config in configs)),
            f"{100 * lost:+z.2f}",
            *(percent(mean.center if mean else None) for mean in means),
        )
    return shown


def levels_table(confirmation: "ConfirmationResult") -> "Table":
    """Return nonzeros at the file's target accuracies, with the interval over repeats."""
    from sweeper.analysis.confirmation import confirmed_curves, size_at_accuracy

    sweep, targets = confirmation.sweep, confirmation.sweep.targets.accuracy
    shown = table("arm", *(f">at {100 * accuracy:g} %" for accuracy in targets))
    for arm, curves in confirmed_curves(sweep, confirmation.configs, TEST).items():
        cells = [_cell(size_at_accuracy(curves, accuracy)) for accuracy in targets]
        shown.add_row(arm, *cells)
    return shown


def _cell(at: "SizeAtAccuracy") -> str:
    if at.estimate:
        text = count(round(at.estimate.center))
        ends = (at.estimate.low, at.estimate.high)
        return text if None in ends else f"{text} ({'-'.join(count(round(e or 0)) for e in ends)})"
    if at.most is not None:
        if at.most.high is None:
            return f"≤ {count(round(at.most.center))}, no limit"
        return f"≤ {count(round(at.most.high))}"
    return f"{at.reached} of {pluralize(at.repeats, 'repeat')}" if at.reached else "not reached"
