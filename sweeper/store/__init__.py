"""Storage: sweeps, slots, leases and trial records, in the database that Optuna's tables share.

The only SQLAlchemy of the program. `Store` is its door; the modules behind it are functions of one
open transaction each.
"""

from sweeper.store.counts import Census
from sweeper.store.dumps import Dump
from sweeper.store.registered_sweeps import IN_PART, Mark
from sweeper.store.store import Store
from sweeper.store.trial_records import Outcome

__all__ = ["IN_PART", "Census", "Dump", "Mark", "Outcome", "Store"]
