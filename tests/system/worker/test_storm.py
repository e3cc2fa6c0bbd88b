"""Storms: workers are killed all the time, and the budget still ends exactly. `pytest -m soak`."""

import os
import random
import time
from pathlib import Path

import pytest

from support.fakes import small_sweep
from support.postgres import Postgres
from support.worker_processes import assert_exact_records, registered, workers

SECONDS = float(os.environ.get("SWEEPER_SOAK_SECONDS", "300"))


@pytest.mark.soak
@pytest.mark.postgres
@pytest.mark.timeout(1200)
def test_sixteen_workers_under_a_storm(postgres: Postgres, postgres_url: str) -> None:
    # More than they can do in that time: the storm is to end before the sweep does.
    sweep = small_sweep(search={"trials": int(SECONDS), "in_flight": 8, "repeats": 2})
    store = registered(postgres_url, sweep)
    chance = random.Random(0)
    began, killed, seen = time.monotonic(), 0, 0
    crew = [workers(postgres_url, 1, "--delay", "0.5") for _ in range(16)]
    running = [one.__enter__()[0] for one in crew]
    try:
        while time.monotonic() - began < SECONDS and not store.finished("tiny"):
            time.sleep(2)
            victim = chance.randrange(16)
            running[victim].kill()
            crew[victim].__exit__(None, None, None)
            crew[victim] = workers(postgres_url, 1, "--delay", "0.5")
            running[victim] = crew[victim].__enter__()[0]
            killed += 1
            facts = len(store.records("tiny"))
            assert facts >= seen  # what is on record stays
            seen = facts
        until = time.monotonic() + 600
        while not store.finished("tiny") and time.monotonic() < until:
            time.sleep(1)
    finally:
        for one in crew:
            one.__exit__(None, None, None)
    assert_exact_records(store, sweep)
    print(f"{killed} killed, {seen} facts during the storm: {store.status('tiny').failures}")
    store.close()


@pytest.mark.soak
@pytest.mark.postgres
@pytest.mark.timeout(1200)
def test_four_that_really_train_under_a_storm(postgres_url: str, tmp_path: Path) -> None:
    from sweeper import api

    study = tmp_path / "study.yaml"
    study.write_text(STUDY)
    chance = random.Random(0)
    last, killed = time.monotonic(), 0
    os.chdir(tmp_path)

    def kill(status: object) -> None:
        nonlocal last, killed
        if time.monotonic() - last < 15:
            return
        last = time.monotonic()
        mine = children()
        if mine:
            os.kill(chance.choice(mine), 9)
            killed += 1

    fronts = api.run(study, postgres_url, workers=4, device="cpu", on_status=kill)
    assert set(fronts) == {"dense", "l1", "entropy"}
    from sweeper.store import Store

    store = Store(postgres_url)
    facts = store.records("storm")
    assert len({(one.slot.arm, one.slot.number) for one in facts}) == len(facts) == 3 * 24
    print(f"{killed} killed: {store.status('storm').failures}")
    assert killed
    store.close()


def children() -> list[int]:
    """Return the ids of the processes that this one started."""
    own = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    return [int(pid) for pid in own if b"worker" in Path(f"/proc/{pid}/cmdline").read_bytes()]


STUDY = """
name: storm
dataset: digits
model: lenet-300-100
training: {epochs: 40, batch_size: 16}
search: {trials: 24, in_flight: 8}
arms:
  dense: {}
  l1: {penalty: l1, strength: {log_uniform: [1e-5, 1e-2]}}
  entropy: {penalty: marginal_entropy, strength: {log_uniform: [1e-4, 1e-1]}}
"""
