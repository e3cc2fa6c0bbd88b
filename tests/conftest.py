"""Usual surroundings; real databases: a fresh SQLite file, a fresh one of a real PostgreSQL."""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

from support import documented_sweeps
from support.postgres import Postgres
from support.surroundings import set_usual_surroundings
from sweeper.config import Sweep, registry
from sweeper.store import Store


def pytest_configure(config: pytest.Config) -> None:
    """Have no test depend on who has started the run, and how: see `surroundings`.

    Examples in docstrings lie outside of this folder: their fixtures come as a plugin.
    """
    set_usual_surroundings()
    config.pluginmanager.register(documented_sweeps, "documented_sweeps")
    # What a draw takes, and how many of them fit, is chance and no fault of what is tested.
    chance = [HealthCheck.too_slow, HealthCheck.filter_too_much]
    settings.register_profile("busy machine", deadline=None, suppress_health_check=chance)
    settings.load_profile("busy machine")


def pytest_xdist_auto_num_workers() -> int:
    """Return how many processes test: one more than there are CPUs, for many tests only wait.

    Eight at most: each has a PostgreSQL and a PyTorch of its own.
    """
    return min(8, len(os.sched_getaffinity(0)) + 1)


@pytest.fixture(autouse=True)
def forgotten_modules(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Forget what a test imported from folders of its own, and the folders on the path.

    Else the next one whose module has the same name is given the first one's.
    """
    modules, path = set(sys.modules), [*sys.path]
    yield
    base = tmp_path_factory.getbasetemp()
    for name in set(sys.modules) - modules:
        file = getattr(sys.modules[name], "__file__", None)
        if file and Path(file).is_relative_to(base):
            del sys.modules[name]
    if sys.path != path:
        sys.path[:] = path
        registry.plugins.cache_clear()
        registry.dataset_plugins.cache_clear()


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


@pytest.fixture(scope="session")
def upgraded_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with the schema; made once, copied by each test."""
    file = tmp_path_factory.mktemp("upgraded") / "sweeps.db"
    with closing(Store(f"sqlite:///{file}")) as store:
        store.upgrade()
    return file


@pytest.fixture
def sqlite_store(sqlite_url: str, upgraded_file: Path) -> Iterator[Store]:
    """A store with its schema in a SQLite file, for what is the same on every kind of database."""
    shutil.copy(upgraded_file, sqlite_url.removeprefix("sqlite:///"))
    with closing(Store(sqlite_url)) as store:
        yield store


@pytest.fixture
def store(storage_url: str, upgraded_file: Path) -> Iterator[Store]:
    """A store with its schema; the test runs once on each kind of database."""
    file = storage_url.startswith("sqlite")
    if file:
        shutil.copy(upgraded_file, storage_url.removeprefix("sqlite:///"))
    with closing(Store(storage_url)) as store:
        if not file:
            store.upgrade()
        yield store


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
