"""Scripts that do what they should not: a worker still ends, and nothing of them is left."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from support.processes import wait_for
from support.scripts import left_behind, registered_script, script_folder, script_sweep
from support.worker_processes import WorkerProcess, claimed, ended, worker_process
from sweeper.errors import Interrupted
from sweeper.store import Store
from sweeper.worker.worker_loop import work

pytestmark = pytest.mark.slow
SECONDS = 10.0
"""In which a worker ends, whatever a script does."""
HEAD = """
    import os, signal, subprocess, sys, threading, time
    from pathlib import Path

    def sockets():
        files = [Path(f"/proc/self/fd/{number}") for number in range(3, 100)]
        return [int(file.name) for file in files if file.is_socket()]

    def began(trial):
        (trial.folder / "began").touch()
"""
ENDLESS = {
    "steps on": """
        while True:
            trial.step()
            time.sleep(0.01)
    """,
    "never says a word": "time.sleep(1000)",
    "ignores SIGTERM": """
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            time.sleep(1)
    """,
    "catches all": """
        while True:
            try:
                trial.step()
                time.sleep(0.01)
            except BaseException:
                pass
    """,
    "computes in C": "sum(range(10**15))",
    "prints without end": """
        while True:
            os.write(1, b"x" * 65536)
    """,
    "forks daemons": """
        for _ in range(3):
            if os.fork() == 0:
                os.setsid()
                if os.fork():
                    os._exit(0)
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                time.sleep(1000)
        subprocess.run(["sleep", "1000"])
    """,
    "has a thread": """
        threading.Thread(target=time.sleep, args=(1000,)).start()
        time.sleep(1000)
    """,
}


def function(body: str) -> str:
    lines = "\n".join(f"    {line}" for line in body.strip("\n").splitlines())
    return f"{HEAD}\n    def train(trial):\n        began(trial)\n{indented(lines)}\n"


def indented(text: str) -> str:
    width = min(len(line) - len(line.lstrip()) for line in text.splitlines() if line.strip())
    return "\n".join(f"        {line[width:]}" for line in text.splitlines())


def begins(folder: Path) -> None:
    wait_for(lambda: list(folder.glob("sweeps/tiny/trials/*/*/began")))


@contextmanager
def at_work(folder: Path, body: str, url: str) -> Iterator[tuple[Store, WorkerProcess, str]]:
    """Have a worker at a function in a `with` block: the store, the worker, its processes' mark."""
    with (
        script_folder(folder, function(body)),
        closing(registered_script(url, script_sweep())) as store,
    ):
        mark = uuid4().hex
        with worker_process(url, "--script", str(folder), MARK=mark) as worker:
            begins(folder)
            time.sleep(0.3)  # by now it is at it
            yield store, worker, mark


@pytest.mark.parametrize("body", ENDLESS.values(), ids=ENDLESS)
def test_a_worker_that_is_asked_to_leave_ends_a_function(
    body: str, tmp_path: Path, sqlite_url: str
) -> None:
    with at_work(tmp_path, body, sqlite_url) as (store, worker, mark):
        ends_in_time(worker, mark)
        assert worker.returncode == Interrupted.exit_code
        assert claimed(store) == 0
        assert store.status("tiny").failures == {"given back": 1}
    (log,) = tmp_path.glob("sweeps/tiny/trials/*/*/output.log")
    assert log.stat().st_size < 5_100_000


def ends_in_time(worker: WorkerProcess, mark: str) -> None:
    """Ask a worker to leave; it does, and nothing that it has started goes on."""
    assert len(left_behind(mark)) >= 2  # the guard and the script
    asked = time.monotonic()
    worker.terminate()
    worker.wait(240)
    assert time.monotonic() - asked < SECONDS
    wait_for(lambda: not left_behind(mark), 5)


def test_a_worker_that_is_asked_to_leave_ends_a_command(tmp_path: Path, sqlite_url: str) -> None:
    script = """
        trap '' TERM
        setsid sleep 1000 &
        touch "$SWEEPER_FOLDER/began"
        while :; do :; done
    """
    with script_folder(tmp_path, script, "script.sh"):
        store = registered_script(sqlite_url, script_sweep(command=["sh", "script.sh"]))
        mark = uuid4().hex
        with worker_process(sqlite_url, "--script", str(tmp_path), MARK=mark) as worker:
            begins(tmp_path)
            ends_in_time(worker, mark)
    assert claimed(store) == 0
    store.close()


def test_a_sweep_that_is_stopped_ends_its_trials(tmp_path: Path, sqlite_url: str) -> None:
    with at_work(tmp_path, ENDLESS["computes in C"], sqlite_url) as (store, worker, mark):
        asked = time.monotonic()
        store.stop("tiny")
        ended([worker])
        assert time.monotonic() - asked < SECONDS
        assert left_behind(mark) == []
        assert claimed(store) == 0


@pytest.mark.parametrize("body", [ENDLESS["forks daemons"], ENDLESS["computes in C"]])
def test_of_a_worker_that_is_killed_nothing_is_left(
    body: str, tmp_path: Path, sqlite_url: str
) -> None:
    with at_work(tmp_path, body, sqlite_url) as (_, worker, mark):
        worker.kill()
        worker.wait(240)
        wait_for(lambda: not left_behind(mark), 5)


