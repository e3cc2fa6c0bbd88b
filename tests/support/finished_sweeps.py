"""Finished sweeps of trainings that take no time."""

from pathlib import Path

from support.claimer import BRACKET, PROVENANCE
from support.fakes import (
    fake_probe,
    fake_train,
)
from sweeper import lifecycle
from sweeper.analysis import fronts
from sweeper.analysis.confirmation import (
    confirmation_sweep,
)
from sweeper.config import Sweep
from sweeper.operations import export
from sweeper.store import Store
from sweeper.types import StrengthRange
from sweeper.worker.worker_loop import work

TARGETS = {"nonzero": [20_000, 60_000, 266_610]}


def finished(store: Store, sweep: Sweep) -> Sweep:
    """Search a sweep and return its confirmation, not registered yet."""
    lifecycle.register(store, sweep)
    work(sweep.name, store, pack=8, train=fake_train, probe=fake_probe)
    return confirmation_sweep(
        sweep,
        store.status(sweep.name),
        store.records(sweep.name),
        store.strength_ranges(sweep.name),
        seeds=3,
    )


def find_all(store: Store, name: str, bracket: StrengthRange = BRACKET) -> list[tuple[str, str]]:
    """Find what is left to find; return what was given out."""
    worker = store.join(name, device="cpu")
    given = []
    while task := store.claim_probe(worker):
        given.append((task.arm, task.parameter))
        store.record_range(worker, task, bracket, PROVENANCE)
    store.leave(worker)
    return given


def saved(store: Store, name: str, folder: Path) -> Path:
    dump = store.dump(name)
    export.save(folder, dump, fronts(store.records(name), dump.sweep))
    return folder
