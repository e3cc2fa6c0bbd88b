"""The Optuna studies of a sweep: one for each (arm, repeat), and one that carries the figures."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, TypeVar

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage, RDBStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from sweeper.errors import LeaseLost, SchemaError, StorageError, UnknownSweepError
from sweeper.patience import Patience
from sweeper.results import Fact, Scalar, Slot, TrialConfig, TrialResult
from sweeper.search import rows
from sweeper.search.artifacts import Kept, artifact_store, find, put, upload
from sweeper.search.notes import arm_note
from sweeper.search.outcomes import by_test, told
from sweeper.search.publish import (
    METRIC_NAMES,
    changed,
    figure_chunks,
    has_note,
    new_note,
    note_chunks,
)
from sweeper.search.retry import retry
from sweeper.search.samplers import DIRECTIONS, Params, Proposals, Space, Told, brief, space_of
from sweeper.spec import Sweep

T = TypeVar("T")
_FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
_UNFINISHED = (TrialState.RUNNING, TrialState.WAITING)


@dataclass(frozen=True, slots=True)
class Asked:
    """The trial of a slot: its number in the slot's study, and its searched parameters."""

    trial: int
    params: Params


class Search:
    """Ask and tell of one sweep. Raises StorageError if the database stays away."""

    def __init__(
        self,
        url: str,
        sweep: Sweep,
        *,
        engine_options: Mapping[str, Any] | None = None,
        patience: Patience | None = None,
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._url = url
        self._engine_options = engine_options or {}
        self._patience = patience or Patience()
        self._sweep = sweep
        self._ids: dict[str, int] = {}
        self._proposals = Proposals(sweep)
        self._artifacts: Any = None

    @cached_property
    def _backend(self) -> RDBStorage:
        """Connect and create Optuna's tables; when several do it at once, all but one retry."""
        options = self._engine_options
        try:
            return self._retry(lambda: RDBStorage(self._url, engine_kwargs=dict(options)))
        except RuntimeError as error:  # tables of an older or newer Optuna
            raise SchemaError(str(error).splitlines()[0]) from error

    @cached_property
    def _storage(self) -> BaseStorage:
        return optuna.storages.get_storage(self._backend)

    def prepare(self) -> None:
        """Load what the sampler needs (scipy: seconds), before any slot is held."""
        if self._sweep.confirms:
            return
        for arm in (arm for arm in self._sweep.arms if not self._sweep.automatic(arm)):
            self._proposals.params(arm, 0, 0, list)

    def extend(self, sweep: Sweep) -> None:
        """Go on with an extended sweep: what was asked before stays as it was."""
        self._sweep = sweep
        self._proposals = Proposals(sweep)

    def create(self) -> None:
        """Create every study. Idempotent, and safe when several processes do it at once."""
        own = self._sweep.name
        self._ids[own] = self._retry(partial(self._open, own))
        for name, (arm, repeats) in self._sweep.studies().items():
            note = arm_note(self._sweep, arm, repeats, self._ids[own])
            self._ids[name] = self._retry(partial(self._open, name, note))

    def ask(
        self,
        slots: Sequence[Slot],
        device: str = "cpu",
        check: Callable[[], None] = lambda: None,
    ) -> dict[Slot, Asked]:
        """Create a trial for each slot; none is left RUNNING if `check`, called between, raises.

        The parameters are a function of the sweep, the slot and the told earlier generations.
        """
        made: dict[Slot, tuple[int, Params]] = {}
        try:
            for slot in slots:
                check()
                made[slot] = self._create(slot, device)
            numbers = self._numbers(slots)
        except BaseException as error:
            if isinstance(error, LeaseLost) or not isinstance(error, StorageError):
                with suppress(StorageError):
                    for trial, _ in made.values():
                        self._finish(trial, TrialState.FAIL, None, {})
            raise
        return {slot: Asked(numbers[slot], params) for slot, (_, params) in made.items()}

    def tell(self, study: str, trial: int, result: TrialResult) -> None:
        """Write what was measured, then finish the trial; a finished one is left as it is."""
        known = self._known(study, trial)
        if known is not None:
            self._finish(known, *told(self._sweep, result))

    def recreate(self, study: str, facts: Sequence[Fact]) -> None:
        """Create the finished trials of facts under their numbers; those that are there stay.

        A number that no fact has was an attempt that came to nothing, and is told FAIL.
        """
        known = {fact.trial: fact for fact in facts}
        id_ = self._study(study)
        for number in range(len(self._trials(id_)), max(known, default=-1) + 1):
            self._retry(
                partial(self._storage.create_new_trial, id_, self._again(known.get(number)))
            )

    def _again(self, fact: Fact | None) -> FrozenTrial:
        if fact is None:
            return create_trial(state=TrialState.FAIL)
        state, values, attributes = told(self._sweep, fact.result)
        slot = Slot(fact.sweep, fact.arm, fact.repeat, fact.slot, fact.study)
        return create_trial(
            state=state,
            values=values,
            params=dict(fact.params),
            distributions=self._space(fact.arm),
            user_attrs={
                **self._attributes(slot, fact.config, fact.provenance.device),
                **attributes,
            },
        )

    def keep_at(self, place: str, *, writes: bool = False) -> None:
        """Keep the files of trials at a place: a folder or a bucket. Raises InputError.

        `writes`: also for a folder that can only be read.
        """
        self._artifacts = artifact_store(place, writes=writes)

    def attach(self, study: str, trial: int, name: str, content: bytes) -> None:
        """Keep a file of a running trial; nothing happens if it is finished or gone."""
        known = self._known(study, trial)
        if known is None:
            return
        with suppress(UpdateFinishedTrialError):
            found = self._retry(lambda: self._storage.get_trial(known))
            self._retry(lambda: upload(self._artifacts, self._storage, found, name, content))

    def kept(self, study: str, trial: int, ending: str) -> Kept | None:
        """Return the file of a trial with that ending; None if it has none, or is gone itself."""
        try:
            known = self._known(study, trial)
        except UnknownSweepError:
            return None
        if known is None:
            return None
        found = self._retry(lambda: self._storage.get_trial(known))
        return self._retry(lambda: find(self._artifacts, self._storage, found, ending))

    def keep(self, study: str, trial: int, kept: Kept) -> None:
        """Put a file beside a trial, which may be finished; again, it is written again."""
        known = self._known(study, trial)
        if known is None:
            return
        key, value = self._retry(lambda: put(self._artifacts, kept))
        self._retry(lambda: rows.attach(self._backend, known, key, value))

    def fail(self, study: str, trial: int) -> None:
        """Tell a trial FAIL: nobody trains it any more. A finished one is left as it is."""
        known = self._known(study, trial)
        if known is not None:
            self._finish(known, TrialState.FAIL, None, {})

    def running(self, study: str) -> tuple[int, ...]:
        """Return the numbers of the trials that nobody has told yet."""
        return tuple(one.number for one in self._unfinished(self._study(study)))

    def ids(self, studies: Iterable[str]) -> dict[str, int]:
        """Return the ids of studies; those that somebody deleted are left out."""
        found = {}
        for name in studies:
            with suppress(UnknownSweepError):
                found[name] = self._study(name)
        return found

    def publish(
        self, figures: Mapping[str, str | None], note: str, study: str | None = None
    ) -> None:
        """Show figures (id -> Plotly JSON) and a Markdown note in the study of the sweep.

        None takes a figure away. Readers see all of it or nothing. `study` is another sweep's own.
        """
        name = study or self._sweep.name
        id_ = self._study(name)
        chunks = note_chunks(note)
        for one, figure in figures.items():
            chunks |= figure_chunks(one, figure) if figure is not None else {}
        gone = [one for one, figure in figures.items() if figure is None]

        def write() -> None:
            known = self._storage.get_study_system_attrs(id_)
            if new := changed(known, chunks, gone):
                rows.replace(self._backend, id_, new)

        with self._gone(name):
            self._retry(write)

    def delete(self) -> None:
        """Delete every study of the sweep, its trials and figures with it."""
        for name in self._names():
            with suppress(KeyError):  # somebody else was faster
                self._retry(partial(optuna.delete_study, study_name=name, storage=self._storage))
        self._ids.clear()

    def close(self) -> None:
        """Close the connections to the database."""
        if "_backend" in self.__dict__:
            self._backend.remove_session()
            self._backend.engine.dispose()

    def _space(self, arm: str) -> Space:
        """Return the searched parameters of an arm as they are kept."""
        space = space_of(self._sweep, arm)
        return brief(space, rows.LONGEST) if rows.cuts(self._backend) else space

    def _attributes(self, slot: Slot, config: TrialConfig, device: str) -> dict[str, Scalar]:
        # A study of confirmed networks holds all repeats; elsewhere its name says which.
        repeat = {"repeat": slot.repeat} if self._sweep.confirms else {}
        return {
            "arm": slot.arm,
            **repeat,
            "slot": slot.number,
            "device": device,
            "strength": config.method.strength,
            "density": config.density,
        }

    def _names(self) -> list[str]:
        return [self._sweep.name, *self._sweep.studies()]

    def _study(self, name: str) -> int:
        """Return the id of a study. Only `create` creates: a deleted sweep stays deleted."""
        if name not in self._ids:
            with self._gone(name):
                self._ids[name] = self._retry(lambda: self._storage.get_study_id_from_name(name))
        return self._ids[name]

    @contextmanager
    def _gone(self, name: str) -> Iterator[None]:
        """Say so where a `with` block finds that a study was deleted."""
        try:
            yield
        except KeyError:
            self._ids.pop(name, None)
            text = f"{name}: Optuna's study is gone; `sweeper run FILE` makes it again"
            raise UnknownSweepError(text) from None

    def _open(self, name: str, note: str = "") -> int:
        """Create a study unless it is there, and give it what it lacks; return its id."""
        optuna.create_study(
            storage=self._storage, study_name=name, directions=DIRECTIONS, load_if_exists=True
        )
        id_ = self._storage.get_study_id_from_name(name)
        known = self._storage.get_study_system_attrs(id_)
        new: dict[str, Any] = new_note(note) if note and not has_note(known) else {}
        if METRIC_NAMES not in known:
            accuracy = "test_accuracy" if by_test(self._sweep) else "val_accuracy"
            new[METRIC_NAMES] = ["nonzero", accuracy]
        if new:
            rows.replace(self._backend, id_, new)
        return id_

    def _create(self, slot: Slot, device: str) -> tuple[int, Params]:
        """Create the trial of a slot; return its id and its searched parameters."""
        study = self._study(slot.study)
        params = self._proposals.params(
            slot.arm, slot.repeat, slot.number, lambda: self._told(study)
        )
        config = self._sweep.config(slot.arm, slot.repeat, slot.number, params)
        # One transaction for the whole trial; Study.ask takes one more for each parameter.
        template = create_trial(
            state=TrialState.RUNNING,
            params=params,
            distributions=self._space(slot.arm),
            user_attrs=self._attributes(slot, config, device),
        )
        with self._gone(slot.study):
            return self._retry(lambda: self._storage.create_new_trial(study, template)), params

    def _numbers(self, slots: Sequence[Slot]) -> dict[Slot, int]:
        """Return the numbers of trials just created: one transaction for each study."""
        found: dict[Slot, int] = {}
        for name in dict.fromkeys(slot.study for slot in slots):
            # In the order of their numbers: the last one of a slot is the one of its holder, an
            # earlier one was left by a worker that died. The parameters of both are the same.
            latest = {
                (one.user_attrs.get("repeat"), one.user_attrs.get("slot")): one.number
                for one in self._unfinished(self._study(name))
            }
            for slot in (slot for slot in slots if slot.study == name):
                place = (slot.repeat if self._sweep.confirms else None, slot.number)
                if place not in latest:  # told FAIL by others, or deleted with its study
                    raise LeaseLost(f"the trial of slot {slot.number} of {name} was given up")
                found[slot] = latest[place]
        return found

    def _retry(self, action: Callable[[], T]) -> T:
        return retry(action, self._patience)

    def _known(self, study: str, trial: int) -> int | None:
        """Return the id of a trial, without asking for those created here; None if deleted."""
        id_ = self._study(study)
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

    def _told(self, study: int) -> list[Told]:
        return [
            Told(
                slot=one.user_attrs["slot"],
                params=one.params,
                values=(one.values[0], one.values[1]) if one.values else None,
            )
            for one in self._trials(study)
            if one.state in _FINISHED and "slot" in one.user_attrs
        ]

    def _finish(
        self,
        trial: int,
        state: TrialState,
        values: tuple[float, float] | None,
        attributes: Mapping[str, Scalar],
    ) -> None:
        def write() -> None:
            try:
                rows.join_trial(self._backend, trial, attributes)
                if not self._storage.set_trial_state_values(trial, state, values):
                    # Nothing was written: an attribute of that name was there already.
                    for key, value in attributes.items():
                        self._storage.set_trial_user_attr(trial, key, value)
                    self._storage.set_trial_state_values(trial, state, values)
            except (KeyError, UpdateFinishedTrialError):
                pass  # deleted in the dashboard, or told by whoever mended it: the fact counts

        self._retry(write)
