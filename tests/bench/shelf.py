"""A storage of many finished sweeps, made through Store and Search, and who goes on writing."""

import multiprocessing
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import Any

from prefilled import execute
from support.fakes import fake_train
from sweeper import lifecycle
from sweeper.config import Sweep
from sweeper.store import Dump, Store
from sweeper.trainers.provenance import gather_provenance
from sweeper.types import CurvePoint, LearningPoint, TrialResult
from sweeper.worker.trial_storage import TrialStorage

PACK = 16
LEFT = 4000
"""Trials that are left in the sweep that is looked at, for the writer."""


@dataclass(frozen=True)
class Shelf:
    """How much a storage holds."""

    sweeps: int
    trials: int
    """Finished ones of each sweep, in all its arms together, each of which has one search."""
    arms: int = 1

    def name(self, number: int) -> str:
        return f"bench-{number:02}"

    @property
    def looked_at(self) -> str:
        """The sweep that is looked at, and that the writer goes on with."""
        return self.name(0)

    @property
    def study(self) -> str:
        return f"{self.looked_at}/l1-0/0"

    def sweep(self) -> Sweep:
        return Sweep.model_validate(
            {
                "name": self.looked_at,
                "dataset": "digits",
                "model": "mlp(32)",
                "training": {"epochs": 1, "learning_rate": {"log_uniform": [0.01, 0.12]}},
                "sparsification": {"density": {"log_uniform": [0.005, 0.2]}},
                "search": {"sampler": "random", "trials": self.trials // self.arms},
                "arms": {
                    f"l1-{number}": {"penalty": "l1", "strength": {"log_uniform": [1e-4, 1e-1]}}
                    for number in range(self.arms)
                },
            }
        )


def fill(url: str, shelf: Shelf) -> None:
    """Work on one sweep until it is finished, and restore it under all the other names."""
    sweep = shelf.sweep()
    with closing(Store(url)) as store:
        lifecycle.register(store, sweep)
        with _storage(store, sweep) as (trials, worker):
            while _work(trials, worker, PACK):
                pass
        lifecycle.publish(store, sweep.name, force=True)
        dump = store.dump(sweep.name)
        for number in range(1, shelf.sweeps):
            lifecycle.restore(store, _renamed(dump, shelf.name(number)))
            lifecycle.publish(store, shelf.name(number), force=True)
        search = sweep.search.model_copy(update={"trials": (shelf.trials + LEFT) // shelf.arms})
        lifecycle.register(store, sweep.model_copy(update={"search": search}), extend=True)
    if url.startswith("postgresql"):
        execute(url, "VACUUM ANALYZE")  # as its own vacuum has done in a database of some age


@contextmanager
def writing(url: str, shelf: Shelf, rate: float) -> Iterator["Writer"]:
    """Have a process record trials of the sweep that is looked at, in a `with` block.

    `rate`: trials a second; 0 for as many as it can.
    """
    context = multiprocessing.get_context("spawn")
    over, ready, count = context.Event(), context.Event(), context.Value("q", 0)
    process = context.Process(
        target=_write, args=(url, shelf.looked_at, rate, over, ready, count), daemon=True
    )
    process.start()
    try:
        if not ready.wait(120):
            raise RuntimeError("the writer does not start")
        yield Writer(count)
        if not process.is_alive():
            raise RuntimeError("the writer has failed")
    finally:
        over.set()
        process.join(30)
        process.kill()


class Writer:
    """How many trials a process has recorded."""

    def __init__(self, count: Any) -> None:
        self._count = count
        self._before, self._began = int(count.value), time.monotonic()

    def restart(self) -> None:
        """Count from now on."""
        self._before, self._began = int(self._count.value), time.monotonic()

    @property
    def rate(self) -> float:
        """Trials a second."""
        return float(self._count.value - self._before) / (time.monotonic() - self._began)


@contextmanager
def _storage(store: Store, sweep: Sweep) -> Iterator[tuple[TrialStorage, str]]:
    with TrialStorage.open(store, sweep, threading.Event()) as trials:
        trials.warm_up()
        worker = store.join(sweep.name, device="cpu")
        yield trials, worker
        store.leave(worker)


def _work(trials: TrialStorage, worker: str, limit: int) -> int:
    pack = trials.claim(worker, limit, "cpu", lambda: None)
    if not isinstance(pack, tuple):
        return 0
    results = [_lifelike(result) for result in fake_train([one.config for one in pack])]
    found = gather_provenance(device="cpu", processor="", threads=1, data_hash="")
    trials.record(worker, pack, results, found)
    return len(pack)


def _lifelike(result: TrialResult) -> TrialResult:
    """Return a result with curves and layers of the usual length."""
    if result.pruned is None:
        return result
    accuracy = result.pruned.val_accuracy
    layers = result.pruned.layers * 3
    learning = tuple(
        LearningPoint(float(epoch), (("loss", 1 / epoch), ("val_accuracy", accuracy - 0.1 / epoch)))
        for epoch in range(1, 11)
    )
    curve = tuple(
        CurvePoint(0.01 * step, 2000 * step, accuracy - 0.1 / step, accuracy - 0.11 / step)
        for step in range(1, 10)
    )
    return replace(
        result, learning=learning, curve=curve, pruned=replace(result.pruned, layers=layers)
    )


def _write(url: str, name: str, rate: float, over: Any, ready: Any, count: Any) -> None:
    with (
        closing(Store(url, lease_seconds=3600)) as store,
        _storage(store, store.sweep(name)) as (trials, worker),
    ):
        _work(trials, worker, 1)
        ready.set()
        due = time.monotonic()
        while not over.is_set():
            count.value += _work(trials, worker, 1)
            due = max(due + 1 / rate, time.monotonic() - 1) if rate else 0.0
            over.wait(max(0.0, due - time.monotonic()))


def _renamed(dump: Dump, name: str) -> Dump:
    """Return the same sweep under another name, its Optuna studies too."""
    old = dump.sweep.name
    sweep = dump.sweep.model_copy(update={"name": name})

    def row(one: Mapping[str, Any]) -> dict[str, Any]:
        study = {"study": one["study"].replace(old, name, 1)} if "study" in one else {}
        return {**one, "sweep": name, **study}

    return replace(
        dump,
        spec=sweep.model_dump_json(),
        provenance=tuple(map(row, dump.provenance)),
        facts=tuple(map(row, dump.facts)),
    )
