"""Stores: a second one for what is copied to another database, and one of a finished sweep."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from support.fakes import fake_train, small_sweep
from support.postgres import Postgres
from sweeper import lifecycle
from sweeper.config import Sweep
from sweeper.store import Store
from sweeper.worker.worker_loop import work


@pytest.fixture
def other(storage_url: str, postgres: Postgres, tmp_path: Path) -> Iterator[Store]:
    """A store of the other kind: from SQLite to PostgreSQL, and back."""
    if storage_url.startswith("sqlite"):
        with postgres.database() as url, closing(Store(url)) as found:
            yield found
    else:
        with closing(Store(f"sqlite:///{tmp_path}/other.db")) as found:
            yield found


@pytest.fixture
def finished(tmp_path: Path) -> Iterator[tuple[Store, Sweep]]:
    """A storage, and the finished sweep `tiny` in it."""
    with closing(Store(f"sqlite:///{tmp_path}/sweeper.db")) as store:
        sweep = small_sweep()
        lifecycle.register(store, sweep)
        work("tiny", store, pack=8, train=fake_train)
        yield store, sweep
