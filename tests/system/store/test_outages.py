"""Databases that are away, in each way that a server can be: waited for once they were there."""

import gc
import itertools
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import psycopg
import pytest
from optuna.storages._rdb.storage import _VersionManager
from sqlalchemy import Connection, Engine, event, text
from sqlalchemy.exc import PendingRollbackError
from sqlalchemy.pool import QueuePool

from support.fakes import small_sweep
from support.paths import SUPPORT
from support.postgres import Postgres
from support.processes import mount_namespace, wait_for
from support.proxy import Proxy
from support.worker_processes import assert_exact_records, ended, workers
from sweeper import lifecycle
from sweeper.errors import Interrupted, StorageError
from sweeper.retry import RetryPolicy
from sweeper.search.optuna_retry import retry
from sweeper.store import Store
from sweeper.types.trial_record import Slot

SERVERS = [pytest.param("postgres_url", marks=pytest.mark.postgres), "mariadb_url"]
NO_NAME = SUPPORT / "no_name.py"


@pytest.fixture(params=SERVERS)
def server_url(request: pytest.FixtureRequest) -> str:
    """The URL of an empty database of a real server."""
    return str(request.getfixturevalue(request.param))


@pytest.fixture
def proxy(server_url: str) -> Iterator[Proxy]:
    """A way to that server which can be cut."""
    between = Proxy.before(server_url)
    yield between
    between.close()


class Said:
    """What a patience was told, and when an outage ends because of it."""

    def __init__(self, enough: int = 3, over: Callable[[], object] = lambda: None) -> None:
        self.lines: list[str] = []
        self._enough, self._over = enough, over

    def __call__(self, line: str, seconds: float) -> None:
        self.lines.append(line)
        if len(self.lines) == self._enough:
            self._over()


def through(proxy: Proxy, url: str) -> str:
    way = proxy.url(url, connect_timeout=2)
    return f"{way}&read_timeout=2" if url.startswith("mysql") else way


@pytest.mark.parametrize("how", ["refuses", "is silent"])
def test_a_server_that_was_there_is_waited_for(how: str, proxy: Proxy, server_url: str) -> None:
    said = Said(over=proxy.accept if how == "refuses" else proxy.thaw)
    with closing(Store(through(proxy, server_url), patience=RetryPolicy(60.0, said))) as store:
        store.upgrade()
        store.close()  # so that it must connect anew
        if how == "refuses":
            proxy.refuse()
        else:
            proxy.freeze()
        assert store.names() == ()
        assert len(said.lines) == 3


@pytest.mark.slow
@pytest.mark.parametrize("new", [False, True], ids=["pooled", "new"])
def test_a_connection_may_be_lost_at_any_message(new: bool, proxy: Proxy, server_url: str) -> None:
    url = through(proxy, server_url)
    with closing(Store(url)) as store:
        lifecycle.register(store, small_sweep())
    store = Store(url)
    for message in itertools.count(1):
        if new:
            store.close()
            store = Store(url)  # which learns about the server when it first connects
        proxy.lose_at(message)
        assert store.names() == ("tiny",)
        worker = store.join("tiny", device="cpu")
        store.leave(worker)
        # What was lost gave its place in the pool back.
        assert in_use(store._database._engine) == 0
        if not proxy.has_lost:
            break
    assert message > 10
    store.close()


def in_use(engine: Engine) -> int:
    assert isinstance(engine.pool, QueuePool)
    return engine.pool.checkedout()


