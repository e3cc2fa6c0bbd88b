"""The database of a finished sweep, made once."""

from pathlib import Path

import pytest

from support.fakes import fake_train
from support.study_text import TINY
from sweeper import lifecycle
from sweeper.config import Sweep
from sweeper.store import Store
from sweeper.worker.worker_loop import work


@pytest.fixture(scope="session")
def finished_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database of the finished sweep `tiny`; made once, copied by each test."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "tiny.yaml").write_text(TINY)
    store = Store(f"sqlite:///{folder}/sweeper.db")
    lifecycle.register(store, Sweep.load(folder / "tiny.yaml"))
    work("tiny", store, pack=16, train=fake_train, data=None)
    store.close()
    return folder / "sweeper.db"
