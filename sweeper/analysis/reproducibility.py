"""Reproducibility across machines and versions: measured differences, and their caveats.

The same configuration gives other bits on another kind of processor or with another version of
torch, and training spreads what little differs. Trials that were trained on one kind are trained
again on the other; where the mean difference is small beside what arms differ by, mixing is fair.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sweeper.analysis import Estimate, mean
from sweeper.types import NetworkPlace, Provenance, ReproducibilityCheck, TrialRecord

TOLERANCE = 0.002
"""Within this the 95 % interval of the mean difference in validation accuracy must lie."""


@dataclass(frozen=True, slots=True)
class Platform:
    """The machine and versions that results may depend on beside their configuration."""

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
    """Difference between trials of one platform and the same trained again on another."""

    first: Platform
    second: Platform
    difference: Estimate
    """Validation accuracy on `second` minus that on `first`; diverged counts as 0."""
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
    records: Iterable[TrialRecord], checks: Iterable[ReproducibilityCheck]
) -> tuple[Deviation, ...]:
    """Return the deviation between each two platforms, whichever of them came first.

    A trial that was trained again twice counts once, as the last check has it: the same seed gives
    the same bits, and would only seem to be one more.
    """
    by_place = {record.place: record for record in records}
    differences: dict[tuple[Platform, Platform], dict[NetworkPlace, tuple[int, float]]] = {}
    for number, check in enumerate(checks):
        here = Platform.of(check.provenance)
        for retrained in check.redone:
            place = retrained.place
            record = by_place.get(place)
            if record is None or Platform.of(record.provenance) == here:
                continue
            network = record.result.judged(record.config.track)
            difference = retrained.val_accuracy - (network.val_accuracy if network else 0.0)
            there = Platform.of(record.provenance)
            pair, sign = ((there, here), 1.0) if str(there) < str(here) else ((here, there), -1.0)
            differences.setdefault(pair, {})[place] = number, sign * difference
    return tuple(
        Deviation(*pair, estimate, _batches(values.values()))
        for pair, values in differences.items()
        if (estimate := mean([value for _, value in values.values()])) is not None
    )


def _batches(values: Iterable[tuple[int, float]]) -> tuple[Estimate, ...]:
    """Return the mean of each check, from (number of the check, difference)."""
    by_check: dict[int, list[float]] = {}
    for number, value in values:
        by_check.setdefault(number, []).append(value)
    means = (mean(by_check[number]) for number in sorted(by_check))
    return tuple(estimate for estimate in means if estimate is not None)


def _ends(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return f"n = {estimate.n}, too few for an interval"
    return f"{100 * estimate.low:+z.2f} to {100 * estimate.high:+z.2f}, n = {estimate.n}"


def origins(records: Iterable[TrialRecord]) -> list[Provenance]:
    """Return the provenances of records, few of many: records of one origin mostly share it."""
    return list({id(record.provenance): record.provenance for record in records}.values())


def platform_problems(
    records: Sequence[TrialRecord],
    checks: Iterable[ReproducibilityCheck],
    name: str,
    confirmed: Sequence[TrialRecord] = (),
) -> tuple[str, ...]:
    """Return the reasons not to rank a mixture of platforms, as sentences; none if it may.

    Each platform is compared with the one that most trials come from, `confirmed` ones among them.
    """
    if len({Platform.of(origin) for origin in origins((*records, *confirmed))}) < 2:
        return ()
    everything = {record.slot: Platform.of(record.provenance) for record in (*records, *confirmed)}
    counts = Counter(everything.values())
    measured = {frozenset((each.first, each.second)): each for each in deviations(records, checks)}
    (usual, _), *others = counts.most_common()
    problems = []
    for platform, count in others:
        deviation = measured.get(frozenset((usual, platform)))
        mixed = f"{count} of {len(everything)} trials come from another kind of machine"
        mixed += f" ({platform}; others from {usual})"
        if deviation is None:
            problems.append(
                f"{mixed}, and what that changes is not known: sweeper reproduce {name}."
            )
        elif not deviation.small:
            most = f"{100 * TOLERANCE:g} points"
            problems.append(
                f"{mixed}, which changes {deviation.text}: that is not known to be within {most}."
            )
    return tuple(problems)


def deviation_caveats(
    records: Sequence[TrialRecord],
    checks: Iterable[ReproducibilityCheck],
    confirmed: Sequence[TrialRecord] = (),
) -> tuple[str, ...]:
    """Return the deviations that are harmless, as sentences; `checks` are of `records`."""
    checks = tuple(checks)
    if not checks:
        return ()
    present = {Platform.of(origin) for origin in origins((*records, *confirmed))}
    return tuple(
        f"Trials come from {deviation.first} and from {deviation.second}; trained again, they "
        f"differ by {deviation.text}."
        for deviation in deviations(records, checks)
        if deviation.small and {deviation.first, deviation.second} <= present
    )
