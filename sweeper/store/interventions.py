"""Interventions: what a person changes of a sweep that runs, one transaction a call."""

from collections.abc import Sequence

from sweeper.store import paused_arms
from sweeper.store.database import Database


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
