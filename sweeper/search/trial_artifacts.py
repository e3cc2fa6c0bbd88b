"""Trial artifacts: files beside the trials of a sweep, at one place."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage, RDBStorage
from optuna.trial import FrozenTrial

from sweeper.errors import UnknownSweepError
from sweeper.retry import RetryPolicy
from sweeper.search import optuna_tables
from sweeper.search.artifacts import Artifact, artifact_store, find, put, upload
from sweeper.search.optuna_retry import retry
from sweeper.search.study_index import StudyIndex

T = TypeVar("T")


class TrialArtifacts:
    """Files beside trials, by study and number. `use` comes first."""

    def __init__(
        self,
        index: StudyIndex,
        backend: Callable[[], RDBStorage],
        storage: Callable[[], BaseStorage],
        patience: RetryPolicy,
    ) -> None:
        self._index, self._backend, self._storage = index, backend, storage
        self._patience = patience
        self._place: Any = None

    def use(self, place: str, *, writes: bool = False, may_come: bool = False) -> None:
        """Keep the files of trials at a place, as of `artifact_store`. Raises InputError."""
        self._place = artifact_store(place, writes=writes, may_come=may_come)

    def save(self, study: str, trial: int, name: str, content: bytes) -> None:
        """Keep a file of a running trial; nothing happens if it is finished or gone."""
        id_ = self._trial_id(study, trial)
        if id_ is None:
            return

        def read() -> FrozenTrial:
            self._index.guard(study, id_)
            return self._backend().get_trial(id_)

        with suppress(UpdateFinishedTrialError), self._index.gone(study):
            frozen = self._retry(read)
            path = f"{study}/{name}"
            self._retry(lambda: upload(self._place, self._storage(), frozen, path, content))

    def load(self, study: str, trial: int, ending: str) -> Artifact | None:
        """Return the file of a trial with that ending; None if it has none, or is gone itself."""
        try:
            id_ = self._trial_id(study, trial, adopt=False)
        except UnknownSweepError:
            return None
        if id_ is None:
            return None
        frozen = self._retry(lambda: self._storage().get_trial(id_))
        return self._retry(lambda: find(self._place, self._storage(), frozen, ending))

    def restore(self, study: str, trial: int, artifact: Artifact) -> None:
        """Put a file beside a trial, which may be finished; again, it is written again."""
        id_ = self._trial_id(study, trial)
        if id_ is None:
            return
        path = f"{study}/{artifact.name}"
        key, value = self._retry(lambda: put(self._place, artifact, path))

        def write() -> None:
            self._index.guard(study, id_)
            optuna_tables.attach(self._backend(), id_, key, value)

        with self._index.gone(study):
            self._retry(write)

    def _trial_id(self, study: str, trial: int, *, adopt: bool = True) -> int | None:
        """Return the id of a trial, without asking for those created here; None if deleted."""
        id_ = self._index.id(study, adopt=adopt)
        try:
            return self._retry(
                lambda: self._storage().get_trial_id_from_study_id_trial_number(id_, trial)
            )
        except KeyError:
            return None

    def _retry(self, action: Callable[[], T]) -> T:
        return retry(action, self._patience)
