"""Conclusion of a confirmation: the families against each other, in numbers and in a sentence."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from sweeper.analysis import family_comparison, family_sentences
from sweeper.analysis.confirmation import ConfirmedConfig
from sweeper.analysis.family_comparison import AccuracyGap, FamilyComparison, OtherTrackComparison
from sweeper.analysis.missing_evidence import MissingEvidence, missing_evidence
from sweeper.config import Sweep
from sweeper.config.comparison_plan import yardsticks
from sweeper.errors import pluralize
from sweeper.types import DroppedTrial, TrialRecord


@dataclass(frozen=True)
class ConfirmationResult:
    """The best networks of a search, trained again, and the comparison of arms by them.

    `SweepRecord.with_confirmation` makes one. Comparisons are computed once, when asked for.
    """

    sweep: Sweep
    """The confirmation's."""
    records: tuple[TrialRecord, ...]
    configs: tuple[ConfirmedConfig, ...]
    problems: tuple[str, ...] = ()
    """Reasons not to set its arms against each other, as sentences."""
    search: Sweep | None = None
    """The sweep that was searched."""
    searched: tuple[TrialRecord, ...] = ()
    """The records of the search."""
    dropped: tuple[DroppedTrial, ...] = ()
    """Trainings that somebody left out."""
    all_records: tuple[TrialRecord, ...] = ()
    """With those of what was dropped."""
    networks: Mapping[str, bytes] = field(default_factory=dict)
    """By arm: the kept network that `pictured_records` names."""

    @property
    def done(self) -> int:
        """Trainings on record; each may have brought several networks."""
        return len({record.slot.place for record in self.all_records or self.records})

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
        """Sizes within which each search chose."""
        return self.sweep.confirms.sizes if self.sweep.confirms else ()

    @property
    def size(self) -> int:
        """The middle one of the sizes: where layers and pixels are looked at."""
        return self.sizes[len(self.sizes) // 2] if self.sizes else 0

    def pictured_records(self) -> dict[str, TrialRecord]:
        """Return of each arm one network within `size`: the first repeat's, the first seed's."""
        pictured: dict[str, TrialRecord] = {}
        for config in self.configs:
            complete = [record for record in config.records if record.result.state == "complete"]
            if self.size in config.sizes and complete:
                pictured.setdefault(config.arm, complete[0])
        return pictured

    @property
    def is_comparable(self) -> bool:
        """Whether arms may be set against each other: all is done, and nothing forbids it."""
        return not self.problems and self.done >= self.budget

    @cached_property
    def comparisons(self) -> tuple[FamilyComparison, ...]:
        """Families against each other; empty unless arms are comparable."""
        if not self.is_comparable:
            return ()
        return family_comparison.compare_families(self.sweep, self.configs)

    @cached_property
    def gaps(self) -> tuple[AccuracyGap, ...]:
        """Differences of accuracy within the sizes; empty unless arms are comparable."""
        if not self.is_comparable:
            return ()
        return family_comparison.accuracy_gaps(self.sweep, self.configs, self.sizes)

    @cached_property
    def other_track(self) -> OtherTrackComparison | None:
        """The search on the track that is not the objective's; None unless arms are comparable.

        A script has no tracks.
        """
        if self.search is None or self.search.script is not None or not self.is_comparable:
            return None
        return family_comparison.other_track(self.search, self.searched, self.comparisons)

    @cached_property
    def missing(self) -> MissingEvidence | None:
        """What keeps the answer of comparable arms from quoting a ratio; None if nothing does."""
        sides = yardsticks(self.sweep)
        if not self.is_comparable or family_sentences.family_sentence(self.comparisons, "", sides):
            return None
        return missing_evidence(self.sweep, self.comparisons, sides[0], self.searched)

    @property
    def answer(self) -> str:
        """The answer in a sentence, or the reason for none."""
        measure = self.sweep.measure_label
        if self.problems:
            return f"No answer. {' '.join(self.problems)}"
        if self.done < self.budget:
            return (
                f"Of {pluralize(self.budget, 'training')} with fresh seeds {self.done} are done: "
                "no answer before all are."
            )
        sides = yardsticks(self.sweep)
        size = self.sweep.size_label
        sentence = family_sentences.family_sentence(self.comparisons, measure, sides, size)
        if missing := self.missing:
            sentence = missing.sentence
        if self.other_track is None:
            return sentence
        beside = family_sentences.other_track_sentence(
            self.comparisons, self.other_track, measure, sides
        )
        return f"{sentence} {beside}".strip()
