"""Workers of paused sweeps: they wait, go on when told to, and leave the exact budget."""

import random
import time

import pytest

from support.databases import on_sqlite
from support.fakes import auto_sweep, fake_probe, fake_train, small_sweep
from support.processes import LONG
from support.worker_processes import (
    assert_exact_records,
    claimed,
    ended,
    has,
    registered,
    worker_process,
    workers,
)
from sweeper import lifecycle
from sweeper.store import Store
from sweeper.types import SweepStatus
from sweeper.worker.worker_loop import work


def wait_until(condition: object) -> None:
    until = time.monotonic() + LONG
    while not condition() and time.monotonic() < until:  # type: ignore[operator]
        time.sleep(0.05)
    assert condition()  # type: ignore[operator]


def test_budgets_stay_exact_while_three_workers_are_paused_and_resumed(
    storage_url: str,
) -> None:
    sweep = small_sweep(search={"trials": 12, "repeats": 2})
    store = registered(storage_url, sweep)
    chance = random.Random(0)
    with workers(storage_url, 3, "--delay", "0.05") as crew:
        for turn in range(20):
            if store.finished("tiny"):
                break
            arms = chance.sample([*sweep.arms], chance.randint(1, 3))
            open_arms = [arm.arm for arm in store.status("tiny").arms if arm.done < arm.budget]
            if chosen := [arm for arm in arms if arm in open_arms]:
                store.interventions.pause("tiny", chosen)
            time.sleep(0.2)
            if turn == 5:
                crew[0].kill()
            store.interventions.resume("tiny", arms if turn % 2 else ())
        store.interventions.resume("tiny")
        ended(crew[1:])
    assert_exact_records(store, sweep)
    store.close()


@on_sqlite
def test_workers_wait_while_all_that_is_left_is_paused_and_then_go_on(storage_url: str) -> None:
    sweep = small_sweep()
    store = registered(storage_url, sweep)
    store.interventions.pause("tiny", ["mix"])
    with workers(storage_url, 2) as crew:
        wait_until(lambda: has(store, 12))
        wait_until(lambda: claimed(store) == 0)
        time.sleep(1.5)
        assert all(worker.poll() is None for worker in crew)
        assert store.status("tiny").waits
        assert [arm.done for arm in store.status("tiny").arms] == [6, 6, 0]
        store.interventions.resume("tiny")
        said = ended(crew)
    assert all(text.count("paused: sweeper resume tiny goes on") == 1 for text in said)
    assert_exact_records(store, sweep)
    store.close()


@on_sqlite
def test_a_worker_that_waits_is_stopped_as_any_other(storage_url: str) -> None:
    store = registered(storage_url, small_sweep())
    store.interventions.pause("tiny")
    with worker_process(storage_url) as process:
        wait_until(lambda: any(worker.alive for worker in store.status("tiny").workers))
        store.stop("tiny")
        ended([process])
    assert store.records("tiny") == ()
    lifecycle.register(store, small_sweep())  # as `run` does: it stays paused
    assert store.interventions.paused("tiny") == ("dense", "l1", "mix")
    store.close()


def test_probes_of_a_paused_arm_wait_with_it(sqlite_store: Store) -> None:
    sweep = auto_sweep()
    lifecycle.register(sqlite_store, sweep)
    sqlite_store.interventions.pause("tiny", ["both"])

    def resume(line: str) -> None:
        if line.startswith("paused"):
            status = sqlite_store.status("tiny")
            assert [arm.done for arm in status.arms] == [6, 6, 0]
            assert (status.probed, status.probes) == (1, 3)
            sqlite_store.interventions.resume("tiny")

    work("tiny", sqlite_store, pack=4, train=fake_train, probe=fake_probe, on_event=resume)
    assert_exact_records(sqlite_store, sweep)


def test_a_launcher_is_told_that_all_is_paused(
    sqlite_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sweeper.cli.progress_bars import progress_line
    from sweeper.operations.progress_lines import status_text

    lifecycle.register(sqlite_store, small_sweep())
    sqlite_store.interventions.pause("tiny", ["l1"])
    status: SweepStatus = sqlite_store.status("tiny")
    assert "1 arm paused: sweeper resume tiny goes on" in progress_line(status)
    sqlite_store.interventions.pause("tiny")
    for text in (progress_line, status_text):
        assert text(sqlite_store.status("tiny")).endswith("paused: sweeper resume tiny goes on")
