"""Retry of Optuna's writes: it retries the creation of trials only, and gives up on any other."""

from collections.abc import Callable
from typing import TypeVar

from optuna.exceptions import StorageInternalError

from sweeper.errors import StorageError
from sweeper.retry import (
    BRIEF,
    RetryPolicy,
    is_of_a_driver,
    is_transient,
    is_unreachable,
    message,
)

T = TypeVar("T")
_USUAL = RetryPolicy()


def retry(action: Callable[[], T], patience: RetryPolicy = _USUAL) -> T:
    """Do `action`, again after an error of the database. Raises StorageError.

    An outage is waited for as long as the patience lasts, other errors for some seconds: when
    several processes create tables or studies at once, all but one fail once.
    """
    try:
        return patience.retry(lambda: _unwrapped(action), _may_pass)
    except Exception as error:
        if not is_of_the_database(error):
            raise
        raise StorageError(f"the database refused: {message(error)}") from error


def _unwrapped(action: Callable[[], T]) -> T:
    try:
        return action()
    except StorageInternalError as error:
        raise error.__cause__ or error from None


def _may_pass(error: Exception, seconds: float) -> bool:
    return is_of_the_database(error) and (
        seconds < BRIEF or is_unreachable(error) or is_transient(error)
    )


def is_of_the_database(error: Exception) -> bool:
    """Tell whether an error comes from the database behind Optuna."""
    # Optuna wraps errors of its sessions, but not those of creating tables, and SQLAlchemy not
    # those of setting a connection up. SQLAlchemy belongs to the store alone, so its errors are
    # known by where they come from.
    from_sqlalchemy = type(error).__module__.startswith("sqlalchemy.")
    return from_sqlalchemy or isinstance(error, StorageInternalError) or is_of_a_driver(error)


def is_a_duplicate(error: Exception) -> bool:
    """Tell whether the database refused a row because another has its name."""
    return is_of_the_database(error) and type(error).__name__ == "IntegrityError"
