"""A storage of the dashboard that a test may change."""

from pathlib import Path

import pytest

from support.dashboard_server import filled
from sweeper.store import Store


@pytest.fixture
def filled_store(tmp_path: Path) -> Store:
    """A storage with a study, of id 1, and a registered sweep."""
    return filled(tmp_path)
