"""Faults with real processes and a real server: budgets stay exact, sweeps end by themselves."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

import pytest

from support.fakes import ladder_sweep, small_sweep
from support.paths import SUPPORT, TESTS
from support.postgres import Postgres
from support.processes import mount_namespace, wait_for
from support.proxy import Proxy
from support.worker_processes import assert_exact_records, ended, has, registered, workers
from sweeper import lifecycle
from sweeper.errors import StorageError
from sweeper.retry import RetryPolicy
from sweeper.store import Store, database


@pytest.fixture
def own_postgres() -> Iterator[Postgres]:
    """A server that a test may treat badly."""
    server = Postgres()
    yield server
    server.stop()


POINTS = [
    "before,claim",
    "after,claim",
    "before,ask",
    "after,ask",
    "after,link",
    "before,record",
    "after,record",
    "before,tell,2",
    "after,tell,2",
    "before,mark_reported",
    "after,mark_reported",
    "before,renew",
]


@pytest.mark.parametrize(
    ("point", "kind"),
    [(point, "postgres_url") for point in POINTS]
    + [(point, "sqlite_url") for point in ("after,claim", "before,record", "after,record")],
)
def test_killed_at_any_point_a_worker_costs_nothing(
    point: str, kind: str, request: pytest.FixtureRequest
) -> None:
    store = Store(str(request.getfixturevalue(kind)))
    # On a server with six networks a slot.
    make = ladder_sweep if kind == "postgres_url" else small_sweep
    sweep = make(search={"trials": 4, "in_flight": 2})
    lifecycle.register(store, sweep)
    delay = "3" if "renew" in point else "0.05"
    with workers(store.url, 1, "--die", point, "--delay", delay) as (first,):
        first.communicate(timeout=240)
        assert first.returncode == -signal.SIGKILL
        assert not store.finished(sweep.name)
        with workers(store.url, 2, "--delay", "0.05") as others:
            ended(others)
    assert_exact_records(store, sweep)
    store.close()


def test_workers_on_mariadb_keep_the_budget_though_one_is_killed(mariadb_url: str) -> None:
    sweep = ladder_sweep(search={"trials": 4, "in_flight": 2})
    store = registered(mariadb_url, sweep)
    with (
        workers(mariadb_url, 1, "--die", "after,record") as (first,),
        workers(mariadb_url, 2, "--delay", "0.05") as others,
    ):
        first.communicate(timeout=240)
        ended(others)
    assert_exact_records(store, sweep)
    store.close()


@pytest.mark.postgres
@pytest.mark.slow
def test_a_server_that_crashes_three_times_is_waited_for(own_postgres: Postgres) -> None:
    with own_postgres.database() as url:
        sweep = small_sweep(search={"trials": 16, "in_flight": 4})
        with closing(registered(url, sweep)) as store, workers(url, 4, "--delay", "0.3") as crew:
            for enough in (4, 12, 24):
                wait_for(partial(has, store, enough))
                own_postgres.restart_immediately()
            ended(crew)
            assert_exact_records(store, sweep)


@pytest.mark.postgres
@pytest.mark.slow
def test_a_connection_frozen_for_longer_than_a_lease_harms_nothing(
    postgres: Postgres, postgres_url: str
) -> None:
    sweep = small_sweep(search={"trials": 20, "in_flight": 4})
    store = registered(postgres_url, sweep)
    proxy = Proxy(str(postgres.home / ".s.PGSQL.5432"))
    database = postgres_url.partition("@/")[2].partition("?")[0]
    through = f"postgresql://postgres@127.0.0.1:{proxy.port}/{database}"
    try:
        with workers(through, 1, "--delay", "0.2") as (far,):
            wait_for(lambda: store.status("tiny").done >= 2)
            wait_for(lambda: store.status("tiny").workers[0].slots)
            proxy.freeze()
            with workers(postgres_url, 1, "--delay", "0.2") as (near,):
                frozen = store.status("tiny").workers[0].id
                wait_for(lambda: not alive(store, frozen))
                # What it held is trained by the other, which does the rest, too.
                ended([near])
                assert store.finished("tiny")
                proxy.thaw()
                ended([far])
        assert_exact_records(store, sweep)
        assert store.status("tiny").failures.get("lease over", 0) >= 1
    finally:
        proxy.close()
        store.close()


def alive(store: Store, worker: str) -> bool:
    return any(one.alive for one in store.status("tiny").workers if one.id == worker)


def test_a_worker_stopped_past_its_lease_and_continued_drops_what_is_others(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = small_sweep(search={"trials": 6, "in_flight": 2})
    lifecycle.register(store, sweep)
    monkeypatch.setattr(database, "BUSY_TIMEOUT", 0.5)
    brief = Store(store.url, patience=RetryPolicy(0.2))
    with workers(store.url, 1, "--delay", "1") as (slow,):
        wait_for(lambda: store.status("tiny").done >= 2)
        freeze(slow.pid, brief)
        brief.close()
        with workers(store.url, 1, "--delay", "0.05") as (quick,):
            ended([quick])
            assert store.finished("tiny")
            os.kill(slow.pid, signal.SIGCONT)
            ended([slow])
    assert_exact_records(store, sweep)
    assert store.status("tiny").failures.get("lease over", 0) >= 1


def freeze(pid: int, store: Store) -> None:
    """Stop a process that holds slots, but no lock: a SQLite file would be locked for everybody."""
    for number in range(20):
        wait_for(lambda: any(one.slots for one in store.status("tiny").workers))
        time.sleep(0.3)  # by now it trains, most likely
        os.kill(pid, signal.SIGSTOP)
        with suppress(StorageError):
            store.try_throttle("tiny", f"free {number}", 1)
            if any(one.slots for one in store.status("tiny").workers):
                return
        os.kill(pid, signal.SIGCONT)
    raise AssertionError("it held the lock each time, or no slots")


@pytest.mark.parametrize("seconds", [3600.0, -3600.0])
def test_a_node_whose_clock_is_off_changes_nothing(seconds: float, store: Store) -> None:
    sweep = small_sweep(search={"trials": 4, "in_flight": 2})
    lifecycle.register(store, sweep)
    with (
        workers(store.url, 1, "--delay", "0.2", "--clock", str(seconds)) as odd,
        workers(store.url, 1, "--delay", "0.2") as right,
    ):
        ended(odd + right)
    assert_exact_records(store, sweep)
    assert store.status("tiny").failures == {}
    assert abs(store.records("tiny")[0].recorded_at - time.time()) < 600


def test_a_full_disk_is_waited_for_and_told_in_one_line(tmp_path: Path) -> None:
    namespace = mount_namespace()
    script = str(SUPPORT / "full_disk.py")
    done = subprocess.run(
        [*namespace, sys.executable, script, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert (done.returncode, done.stdout) == (0, "exact\n"), done.stderr
