"""Optuna's view of a storage, opened with patience; what could not be opened is closed again."""

from collections.abc import Mapping
from typing import Any

from optuna.storages import RDBStorage

from sweeper.retry import RetryPolicy
from sweeper.search.optuna_retry import retry


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
