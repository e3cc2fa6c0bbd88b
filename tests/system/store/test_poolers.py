"""A PgBouncer in transaction mode, as installed, between sweeper and PostgreSQL."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Connection, text

from support.fakes import small_sweep
from support.postgres import Postgres
from support.processes import wait_for
from support.worker_processes import assert_exact_records, ended, workers
from sweeper import lifecycle
from sweeper.operations.doctor.storage_checks import examine_storage
from sweeper.store import Store

pytestmark = pytest.mark.postgres

SETTINGS = """
[databases]
* = host={home}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {folder}/users
pool_mode = transaction
default_pool_size = 4
"""


@pytest.fixture
def pooler(postgres: Postgres, tmp_path: Path) -> Iterator[int]:
    """The port of a pooler before the session's server; skipped where none is installed."""
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip("pgbouncer is not installed")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    folder = postgres.folder  # which another user may read
    (folder / "users").write_text('"postgres" ""\n')
    file = folder / f"pgbouncer-{port}.ini"
    file.write_text(SETTINGS.format(home=postgres.home, port=port, folder=folder))
    account = {"user": 65534, "group": 65534} if os.geteuid() == 0 else {}
    log = tmp_path / "pgbouncer.log"
    with log.open("w") as out:
        process = subprocess.Popen([program, str(file)], stdout=out, stderr=out, **account)  # type: ignore[call-overload]
    try:
        wait_for(lambda: answers(port) or process.poll() is not None)
        assert process.poll() is None, log.read_text()
        yield port
    finally:
        process.kill()
        process.wait()


def answers(port: int) -> bool:
    with suppress(OSError):
        socket.create_connection(("127.0.0.1", port)).close()
        return True
    return False


@pytest.fixture
def pooled_url(postgres_url: str, pooler: int) -> str:
    """The URL of an empty database by way of the pooler."""
    name = postgres_url.partition("@/")[2].partition("?")[0]
    return f"postgresql://postgres@127.0.0.1:{pooler}/{name}"


def timeouts(connection: Connection) -> tuple[str, str]:
    names = ("lock_timeout", "idle_in_transaction_session_timeout")
    values = [str(connection.scalar(text(f"SHOW {name}"))) for name in names]
    return values[0], values[1]


def test_workers_get_through_a_pooler_as_without(pooled_url: str) -> None:
    sweep = small_sweep(search={"trials": 4, "in_flight": 2})
    with closing(Store(pooled_url)) as store:
        lifecycle.register(store, sweep)
        with workers(pooled_url, 2, "--delay", "0.05") as crew:
            ended(crew)
        assert_exact_records(store, sweep)
        lifecycle.delete(store, sweep.name)


def test_each_transaction_has_the_timeouts_and_leaves_none(pooled_url: str) -> None:
    with closing(Store(pooled_url)) as store:
        for _ in range(3):
            assert store._database.read(timeouts) == ("30s", "20s")
            assert store._database.write(timeouts) == ("30s", "20s")
    # Other programs get the same sessions of the pooler.
    with psycopg.connect(pooled_url, prepare_threshold=None) as other:
        row = other.execute("SELECT current_setting('lock_timeout')").fetchone()
    assert row == ("0",)


def test_a_session_of_our_own_is_set_once(postgres_url: str) -> None:
    with closing(Store(postgres_url)) as store:
        assert store._database.read(timeouts) == ("30s", "20s")
        assert store._database.write(timeouts) == ("30s", "20s")
    options = f"{postgres_url}&options=-c%20lock_timeout%3D7s"
    with closing(Store(options)) as store:  # whoever sets options sets all of them
        assert store._database.read(timeouts) == ("7s", "0")


def test_the_doctor_names_a_pooler(pooled_url: str, postgres_url: str) -> None:
    for url, answer in ((pooled_url, "it answers, through a pooler"), (postgres_url, "it answers")):
        reach = next(one for one in examine_storage(url) if one.check == "reach")
        assert (reach.state, reach.result) == ("ok", answer)
