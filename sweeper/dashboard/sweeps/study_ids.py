"""Where Optuna's dashboard shows the studies of a sweep."""

from optuna.storages import RDBStorage

from sweeper.dashboard.sweeps.sweep_cache import SweepSnapshot
from sweeper.retry import RetryPolicy
from sweeper.search.optuna_retry import retry
from sweeper.search.optuna_tables import study_ids


def studies_of(storage: RDBStorage, known: SweepSnapshot, patience: RetryPolicy) -> dict[str, int]:
    """Return the ids of a sweep's studies that have facts; deleted ones are left out.

    Asked for anew each time, with one query: a study may be deleted, and made again.
    """
    names = {fact.slot.study for fact in known.facts}
    return retry(lambda: study_ids(storage, names), patience)
