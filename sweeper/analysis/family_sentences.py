"""Sentences on families of penalties: the answer of a confirmation, and of the other track."""

from collections.abc import Iterable, Sequence

from sweeper.analysis.family_comparison import TRACKS, FamilyComparison, OtherTrackComparison
from sweeper.config.registry import FAMILIES


def family_sentence(rows: Sequence[FamilyComparison], measure: str = "accuracy") -> str:
    """Return the answer at the highest accuracy that can be compared; empty if there is none.

    `measure` is what stands for accuracy.
    """
    accuracy = _highest(rows)
    parts: list[str] = []
    named: set[str] = set()
    for row in rows:
        if row.against != "lp" or row.accuracy != accuracy or not (row.ratio or row.bound):
            continue
        if row.ours in named:  # the best of all pure entropies sees arrangement
            continue
        named.add(row.ours)
        who = f"the best of the {FAMILIES[row.family]} ({row.ours})"
        if parts:
            parts.append(f"{who} {_times(row)} times{_interval(row)}")
        else:
            what = f"the nonzero parameters of the best L_p penalty, {row.theirs}"
            parts.append(f"{who} needs {_times(row)} times {what}{_interval(row)}")
    return f"At {_percent(accuracy)} test {measure}, {'; '.join(parts)}." if parts else ""


def other_track_sentence(
    rows: Sequence[FamilyComparison], other: OtherTrackComparison, measure: str = "accuracy"
) -> str:
    """Return the sentence of the other track on the family of `family_sentence`; empty if none.

    A penalty that makes zeros by itself can look ten times better on one track and worse on the
    other: either alone misleads.
    """
    accuracy = _highest(rows)
    first = next((row for row in _against_lp(rows) if row.accuracy == accuracy), None)
    against_lp = [
        row
        for row in _against_lp((*other.same, *other.rows))
        if first is None or row.family == first.family
    ]
    if not any(row.accuracy == accuracy for row in against_lp):
        accuracy = _highest(against_lp)
    shown = [row for row in against_lp if row.accuracy == accuracy]
    parts: list[str] = []
    for row in shown:
        what = "those" if parts else "the nonzero parameters"
        who = "" if parts and row.ours == shown[0].ours else f"{row.ours} needs "
        best_there = ", the best L_p penalty there" if row in other.rows else ""
        parts.append(f"{who}{_times(row)} times {what} of {row.theirs}{best_there}{_interval(row)}")
    images = "validation" if other.by == "val_accuracy" else "test"
    where = f"at {_percent(accuracy)} {images} {measure} in the search"
    return f"{TRACKS[other.track]}, {where}, {', and '.join(parts)}." if parts else ""


def _against_lp(rows: Iterable[FamilyComparison]) -> list[FamilyComparison]:
    """Return the rows that say something of an L_p penalty."""
    return [row for row in rows if row.against == "lp" and (row.ratio or row.bound)]


def _highest(rows: Iterable[FamilyComparison]) -> float:
    """Return the highest accuracy with a ratio to an L_p penalty, else with a bound; else 0."""
    against_lp = _against_lp(rows)
    # Where there is no ratio at all, one of which a side is known is better than silence.
    usable = [row for row in against_lp if row.ratio] or against_lp
    return max((row.accuracy for row in usable), default=0.0)


def _percent(accuracy: float) -> str:
    return f"{100 * accuracy:.4g} %"


def _times(row: FamilyComparison) -> str:
    if row.ratio:
        return f"{row.ratio.center:.2f}"
    if row.bound:
        return f"{row.bound.side} {row.bound.limit or row.bound.center:.2f}"
    return row.text


def _interval(row: FamilyComparison) -> str:
    if row.ratio is None:
        if row.bound is None:
            return ""
        side = "one-sided 95 % limit, " if row.bound.limit is not None else "mean of bounds, "
        return f" ({side}n = {len(row.bound.values)} repeats)"
    ratio = row.ratio
    if ratio.low is None or ratio.high is None:
        return f" (n = {ratio.n} repeat{'s' if ratio.n > 1 else ''})"
    return f" (95 % interval {ratio.low:.2f} to {ratio.high:.2f}, n = {ratio.n} repeats)"
