"""Whether entropies need fewer parameters than L_p penalties: a ratio, or why there is none.

The arm that stands for a family is chosen on validation, the ratio is taken on test, and pairs are
repeats. Pure entropies, entropies with L_p and shuffled controls stand apart.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sweeper.catalogue import FAMILIES, Family
from sweeper.confirming import Confirmed, Level, curves, level
from sweeper.fronts import FEWEST, Curve, Estimate, paired_ratio
from sweeper.spec import Sweep

OURS: tuple[Family, ...] = ("entropy", "hybrid", "shuffled")
THEIRS: tuple[Family, ...] = ("lp", "other", "shuffled")
"""Against its shuffled control, a penalty shows what it owes to the arrangement of weights."""
Curves = Mapping[str, Mapping[int, Curve]]


@dataclass(frozen=True, slots=True)
class Bound:
    """What is known of a ratio where the smallest networks of one arm are better already."""

    side: Literal["at least", "at most"]
    value: float


@dataclass(frozen=True, slots=True)
class Versus:
    """One family against another at one accuracy."""

    accuracy: float
    ours: str
    theirs: str
    """The arms that stand for their families."""
    family: Family
    against: Family
    ratio: Estimate | None
    """Nonzeros of ours / nonzeros of theirs: under 1 means that ours needs fewer."""
    bound: "Bound | None"
    """Without a ratio: on which side of it a value lies, where one arm's sizes are bounds."""
    paired: int
    """Repeats in which both reach it."""
    repeats: int

    @property
    def settled(self) -> bool:
        """Whether the interval leaves out 1."""
        ratio = self.ratio
        if ratio is None or ratio.low is None or ratio.high is None:
            return False
        return not ratio.low <= 1.0 <= ratio.high

    @property
    def text(self) -> str:
        """The ratio as people read it, or why there is none."""
        if self.ratio is None and self.bound:
            return f"{self.bound.side} {self.bound.value:.2f}"
        if self.ratio is None:
            return f"both reach it in {self.paired} of {self.repeats} repeats"
        shown = f"{self.ratio.center:.2f}"
        if self.ratio.low is None or self.ratio.high is None:
            values = ", ".join(f"{value:.2f}" for value in self.ratio.values)
            return f"{shown} (n = {self.ratio.n}, no interval under {FEWEST}: {values})"
        return f"{shown} ({self.ratio.low:.2f} to {self.ratio.high:.2f}, n = {self.ratio.n})"


def versus(sweep: Sweep, found: Sequence[Confirmed]) -> tuple[Versus, ...]:
    """Return every family of `OURS` against every one of `THEIRS`, at the file's accuracies."""
    chosen = curves(sweep, found, "val_accuracy")
    shown = curves(sweep, found, "test_accuracy")
    rows = []
    for family in OURS:
        for against in (against for against in THEIRS if against != family):
            for accuracy in sweep.targets.accuracy:
                ours = best(sweep, chosen, family, accuracy)
                theirs = best(sweep, chosen, against, accuracy)
                if ours and theirs:
                    rows.append(_versus(shown, ours, theirs, family, against, accuracy))
    return tuple(rows)


def best(sweep: Sweep, chosen: Curves, family: Family, accuracy: float) -> str | None:
    """Return the arm of a family that reaches a validation accuracy in most repeats.

    Of several such arms the one that needs least where it does; None if none ever does.
    """
    places: dict[str, tuple[int, float]] = {}
    for arm, repeats in chosen.items():
        at = level(repeats, accuracy)
        if sweep.arms[arm].family == family and at.reached:
            logs = [math.log(one.value) for one in at.readings.values() if one.value is not None]
            places[arm] = -at.reached, math.fsum(logs) / len(logs)
    return min(places, key=lambda arm: places[arm]) if places else None


def sentence(rows: Sequence[Versus]) -> str:
    """Return the answer at the highest accuracy that can be compared; empty if there is none."""
    mine = [row for row in rows if row.against == "lp"]
    # Where there is no ratio at all, one of which a side is known is better than silence.
    usable = [row for row in mine if row.ratio] or [row for row in mine if row.bound]
    if not usable:
        return ""
    accuracy = max(row.accuracy for row in usable)
    parts: list[str] = []
    for row in mine:
        if row.accuracy != accuracy or not (row.ratio or row.bound):
            continue
        who = f"the best of the {FAMILIES[row.family]} ({row.ours})"
        if parts:
            parts.append(f"{who} {_times(row)} times{_interval(row)}")
        else:
            what = f"the nonzero parameters of the best L_p penalty, {row.theirs}"
            parts.append(f"{who} needs {_times(row)} times {what}{_interval(row)}")
    return f"At {100 * accuracy:.4g} % test accuracy, {'; '.join(parts)}."


def _times(row: Versus) -> str:
    return f"{row.ratio.center:.2f}" if row.ratio else row.text


def _interval(row: Versus) -> str:
    ratio = row.ratio
    if ratio is None:
        return ""
    if ratio.low is None or ratio.high is None:
        return f" (n = {ratio.n} repeats)"
    return f" (95 % interval {ratio.low:.2f} to {ratio.high:.2f}, n = {ratio.n} repeats)"


def _versus(
    shown: Curves, ours: str, theirs: str, family: Family, against: Family, accuracy: float
) -> Versus:
    mine, other = level(shown[ours], accuracy), level(shown[theirs], accuracy)
    pairs = [
        (one, two)
        for repeat, reading in mine.readings.items()
        if (one := reading.exact) is not None and (two := other.readings[repeat].exact) is not None
    ]
    ratio = None
    # With a repeat left out the others would be the lucky ones.
    if pairs and len(pairs) == mine.repeats:
        ratio = paired_ratio([one for one, _ in pairs], [two for _, two in pairs])
    bound = None if ratio else _bound(mine, other)
    return Versus(accuracy, ours, theirs, family, against, ratio, bound, len(pairs), mine.repeats)


def _bound(mine: Level, other: Level) -> Bound | None:
    """Return what is known of the ratio if one arm's sizes are exact and the other's at most so."""
    if mine.estimate and other.most is not None:
        return Bound("at least", mine.estimate.center / other.most)
    if other.estimate and mine.most is not None:
        return Bound("at most", mine.most / other.estimate.center)
    return None
