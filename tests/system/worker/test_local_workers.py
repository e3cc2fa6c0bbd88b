"""The local launcher, with real processes whose training takes no torch."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from support.fakes import small_sweep
from support.paths import ROOT, SUPPORT
from sweeper import lifecycle
from sweeper.errors import InputError, Interrupted, TrainingError
from sweeper.store import Store
from sweeper.types import SweepStatus
from sweeper.worker import interrupts
from sweeper.worker.launch import local_workers
from sweeper.worker.launch.local_workers import run_workers

pytestmark = pytest.mark.slow
FAKES = str(SUPPORT / "fakes.py")


@pytest.fixture
def store(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    store = Store(sqlite_url)
    lifecycle.register(store, small_sweep(search={"sampler": "qmc", "trials": 3}))
    yield store
    store.close()


def run(store: Store, tmp_path: Path, *options: str, **changes: Any) -> None:
    """Run the tiny sweep; `options` are those of `fakes.py`."""
    usual: dict[str, Any] = {
        "devices": ("cpu", "cpu"),
        "pack": 2,
        "logs": tmp_path / "logs",
        "every": 0.1,
        "command": [sys.executable, FAKES, *options],
    }
    run_workers("tiny", store, **{**usual, **changes})


def children() -> set[int]:
    """Return the processes, zombies too, that this one has started and not waited for."""
    found = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    return {int(child) for part in found for child in part.read_text().split()}


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    before = children()
    yield
    assert children() <= before


def claimed(status: SweepStatus) -> int:
    return sum(arm.claimed for arm in status.arms)


def test_workers_finish_a_sweep_and_the_launcher_shows_its_progress(
    store: Store, tmp_path: Path
) -> None:
    seen: list[SweepStatus] = []
    run(store, tmp_path, on_status=seen.append)
    assert store.finished("tiny")
    assert store.status("tiny").done == 9
    assert seen[-1].finished
    assert seen[0].done == 0
    logs = sorted(path.name for path in (tmp_path / "logs").iterdir())
    assert logs == ["worker-0.log", "worker-1.log"]


def test_a_dead_worker_is_replaced_and_costs_no_trial(store: Store, tmp_path: Path) -> None:
    killed: list[int] = []

    def kill_one(status: SweepStatus) -> None:
        busy = [worker for worker in status.workers if worker.alive and worker.slots]
        if busy and not killed:
            killed.append(busy[0].pid)
            os.kill(busy[0].pid, signal.SIGKILL)

    run(store, tmp_path, "--delay", "0.3", devices=("cpu",), on_status=kill_one)
    assert killed
    assert store.finished("tiny")
    assert len(store.records("tiny")) == 9


def test_ctrl_c_ends_the_workers_and_gives_their_slots_back(store: Store, tmp_path: Path) -> None:
    def interrupt(status: SweepStatus) -> None:
        if claimed(status):
            os.kill(os.getpid(), signal.SIGINT)

    notes: list[str] = []
    with pytest.raises(Interrupted, match="SIGINT"):
        run(store, tmp_path, "--delay", "600", on_status=interrupt, on_note=notes.append)
    status = store.status("tiny")
    assert (claimed(status), status.done, status.lost) == (0, 0, {})
    assert set(status.failures) == {"given back"}
    assert notes == ["stopping: workers give back what they hold, in at most 10 seconds"]


def test_ctrl_c_that_a_library_has_swallowed_is_heard(store: Store, tmp_path: Path) -> None:
    with interrupts.remembered():
        with suppress(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(10)
        with pytest.raises(Interrupted, match="SIGINT"):
            run(store, tmp_path, "--delay", "600")
    assert claimed(store.status("tiny")) == 0
    run(store, tmp_path)
    assert store.finished("tiny")


def test_a_worker_that_does_not_end_is_killed(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_workers, "GRACE", 0.2)
    began: list[float] = []

    def interrupt(status: SweepStatus) -> None:
        if not began and (tmp_path / "logs" / "worker-0.log").read_text():
            began.append(time.monotonic())
            os.kill(os.getpid(), signal.SIGTERM)

    deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); print('on'); time.sleep(600)"
    with pytest.raises(Interrupted, match="SIGTERM"):
        run(
            store,
            tmp_path,
            devices=("cpu",),
            on_status=interrupt,
            command=[sys.executable, "-uc", deaf],
        )
    assert time.monotonic() - began[0] < 240


@pytest.mark.parametrize(
    ("how", "error", "text"),
    [
        ("raise", TrainingError, r"^arm dense: ValueError: no such thing \(3 times\)$"),
        ("input", InputError, r"^mnist: files are missing$"),
        ("kill", TrainingError, r"2 times without a result \(log: .*\): killed by SIGKILL"),
    ],
)
def test_a_sweep_that_cannot_be_trained_ends_with_the_workers_last_line(
    store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    how: str,
    error: type[Exception],
    text: str,
) -> None:
    monkeypatch.setattr(local_workers, "DEATHS", 2)
    with pytest.raises(error, match=text) as caught:
        run(store, tmp_path, "--fail", how, devices=("cpu",))
    # A worker that was killed said nothing of why: what it wrote last is shown.
    assert len(str(caught.value).splitlines()) <= (6 if how == "kill" else 1)
    assert claimed(store.status("tiny")) == 0


def test_a_stopped_sweep_ends_the_run_quietly(store: Store, tmp_path: Path) -> None:
    def stop(status: SweepStatus) -> None:
        if claimed(status) and status.state == "open":
            store.stop("tiny")

    run(store, tmp_path, "--delay", "600", devices=("cpu",), on_status=stop)
    assert store.status("tiny").done == 0
    assert claimed(store.status("tiny")) == 0


def test_secrets_and_the_storage_are_not_among_the_arguments(store: Store, tmp_path: Path) -> None:
    seen: list[str] = []

    def look(status: SweepStatus) -> None:
        seen.extend(Path(f"/proc/{child}/cmdline").read_text() for child in children())

    run(store, tmp_path, devices=("cpu",), on_status=look)
    assert any("fakes.py" in line for line in seen)
    assert not any("sqlite" in line for line in seen)


def test_a_launcher_outside_the_main_thread_works_too(store: Store, tmp_path: Path) -> None:
    thread = threading.Thread(target=run, args=(store, tmp_path), kwargs={"devices": ("cpu",)})
    thread.start()
    thread.join()
    assert store.finished("tiny")
