"""Optuna retries the creation of trials only; every other write gives up at the first error."""

import random
import time
from collections.abc import Callable
from typing import TypeVar

from optuna.exceptions import StorageInternalError

from sweeper.errors import StorageError

T = TypeVar("T")
_PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 3.2, 3.2)


def retry(action: Callable[[], T]) -> T:
    """Do `action`, again after an error of the database; StorageError after some 12 seconds."""
    for pause in (*_PAUSES, None):
        try:
            return action()
        except Exception as error:
            if not _is_of_the_database(error):
                raise
            if pause is None:
                raise StorageError(f"the database refused: {_first_line(error)}") from error
            time.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311  # only apart
    raise AssertionError("the last round returns or raises")


def _is_of_the_database(error: Exception) -> bool:
    # Optuna wraps errors of its sessions, but not those of creating tables. SQLAlchemy belongs
    # to the store alone, so its errors are known by where they come from.
    return isinstance(error, StorageInternalError) or _from_sqlalchemy(error)


def _from_sqlalchemy(error: BaseException) -> bool:
    return type(error).__module__.startswith("sqlalchemy.")


def _first_line(error: Exception) -> str:
    cause = error.__cause__ if isinstance(error, StorageInternalError) else error
    told = getattr(cause, "orig", None) or cause or error
    return (str(told).splitlines() or [type(told).__name__])[0]
