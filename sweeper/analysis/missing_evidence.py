"""Missing evidence: why an answer quotes no ratio, and the changes and commands that bring one."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sweeper.analysis.confirmation import SizeAtAccuracy
from sweeper.analysis.family_comparison import FamilyComparison
from sweeper.analysis.intervals import FEWEST
from sweeper.config import Sweep
from sweeper.config.comparison_plan import against as opponents
from sweeper.config.comparison_plan import compared, members
from sweeper.config.registry import family_title
from sweeper.errors import pluralize
from sweeper.types import SweepStatus, TrialRecord


@dataclass(frozen=True, slots=True)
class Lack:
    """One thing that an answer lacks, and the change of the study file that brings it."""

    reason: str
    change: str
    changes_sizes: bool = False
    """Whether other networks are chosen then: the confirmation has to begin anew."""


@dataclass(frozen=True, slots=True)
class MissingEvidence:
    """What keeps an answer back, with the steps to one."""

    reason: str
    changes: tuple[str, ...]
    """Of the study file."""
    commands: tuple[str, ...]
    """Afterwards, in this order."""

    @property
    def sentence(self) -> str:
        """All of it as text."""
        first = f"{' and '.join(self.changes)} in the study file, then " if self.changes else ""
        *others, last = self.commands
        return f"{self.reason}. For one: {first}{' and '.join([*others, last])}."


def missing_confirmation(sweep: Sweep, status: SweepStatus) -> MissingEvidence:
    """Return what an answer takes, of a sweep without confirmation."""
    if not status.finished:
        done = f"{status.done:,} of {pluralize(status.budget, 'trial')} done"
        return MissingEvidence(f"No answer yet: {done}", (), ("sweeper run FILE",))
    luck = "the best networks of a search owe something to luck until fresh seeds confirm them"
    confirm = f"sweeper confirm {sweep.name}"
    if sweep.search.repeats >= FEWEST:
        return MissingEvidence(f"No answer yet: {luck}", (), (confirm,))
    return MissingEvidence(
        f"No answer yet: {luck}, and {_few(sweep)}",
        (f"search.repeats: {FEWEST}",),
        ("sweeper run FILE --extend", confirm),
    )


def missing_evidence(
    sweep: Sweep,
    rows: Sequence[FamilyComparison],
    yardstick: str,
    searched: Iterable[TrialRecord] = (),
) -> MissingEvidence:
    """Return why no ratio of a finished confirmation is quoted, and what brings one.

    `sweep` is the confirmation, `searched` are the records of its search.
    """
    lacks = [*_lacks(sweep, [row for row in rows if row.against == yardstick] or rows, searched)]
    anew = any(lack.changes_sizes for lack in lacks)
    return MissingEvidence(
        f"No ratio is quoted: {'; '.join(lack.reason for lack in lacks)}",
        tuple(dict.fromkeys(lack.change for lack in lacks)),
        (
            "sweeper run FILE --extend",
            *([f"sweeper delete {sweep.name}"] if anew else []),
            f"sweeper confirm {sweep.confirms.of if sweep.confirms else sweep.name}",
        ),
    )


def _few(sweep: Sweep) -> str:
    number = sweep.search.repeats
    there = "there is 1" if number == 1 else f"there are {number}"
    return f"an interval needs {FEWEST} repeats, and {there}"


def _lacks(
    sweep: Sweep, rows: Sequence[FamilyComparison], searched: Iterable[TrialRecord]
) -> Iterable[Lack]:
    if sweep.search.repeats < FEWEST:
        yield Lack(_few(sweep), f"search.repeats: {FEWEST}")
    if sweep.confirms and len(sweep.confirms.sizes) == 1:
        sizes = f"targets.{sweep.size_key}"
        reason = f"with one size in {sizes} no {sweep.measure_label} lies between two"
        yield Lack(reason, f"further sizes in {sizes}", changes_sizes=True)
    pairs = [
        (family, other)
        for family in compared(sweep)
        for other in opponents(sweep)
        if family != other and set(members(sweep, family)) ^ set(members(sweep, other))
        if members(sweep, family) and members(sweep, other)
    ]
    if not pairs:
        yield _no_sides(sweep)
    elif not rows:
        family, other = pairs[0]
        least = min(sweep.targets.accuracy)
        text = f"{family_title(family)} and {family_title(other)}"
        reason = f"not both {text} have confirmed networks of {_percent(least)}, the lowest target"
        yield Lack(reason, f"a lower one in targets.{sweep.measure_key}")
    else:
        nearest = max(rows, key=lambda row: (row.paired, row.accuracy))
        yield from _of_target(sweep, nearest, searched)


def _no_sides(sweep: Sweep) -> Lack:
    """Return the lack of two sides that a report sets against each other."""
    arms = [*sweep.arms]
    if len(arms) == 1:
        return Lack(f"{arms[0]} is the only arm", "an arm to compare it with")
    of_lp = members(sweep, "lp")
    other = of_lp[0] if of_lp else arms[0]
    mine = next(arm for arm in arms if arm != other)
    return Lack(
        "its arms stand for no two sides that a report compares",
        f"compare: {{families: [{mine}], against: [{other}]}}, or other arms,",
    )


def _of_target(
    sweep: Sweep, row: FamilyComparison, searched: Iterable[TrialRecord]
) -> Iterable[Lack]:
    """Yield the lacks of the comparison that is nearest to an answer, at its accuracy."""
    level = _percent(row.accuracy)
    for arm, at in zip((row.ours, row.theirs), row.sizes, strict=True):
        if at.reached < at.repeats:
            yield Lack(
                f"{arm} reaches {level} in {at.reached} of {pluralize(at.repeats, 'repeat')}",
                f"a lower {sweep.measure_label} or larger sizes in targets",
                changes_sizes=True,
            )
        elif row.ratio is None and row.bound is None:
            yield from _below(arm, at, level, sweep.measure_label)
        if at.widest and not at.widest.close:
            low, high = (f"{size:,.0f}" for size in (at.widest.low, at.widest.high))
            between = f"between {low} and {high}"
            has_some = any(
                record.slot.arm == arm
                and (network := record.result.judged(record.config.track)) is not None
                and at.widest.low < network.nonzero < at.widest.high
                for record in searched
            )
            yield Lack(
                f"{arm} has no confirmed network {between}, which are {at.widest.factor:.1f} times "
                f"apart, to read a size at {level}",
                f"sizes {between} in targets.{sweep.size_key}"
                if has_some
                else f"trials of sizes {between}, by a higher search.trials, and such targets",
                changes_sizes=True,
            )


def _below(arm: str, at: SizeAtAccuracy, level: str, measure: str) -> Iterable[Lack]:
    better = sum(reading.state == "below" for reading in at.readings.values())
    if better:
        yield Lack(
            f"the smallest networks of {arm} are better than {level} already in {better} of "
            f"{pluralize(at.repeats, 'repeat')}",
            f"a higher {measure} or smaller sizes in targets",
            changes_sizes=True,
        )


def _percent(accuracy: float) -> str:
    return f"{100 * accuracy:.4g} %"
