"""Whether trials of different machines and versions may be compared: measured, not assumed.

The same configuration gives other bits on another kind of processor or with another version of
torch, and training spreads what little differs. Trials that were trained on one kind are trained
again on the other; where the mean difference is small beside what arms differ by, mixing is fair.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sweeper.analysis import Estimate, mean
from sweeper.types import Place, Provenance, ReproducibilityCheck, TrialRecord

TOLERANCE = 0.002
"""Within this the 95 % interval of the mean difference in validation accuracy must lie."""


@dataclass(frozen=True, slots=True)
class Platform:
    """What results may depend on beside their configuration."""

    device: str
    processor: str
    """The GPU where one trains, else the CPU: arms that ran on different ones differ by it too."""
    torch: str
    sweeper: str

    @classmethod
    def of(cls, origin: Provenance) -> "Platform":
        return cls(origin.device, origin.processor, origin.torch, origin.sweeper)

    def __str__(self) -> str:
        hardware = f"{self.processor} ({self.device})" if self.processor else self.device
        return f"{hardware}, torch {self.torch}, sweeper {self.sweeper}"


@dataclass(frozen=True, slots=True)
class Deviation:
    """Trials of one kind, trained again on another one."""

    one: Platform
    other: Platform
    difference: Estimate
    """Validation accuracy on `other` minus that on `one`; diverged counts as 0."""
    batches: tuple[Estimate, ...] = ()
    """The same of each check apart, in their order: chance alone should be between them."""

    @property
    def small(self) -> bool:
        """Whether the difference is known to be too small to matter."""
        low, high = self.difference.low, self.difference.high
        return low is not None and high is not None and -TOLERANCE <= low <= high <= TOLERANCE

    @property
    def text(self) -> str:
        """The difference in points, with its interval."""
        shown = f"{100 * self.difference.center:+z.2f} points of validation accuracy"
        text = f"{shown} ({_ends(self.difference)})"
        if len(self.batches) < 2:
            return text
        apart = ", ".join(f"{100 * batch.center:+z.2f} ({_ends(batch)})" for batch in self.batches)
        return f"{text}, by check {apart}"


def deviations(
    facts: Iterable[TrialRecord], checks: Iterable[ReproducibilityCheck]
) -> tuple[Deviation, ...]:
    """Return what was measured between each two kinds, whichever of them came first.

    A trial that was trained again twice counts once, as the last check has it: the same seed gives
    the same bits, and would only seem to be one more.
    """
    known = {fact.slot.place: fact for fact in facts}
    found: dict[tuple[Platform, Platform], dict[Place, tuple[int, float]]] = {}
    for number, check in enumerate(checks):
        here = Platform.of(check.provenance)
        for one in check.redone:
            place = one.place
            fact = known.get(place)
            if fact is None or Platform.of(fact.provenance) == here:
                continue
            network = fact.result.judged(fact.config.track)
            difference = one.val_accuracy - (network.val_accuracy if network else 0.0)
            there = Platform.of(fact.provenance)
            pair, sign = ((there, here), 1.0) if str(there) < str(here) else ((here, there), -1.0)
            found.setdefault(pair, {})[place] = number, sign * difference
    return tuple(
        Deviation(*pair, estimate, _batches(values.values()))
        for pair, values in found.items()
        if (estimate := mean([value for _, value in values.values()])) is not None
    )


def _batches(values: Iterable[tuple[int, float]]) -> tuple[Estimate, ...]:
    """Return the mean of each check, from (number of the check, difference)."""
    by_check: dict[int, list[float]] = {}
    for number, value in values:
        by_check.setdefault(number, []).append(value)
    means = (mean(by_check[number]) for number in sorted(by_check))
    return tuple(one for one in means if one is not None)


def _ends(found: Estimate) -> str:
    if found.low is None or found.high is None:
        return f"n = {found.n}, too few for an interval"
    return f"{100 * found.low:+z.2f} to {100 * found.high:+z.2f}, n = {found.n}"


def platform_problems(
    facts: Sequence[TrialRecord],
    checks: Iterable[ReproducibilityCheck],
    name: str,
    confirmed: Sequence[TrialRecord] = (),
) -> tuple[str, ...]:
    """Return why a mixture of kinds must not be ranked, as sentences; none if it may.

    Each kind is compared with the one that most trials come from, `confirmed` ones among them.
    """
    everything = [*facts, *confirmed]
    counts = Counter(Platform.of(fact.provenance) for fact in everything)
    if len(counts) < 2:
        return ()
    measured = {frozenset((one.one, one.other)): one for one in deviations(facts, checks)}
    (usual, _), *others = counts.most_common()
    found = []
    for kind, count in others:
        drift = measured.get(frozenset((usual, kind)))
        mixed = f"{count} of {len(everything)} trials come from another kind of machine"
        mixed += f" ({kind}; others from {usual})"
        if drift is None:
            found.append(f"{mixed}, and what that changes is not known: sweeper reproduce {name}.")
        elif not drift.small:
            most = f"{100 * TOLERANCE:g} points"
            found.append(
                f"{mixed}, which changes {drift.text}: that is not known to be within {most}."
            )
    return tuple(found)


def deviation_caveats(
    facts: Sequence[TrialRecord],
    checks: Iterable[ReproducibilityCheck],
    confirmed: Sequence[TrialRecord] = (),
) -> tuple[str, ...]:
    """Return what was found harmless, as sentences; `checks` are of `facts`."""
    present = {Platform.of(fact.provenance) for fact in (*facts, *confirmed)}
    return tuple(
        f"Trials come from {drift.one} and from {drift.other}; trained again, they differ by "
        f"{drift.text}."
        for drift in deviations(facts, checks)
        if drift.small and {drift.one, drift.other} <= present
    )
