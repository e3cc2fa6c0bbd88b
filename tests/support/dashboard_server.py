"""A dashboard on a free port, and a storage for it to serve."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from queue import Queue
from tempfile import TemporaryDirectory
from typing import Any

import optuna
import pytest

from support.fakes import small_sweep
from sweeper import lifecycle
from sweeper.dashboard.server import serve
from sweeper.dashboard.server.connections import HTTPServer
from sweeper.store import Store


@contextmanager
def running(store: Store, monkeypatch: pytest.MonkeyPatch, **options: Any) -> Iterator[str]:
    """Serve on a free port in a thread; give the URL that was announced."""
    made: list[HTTPServer] = []
    usual = serve._listen

    def remembered(host: str, port: int) -> HTTPServer:
        made.append(usual(host, port))
        return made[-1]

    monkeypatch.setattr(serve, "_listen", remembered)
    said: Queue[str] = Queue()
    thread = threading.Thread(
        target=serve.serve, args=(store, "127.0.0.1", 0), kwargs={"announce": said.put, **options}
    )
    thread.start()
    try:
        yield said.get(timeout=240)
    finally:
        made[0].shutdown()
        thread.join()


def filled(folder: Path) -> Store:
    """A storage with our tables and one study, of id 1, with trials."""
    file = folder / "filled.db"
    file.write_bytes(_filled_file())
    return Store(f"sqlite:///{file}")


@cache
def _filled_file() -> bytes:
    """The content of a file that is filled once: many tests begin with a copy."""
    with TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/filling.db"
        with closing(Store(url)) as store:
            store.upgrade()
            optuna.logging.set_verbosity(optuna.logging.WARNING)
            study = optuna.create_study(storage=url, study_name="toy", directions=["minimize"] * 2)
            study.optimize(
                lambda t: (t.suggest_float("x", 0, 1), t.suggest_float("y", 0, 1)), n_trials=5
            )
            lifecycle.register(store, small_sweep())
        whole = Path(folder, "whole.db")
        with closing(sqlite3.connect(f"{folder}/filling.db")) as database:
            database.execute("VACUUM INTO ?", [str(whole)])
        return whole.read_bytes()