def test_what_hangs_is_ended_by_its_time_limit(tmp_path: Path, sqlite_url: str) -> None:
    body = """
        if trial.attempt == 1:
            time.sleep(1000)
        return {"size": 1, "validation": 0.5, "test": 0.5, "attempt": trial.attempt}
    """
    with script_folder(tmp_path, function(body)):
        sweep = script_sweep(time_limit=1.0, arms={"dense": {}}, search={"trials": 1})
        store = registered_script(sqlite_url, sweep)
        assert work("tiny", store, device="cpu") == 1
    (record,) = store.records("tiny")
    assert record.result.numbers == (("attempt", 2.0),)
    (arm,) = store.status("tiny").arms
    assert arm.last_error is not None
    assert arm.last_error.text.startswith("time_limit: it ran for longer than 1 s; output: ")
    store.close()


# What is done in the first attempt of a first trial, and the line that is on record for it.
FAILING = {
    "os._exit(3)": "exit code 3",
    "sys.exit(3)": "SystemExit: 3 (script.py:",
    "raise KeyboardInterrupt": "KeyboardInterrupt (script.py:",
    "os.kill(os.getpid(), 9)": "killed by SIGKILL, as where memory runs out",
    "os.kill(0, 9)": "killed by SIGKILL, as where memory runs out",
    "[os.write(number, b'null\\n') for number in sockets()]; time.sleep(1000)": (
        "it closed its channel to the worker"
    ),
    "os.closerange(0, 1024); time.sleep(1000)": "it closed its channel to the worker",
    "os.kill(os.getppid(), 9); time.sleep(1000)": "its guard was killed",
    "print('last words', flush=True); os._exit(1)": "exit code 1: last words",
}


@pytest.mark.parametrize(("statement", "line"), FAILING.items())
def test_what_ends_a_process_is_one_line_and_the_sweep_goes_on(
    statement: str, line: str, tmp_path: Path, sqlite_url: str
) -> None:
    body = f"""
        if trial.slot == 0 and trial.attempt == 1:
            {statement}
        return {{"size": 1, "validation": 0.5, "test": 0.5}}
    """
    before = children()
    with script_folder(tmp_path, function(body)):
        store = registered_script(sqlite_url, script_sweep(arms={"dense": {}}))
        assert work("tiny", store, device="cpu") == 2
    (arm,) = store.status("tiny").arms
    assert arm.failures == {"error": 1}
    assert arm.last_error is not None
    assert arm.last_error.text.startswith(line)
    assert len(arm.last_error.text.splitlines()) == 1
    store.close()
    assert children() <= before


# What is done in each trial, which ends well all the same; the second is whether one process
# does for all of them.
LEAVING = {
    "os.chdir('/')": True,
    "sys.stdin.read()": True,
    "os.environ.clear()": True,
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)": True,
    "os.close(1); os.close(2)": True,
    "sys.stdout.close()": False,
    "threading.Thread(target=time.sleep, args=(1000,)).start()": False,
    "subprocess.Popen(['sleep', '1000'], start_new_session=True)": False,
    "[os.write(1, b'x' * 65536) for _ in range(16_000)]": True,
}


@pytest.mark.parametrize(("statement", "is_used_again"), LEAVING.items())
def test_what_a_trial_leaves_behind_is_not_the_next_one_s(
    statement: str, is_used_again: bool, tmp_path: Path, sqlite_url: str
) -> None:
    body = f"""
        assert Path("script.py").exists() and "PATH" in os.environ
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
        print("here", flush=True)
        {statement}
        return {{"size": 1, "validation": 0.5, "test": 0.5, "process": os.getpid()}}
    """
    before = children()
    with script_folder(tmp_path, function(body)):
        store = registered_script(sqlite_url, script_sweep(arms={"dense": {}}))
        assert work("tiny", store, device="cpu") == 2
    assert store.status("tiny").failures == {}
    numbers = [dict(record.result.numbers)["process"] for record in store.records("tiny")]
    assert (len(set(numbers)) == 1) == is_used_again
    store.close()
    for log in tmp_path.glob("sweeps/tiny/trials/*/*/output.log"):
        assert log.read_text().startswith("here\n")
        assert log.stat().st_size < 5_100_000
    wait_for(lambda: children() <= before, 5)


def test_a_fork_that_returns_from_the_function_is_no_result(
    tmp_path: Path, sqlite_url: str
) -> None:
    body = """
        if os.fork() == 0:
            time.sleep(0.1 * trial.slot)
        return {"size": trial.slot, "validation": 0.5, "test": 0.5}
    """
    with script_folder(tmp_path, function(body)):
        sweep = script_sweep(arms={"dense": {}}, search={"trials": 4})
        store = registered_script(sqlite_url, sweep)
        assert work("tiny", store, device="cpu") == 4
    sizes = [record.result.pruned for record in store.records("tiny")]
    assert [judged.nonzero for judged in sizes if judged] == [0, 1, 2, 3]
    assert store.status("tiny").failures == {}
    store.close()


def children() -> set[int]:
    """Return the processes, zombies too, that this one has started and not waited for."""
    found = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    return {int(child) for part in found for child in part.read_text().split()}


def test_a_worker_takes_signals_while_a_function_is_loaded(tmp_path: Path, sqlite_url: str) -> None:
    script = "import pathlib, time\npathlib.Path('loading').touch()\ntime.sleep(1000)\n"
    with script_folder(tmp_path, script):
        store = registered_script(sqlite_url, script_sweep())
        mark = uuid4().hex
        with worker_process(sqlite_url, "--script", str(tmp_path), MARK=mark) as worker:
            wait_for((tmp_path / "loading").exists)
            worker.send_signal(signal.SIGINT)
            worker.wait(240)
            assert worker.returncode == Interrupted.exit_code
            assert left_behind(mark) == []
    store.close()
