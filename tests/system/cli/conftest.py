"""The database of a finished sweep, made once; and commands that are not silent for long."""

import math
from pathlib import Path

import pytest

from support.fakes import fake_train
from support.study_text import TINY
from sweeper import lifecycle
from sweeper.cli import activity
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


@pytest.fixture(autouse=True)
def no_activity(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What goes on is told on stderr after seconds: on a busy machine, in any command.

    Tests of that have a module of their own.
    """
    if "silences" not in request.module.__name__:
        monkeypatch.setattr(activity, "FIRST_SECONDS", math.inf)
        monkeypatch.setattr(activity, "TERMINAL_SECONDS", 3600.0)
