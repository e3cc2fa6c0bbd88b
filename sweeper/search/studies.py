"""Optuna studies of a sweep: one for each (arm, repeat), and one that carries the figures."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property, partial
from typing import Any, NamedTuple, TypeVar

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage, RDBStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from sweeper.config import Sweep
from sweeper.errors import LeaseLost, SchemaError, StorageError, UnknownSweepError
from sweeper.retry import RetryPolicy
from sweeper.search import optuna_tables
from sweeper.search.artifacts import Artifact, artifact_store, find, put, upload
from sweeper.search.attributes import METRIC_NAMES, changed, figure_chunks, new_note, note_chunks
from sweeper.search.note_texts import arm_note
from sweeper.search.objectives import metric_names, tell_arguments
from sweeper.search.optuna_retry import retry
from sweeper.search.optuna_storage import open_optuna_storage
from sweeper.search.samplers import FinishedTrial, ParameterSource, Params, Space, brief, space_of
from sweeper.search.study_index import StudyIndex
from sweeper.search.study_owner import StudyOwner
from sweeper.types import Scalar, Slot, TrialConfig, TrialRecord, TrialResult, TrialTask

T = TypeVar("T")
_FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
_UNFINISHED = (TrialState.RUNNING, TrialState.WAITING)


class _CreatedTrial(NamedTuple):
    """A running trial by its id in the storage: its number is not read yet."""

    id: int
    params: Params
    config: TrialConfig


class SweepStudies:
    """Ask and tell of one sweep. Raises StorageError if the database stays away.

    It writes to studies of its own alone, `owner`'s: see `study_owner`. Raises UnknownSweepError
    where one is gone, or another's has its name.
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
        self._artifacts: Any = None

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

    def ask(
        self,
        slots: Sequence[Slot],
        device: str = "cpu",
        check: Callable[[], None] = lambda: None,
    ) -> dict[Slot, TrialTask]:
        """Create a trial for each slot; none is left RUNNING if `check`, called between, raises.

        The parameters are a function of the sweep, the slot and the finished earlier generations.
        """
        made: dict[Slot, _CreatedTrial] = {}
        try:
            for slot in slots:
                check()
                made[slot] = self._create(slot, device)
            numbers = self._numbers(slots)
        except BaseException as error:
            if isinstance(error, LeaseLost) or not isinstance(error, StorageError):
                with suppress(StorageError):
                    for slot, trial in made.items():
                        self._finish(slot.study, trial.id, TrialState.FAIL, None, {})
            raise
        return {
            slot: TrialTask(slot, numbers[slot], trial.params, trial.config)
            for slot, trial in made.items()
        }

    def tell(self, study: str, trial: int, result: TrialResult) -> None:
        """Write what was measured, then finish the trial; a finished one is left as it is."""
        id_ = self._trial_id(study, trial)
        if id_ is not None:
            self._finish(study, id_, *tell_arguments(self._sweep, result))

    def recreate(self, study: str, records: Sequence[TrialRecord]) -> None:
        """Create the finished trials of records under their numbers; those that are there stay.

        A number that no record has was an attempt that came to nothing, and is told FAIL.
        """
        by_number = {record.trial: record for record in records}
        id_ = self._index.id(study)
        for number in range(len(self._trials(id_)), max(by_number, default=-1) + 1):
            self._create_trial(study, id_, self._recreated(by_number.get(number)))

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
                **self._attributes(record.slot, record.config, record.provenance.device),
                **attributes,
            },
        )

    def use_artifact_store(
        self, place: str, *, writes: bool = False, may_come: bool = False
    ) -> None:
        """Keep the files of trials at a place, as of `artifact_store`. Raises InputError."""
        self._artifacts = artifact_store(place, writes=writes, may_come=may_come)

    def save_artifact(self, study: str, trial: int, name: str, content: bytes) -> None:
        """Keep a file of a running trial; nothing happens if it is finished or gone."""
        id_ = self._trial_id(study, trial)
        if id_ is None:
            return

        def read() -> FrozenTrial:
            self._index.guard(study, id_)
            return self._backend.get_trial(id_)

        with suppress(UpdateFinishedTrialError), self._index.gone(study):
            frozen = self._retry(read)
            path = f"{study}/{name}"
            self._retry(lambda: upload(self._artifacts, self._storage, frozen, path, content))

    def load_artifact(self, study: str, trial: int, ending: str) -> Artifact | None:
        """Return the file of a trial with that ending; None if it has none, or is gone itself."""
        try:
            id_ = self._trial_id(study, trial, adopt=False)
        except UnknownSweepError:
            return None
        if id_ is None:
            return None
        frozen = self._retry(lambda: self._storage.get_trial(id_))
        return self._retry(lambda: find(self._artifacts, self._storage, frozen, ending))

    def restore_artifact(self, study: str, trial: int, artifact: Artifact) -> None:
        """Put a file beside a trial, which may be finished; again, it is written again."""
        id_ = self._trial_id(study, trial)
        if id_ is None:
            return
        path = f"{study}/{artifact.name}"
        key, value = self._retry(lambda: put(self._artifacts, artifact, path))

        def write() -> None:
            self._index.guard(study, id_)
            optuna_tables.attach(self._backend, id_, key, value)

        with self._index.gone(study):
            self._retry(write)

    def fail(self, study: str, trial: int) -> None:
        """Tell a trial FAIL: nobody trains it any more. A finished one is left as it is."""
        id_ = self._trial_id(study, trial)
        if id_ is not None:
            self._finish(study, id_, TrialState.FAIL, None, {})

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

    def _space(self, arm: str) -> Space:
        """Return the searched parameters of an arm as they are kept."""
        space = space_of(self._sweep, arm)
        return brief(space, optuna_tables.LONGEST) if optuna_tables.cuts(self._backend) else space

    def _attributes(self, slot: Slot, config: TrialConfig, device: str) -> dict[str, Scalar]:
        # A study of confirmed networks holds all repeats; elsewhere its name says which.
        repeat = {"repeat": slot.repeat} if self._sweep.confirms else {}
        where: dict[str, Scalar] = {
            "arm": slot.arm,
            **repeat,
            "slot": slot.number,
            "device": device,
        }
        if config.recipe.script is None:
            return {**where, "strength": config.method.strength, "density": config.density}
        return where | ({"strength": config.method.strength} if config.method.terms else {})

    def _names(self) -> list[str]:
        return [self._sweep.name, *self._sweep.studies()]

    def _create(self, slot: Slot, device: str) -> "_CreatedTrial":
        """Create the trial of a slot."""
        study = self._index.id(slot.study)
        params = self._proposals.params(
            slot.arm, slot.repeat, slot.number, lambda: self._finished_trials(study)
        )
        config = self._sweep.config(slot.arm, slot.repeat, slot.number, params)
        # One transaction for the whole trial; Study.ask takes one more for each parameter.
        template = create_trial(
            state=TrialState.RUNNING,
            params=params,
            distributions=self._space(slot.arm),
            user_attrs=self._attributes(slot, config, device),
        )
        return _CreatedTrial(self._create_trial(slot.study, study, template), params, config)

    def _create_trial(self, study: str, id_: int, template: FrozenTrial) -> int:
        def create() -> int:
            self._index.guard(study)
            return self._storage.create_new_trial(id_, template)

        with self._index.gone(study):
            return self._retry(create)

    def _numbers(self, slots: Sequence[Slot]) -> dict[Slot, int]:
        """Return the numbers of trials just created: one transaction for each study."""
        numbers: dict[Slot, int] = {}
        for name in dict.fromkeys(slot.study for slot in slots):
            # In the order of their numbers: the last one of a slot is the one of its holder, an
            # earlier one was left by a worker that died. The parameters of both are the same.
            latest = {
                (trial.user_attrs.get("repeat"), trial.user_attrs.get("slot")): trial.number
                for trial in self._unfinished(self._index.id(name))
            }
            for slot in (slot for slot in slots if slot.study == name):
                place = (slot.repeat if self._sweep.confirms else None, slot.number)
                if place not in latest:  # told FAIL by others, or deleted with its study
                    raise LeaseLost(f"the trial of slot {slot.number} of {name} was given up")
                numbers[slot] = latest[place]
        return numbers

    def _retry(self, action: Callable[[], T]) -> T:
        return retry(action, self._patience)

    def _trial_id(self, study: str, trial: int, *, adopt: bool = True) -> int | None:
        """Return the id of a trial, without asking for those created here; None if deleted."""
        id_ = self._index.id(study, adopt=adopt)
        try:
            return self._retry(
                lambda: self._storage.get_trial_id_from_study_id_trial_number(id_, trial)
            )
        except KeyError:
            return None

    def _trials(self, study: int) -> list[FrozenTrial]:
        return self._retry(lambda: self._storage.get_all_trials(study, deepcopy=False))

    def _unfinished(self, study: int) -> list[FrozenTrial]:
        # Past Optuna's cache: that would first read every finished trial of the study.
        return self._retry(
            lambda: self._backend.get_all_trials(study, deepcopy=False, states=_UNFINISHED)
        )

    def _finished_trials(self, study: int) -> list[FinishedTrial]:
        return [
            FinishedTrial(
                slot=trial.user_attrs["slot"],
                params=trial.params,
                values=(trial.values[0], trial.values[1]) if trial.values else None,
            )
            for trial in self._trials(study)
            if trial.state in _FINISHED and "slot" in trial.user_attrs
        ]

    def _finish(
        self,
        study: str,
        trial: int,
        state: TrialState,
        values: tuple[float, float] | None,
        attributes: Mapping[str, object],
    ) -> None:
        def write() -> None:
            try:
                self._index.guard(study, trial)
                optuna_tables.join_trial(self._backend, trial, attributes)
                if not self._storage.set_trial_state_values(trial, state, values):
                    # Nothing was written: an attribute of that name was there already.
                    for key, value in attributes.items():
                        self._storage.set_trial_user_attr(trial, key, value)
                    self._storage.set_trial_state_values(trial, state, values)
            except (KeyError, UnknownSweepError, UpdateFinishedTrialError):
                pass  # deleted in the dashboard, or told by whoever mended it: the record counts

        self._retry(write)
