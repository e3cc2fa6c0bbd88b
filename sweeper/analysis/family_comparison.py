"""Comparison of families of penalties: ratios of sizes, bounds of them, gaps in accuracy.

The arm that stands for a family is chosen on validation, what is said of it is read on test, and
pairs are repeats. Unless a file says otherwise, pure entropies, those of them that see arrangement,
entropies with L_p and shuffled controls stand apart. Of the other track the search's own networks
are read, on validation.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sweeper.analysis import (
    FEWEST,
    ONE_SIDED,
    Curve,
    Estimate,
    fronts_by_repeat,
    mean,
    paired_ratio,
)
from sweeper.analysis.confirmation import (
    ConfirmedConfig,
    SizeAtAccuracy,
    confirmed_curves,
    size_at_accuracy,
)
from sweeper.config import Sweep
from sweeper.config.comparison_plan import against as opponents
from sweeper.config.comparison_plan import compared, members
from sweeper.errors import pluralize
from sweeper.types import Accuracy, Track, TrialRecord

Curves = Mapping[str, Mapping[int, Curve]]
TRACKS: dict[Track, str] = {
    "pruned": "Pruned and fine-tuned",
    "as_trained": "As trained, before anything is pruned",
}


@dataclass(frozen=True, slots=True)
class RatioBound:
    """A side of a ratio, where the smallest networks of one arm are better already."""

    side: Literal["at least", "at most"]
    center: float
    """Geometric mean of the ratios, which are bounds in some repeats and exact in the others."""
    limit: float | None
    """One-sided 95 % limit of that mean: what is known of the ratio. None under five repeats."""
    values: tuple[float, ...]

    @property
    def sign(self) -> str:
        return "≥" if self.side == "at least" else "≤"

    @property
    def settled(self) -> bool:
        """Whether the limit leaves out 1."""
        if self.limit is None:
            return False
        return self.limit > 1 if self.side == "at least" else self.limit < 1


@dataclass(frozen=True, slots=True)
class FamilyComparison:
    """One family against another at one accuracy."""

    accuracy: float
    ours: str
    theirs: str
    """The arms that stand for their families."""
    family: str
    against: str
    """Families, or arms that a file names in their place."""
    ratio: Estimate | None
    """Nonzeros of ours / nonzeros of theirs: under 1 means that ours needs fewer."""
    bound: RatioBound | None
    """Without a ratio: on which side of it a value lies, where one arm's sizes are bounds."""
    paired: int
    """Repeats in which both reach it."""
    repeats: int
    sizes: tuple[SizeAtAccuracy, SizeAtAccuracy]
    """Of ours and of theirs."""

    @property
    def quotable(self) -> bool:
        """Whether an answer may quote it: with an interval, read in close brackets in all repeats.

        A bound has a one-sided interval.
        """
        if any(at.widest and not at.widest.close for at in self.sizes):
            return False
        if self.ratio:
            return self.ratio.low is not None
        return self.bound is not None and self.bound.limit is not None

    @property
    def settled(self) -> bool:
        """Whether the interval, or the limit of a bound, leaves out 1."""
        ratio = self.ratio
        if ratio is None:
            return self.bound is not None and self.bound.settled
        if ratio.low is None or ratio.high is None:
            return False
        return not ratio.low <= 1.0 <= ratio.high

    @property
    def text(self) -> str:
        """The ratio as people read it, or why there is none."""
        if self.ratio is None and self.bound:
            bound = self.bound
            if bound.limit is None:
                return f"{bound.side} {bound.center:.2f} ({_few(bound.values)})"
            return f"{bound.side} {bound.limit:.2f} (one-sided 95 %, n = {len(bound.values)})"
        if self.ratio is None:
            return f"both reach it in {self.paired} of {pluralize(self.repeats, 'repeat')}"
        shown = f"{self.ratio.center:.2f}"
        if self.ratio.low is None or self.ratio.high is None:
            return f"{shown} ({_few(self.ratio.values)})"
        return f"{shown} ({self.ratio.low:.2f} to {self.ratio.high:.2f}, n = {self.ratio.n})"


