"""Optuna's view of a storage, opened with patience; what could not be opened is closed again."""

import copy
from collections.abc import Container, Mapping
from typing import Any

from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from sweeper.retry import RetryPolicy
from sweeper.search.optuna_retry import retry
from sweeper.search.optuna_trial_reader import read_trials


def open_optuna_storage(
    url: str, engine_options: Mapping[str, Any], patience: RetryPolicy
) -> RDBStorage:
    """Connect and create Optuna's tables; when several do it at once, all but one retry.

    Raises StorageError, RuntimeError for tables of an older or newer Optuna.
    """
    return retry(lambda: _Storage(url, engine_options), patience)


class _Storage(RDBStorage):
    """Optuna's own leaves an engine behind when its tables cannot be made or are not its own.

    Nobody holds it then but its reference cycles, and its connections stay open until those are
    collected: each attempt in an outage would cost the server one more.
    """

    def __init__(self, url: str, engine_options: Mapping[str, Any]) -> None:
        try:
            super().__init__(url, engine_kwargs=dict(engine_options))
        except BaseException:
            if hasattr(self, "scoped_session"):
                self.remove_session()
            if hasattr(self, "engine"):
                self.engine.dispose()
            raise

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        """Return the trials of a study; all of them by a reader of our own."""
        if states is not None:
            return super().get_all_trials(study_id, deepcopy=deepcopy, states=states)
        trials = read_trials(self, study_id)
        return copy.deepcopy(trials) if deepcopy else trials
