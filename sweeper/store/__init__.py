"""Storage: sweeps, slots, leases and trial records, in the database that Optuna's tables share.

The only SQLAlchemy of the program. `Store` is its door; the modules behind it are functions of one
open transaction each.
"""

from sweeper.store.counts import StorageCounts
from sweeper.store.dropped_trials import NamedTrial
from sweeper.store.dumps import Dump
from sweeper.store.enqueued_configs import Searches
from sweeper.store.registered_sweeps import IN_PART, SweepVersion
from sweeper.store.store import Store

__all__ = ["IN_PART", "Dump", "NamedTrial", "Searches", "StorageCounts", "Store", "SweepVersion"]
