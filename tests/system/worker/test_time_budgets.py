"""Workers with a time budget: they begin nothing that would end later, and leave in good order."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from support.databases import on_sqlite
from support.fakes import fake_train, small_sweep
from support.paths import SUPPORT
from support.worker_processes import claimed, registered
from sweeper.types import Tick, TrialConfig, TrialResult
from sweeper.worker import time_budget
from sweeper.worker.launch.local_workers import run_workers
from sweeper.worker.worker_loop import work


def late(seconds: float) -> float:
    return time.time() + seconds


@on_sqlite
def test_a_worker_leaves_before_its_time_and_another_day_goes_on(storage_url: str) -> None:
    store = registered(storage_url, small_sweep())
    events: list[str] = []

    def slowly(
        configs: Sequence[TrialConfig], data: Any, device: str, *, tick: Tick
    ) -> list[TrialResult]:
        return fake_train(configs, data, device, tick=tick, delay=2.0)

    done = work("tiny", store, pack=1, train=slowly, until=late(12), on_event=events.append)
    status = store.status("tiny")
    assert done == status.done < status.budget
    assert (claimed(store), status.failures, status.state) == (0, {}, "open")
    assert any("nothing that is left would end before it" in line for line in events)
    work("tiny", store, pack=4, train=fake_train)
    assert store.finished("tiny")
    store.close()


@on_sqlite
def test_a_pack_that_takes_longer_than_expected_is_recorded(
    storage_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = registered(storage_url, small_sweep())
    clock = [0.0]
    monkeypatch.setattr(time_budget, "time", SimpleNamespace(time=lambda: clock[0]))

    def slowly(
        configs: Sequence[TrialConfig], data: Any, device: str, *, tick: Tick
    ) -> list[TrialResult]:
        clock[0] += 1000.0
        return fake_train(configs, data, device, tick=tick)

    assert work("tiny", store, pack=2, train=slowly, until=900.0) == 2
    assert store.status("tiny").failures == {}
    assert claimed(store) == 0
    store.close()


@on_sqlite
def test_a_worker_whose_time_is_over_begins_nothing(storage_url: str) -> None:
    store = registered(storage_url, small_sweep())
    assert work("tiny", store, pack=2, train=fake_train, until=late(-1)) == 0
    assert store.status("tiny").workers == ()
    store.close()


@on_sqlite
def test_workers_that_wait_for_a_paused_sweep_leave_at_the_time(storage_url: str) -> None:
    store = registered(storage_url, small_sweep())
    store.interventions.pause("tiny", ())
    until = late(2.5)
    assert work("tiny", store, pack=2, train=fake_train, until=until) == 0
    assert time.time() >= until
    store.close()


@on_sqlite
def test_the_launcher_hands_the_time_on_and_ends_with_its_workers(
    storage_url: str, tmp_path: Path
) -> None:
    store = registered(storage_url, small_sweep())
    run_workers(
        "tiny",
        store,
        devices=("cpu",),
        pack=2,
        logs=tmp_path,
        every=0.1,
        command=[sys.executable, str(SUPPORT / "fakes.py"), "--delay", "3"],
        until=late(12),
    )
    status = store.status("tiny")
    assert not status.finished
    assert (claimed(store), status.failures) == (0, {})
    assert "nothing that is left would end before it" in (tmp_path / "worker-0.log").read_text()
    store.close()
