"""Interventions: what a person changes of a sweep that runs, one transaction a call."""

from collections.abc import Sequence
from uuid import uuid4

from sqlalchemy import Connection, select

from sweeper.store import (
    dropped_trials,
    enqueued_configs,
    paused_arms,
    registered_sweeps,
    trial_records,
)
from sweeper.store.clock import now
from sweeper.store.database import Database
from sweeper.store.dropped_trials import NamedTrial
from sweeper.store.enqueued_configs import Searches
from sweeper.types import (
    DroppedTrial,
    EnqueuedConfig,
    NetworkPlace,
    Slot,
    TrialRecord,
    without_dropped,
)


class Interventions:
    """A hand on the sweeps of one storage. Raises StorageError, in one line."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def pause(self, name: str, arms: Sequence[str] = ()) -> tuple[str, ...]:
        """Claim no more slots and probes of arms, of all if none is named; return the new ones.

        Raises UnknownSweepError, InputError for an arm that is none or finished.
        """
        return self._database.write(lambda c: paused_arms.pause(c, name, arms))

    def resume(self, name: str, arms: Sequence[str] = ()) -> tuple[str, ...]:
        """Go on with paused arms, with all if none is named; return those that were paused.

        Raises UnknownSweepError, InputError for an arm that is none.
        """
        return self._database.write(lambda c: paused_arms.resume(c, name, arms))

    def paused(self, name: str) -> tuple[str, ...]:
        """Return the paused arms, in the order of the file. Raises UnknownSweepError."""
        return self._database.read(lambda c: paused_arms.names(c, name))

    def is_held_up(self, name: str) -> bool:
        """Tell whether nothing can be claimed until paused arms are resumed."""
        return self._database.read(lambda c: paused_arms.holds_up(c, name))

    def drop(self, name: str, trials: Sequence[NamedTrial], why: str) -> tuple[NamedTrial, ...]:
        """Leave trials out of fronts and tables; return those that were not left out before.

        Raises UnknownSweepError, InputError for one that is not on record.
        """
        ids = _ids(trials)
        return self._database.write(lambda c: dropped_trials.drop(c, name, trials, why, ids))

    def take_back(self, name: str, trials: Sequence[NamedTrial]) -> tuple[NamedTrial, ...]:
        """Have dropped trials count again; return those that were left out. Raises as `drop`."""
        ids = _ids(trials)
        return self._database.write(lambda c: dropped_trials.take_back(c, name, trials, ids))

    def dropped(self, name: str) -> tuple[DroppedTrial, ...]:
        """Return the dropped trials, by place. Raises UnknownSweepError."""
        return self._database.read(lambda c: dropped_trials.find(c, name))

    def counted_records(self, name: str) -> tuple[TrialRecord, ...]:
        """Return the records of a sweep that were not dropped: those of fronts and tables."""

        def work(connection: Connection) -> tuple[TrialRecord, ...]:
            sweep = registered_sweeps.parsed(registered_sweeps.get(connection, name).spec)
            records = trial_records.sorted_by_place(connection, sweep)
            return without_dropped(records, dropped_trials.find(connection, name))

        return self._database.read(work)

    def enqueue(self, name: str, wanted: Searches, source: str) -> tuple[EnqueuedConfig, ...]:
        """Give configurations to the next slots that were never claimed; return which got them.

        Raises UnknownSweepError, InputError where there are more of them than such slots.
        """
        at = self._database.read(lambda c: float(c.scalar(select(now())) or 0.0))
        return self._database.write(lambda c: enqueued_configs.enqueue(c, name, wanted, source, at))

    def enqueued(self, name: str) -> tuple[EnqueuedConfig, ...]:
        """Return what slots of a sweep were given, by place. Raises UnknownSweepError."""
        return self._database.read(lambda c: enqueued_configs.find(c, name))

    def given(self, slots: Sequence[Slot]) -> dict[Slot, EnqueuedConfig]:
        """Return what claimed slots were given; those that were given nothing are left out."""
        return self._database.read(lambda c: enqueued_configs.of_slots(c, slots))

    def place_of(self, name: str, study: str, trial: int) -> NetworkPlace | None:
        """Return the place of a trial of Optuna's; None if it is not on record."""
        return self._database.read(lambda c: dropped_trials.place_of(c, name, study, trial))


def _ids(trials: Sequence[NamedTrial]) -> list[str]:
    return [uuid4().hex for trial in trials for _ in trial.rows]
