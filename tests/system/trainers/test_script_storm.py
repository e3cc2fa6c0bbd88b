"""Storms over scripts: nodes are killed and frozen, budgets stay exact, checkpoints are used.

`pytest -m soak` has sixteen workers for minutes, SWEEPER_SOAK_SECONDS; usually there are four.
"""

import os
import random
import shutil
import signal
import time
from collections import defaultdict
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from support.scripts import registered_script, script_folder, script_sweep
from support.worker_processes import WorkerProcess, assert_exact, worker_process
from sweeper import lifecycle
from sweeper.config import Sweep
from sweeper.store import Store
from sweeper.trainers.process_tree import descendants
from sweeper.types import TrialRecord

SECONDS = float(os.environ.get("SWEEPER_SOAK_SECONDS", "300"))
LEASE = 6.0
"""Seconds: long enough that on a busy machine none expires by itself."""
FUNCTION = """
    import os, time

    def note(*words):
        with open("notes", "a") as file:
            file.write(" ".join(map(str, words)) + chr(10))

    def train(trial):
        who = trial.arm, trial.slot, trial.attempt, os.getpid()
        state = trial.folder / "state"
        done = int(state.read_text()) if state.exists() else 0
        note("begins", *who, done)
        for epoch in range(done + 1, 21):
            trial.step(epoch / 20)
            time.sleep(0.1)
            trial.report(epoch, val_accuracy=trial.params["rate"])
            if epoch % 4 == 0:
                state.write_text(str(epoch))
                trial.checkpoint()
                note("kept", *who, epoch)
        return {
            "size": round(1e6 * trial.params["rate"]),
            "validation": trial.params["rate"],
            "test": 0.5,
            "attempt": trial.attempt,
        }
"""


class Nodes:
    """Machines with a worker each: every one has its own folder of trials, all one of artifacts."""

    def __init__(self, url: str, folder: Path, count: int) -> None:
        self._url, self._folder = url, folder
        self._stacks: list[ExitStack] = []
        self._workers: list[WorkerProcess] = []
        self.killed: set[int] = set()
        """Processes that were killed, and never frozen before."""
        self._frozen: dict[int, set[int]] = {}
        self._made = 0
        for place in range(count):
            self._stacks.append(ExitStack())
            self._workers.append(self._start(place))

    def _start(self, place: int) -> WorkerProcess:
        self._made += 1
        options = {
            "lease": str(LEASE),
            "script": str(self._folder),
            "trials": str(self._folder / f"node-{place}-{self._made}"),
            "artifacts": str(self._folder / "artifacts"),
        }
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        return self._stacks[place].enter_context(worker_process(self._url, *words))

    def kill(self, place: int) -> None:
        """Kill the worker of a machine, whose folder is lost with it; start another."""
        worker = self._workers[place]
        processes = set(descendants(worker.pid))
        worker.kill()
        worker.wait(240)
        if place not in self._frozen:
            self.killed |= processes
        self._frozen.pop(place, None)
        for folder in self._folder.glob(f"node-{place}-*"):
            shutil.rmtree(folder, ignore_errors=True)
        self._stacks[place].close()
        self._workers[place] = self._start(place)

    def freeze(self, place: int, number: signal.Signals) -> None:
        """Stop or continue all of a machine."""
        pid = self._workers[place].pid
        for process in [pid, *descendants(pid)]:
            if self._workers[place].poll() is None:
                with suppress(ProcessLookupError):  # it has ended since it was seen
                    os.kill(process, number)
        self._frozen[place] = set()

    def replace_ended(self, place: int) -> None:
        """Start another where a worker has given up."""
        if self._workers[place].poll() is not None:
            self._stacks[place].close()
            self._workers[place] = self._start(place)

    def close(self) -> None:
        for stack in self._stacks:
            stack.close()


@pytest.mark.postgres
@pytest.mark.timeout(1500)
@pytest.mark.parametrize(
    ("count", "seconds"),
    [
        pytest.param(4, 20.0, marks=pytest.mark.slow, id="short"),
        pytest.param(16, SECONDS, marks=pytest.mark.soak, id="long"),
    ],
)
def test_scripts_under_a_storm(
    count: int, seconds: float, postgres_url: str, tmp_path: Path
) -> None:
    # More than they can do in that time: the storm is to end before the sweep does.
    trials = max(6, round(count * seconds / 2.5 / 2))
    sweep = script_sweep(search={"sampler": "random", "trials": trials})
    chance = random.Random(0)
    with script_folder(tmp_path, FUNCTION):
        store = registered_script(postgres_url, sweep)
        nodes = Nodes(postgres_url, tmp_path, count)
        try:
            began, seen = time.monotonic(), 0
            while time.monotonic() - began < seconds:
                time.sleep(1.5)
                place = chance.randrange(count)
                if chance.random() < 0.25:
                    nodes.freeze(place, signal.SIGSTOP)
                    time.sleep(LEASE + 1)
                    nodes.freeze(place, signal.SIGCONT)
                else:
                    nodes.kill(place)
                records = len(store.records("tiny"))
                assert records >= seen  # what is on record stays
                seen = records
            until = time.monotonic() + 900
            while not store.finished("tiny") and time.monotonic() < until:
                time.sleep(1)
                for place in range(count):
                    nodes.replace_ended(place)
        finally:
            nodes.close()
    assert nodes.killed
    lifecycle.recover(store, sweep.name)
    assert_exact(store, sweep)
    assert_measured(store, sweep)
    assert_checkpoints_used(tmp_path / "notes", nodes.killed)
    store.close()


def assert_measured(store: Store, sweep: Sweep) -> None:
    """Every record is what its configuration gives, with all of its learning curve."""
    for record in store.records(sweep.name):
        rate = dict(record.config.values)["rate"]
        judged = record.result.pruned
        assert judged is not None
        assert isinstance(rate, float)
        assert (judged.nonzero, judged.val_accuracy) == (round(1e6 * rate), rate)
        assert [point.epoch for point in record.result.learning] == list(range(1, 21))
    assert max(attempt(record) for record in store.records(sweep.name)) >= 2


def attempt(record: TrialRecord) -> float:
    return dict(record.result.numbers)["attempt"]


def assert_checkpoints_used(notes: Path, killed: set[int]) -> None:
    """An attempt goes on at least where one that was killed had kept its folder last."""
    kept: dict[tuple[str, str], int] = defaultdict(int)
    begun: dict[tuple[str, str], list[int]] = defaultdict(list)
    gone_on = 0
    for line in notes.read_text().splitlines():
        what, arm, slot, number, pid, epoch = line.split()
        trial = arm, slot
        if what == "begins":
            assert int(number) not in begun[trial]  # no two have one number
            begun[trial].append(int(number))
            assert int(epoch) >= kept[trial], line
            gone_on += int(epoch) > 0
        elif int(pid) in killed:
            kept[trial] = max(kept[trial], int(epoch))
    assert gone_on
