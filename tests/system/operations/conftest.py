"""A second store for what is copied from one database to another."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from support.postgres import Postgres
from sweeper.store import Store


@pytest.fixture
def other(storage_url: str, postgres: Postgres, tmp_path: Path) -> Iterator[Store]:
    """A store of the other kind: from SQLite to PostgreSQL, and back."""
    if storage_url.startswith("sqlite"):
        with postgres.database() as url, closing(Store(url)) as found:
            yield found
    else:
        with closing(Store(f"sqlite:///{tmp_path}/other.db")) as found:
            yield found
