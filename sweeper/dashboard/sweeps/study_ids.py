"""Ids of the studies of a sweep, by which Optuna's dashboard shows them."""

from collections.abc import Iterable

from optuna.storages import RDBStorage

from sweeper.retry import RetryPolicy
from sweeper.search.optuna_retry import retry
from sweeper.search.optuna_tables import study_ids
from sweeper.types import TrialRecord


def ids_of_studies(
    storage: RDBStorage, records: Iterable[TrialRecord], patience: RetryPolicy
) -> dict[str, int]:
    """Return the ids of the studies that have records; deleted ones are left out.

    Asked for anew each time, with one query: a study may be deleted, and made again.
    """
    names = {record.slot.study for record in records}
    return retry(lambda: study_ids(storage, names), patience)
