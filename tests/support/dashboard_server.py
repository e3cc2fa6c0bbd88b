"""A dashboard on a free port, and a storage for it to serve."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Queue
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
    store = Store(f"sqlite:///{folder}/filled.db")
    store.upgrade()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(storage=store.url, study_name="toy", directions=["minimize"] * 2)
    study.optimize(lambda t: (t.suggest_float("x", 0, 1), t.suggest_float("y", 0, 1)), n_trials=5)
    lifecycle.register(store, small_sweep())
    return store
