"""Actions of many processes on one store at the same time.

`python tests/support/claimer.py ACTION COUNT ARGUMENTS...` does it COUNT times at once and prints
what each returned as JSON.
"""

import json
import multiprocessing
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import alembic.command  # noqa: F401  # before the fork, so that all begin at the same time

from sweeper.config import Sweep
from sweeper.store import Store
from sweeper.types import (
    CurvePoint,
    Evaluation,
    LayerCount,
    ProbePoint,
    Provenance,
    Scalar,
    Slot,
    StrengthRange,
    TrialOutcome,
    TrialResult,
)

PROVENANCE = Provenance(
    sweeper="0.1.0",
    python="3.11.9",
    torch="2.15.0",
    optuna="5.0.0",
    git_commit="",
    device="cpu",
    processor="Some CPU",
    threads=1,
    data_hash="d" * 64,
    host="node-1",
)
NETWORK = Evaluation(
    nonzero=50,
    weights=40,
    biases=10,
    effective=45,
    val_accuracy=0.9,
    test_accuracy=0.875,
    layers=(LayerCount("fc1", (10, 64), 40, 640, 10, 10),),
)
RESULT = TrialResult(
    state="complete",
    total=650,
    pruned=NETWORK,
    as_trained=NETWORK,
    curve=(CurvePoint(0.5, 325, 0.9, 0.85),),
    steps=17,
    seconds=0.5,
    pack=1,
)
BRACKET = StrengthRange(
    low=1e-4,
    high=0.1 + 0.2,
    points=(
        ProbePoint(0.0, "complete", 0.95, 650, 0.0),
        ProbePoint(1e-4, "complete", 0.95, 640, 0.05),
        ProbePoint(1.0, "collapsed", 0.1, 3, 1.75),
        ProbePoint(10.0, "diverged", 0.1, 650, float("inf")),
    ),
    open_below=False,
    open_above=True,
    seconds=3.5,
)


def record(
    store: Store, worker: str, slot: Slot, sweep: Sweep, result: TrialResult = RESULT
) -> None:
    """Link and record a slot; its trial has the slot's own number."""
    params: dict[str, Scalar] = dict.fromkeys(sweep.domains(slot.arm), 0.01)
    config = sweep.config(slot.arm, slot.repeat, slot.number, params)
    store.link(worker, {slot: slot.number})
    store.record(worker, [TrialOutcome(slot, slot.number, params, config, result, PROVENANCE)])


def work(url: str, name: str, limit: str) -> list[tuple[str, int, int]]:
    """Work until the sweep is finished; return what was recorded."""
    store = Store(url)
    worker = store.join(name, device="cpu")
    sweep = store.sweep(name)
    recorded = []
    while not store.finished(name):
        slots = store.claim(worker, int(limit))
        for slot in slots:
            record(store, worker, slot, sweep)
            recorded.append((slot.arm, slot.repeat, slot.number))
            store.mark_reported([slot])
        if not slots:
            time.sleep(0.01)
    store.leave(worker)
    store.close()
    return recorded


def probe(url: str, name: str) -> list[tuple[str, str]]:
    """Find ranges until all are found; return what this process was given."""
    store = Store(url)
    worker = store.join(name, device="cpu")
    given = []
    while (status := store.status(name)).probed < status.probes:
        task = store.claim_probe(worker)
        if task is None:
            time.sleep(0.01)
            continue
        given.append((task.arm, task.parameter))
        store.record_range(worker, task, BRACKET, PROVENANCE)
    store.leave(worker)
    store.close()
    return given


def hold(url: str, name: str, limit: str) -> None:
    """Claim slots, print which worker has them, and hold them for ever."""
    store = Store(url)
    worker = store.join(name, device="cpu")
    store.claim(worker, int(limit))
    print(worker, flush=True)
    time.sleep(600)


def upgrade(url: str) -> None:
    """Create the schema."""
    store = Store(url)
    store.upgrade()
    store.check()
    store.close()


def register(url: str, sweep: str) -> str:
    """Register a sweep."""
    store = Store(url)
    outcome = store.register(Sweep.from_json(sweep))
    store.close()
    return outcome


ACTIONS: dict[str, Callable[..., Any]] = {
    "work": work,
    "probe": probe,
    "hold": hold,
    "upgrade": upgrade,
    "register": register,
}


def command(action: str, count: int, *arguments: str) -> list[str]:
    """Return the command of `count` processes that do the same at once."""
    return [sys.executable, __file__, action, str(count), *arguments]


def together(action: str, count: int, *arguments: str) -> list[Any]:
    """Let `count` processes do the same at once; return what each returned."""
    run = subprocess.run(
        command(action, count, *arguments), check=True, stdout=subprocess.PIPE, timeout=240
    )
    answers: list[Any] = json.loads(run.stdout)
    return answers


def main() -> None:
    action, count, *arguments = sys.argv[1:]
    if action == "hold":
        return hold(*arguments)
    with multiprocessing.get_context("fork").Pool(int(count)) as pool:
        jobs = [pool.apply_async(ACTIONS[action], arguments) for _ in range(int(count))]
        print(json.dumps([job.get(200) for job in jobs]))
        pool.close()
        pool.join()
    return None


if __name__ == "__main__":
    main()
