"""Sweeps of scripts whose trainings take no time: sizes in FLOPs, curves and further numbers."""

import dataclasses
import hashlib
import math
import threading
from typing import Any

from support.factories import make_fact, make_provenance
from sweeper import lifecycle
from sweeper.analysis.confirmation import confirmation_sweep
from sweeper.config import Sweep
from sweeper.store import Store
from sweeper.types import Evaluation, LearningPoint, TrialConfig, TrialRecord, TrialResult
from sweeper.worker.trial_storage import TrialStorage

DENSE = 4_000_000_000
TARGETS = {"f1": [0.9, 0.94], "flops": [300_000_000, 1_000_000_000, 4_000_000_000]}


def flops_sweep(name: str = "mine", **changes: Any) -> Sweep:
    """Return a sweep of a user's own training, in FLOPs and F1."""
    search = {"trials": 6, "repeats": 2, **changes.pop("search", {})}
    spec: dict[str, Any] = {
        "name": name,
        "trial": "my_training:train",
        "objectives": {"size": "FLOPs", "quality": "F1"},
        "parameters": {"width": {"uniform": [0.1, 1.0]}, "epochs": 12},
        "targets": TARGETS,
        "search": search,
        "arms": {
            "plain": {},
            "l1": {"penalty": "l1", "strength": {"log_uniform": [1e-5, 1e-2]}},
            "deep": {"parameters": {"depth": {"choice": [2, 3]}}},
        },
    }
    return Sweep.model_validate({**spec, **changes})


def script_result(config: TrialConfig, pack: int = 1) -> TrialResult:
    """Return what a training gave: wider is better, a depth of 3 more so, a penalty costs nothing.

    Widths over 0.97 diverge.
    """
    values = dict(config.values)
    width, depth = float(values["width"]), int(values.get("depth", 1))
    digest = hashlib.sha256(repr(config).encode()).digest()
    noise = int.from_bytes(digest[:4], "big") / 2**32
    ends = 0.97 - 0.1 * (1 - width) ** 2 / depth - 0.02 * noise
    learning = tuple(
        LearningPoint(
            float(epoch),
            (("loss", round(2 * math.exp(-epoch / 4), 4)), ("val_f1", round(ends * rise, 4))),
        )
        for epoch in range(1, 13)
        for rise in [1 - 0.6 * math.exp(-epoch / 3)]
    )
    if width > 0.97:
        return TrialResult("diverged", DENSE, None, None, (), 12, 60.0, pack, learning=learning[:3])
    flops = round(DENSE * width * (0.6 if config.method.terms else 1.0))
    network = Evaluation(flops, flops, 0, None, round(ends, 4), round(ends - 0.005, 4), ())
    numbers = (("latency_ms", round(20 * width, 3)), ("val_f1", 0.5))
    return TrialResult(
        "complete", DENSE, network, network, (), 12, 60.0, pack, learning=learning, numbers=numbers
    )


def script_records(sweep: Sweep) -> tuple[TrialRecord, ...]:
    """Return all trials of a sweep of `flops_sweep`, on record."""
    records = []
    for arm in sweep.arms:
        for repeat, slot in sweep.slots(arm):
            place = (slot * 7 + 3 * repeat + len(arm)) % 11 / 10
            params: dict[str, Any] = {"width": 0.1 + 0.9 * place}
            params |= {"strength": 1e-4} if arm == "l1" else {}
            params |= {"depth": 2 + slot % 2} if arm == "deep" else {}
            made = make_fact(sweep=sweep, arm=arm, repeat=repeat, slot=slot)
            config = sweep.config(arm, repeat, slot, params)
            result = script_result(config)
            records.append(dataclasses.replace(made, params=params, config=config, result=result))
    return tuple(records)


def searched_flops(store: Store, *, seeds: int = 0, **changes: Any) -> Sweep:
    """Register a sweep of a script, have all of it on record, and confirm it with `seeds`."""
    sweep = flops_sweep(**changes)
    lifecycle.register(store, sweep)
    _work(store, sweep)
    if seeds:
        status, records = store.status(sweep.name), store.records(sweep.name)
        again = confirmation_sweep(sweep, status, records, seeds=seeds)
        lifecycle.register(store, again)
        _work(store, again)
    return sweep


def _work(store: Store, sweep: Sweep) -> None:
    """Work a sweep off as a worker does, in no time."""
    worker = store.join(sweep.name, device="cpu")
    with TrialStorage.open(store, sweep, threading.Event()) as trials:
        trials.create()
        while isinstance(pack := trials.claim(worker, 8, "cpu", lambda: None), tuple):
            results = [script_result(task.config) for task in pack]
            trials.record(worker, pack, results, make_provenance())
        trials.publish(force=True)
    store.leave(worker)
