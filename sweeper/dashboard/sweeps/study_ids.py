"""Ids of the studies of a sweep, by which Optuna's dashboard shows them."""

from collections.abc import Collection

from optuna.storages import RDBStorage

from sweeper.retry import RetryPolicy
from sweeper.search.optuna_retry import retry
from sweeper.search.optuna_tables import study_ids, study_name


def ids_of_studies(
    storage: RDBStorage, names: Collection[str], patience: RetryPolicy
) -> dict[str, int]:
    """Return the ids of studies by their names; deleted ones are left out.

    Asked for anew each time, with one query: a study may be deleted, and made again.
    """
    return retry(lambda: study_ids(storage, names), patience)


def study_of(storage: RDBStorage, number: int, patience: RetryPolicy) -> str | None:
    """Return the name of a study by its id; None if there is none."""
    return retry(lambda: study_name(storage, number), patience)
