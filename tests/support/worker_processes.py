"""Workers as processes, and the exact budget that they must leave."""

import os
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from support import fakes
from support.fakes import fake_result, optuna_study
from support.processes import LONG
from sweeper import lifecycle
from sweeper.config import Sweep
from sweeper.store import Store

LEASE = 2.0
"""Seconds of the leases of workers that are killed."""
SERVER = get_context("forkserver")
# A worker with an interpreter of its own takes three seconds of a CPU to import what it needs; a
# fork of a process that has it takes none. Modules of the installed package only: a fork server's
# path is not that of pytest.
SERVER.set_forkserver_preload(
    ["optuna.storages", "alembic.command", "psycopg", "pymysql", "sweeper.worker.worker_loop"]
)


def _work(arguments: Sequence[str], environment: Mapping[str, str], output: Path) -> None:
    """Be the program `fakes.py`."""
    with output.open("ab", buffering=0) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["fakes.py", *arguments]
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    fakes.main()


class WorkerProcess:
    """A worker that trains without torch, in a process of its own; used as Popen is."""

    def __init__(self, url: str, *arguments: str, **environment: str) -> None:
        handle, name = tempfile.mkstemp(prefix="sweeper-worker-")
        os.close(handle)
        self._output = Path(name)
        given = {**os.environ, "SWEEPER_STORAGE": url, **environment}
        self._process = SERVER.Process(target=_work, args=(arguments, given, self._output))
        self._process.start()
        self.pid = self._process.pid or 0

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self.returncode

    def send_signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired("worker", timeout or 0, self._output.read_bytes())
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, None]:
        """Wait for its end; return what it wrote."""
        self.wait(timeout)
        return self._output.read_text(), None

    def close(self) -> None:
        """End it, and leave nothing behind."""
        self.kill()
        self.wait()
        self._output.unlink()


@contextmanager
def worker_process(
    url: str, *options: str, name: str = "tiny", **environment: str
) -> Iterator[WorkerProcess]:
    """Run a worker as a process of its own, and leave none behind."""
    with closing(WorkerProcess(url, name, *options, **environment)) as process:
        yield process


@contextmanager
def workers(url: str, count: int, *options: str) -> Iterator[list[WorkerProcess]]:
    """Start workers whose leases are short; none is left behind."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(worker_process(url, "--lease", str(LEASE), *options))
            for _ in range(count)
        ]


def claimed(store: Store) -> int:
    return sum(arm.claimed for arm in store.status("tiny").arms)


def facts(store: Store) -> list[tuple[Any, ...]]:
    """What must not depend on who worked: trial numbers and sizes of packs do."""
    return [
        (*one.place, one.params, one.config, replace(one.result, pack=1))
        for one in store.records("tiny")
    ]


def states(store: Store, arm: str = "l1") -> dict[str, int]:
    """How many trials of an arm's first repeat have each state.

    TOLD are those with a result, whether or not it left a network to judge; FAIL those without.
    """
    study = optuna_study(store.url, f"tiny/{arm}/0")
    found = [
        "TOLD"
        if trial.state.name == "COMPLETE" or "outcome" in trial.user_attrs
        else trial.state.name
        for trial in study.trials
    ]
    return {state: found.count(state) for state in set(found)}


def assert_pooled(store: Store, sweep: Sweep) -> None:
    """Every network on record is a trial of the sweep's own study, once."""
    there = Counter(
        (*trial.user_attrs["network"].split("/"), trial.params["arm"])
        for trial in optuna_study(store.url, sweep.name).trials
    )
    assert there == {
        (arm, str(repeat), str(slot), *([str(network)] if network else []), arm): 1
        for arm, repeat, slot, network in (record.place for record in store.records(sweep.name))
    }


def assert_exact(store: Store, sweep: Sweep) -> None:
    """Every network of every slot has one fact and one told trial; nothing is left running."""
    assert store.finished("tiny")
    found = [one.place for one in store.records("tiny")]
    many = sweep.networks_of_slot
    arms = [
        (arm, repeat, slot, network)
        for arm in sweep.arms
        for repeat in range(sweep.search.repeats)
        for slot in range(sweep.search.trials)
        for network in range(many)
    ]
    assert found == arms
    assert claimed(store) == 0
    assert store.unreported("tiny") == ()
    for arm in sweep.arms:
        counts = states(store, arm)
        assert counts.get("RUNNING", 0) == 0
        assert counts.get("TOLD", 0) == sweep.search.trials * many
    for one in store.records("tiny"):
        study = optuna_study(store.url, one.slot.study)
        told = study.trials[one.trial]
        assert told.user_attrs["slot"] == one.slot.number
        if sweep.script is None:
            assert told.user_attrs["density"] == one.config.density
        assert told.params == one.params
        judged = one.result.pruned if one.result.state == "complete" else None
        assert told.values == ([judged.nonzero, judged.val_accuracy] if judged else None)
    lifecycle.publish(store, sweep.name, force=True)  # as the next start does, were all killed
    assert_pooled(store, sweep)


def ended(processes: list[WorkerProcess], seconds: float = LONG) -> list[str]:
    """Wait until all have ended well, and return what they wrote."""
    said = []
    for process in processes:
        text, _ = process.communicate(timeout=seconds)
        assert process.returncode == 0, text
        said.append(text)
    return said


def registered(url: str, sweep: Sweep) -> Store:
    store = Store(url)
    lifecycle.register(store, sweep)
    return store


def has(store: Store, trials: int) -> bool:
    return store.status("tiny").done >= trials


def assert_exact_records(store: Store, sweep: Sweep) -> None:
    """Each slot has its one record, which is right, and Optuna is told the same of each."""
    for record in store.records(sweep.name):
        expected = fake_result(record.config)
        assert (record.result.state, record.result.pruned) == (expected.state, expected.pruned)
    lifecycle.recover(store, sweep.name)
    assert_exact(store, sweep)