@dataclass(frozen=True, slots=True)
class AccuracyGap:
    """One family's test accuracy minus another's, of networks within one size."""

    size: int
    ours: str
    theirs: str
    """The arms that stand for their families."""
    family: str
    against: str
    """Families, or arms that a file names in their place."""
    difference: Estimate | None
    """None unless both have a network within the size in every repeat."""
    paired: int
    repeats: int


@dataclass(frozen=True, slots=True)
class OtherTrackComparison:
    """Families against each other on the track that is not the objective's, in the search."""

    track: Track
    by: Accuracy
    """What the accuracies are of: what the search selects on."""
    rows: tuple[FamilyComparison, ...]
    """The arms that stand for their families on this track."""
    same: tuple[FamilyComparison, ...] = ()
    """The arms that stand in the answer, where they are others."""


def compare_families(
    sweep: Sweep, configs: Sequence[ConfirmedConfig]
) -> tuple[FamilyComparison, ...]:
    """Return every family that is compared against every other side, at the file's accuracies."""
    chosen = confirmed_curves(sweep, configs, "val_accuracy")
    return _rows(sweep, chosen, confirmed_curves(sweep, configs, "test_accuracy"))


def other_track(
    search: Sweep, records: Iterable[TrialRecord], answer: Sequence[FamilyComparison]
) -> OtherTrackComparison:
    """Return families against each other on the other track of a search.

    `answer` has the arms that stand for their families on the objective's: those are set against
    each other here as well.
    """
    track: Track = "as_trained" if search.sparsification.track == "pruned" else "pruned"
    curves = searched(search, records, track)
    rows = _rows(search, curves, curves)
    compared = {(row.ours, row.theirs, row.accuracy) for row in rows}
    pairs = dict.fromkeys(
        (row.family, row.against, row.ours, row.theirs) for row in answer if row.ratio or row.bound
    )
    same = tuple(
        _compare(curves, ours, theirs, family, against, accuracy)
        for family, against, ours, theirs in pairs
        for accuracy in search.targets.accuracy
        if {ours, theirs} <= curves.keys() and (ours, theirs, accuracy) not in compared
    )
    by: Accuracy = "test_accuracy" if search.select_on == "test" else "val_accuracy"
    return OtherTrackComparison(
        track, by, rows, tuple(row for row in same if row.ratio or row.bound)
    )


def searched(
    search: Sweep, records: Iterable[TrialRecord], track: Track
) -> dict[str, dict[int, Curve]]:
    """Return arm -> repeat -> the curve through the repeat's front on a track.

    Between neighbours of a front sizes are read as everywhere: the smallest network that reaches a
    level would be a minimum over configurations, and depend on how many there are.
    """
    curves = {
        arm: {
            repeat: Curve.of((point.nonzero, point.accuracy(front.by)) for point in front.points)
            for repeat, front in enumerate(fronts)
        }
        for arm, fronts in fronts_by_repeat(records, search, track).items()
    }
    return {arm: of_arm for arm, of_arm in curves.items() if any(c.sizes for c in of_arm.values())}


def representative_arm(sweep: Sweep, chosen: Curves, family: str, accuracy: float) -> str | None:
    """Return the arm of a family that reaches a validation accuracy in most repeats.

    Of several such arms the one that needs least where it does; None if none ever does.
    """
    places: dict[str, tuple[int, float]] = {}
    belonging = members(sweep, family)
    for arm, curves in chosen.items():
        at = size_at_accuracy(curves, accuracy)
        if arm in belonging and at.reached:
            sizes = [reading.value for reading in at.readings.values()]
            logs = [math.log(size) for size in sizes if size is not None]
            places[arm] = -at.reached, math.fsum(logs) / len(logs)
    return min(places, key=lambda arm: places[arm]) if places else None


