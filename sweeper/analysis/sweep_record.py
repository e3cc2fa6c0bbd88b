"""Record of one sweep: everything that the storage holds of it, as of one moment.

Reports, pages, notes and exports are made from a `SweepRecord` alone. `Store.sweep_record` reads
one in a single transaction; `lifecycle.load_record` adds the kept networks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from sweeper.analysis import strength_range
from sweeper.analysis.comparability import comparability_caveats, comparability_problems
from sweeper.analysis.conclusion import ConfirmationResult
from sweeper.analysis.confirmation import confirmed_configs
from sweeper.analysis.front import Front, fronts, fronts_by_repeat, reference_corner
from sweeper.config import Sweep
from sweeper.types import (
    Accuracy,
    DroppedTrial,
    EnqueuedConfig,
    RecordedRange,
    ReproducibilityCheck,
    SweepStatus,
    Track,
    TrialRecord,
    dropped_lines,
    without_dropped,
)

MOST_NAMED = 3
"""Dropped trials that a sentence names."""


@dataclass(frozen=True)
class SweepRecord:
    """Everything on record of one sweep. What is derived from it is computed once, when asked for.

    >>> from sweeper.lifecycle import load_record
    >>> record = load_record(store, "lenet300-mnist")  # doctest: +SKIP
    >>> record.fronts()["l1"].at(accuracy=0.98).nonzero  # doctest: +SKIP
    21786
    """

    sweep: Sweep
    status: SweepStatus
    records: tuple[TrialRecord, ...]
    """By arm in the order of the file, repeat and slot; without those that were dropped."""
    ranges: tuple[RecordedRange, ...] = ()
    """Strength ranges that probes found, by arm and parameter."""
    reproducibility_checks: tuple[ReproducibilityCheck, ...] = ()
    """Trials that were trained again on other machines, oldest first."""
    confirmation: ConfirmationResult | None = None
    """The best configurations trained again; None before `sweeper confirm`."""
    dropped: tuple[DroppedTrial, ...] = ()
    """Trials that somebody left out, by place."""
    dropped_records: tuple[TrialRecord, ...] = ()
    """What is on record of them."""
    enqueued: tuple[EnqueuedConfig, ...] = ()
    """Configurations that slots were given, by place."""

    def with_dropped(self, dropped: Sequence[DroppedTrial]) -> "SweepRecord":
        """Return this record without trials that were dropped, and with what is known of these."""
        if not dropped:
            return self
        records = without_dropped(self.records, dropped)
        counted = {record.place for record in records}
        gone = tuple(record for record in self.records if record.place not in counted)
        return replace(self, records=records, dropped=tuple(dropped), dropped_records=gone)

    def with_confirmation(
        self,
        sweep: Sweep,
        all_records: Sequence[TrialRecord],
        dropped: Sequence[DroppedTrial] = (),
    ) -> "SweepRecord":
        """Return this record with its confirmation: the confirming sweep and its records.

        `dropped` are those of the confirmation, which it leaves out as a search does.
        """
        records = without_dropped(all_records, dropped)
        problems = comparability_problems(
            self.sweep,
            self.records,
            self.reproducibility_checks,
            records,
            dropped=self.dropped_records,
        )
        if gone := self._dropped_choices(sweep):
            problems += (
                f"Trials were dropped since they were confirmed: {', '.join(gone)}. "
                f"sweeper delete {sweep.name}, then sweeper confirm {self.sweep.name} chooses "
                "anew.",
            )
        if sweep.confirms and sweep.confirms.digest != self.sweep.digest:
            problems += (
                "The search went on or got other targets since its choice was confirmed: "
                f"sweeper confirm {self.sweep.name} goes by what it is now.",
            )
        confirmation = ConfirmationResult(
            sweep=sweep,
            records=tuple(records),
            configs=tuple(confirmed_configs(sweep, records, self.all_records)),
            problems=problems,
            search=self.sweep,
            searched=self.records,
            dropped=tuple(dropped),
            all_records=tuple(all_records),
        )
        return replace(self, confirmation=confirmation)

    def with_networks(self, networks: Mapping[str, bytes]) -> "SweepRecord":
        """Return this record with kept networks of its confirmation, by arm."""
        if self.confirmation is None:
            return self
        return replace(self, confirmation=replace(self.confirmation, networks=networks))

    @cached_property
    def all_records(self) -> tuple[TrialRecord, ...]:
        """All that is on record, what was dropped too, by place."""
        if not self.dropped:
            return self.records
        order = {arm: number for number, arm in enumerate(self.sweep.arms)}
        return tuple(
            sorted(
                (*self.records, *self.dropped_records),
                key=lambda record: (order[record.slot.arm], *record.place[1:]),
            )
        )

    def _dropped_choices(self, confirmation: Sweep) -> list[str]:
        """Return the names of dropped trials whose configurations a confirmation trains again."""
        if confirmation.confirms is None:
            return []
        chosen = {
            (arm, config.repeat, config.slot, config.rung)
            for arm, configs in confirmation.confirms.chosen.items()
            for config in configs
        }
        rungs = self.sweep.rungs
        return [
            trial.name
            for trial in self.dropped
            if any((*trial.place, network % rungs) in chosen for network in trial.networks)
        ]

    @property
    def dropped_sentence(self) -> str:
        """How many trials were dropped, in a sentence with the first of them; else empty."""
        dropped = [*self.dropped, *(self.confirmation.dropped if self.confirmation else ())]
        if not dropped:
            return ""
        many = f"{len(dropped)} trials were" if len(dropped) > 1 else "1 trial was"
        which = "; ".join(dropped_lines(dropped, MOST_NAMED)).rstrip(".")
        return f"{many} dropped by hand, and left out of fronts, tables and comparisons: {which}."

    @property
    def confirmed_records(self) -> tuple[TrialRecord, ...]:
        """Records of the confirmation; empty without one."""
        return self.confirmation.records if self.confirmation else ()

    @cached_property
    def ranged_sweep(self) -> Sweep:
        """The sweep with the recorded ranges in place of `strength: auto`."""
        return self.sweep.with_ranges(strength_range.ranges(self.ranges))

    def fronts(self, track: Track | None = None, by: Accuracy | None = None) -> Mapping[str, Front]:
        """Return the front of every arm in file order, pooled over its repeats.

        `track` is the objective's unless named, `by` the accuracy that the sweep selects on.
        """
        key = track or self.sweep.sparsification.track, by
        if key not in self._fronts:
            self._fronts[key] = fronts(self.records, self.sweep, *key)
        return self._fronts[key]

    @cached_property
    def _fronts(self) -> dict[tuple[Track, Accuracy | None], dict[str, Front]]:
        return {}

    @cached_property
    def fronts_by_repeat(self) -> Mapping[str, tuple[Front, ...]]:
        """The front of every repeat of every arm, on the objective's track."""
        return fronts_by_repeat(self.records, self.sweep)

    @cached_property
    def reference_corner(self) -> tuple[int, float]:
        """Corner of hypervolumes: (nonzero, error)."""
        return reference_corner(self.sweep, self.records)

    @cached_property
    def edge_warnings(self) -> tuple[str, ...]:
        """Warnings of fronts on the objective's track that end on the edge of a strength range."""
        return strength_range.edge_warnings(self.ranged_sweep, self.fronts())

    @cached_property
    def problems(self) -> tuple[str, ...]:
        """Reasons why the arms must not be ranked, as sentences."""
        return comparability_problems(
            self.sweep,
            self.records,
            self.reproducibility_checks,
            self.confirmed_records,
            dropped=self.dropped_records,
        )

    @cached_property
    def caveats(self) -> tuple[str, ...]:
        """Sentences that a reader should know before the numbers."""
        caveats = comparability_caveats(
            self.sweep, self.records, self.reproducibility_checks, self.confirmed_records
        )
        return (*caveats, self.dropped_sentence) if self.dropped_sentence else caveats
