"""Sentences on families of penalties: the answer of a confirmation, and of the other track."""

from collections.abc import Iterable, Sequence

from sweeper.analysis.family_comparison import TRACKS, FamilyComparison, OtherTrackComparison
from sweeper.config.registry import FAMILIES, family_title
from sweeper.errors import pluralize

LP = ("lp",)


def family_sentence(
    rows: Sequence[FamilyComparison],
    measure: str = "accuracy",
    yardsticks: Sequence[str] = LP,
    size: str = "nonzero parameters",
) -> str:
    """Return the answer at the highest accuracy of which one may be quoted; empty if there is none.

    `measure` and `size` are what the axes are called. The answer is about the first of the
    yardsticks, families or arms, that anything is said of. What differs by chance alone is told by
    the limits of its interval.
    """
    yardstick = _yardstick(rows, yardsticks)
    accuracy = _highest(rows, yardstick)
    parts: list[str] = []
    named: set[str] = set()
    for row in rows:
        if row.against != yardstick or row.accuracy != accuracy or not row.quotable:
            continue
        if row.ours in named:  # the best of all pure entropies sees arrangement
            continue
        named.add(row.ours)
        who = _who(row)
        if parts:
            parts.append(f"{who} {_times(row)} times{_interval(row)}")
        else:
            what = f"the {size} of {_best_of(row)}"
            parts.append(f"{who} needs {_times(row)} times {what}{_interval(row)}")
    return f"At {_percent(accuracy)} test {measure}, {'; '.join(parts)}." if parts else ""


def other_track_sentence(
    rows: Sequence[FamilyComparison],
    other: OtherTrackComparison,
    measure: str = "accuracy",
    yardsticks: Sequence[str] = LP,
) -> str:
    """Return the sentence of the other track on the family of `family_sentence`; empty if none.

    A penalty that makes zeros by itself can look ten times better on one track and worse on the
    other: either alone misleads.
    """
    yardstick = _yardstick((*rows, *other.same, *other.rows), yardsticks)
    accuracy = _highest(rows, yardstick)
    first = next((row for row in _against(rows, yardstick) if row.accuracy == accuracy), None)
    usable = [
        row
        for row in _against((*other.same, *other.rows), yardstick)
        if first is None or row.family == first.family
    ]
    if not any(row.accuracy == accuracy for row in usable):
        accuracy = _highest(usable, yardstick)
    shown = [row for row in usable if row.accuracy == accuracy]
    parts: list[str] = []
    for row in shown:
        what = "those" if parts else "the nonzero parameters"
        who = "" if parts and row.ours == shown[0].ours else f"{row.ours} needs "
        best_there = _best_there(row) if row in other.rows else ""
        parts.append(f"{who}{_times(row)} times {what} of {row.theirs}{best_there}{_interval(row)}")
    images = "validation" if other.by == "val_accuracy" else "test"
    where = f"at {_percent(accuracy)} {images} {measure} in the search"
    return f"{TRACKS[other.track]}, {where}, {', and '.join(parts)}." if parts else ""


def _who(row: FamilyComparison) -> str:
    """Return the arm that stands for the first side, with that side."""
    if row.family in FAMILIES:
        return f"the best of the {family_title(row.family)} ({row.ours})"
    return row.ours if row.family == row.ours else f"the best arm of {row.family} ({row.ours})"


def _best_of(row: FamilyComparison) -> str:
    """Return the arm that stands for the other side, with that side."""
    if row.against == "lp":
        return f"the best L_p penalty, {row.theirs}"
    if row.against in FAMILIES:
        return f"the best of the {family_title(row.against)}, {row.theirs}"
    of_family = "" if row.against == row.theirs else f", the best arm of {row.against}"
    return row.theirs + of_family


def _best_there(row: FamilyComparison) -> str:
    if row.against == "lp":
        return ", the best L_p penalty there"
    if row.against in FAMILIES:
        return f", the best of the {family_title(row.against)} there"
    return "" if row.against == row.theirs else f", the best arm of {row.against} there"


def _yardstick(rows: Iterable[FamilyComparison], yardsticks: Sequence[str]) -> str:
    """Return the first of the yardsticks that anything is said of, else the first."""
    said = {row.against for row in rows if row.quotable}
    return next((name for name in yardsticks if name in said), yardsticks[0])


def _against(rows: Iterable[FamilyComparison], yardstick: str) -> list[FamilyComparison]:
    """Return the rows that may be quoted of a yardstick."""
    return [row for row in rows if row.against == yardstick and row.quotable]


def _highest(rows: Iterable[FamilyComparison], yardstick: str) -> float:
    """Return the highest accuracy with a ratio to a yardstick, else with a bound; else 0."""
    against = _against(rows, yardstick)
    # Where there is no ratio at all, one of which a side is known is better than silence.
    usable = [row for row in against if row.ratio] or against
    return max((row.accuracy for row in usable), default=0.0)


def _percent(accuracy: float) -> str:
    return f"{100 * accuracy:.4g} %"


def _times(row: FamilyComparison) -> str:
    """Return the multiple of a row that may be quoted: only its limits where 1 lies between."""
    if row.ratio and row.settled:
        return f"{row.ratio.center:.2f}"
    if row.ratio:
        return f"between {row.ratio.low:.2f} and {row.ratio.high:.2f}"
    if row.bound:
        return f"{row.bound.side} {row.bound.limit:.2f}"
    return row.text


def _interval(row: FamilyComparison) -> str:
    ratio, bound = row.ratio, row.bound
    if ratio and row.settled:
        ends = f"{ratio.low:.2f} to {ratio.high:.2f}"
        return f" (95 % interval {ends}, n = {pluralize(ratio.n, 'repeat')})"
    if ratio:
        return f" (95 % interval: no difference is shown, n = {pluralize(ratio.n, 'repeat')})"
    if bound:
        return f" (one-sided 95 % limit, n = {pluralize(len(bound.values), 'repeat')})"
    return ""