@pytest.mark.slow
def test_optunas_connection_may_be_lost_at_any_message(
    proxy: Proxy, server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It waits for up to two seconds after each loss.
    monkeypatch.setattr("optuna.storages._rdb.storage.random", SimpleNamespace(random=lambda: 0.0))
    sweep = small_sweep()
    url = through(proxy, server_url)
    study = sweep.study("dense", 0)
    slot = Slot(sweep.name, "dense", 0, 0, study)
    with closing(Store(url)) as store:
        lifecycle.register(store, sweep)
        with lifecycle.open_studies(store, sweep) as search:
            for message in itertools.count(1):
                proxy.lose_at(message)
                search.publish({}, f"note {message}")
                ((asked,),) = search.ask([slot]).values()
                search.fail(study, [asked.trial])
                assert in_use(search._backend.engine) == 0
                if not proxy.has_lost:
                    break
    assert message > 10


def test_an_error_that_comes_bare_from_the_driver_is_waited_for(server_url: str) -> None:
    said = Said()
    with closing(Store(server_url, patience=RetryPolicy(60.0, said))) as store:
        store.upgrade()
        engine = store._database._engine
        lost = bare(engine)

        def fail(connection: Connection, options: object) -> None:
            if not said.lines:
                raise lost

        event.listen(engine, "set_connection_execution_options", fail)
        assert store.names() == ()
        assert said.lines == ["lost"]
        attempts = iter((lost, PendingRollbackError("late"), None))
        # Also when an outage has lasted for long already.
        with patch("sweeper.search.optuna_retry.BRIEF", -1.0):
            assert retry(lambda: attempt(attempts), RetryPolicy(60.0, said)) == "done"
        assert said.lines == ["lost", "lost", "late"]


@pytest.mark.postgres
def test_attempts_to_open_optunas_storage_leave_no_connection_open(
    postgres: Postgres, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"{postgres_url}&application_name=attempts"
    said = Said()
    real = _VersionManager._init_alembic

    def failing(manager: _VersionManager) -> None:
        if len(said.lines) < 3:
            raise bare(manager.engine)
        real(manager)

    monkeypatch.setattr(_VersionManager, "_init_alembic", failing)
    gc.disable()  # nor do they wait until their cycles are collected
    try:
        with closing(Store(url, patience=RetryPolicy(60.0, said))) as store:
            lifecycle.register(store, small_sweep())
        assert len(said.lines) == 3
        wait_for(partial(gone, postgres.url("postgres"), "attempts"))
    finally:
        gc.enable()


def gone(url: str, name: str) -> bool:
    """Tell whether nobody of a name is connected to a server any more."""
    query = "SELECT COUNT(*) FROM pg_stat_activity WHERE application_name = %s"
    with psycopg.connect(url) as connection:
        return connection.execute(query, [name]).fetchone() == (0,)


def bare(engine: Engine) -> Exception:
    """Return what a driver raises when a connection is lost."""
    error = engine.dialect.loaded_dbapi.OperationalError("lost")
    assert not hasattr(error, "orig")
    return error


def attempt(errors: Iterator[Exception | None]) -> str:
    error = next(errors)
    if error is not None:
        raise error
    return "done"


def test_a_server_that_was_never_there_is_not_waited_for(proxy: Proxy, server_url: str) -> None:
    said = Said()
    proxy.refuse()
    store = Store(through(proxy, server_url), patience=RetryPolicy(60.0, said))
    with pytest.raises(StorageError, match="refused"):
        store.names()
    assert said.lines == []
    proxy.accept()


def test_who_opens_a_storage_again_knows_that_it_was_there(proxy: Proxy, server_url: str) -> None:
    url = through(proxy, server_url)
    with closing(Store(url)) as first:
        first.upgrade()
    proxy.refuse()
    said = Said(over=proxy.accept)
    with closing(Store(url, patience=RetryPolicy(60.0, said))) as again:
        assert again.names() == ()
    assert len(said.lines) == 3


def test_a_name_that_resolves_no_more_is_waited_for(
    proxy: Proxy, server_url: str, tmp_path: Path
) -> None:
    namespace = mount_namespace()
    url = proxy.url(server_url, "database-of-sweeper.test", connect_timeout=5)
    done = subprocess.run(
        [*namespace, sys.executable, str(NO_NAME), str(tmp_path), url],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert (done.returncode, done.stdout) == (0, "waited\n"), done.stderr


@pytest.mark.postgres
def test_who_is_refused_for_good_is_told_at_once(postgres: Postgres, postgres_url: str) -> None:
    postgres.execute("DROP ROLE IF EXISTS locked", "CREATE ROLE locked LOGIN PASSWORD 'right'")
    wrong = postgres_url.replace("postgres@", "locked:wrong@")
    nowhere = postgres_url.replace("/test", "/nowhere")
    nobody = postgres_url.replace("postgres@", "nobody@")
    assert_refused({wrong: "authentication failed", nowhere: "not exist", nobody: "not exist"})


def test_who_is_refused_for_good_by_mariadb_is_told_at_once(mariadb_url: str) -> None:
    nobody = mariadb_url.replace("root@", "nobody:wrong@")
    assert_refused({nobody: "Access denied", f"{mariadb_url}x": "Unknown database"})


def assert_refused(urls: dict[str, str]) -> None:
    for url, words in urls.items():
        said = Said()
        # It was there before: a password was changed, or a database dropped.
        with (
            closing(Store(url, patience=RetryPolicy(60.0, said), reached=True)) as store,
            pytest.raises(StorageError, match=words),
        ):
            store.names()
        assert said.lines == []


@pytest.mark.postgres
def test_a_primary_that_became_a_standby_is_waited_for(
    postgres: Postgres, postgres_url: str
) -> None:
    name = postgres_url.partition("@/")[2].partition("?")[0]

    def read_only(value: str) -> None:
        postgres.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = {value}")

    said = Said(over=lambda: read_only("off"))
    with closing(Store(postgres_url, patience=RetryPolicy(60.0, said))) as store:
        lifecycle.register(store, small_sweep())
        store.close()
        read_only("on")
        store.stop("tiny")  # each attempt connects anew, which finds the new primary
        assert store.state("tiny") == "stopped"
        assert len(said.lines) == 3
        assert "read-only" in said.lines[0]
    read_only("on")
    said = Said()
    fresh = Store(f"{postgres_url}&application_name=fresh", patience=RetryPolicy(60.0, said))
    with closing(fresh), pytest.raises(StorageError, match="read-only"):
        fresh.stop("tiny")
    assert said.lines == []
    read_only("off")


def test_a_mariadb_that_takes_no_writes_is_waited_for_by_who_has_written(mariadb_url: str) -> None:
    with closing(Store(mariadb_url)) as store:
        lifecycle.register(store, small_sweep())
    url = f"{mariadb_url}?init_command=SET SESSION tx_read_only=1"
    for known, raised in ((False, StorageError), (True, Interrupted)):
        patience = RetryPolicy(60.0, Said(over=enough))
        with (
            closing(Store(url, patience=patience, reached=known)) as store,
            pytest.raises(raised, match=r"READ ONLY|enough"),
        ):
            store.stop("tiny")


def enough() -> None:
    raise Interrupted("enough")


@pytest.mark.postgres
def test_room_for_one_more_connection_is_waited_for(postgres: Postgres, postgres_url: str) -> None:
    postgres.execute("DROP ROLE IF EXISTS narrow", "CREATE ROLE narrow LOGIN CONNECTION LIMIT 0")
    said = Said(over=lambda: postgres.execute("ALTER ROLE narrow CONNECTION LIMIT 9"))
    with closing(Store(postgres_url)) as owner:
        owner.upgrade()
        owner._database.write(
            lambda c: c.execute(text("GRANT SELECT ON ALL TABLES IN SCHEMA public TO narrow"))
        )
    url = postgres_url.replace("postgres@", "narrow@")
    with closing(Store(url, patience=RetryPolicy(60.0, said))) as store:
        assert store.names() == ()
    assert "too many connections" in said.lines[0]


def test_a_worker_that_is_launched_in_an_outage_waits(proxy: Proxy, server_url: str) -> None:
    with closing(Store(server_url)) as store:
        lifecycle.register(store, small_sweep())
        store.stop("tiny")
    proxy.refuse()
    assert said_while_away([], through(proxy, server_url), proxy.accept, launched=True)
    # Nobody of this machine was there before one that is started by hand.
    proxy.refuse()
    assert "refused" in said_while_away(["worker", "tiny"], through(proxy, server_url), None)
    proxy.accept()


def test_status_is_watched_through_an_outage(proxy: Proxy, server_url: str) -> None:
    with closing(Store(server_url)) as store:
        lifecycle.register(store, small_sweep())
        worker = store.join("tiny", device="cpu")
        watching = sweeper(["status", "tiny", "--watch"], through(proxy, server_url))
        try:
            assert watching.stdout is not None
            assert "0 of" in watching.stdout.readline()
            proxy.refuse()
            assert "waiting for the database" in watching.stdout.readline()
            store.leave(worker)
            store.stop("tiny")
            proxy.accept()
            rest, _ = watching.communicate(timeout=240)
            assert watching.returncode == 0
            assert "tiny: stopped" in rest
        finally:
            watching.kill()
            watching.wait()


def said_while_away(
    words: list[str], url: str, over: Callable[[], None] | None, *, launched: bool = False
) -> str:
    """Return what a command writes; `over` ends the outage once it says that it waits."""
    parent = {"SWEEPER_PARENT": str(os.getpid())} if launched else {}
    process = sweeper(words or ["worker", "tiny"], url, **parent)
    try:
        assert process.stdout is not None
        if over is None:
            said, _ = process.communicate(timeout=240)
            assert process.returncode == StorageError.exit_code, said
            return said
        line = process.stdout.readline()
        assert "waiting for the database" in line
        over()
        said, _ = process.communicate(timeout=240)
        assert process.returncode == 0, said
        return line + said
    finally:
        process.kill()
        process.wait()


def sweeper(words: list[str], url: str, **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "sweeper", *words],
        env={**os.environ, **variables, "SWEEPER_STORAGE": url, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.slow
def test_outages_of_each_kind_cost_workers_nothing(proxy: Proxy, server_url: str) -> None:
    sweep = small_sweep(search={"trials": 8, "in_flight": 4})
    url = through(proxy, server_url)
    over = threading.Event()
    with closing(Store(server_url)) as store:
        lifecycle.register(store, sweep)
        with workers(url, 2, "--delay", "0.3") as crew:
            for enough, begin, end in (
                (2, proxy.refuse, proxy.accept),
                (6, proxy.freeze, proxy.thaw),
            ):
                wait_for(lambda enough=enough: store.status("tiny").done >= enough)  # type: ignore[misc]
                begin()
                over.wait(5.0)
                end()
            ended(crew)
        assert_exact_records(store, sweep)