def accuracy_gaps(
    sweep: Sweep, configs: Sequence[ConfirmedConfig], sizes: Sequence[int]
) -> tuple[AccuracyGap, ...]:
    """Return differences of test accuracy within each size, of the families of `compare_families`.

    Where accuracy hardly rises with size, a tenth of a point is a factor of two in size: there the
    gap in accuracy says more than a ratio of sizes.
    """
    rows = []
    for family, against in _families(sweep):
        for size in sizes:
            ours, theirs = (_best_within(sweep, configs, name, size) for name in (family, against))
            if ours and theirs and ours != theirs:
                first, second = (
                    _within(configs, arm, size, "test_accuracy") for arm in (ours, theirs)
                )
                both = [first[repeat] - second[repeat] for repeat in first if repeat in second]
                count = sweep.search.repeats
                apart = mean(both) if len(both) == count else None
                rows.append(
                    AccuracyGap(size, ours, theirs, family, against, apart, len(both), count)
                )
    return tuple(rows)


def _few(values: Sequence[float]) -> str:
    shown = ", ".join(f"{value:.2f}" for value in values)
    return f"n = {len(values)}, no interval under {FEWEST}: {shown}"


def _families(sweep: Sweep) -> list[tuple[str, str]]:
    return [
        (family, against)
        for family in compared(sweep)
        for against in opponents(sweep)
        if against != family
    ]


def _rows(sweep: Sweep, chosen: Curves, shown: Curves) -> tuple[FamilyComparison, ...]:
    """Return families against each other: arms by the `chosen` curves, ratios of the `shown`."""
    rows = []
    for family, against in _families(sweep):
        for accuracy in sweep.targets.accuracy:
            ours = representative_arm(sweep, chosen, family, accuracy)
            theirs = representative_arm(sweep, chosen, against, accuracy)
            if ours and theirs and ours != theirs:
                rows.append(_compare(shown, ours, theirs, family, against, accuracy))
    pure = {(row.ours, row.accuracy) for row in rows if row.family == "entropy"}
    part = {(row.ours, row.accuracy) for row in rows if row.family == "arrangement"}
    # A family that is represented by the same arms throughout would only be said twice.
    return tuple(row for row in rows if row.family != "arrangement" or part - pure)


def _compare(
    shown: Curves, ours: str, theirs: str, family: str, against: str, accuracy: float
) -> FamilyComparison:
    first, second = (size_at_accuracy(shown[arm], accuracy) for arm in (ours, theirs))
    pairs = [
        (size, other)
        for repeat, reading in first.readings.items()
        if (size := reading.exact) is not None
        and (other := second.readings[repeat].exact) is not None
    ]
    ratio = None
    # With a repeat left out the others would be the lucky ones.
    if pairs and len(pairs) == first.repeats:
        ratio = paired_ratio([size for size, _ in pairs], [other for _, other in pairs])
    bound = None if ratio else _bound(first, second)
    return FamilyComparison(
        accuracy,
        ours,
        theirs,
        family,
        against,
        ratio,
        bound,
        len(pairs),
        first.repeats,
        (first, second),
    )


def _bound(first: SizeAtAccuracy, second: SizeAtAccuracy) -> RatioBound | None:
    """Return the bound of a ratio where one arm's sizes are exact and the other's at most so.

    A ratio whose denominator is too large is too small itself, and so is the mean of such ratios:
    the limit of that mean holds for the ratio, too.
    """
    if not first.most or not second.most or not (first.estimate or second.estimate):
        return None
    ends = paired_ratio(first.most.values, second.most.values, confidence=ONE_SIDED)
    if ends is None:
        return None
    if first.estimate:
        return RatioBound("at least", ends.center, ends.low, ends.values)
    return RatioBound("at most", ends.center, ends.high, ends.values)


def _within(
    configs: Iterable[ConfirmedConfig], arm: str, size: int, by: Accuracy
) -> dict[int, float]:
    """Return repeat -> the accuracy of an arm's configuration within a size."""
    return {
        config.repeat: config.accuracy(by)
        for config in configs
        if config.arm == arm and size in config.sizes
    }


def _best_within(
    sweep: Sweep, configs: Sequence[ConfirmedConfig], family: str, size: int
) -> str | None:
    """Return the arm of a family with a network within a size in most repeats, then the best.

    Both on validation; None if none has any.
    """
    places: dict[str, tuple[int, float]] = {}
    for arm in members(sweep, family):
        values = _within(configs, arm, size, "val_accuracy").values()
        if values:
            places[arm] = len(values), math.fsum(values) / len(values)
    return max(places, key=lambda arm: places[arm]) if places else None
