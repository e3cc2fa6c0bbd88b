"""Optuna studies of a sweep: one for each (arm, repeat), and one that carries the figures."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property, partial
from typing import Any, NamedTuple, TypeVar

import optuna
from optuna.storages import BaseStorage, RDBStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from sweeper.config import Sweep
from sweeper.errors import LeaseLost, SchemaError, StorageError, UnknownSweepError
from sweeper.retry import RetryPolicy
from sweeper.search import optuna_tables, optuna_trials
from sweeper.search.attributes import METRIC_NAMES, changed, figure_chunks, new_note, note_chunks
from sweeper.search.finished_slots import FinishedSlots
from sweeper.search.note_texts import arm_note
from sweeper.search.objectives import metric_names, tell_arguments
from sweeper.search.observations import FinishedSlot
from sweeper.search.optuna_retry import retry
from sweeper.search.optuna_storage import open_optuna_storage
from sweeper.search.optuna_trials import TrialEnd
from sweeper.search.pooled_study import PooledStudy
from sweeper.search.samplers import ParameterSource, Params, Space, brief, space_of
from sweeper.search.slot_attributes import slot_attributes
from sweeper.search.study_index import StudyIndex
from sweeper.search.study_owner import StudyOwner
from sweeper.search.trial_artifacts import TrialArtifacts
from sweeper.types import (
    DroppedTrial,
    EnqueuedConfig,
    Place,
    Slot,
    TrialConfig,
    TrialRecord,
    TrialResult,
    TrialTask,
)

T = TypeVar("T")
_UNFINISHED = (TrialState.RUNNING, TrialState.WAITING)


class _Asked(NamedTuple):
    """A configuration that was asked for a slot, with the trials of its networks."""

    params: Params
    configs: tuple[TrialConfig, ...]


_AT_ONCE = 256
"""Trials that are created in one transaction when a study is restored."""


class SweepStudies:
    """Ask and tell of one sweep. Raises StorageError if the database stays away.

    It writes to studies of its own alone, `owner`'s: see `study_owner`. Raises UnknownSweepError
    where one is gone, or another's has its name. Its `artifacts` are the files beside its trials.
    """

    def __init__(
        self,
        url: str,
        sweep: Sweep,
        owner: StudyOwner | None = None,
        *,
        engine_options: Mapping[str, Any] | None = None,
        patience: RetryPolicy | None = None,
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._url = url
        self._engine_options = engine_options or {}
        self._patience = patience or RetryPolicy()
        self._sweep = sweep
        owner = owner or StudyOwner(sweep.name, None)
        self._index = StudyIndex(lambda: self._backend, owner, self._patience)
        self._proposals = ParameterSource(sweep)
        self._finished: dict[int, FinishedSlots] = {}
        self._pooled = PooledStudy()
        self.artifacts = TrialArtifacts(
            self._index, lambda: self._backend, lambda: self._storage, self._patience
        )
        self._given: dict[Place, EnqueuedConfig] = {}

    @cached_property
    def _backend(self) -> RDBStorage:
        try:
            return open_optuna_storage(self._url, self._engine_options, self._patience)
        except RuntimeError as error:  # tables of an older or newer Optuna
            raise SchemaError(str(error).splitlines()[0]) from error

    @cached_property
    def _storage(self) -> BaseStorage:
        return optuna.storages.get_storage(self._backend)

    def warm_up(self) -> None:
        """Load what the sampler needs (scipy: seconds), before any slot is held."""
        if self._sweep.confirms:
            return
        for arm in (arm for arm in self._sweep.arms if not self._sweep.auto_parameters(arm)):
            self._proposals.params(arm, 0, 0, list)

    def extend(self, sweep: Sweep) -> None:
        """Go on with an extended sweep: what was asked before stays as it was."""
        self._sweep = sweep
        self._proposals = ParameterSource(sweep)

    def create(self) -> None:
        """Create every study. Idempotent, and safe when several processes do it at once.

        Raises InputError, before anything is created, where another's study has one of the names.
        """
        home, rows = self._sweep.name, self._index.owned(self._names())
        named = {METRIC_NAMES: metric_names(self._sweep)}
        id_ = self._index.open(home, rows.get(home), lambda: named)
        for name, (arm, repeats) in self._sweep.studies().items():
            note = partial(arm_note, self._sweep, arm, repeats, id_)
            attributes = partial(lambda note: named | new_note(note()), note)
            self._index.open(name, rows.get(name), attributes)

    def refuse_others(self) -> None:
        """Raise InputError if a study that is not the sweep's has one of its names."""
        self._index.owned(self._names())

    def give(self, configs: Iterable[EnqueuedConfig]) -> None:
        """Have slots ask for what they are given, once and for all."""
        self._given |= {config.place: config for config in configs}

    def ask(
        self,
        slots: Sequence[Slot],
        device: str = "cpu",
        check: Callable[[], None] = lambda: None,
    ) -> dict[Slot, tuple[TrialTask, ...]]:
        """Create the trials of each slot, one for each of its networks, in the order of these.

        None is left RUNNING if `check`, called between, raises. The parameters are a function of
        the sweep, the slot, what it is given and the finished earlier generations.
        """
        asked: dict[Slot, _Asked] = {}
        for slot in slots:
            check()
            asked[slot] = self._asked(slot)
        first: dict[Slot, int] = {}
        try:
            for study in dict.fromkeys(slot.study for slot in slots):
                first |= self._create([s for s in slots if s.study == study], asked, device)
        except BaseException as error:
            if isinstance(error, LeaseLost) or not isinstance(error, StorageError):
                with suppress(StorageError):
                    for slot, trial in first.items():
                        self.fail(slot.study, range(trial, trial + self._sweep.networks_of_slot))
            raise
        return {
            slot: tuple(
                TrialTask(slot, first[slot] + number, params, config, network=number)
                for number, config in enumerate(configs)
            )
            for slot, (params, configs) in asked.items()
        }

    def tell(self, outcomes: Sequence[tuple[str, int, TrialResult]]) -> None:
        """Write what was measured, and finish trials, by study and number.

        One transaction for each study; finished trials are left as they are.
        """
        ends: dict[str, list[TrialEnd]] = {}
        for study, trial, result in outcomes:
            state, values, attributes = tell_arguments(self._sweep, result)
            ends.setdefault(study, []).append(TrialEnd(trial, state, values or (), attributes))
        for study, of_study in ends.items():
            self._finish(study, of_study)

    def recreate(self, study: str, records: Sequence[TrialRecord]) -> None:
        """Create the finished trials of records under their numbers; those that are there stay.

        A number that no record has was an attempt that came to nothing, and is told FAIL.
        """
        by_number = {record.trial: record for record in records}
        id_ = self._index.id(study)
        last = max(by_number, default=-1)
        for start in range(len(self._trials(id_)), last + 1, _AT_ONCE):
            numbers = range(start, min(start + _AT_ONCE, last + 1))
            self._create_trials(study, [self._recreated(by_number.get(n)) for n in numbers])

    def _recreated(self, record: TrialRecord | None) -> FrozenTrial:
        if record is None:
            return create_trial(state=TrialState.FAIL)
        state, values, attributes = tell_arguments(self._sweep, record.result)
        return create_trial(
            state=state,
            values=values,
            params=dict(record.params),
            distributions=self._space(record.slot.arm),
            user_attrs={
                **slot_attributes(
                    self._sweep,
                    self._given,
                    record.slot,
                    record.network,
                    record.config,
                    record.provenance.device,
                ),
                **attributes,
            },
        )

    def fail(self, study: str, trials: Iterable[int]) -> None:
        """Tell trials FAIL: nobody trains them any more. Finished ones are left as they are."""
        self._finish(study, [TrialEnd(trial, TrialState.FAIL) for trial in trials])

    def running(self, study: str) -> tuple[int, ...]:
        """Return the numbers of the trials that nobody has told yet, of slots alone."""
        running = self._unfinished(self._index.id(study))
        return tuple(trial.number for trial in running if "slot" in trial.user_attrs)

    def ids(self, studies: Iterable[str], owner: StudyOwner | None = None) -> dict[str, int]:
        """Return the ids of studies; those that somebody deleted are left out.

        `owner` is another sweep, whose they are.
        """
        return self._index.ids(list(studies), owner)

    def publish(
        self, figures: Mapping[str, str | None], note: str, owner: StudyOwner | None = None
    ) -> None:
        """Show figures (id -> Plotly JSON) and a Markdown note in the study of the sweep.

        None takes a figure away. Readers see all of it or nothing. `owner` is another sweep, in
        whose own study they are shown.
        """
        owner = owner or self._index.owner
        id_ = self._index.id(owner.sweep, owner)
        chunks = note_chunks(note)
        for figure_id, figure in figures.items():
            chunks |= figure_chunks(figure_id, figure) if figure is not None else {}
        gone = [figure_id for figure_id, figure in figures.items() if figure is None]

        def write() -> None:
            attributes = self._storage.get_study_system_attrs(id_)
            if new := changed(attributes, chunks, gone):
                optuna_tables.replace(self._backend, id_, owner.mark(id_), new)

        with self._index.gone(owner.sweep):
            self._retry(write)

    def pool(
        self,
        sweep: Sweep,
        records: Sequence[TrialRecord],
        dropped: Sequence[DroppedTrial] = (),
        owner: StudyOwner | None = None,
    ) -> None:
        """Bring the records that are not there yet into the sweep's own study.

        `records` are all, those of `dropped` trials too. `sweep` has ranges in place of `auto`.
        `owner` is it, if it is another than this one.
        """
        owner = owner or self._index.owner
        id_ = self._index.id(owner.sweep, owner)
        mark, space = owner.mark(id_), partial(self._space, sweep=sweep)
        with self._index.gone(owner.sweep):
            self._retry(
                lambda: self._pooled.fill(self._backend, id_, mark, sweep, records, dropped, space)
            )

    def delete(self) -> tuple[str, ...]:
        """Delete every study of the sweep, its trials and figures with it.

        Returns the names of studies that are others' and stay.
        """
        return self._index.delete(self._names())

    def close(self) -> None:
        """Close the connections to the database."""
        if "_backend" in self.__dict__:
            self._backend.remove_session()
            self._backend.engine.dispose()

    def _space(self, arm: str, sweep: Sweep | None = None) -> Space:
        """Return the searched parameters of an arm as they are kept."""
        space = space_of(sweep or self._sweep, arm)
        return brief(space, optuna_tables.LONGEST) if optuna_tables.cuts(self._backend) else space

    def _names(self) -> list[str]:
        return [self._sweep.name, *self._sweep.studies()]

    def _asked(self, slot: Slot) -> _Asked:
        """Return what a slot is asked to try."""
        study = self._index.id(slot.study)
        given, place = self._given.get(slot.place), slot.place
        params = self._proposals.params_beside(
            given.params if given else {}, *place, lambda: self._finished_slots(study)
        )
        numbers = range(self._sweep.networks_of_slot)
        configs = tuple(self._sweep.config(*place, params, number) for number in numbers)
        return _Asked(params, configs)

    def _create(
        self, slots: Sequence[Slot], asked: Mapping[Slot, _Asked], device: str
    ) -> dict[Slot, int]:
        """Create the trials of slots of one study; return of each slot the first."""
        templates = [
            create_trial(
                state=TrialState.RUNNING,
                params=asked[slot].params,
                distributions=self._space(slot.arm),
                user_attrs=slot_attributes(self._sweep, self._given, slot, network, config, device),
            )
            for slot in slots
            for network, config in enumerate(asked[slot].configs)
        ]
        first = self._create_trials(slots[0].study, templates)
        many = self._sweep.networks_of_slot
        return {slot: first + place * many for place, slot in enumerate(slots)}

    def _create_trials(self, study: str, templates: Sequence[FrozenTrial]) -> int:
        id_ = self._index.id(study)
        mark = self._index.owner.mark(id_)
        with self._index.gone(study):
            return self._retry(
                lambda: optuna_trials.create_trials(self._backend, id_, mark, templates)
            )

    def _retry(self, action: Callable[[], T]) -> T:
        return retry(action, self._patience)

    def _trials(self, study: int) -> list[FrozenTrial]:
        return self._retry(lambda: self._storage.get_all_trials(study, deepcopy=False))

    def _unfinished(self, study: int) -> list[FrozenTrial]:
        # Past Optuna's cache: that would first read every finished trial of the study.
        return self._retry(
            lambda: self._backend.get_all_trials(study, deepcopy=False, states=_UNFINISHED)
        )

    def _finished_slots(self, study: int) -> list[FinishedSlot]:
        """Return the slots whose networks are all told."""
        slots = self._finished.setdefault(study, FinishedSlots())
        return self._retry(lambda: slots.read(self._backend, study))

    def _finish(self, study: str, ends: Sequence[TrialEnd]) -> None:
        def write() -> None:
            # Deleted in the dashboard: the record counts.
            with suppress(UnknownSweepError), self._index.gone(study):
                id_ = self._index.id(study)
                mark = self._index.owner.mark(id_)
                optuna_trials.finish_trials(self._backend, id_, mark, ends)

        if ends:
            self._retry(write)
