"""What a confirmation answers, and what forbids it to: the same wherever it is shown."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sweeper.analysis import family_comparison, reproducibility
from sweeper.analysis.confirmation import ConfirmedConfig, confirmed_configs
from sweeper.analysis.family_comparison import AccuracyGap, FamilyComparison, OtherTrackComparison
from sweeper.config import Sweep
from sweeper.types import Provenance, ReproducibilityCheck, TrialRecord


@dataclass(frozen=True, slots=True)
class ConfirmationResult:
    """The best networks of a search, trained again, and whether arms may be told apart by them."""

    sweep: Sweep
    """The confirmation's."""
    facts: tuple[TrialRecord, ...]
    found: tuple[ConfirmedConfig, ...]
    reasons: tuple[str, ...] = ()
    """What forbids to set its arms against each other, as sentences."""
    other: OtherTrackComparison | None = None
    """The search on the track that is not the objective's; None while there is no answer."""
    networks: Mapping[str, bytes] = field(default_factory=dict)
    """By arm: the kept network that `pictured` names."""

    @classmethod
    def of(
        cls,
        search: Sweep,
        searched: Sequence[TrialRecord],
        checks: Iterable[ReproducibilityCheck],
        sweep: Sweep,
        facts: Sequence[TrialRecord],
    ) -> "ConfirmationResult":
        """Return the confirmation `sweep` of `search`, each with what is on record of it."""
        reasons = comparability_problems(search, searched, tuple(checks), facts)
        if sweep.confirms and sweep.confirms.digest != search.digest:
            reasons += (
                "The search went on or got other targets since its choice was confirmed: "
                f"sweeper confirm {search.name} goes by what it is now.",
            )
        again = cls(sweep, tuple(facts), tuple(confirmed_configs(sweep, facts, searched)), reasons)
        if not again.open:
            return again
        return replace(again, other=family_comparison.other_track(search, searched, again.versus))

    @property
    def done(self) -> int:
        """Trainings on record."""
        return len(self.facts)

    @property
    def budget(self) -> int:
        """Trainings in all."""
        return sum(len(self.sweep.slots(arm)) for arm in self.sweep.arms)

    @property
    def seeds(self) -> int:
        """Fresh seeds of each configuration."""
        return self.sweep.confirms.seeds if self.sweep.confirms else 0

    @property
    def sizes(self) -> tuple[int, ...]:
        """Numbers of nonzero parameters within which each search chose."""
        return self.sweep.confirms.sizes if self.sweep.confirms else ()

    @property
    def size(self) -> int:
        """The middle one of the sizes: where layers and pixels are looked at."""
        return self.sizes[len(self.sizes) // 2] if self.sizes else 0

    def pictured(self) -> dict[str, TrialRecord]:
        """Return of each arm one network within `size`: the first repeat's, the first seed's."""
        chosen: dict[str, TrialRecord] = {}
        for one in self.found:
            complete = [fact for fact in one.facts if fact.result.state == "complete"]
            if self.size in one.sizes and complete:
                chosen.setdefault(one.arm, complete[0])
        return chosen

    @property
    def open(self) -> bool:
        """Whether arms may be set against each other: all is done, and nothing forbids it."""
        return not self.reasons and self.done >= self.budget

    @property
    def versus(self) -> tuple[FamilyComparison, ...]:
        """Families against each other; none before all is done, or while anything forbids it."""
        return family_comparison.compare_families(self.sweep, self.found) if self.open else ()

    @property
    def gaps(self) -> tuple[AccuracyGap, ...]:
        """Differences of accuracy within the sizes; none where there is no `versus`."""
        return (
            family_comparison.accuracy_gaps(self.sweep, self.found, self.sizes) if self.open else ()
        )

    @property
    def answer(self) -> str:
        """The answer in a sentence, or why there is none."""
        if self.reasons:
            return f"No answer. {' '.join(self.reasons)}"
        if self.done < self.budget:
            return (
                f"Of {self.budget} trainings with fresh seeds {self.done} are done: no answer "
                "before all are."
            )
        rows = self.versus
        said = family_comparison.family_sentence(rows) or (
            "No family of penalties reaches a target accuracy on fresh seeds in all of its repeats "
            "together with another one: there is no ratio to quote."
        )
        beside = family_comparison.other_track_sentence(rows, self.other) if self.other else ""
        return f"{said} {beside}".strip()


def comparability_problems(
    sweep: Sweep,
    facts: Sequence[TrialRecord],
    checks: Sequence[ReproducibilityCheck] = (),
    confirmed_configs: Sequence[TrialRecord] = (),
) -> tuple[str, ...]:
    """Return the reasons why these arms must not be ranked, as sentences.

    `checks` are the trials of other machines that were trained again, `confirmed` are the records
    of the confirmation.
    """
    found = []
    done = Counter(dict.fromkeys(sweep.arms, 0))
    done.update(fact.slot.arm for fact in facts)
    if len(set(done.values())) > 1:
        counts = ", ".join(f"{arm} {count}" for arm, count in done.items())
        found.append(f"The arms have unequal numbers of finished trials: {counts}.")
    hashes = distinct([*facts, *confirmed_configs], lambda origin: origin.data_hash[:12])
    if len(hashes) > 1:
        found.append(f"Trials saw different data; the data hashes are {', '.join(hashes)}.")
    return (
        *found,
        *reproducibility.platform_problems(facts, checks, sweep.name, confirmed_configs),
    )


def distinct(facts: Sequence[TrialRecord], value: Callable[[Provenance], str]) -> list[str]:
    """Return the different values that the provenance of facts has, in order."""
    return sorted({value(fact.provenance) for fact in facts})
