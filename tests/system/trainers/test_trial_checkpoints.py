"""Long trainings survive: killed nodes, frozen workers, other machines, with real processes."""

import os
import shutil
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from support.processes import wait_for
from support.scripts import registered_script, script_folder, script_sweep
from support.worker_processes import LEASE, WorkerProcess, assert_exact, ended, worker_process
from sweeper.store import Store
from sweeper.trainers.process_tree import descendants

pytestmark = pytest.mark.slow
EPOCHS = 40
# Each epoch is noted in a file outside, by which the test sees who did what.
FUNCTION = f"""
    import json, os, time
    from pathlib import Path

    NOTES = Path("notes")

    def train(trial):
        state = trial.folder / "state.json"
        done = json.loads(state.read_text())["epoch"] if state.exists() else 0
        for epoch in range(done + 1, {EPOCHS} + 1):
            trial.step(epoch / {EPOCHS})
            time.sleep(0.05)
            trial.report(epoch, val_accuracy=epoch / 100)
            fresh = trial.folder / "state.tmp"
            fresh.write_text(json.dumps({{"epoch": epoch, "attempt": trial.attempt}}))
            fresh.replace(state)
            with NOTES.open("a") as file:
                file.write(f"{{trial.arm}} {{trial.attempt}} {{epoch}}\\n")
            if epoch % 5 == 0:
                trial.checkpoint()
        return {{"size": 1, "validation": 0.5, "test": 0.5, "attempt": trial.attempt}}
"""
SWEEP: dict[str, Any] = {"arms": {"dense": {}}, "search": {"trials": 1}}


def notes(folder: Path, attempt: int) -> list[int]:
    """Return the epochs that an attempt has trained."""
    file = folder / "notes"
    lines = [line.split() for line in file.read_text().splitlines()] if file.exists() else []
    return [int(epoch) for _, number, epoch in lines if int(number) == attempt]


def node(folder: Path, trials: str, artifacts: Path | None = None) -> list[str]:
    """Return the options of a worker on a node with its own folder of trials."""
    options = ["--lease", str(LEASE), "--script", str(folder), "--trials", str(folder / trials)]
    return [*options, *(["--artifacts", str(artifacts)] if artifacts else [])]


def attempts_on_record(store: Store) -> list[float]:
    return [dict(record.result.numbers)["attempt"] for record in store.records("tiny")]


def test_another_node_goes_on_at_the_last_checkpoint(tmp_path: Path, sqlite_url: str) -> None:
    with script_folder(tmp_path, FUNCTION):
        sweep = script_sweep(**SWEEP)
        store = registered_script(sqlite_url, sweep)
        artifacts = tmp_path / "artifacts"
        with worker_process(sqlite_url, *node(tmp_path, "a", artifacts)) as first:
            wait_for(lambda: len(notes(tmp_path, 1)) >= 17)
            first.kill()
            first.wait(240)
        shutil.rmtree(tmp_path / "a")  # it is gone with its node
        with worker_process(sqlite_url, *node(tmp_path, "b", artifacts)) as second:
            ended([second])
    last, (begun, *_) = max(notes(tmp_path, 1)), notes(tmp_path, 2)
    # It was killed in the middle of what it did: what it had kept last is all that is known.
    assert begun % 5 == 1
    assert last - 5 <= begun - 1 <= last
    assert attempts_on_record(store) == [2]
    (record,) = store.records("tiny")
    assert [point.epoch for point in record.result.learning] == list(range(1, EPOCHS + 1))
    assert_exact(store, sweep)
    store.close()
    assert list(artifacts.glob("checkpoint-*")) == []  # nobody needs them any more


def test_the_same_folder_is_gone_on_with_without_any_artifacts(
    tmp_path: Path, sqlite_url: str
) -> None:
    with script_folder(tmp_path, FUNCTION):
        store = registered_script(sqlite_url, script_sweep(**SWEEP))
        with worker_process(sqlite_url, *node(tmp_path, "shared")) as first:
            wait_for(lambda: len(notes(tmp_path, 1)) >= 7)
            first.terminate()  # a trial that is ended goes on later, too
            first.wait(240)
        with worker_process(sqlite_url, *node(tmp_path, "shared")) as second:
            ended([second])
    assert notes(tmp_path, 2)[0] in {max(notes(tmp_path, 1)), max(notes(tmp_path, 1)) + 1}
    assert attempts_on_record(store) == [2]
    folder = tmp_path / "shared/tiny/dense/0-0"
    assert sorted(path.name for path in folder.iterdir() if not path.name.startswith(".")) == [
        "output-1.log",
        "output.log",
        "state.json",
    ]
    store.close()


COMMAND = """
    done=0
    [ -e "$SWEEPER_FOLDER/state" ] && done=$(cat "$SWEEPER_FOLDER/state")
    for epoch in $(seq $((done + 1)) 20); do
        sleep 0.1
        echo "{\\"epoch\\": $epoch, \\"val_accuracy\\": 0.5}"
        echo $epoch > "$SWEEPER_FOLDER/state.tmp"
        mv "$SWEEPER_FOLDER/state.tmp" "$SWEEPER_FOLDER/state"
        echo "dense $SWEEPER_ATTEMPT $epoch" >> notes
        [ $((epoch % 5)) = 0 ] && echo '{"checkpoint": true}'
    done
    echo "{\\"size\\": 1, \\"validation\\": 0.5, \\"test\\": 0.5, \\"attempt\\": $SWEEPER_ATTEMPT}"
"""


def test_a_command_goes_on_at_what_it_had_kept(tmp_path: Path, sqlite_url: str) -> None:
    with script_folder(tmp_path, COMMAND, "script.sh"):
        store = registered_script(sqlite_url, script_sweep(command=["sh", "script.sh"], **SWEEP))
        artifacts = tmp_path / "artifacts"
        with worker_process(sqlite_url, *node(tmp_path, "a", artifacts)) as first:
            wait_for(lambda: len(notes(tmp_path, 1)) >= 8)
            wait_for(lambda: list(artifacts.glob("checkpoint-*")))
            first.kill()
            first.wait(240)
        shutil.rmtree(tmp_path / "a")
        with worker_process(sqlite_url, *node(tmp_path, "b", artifacts)) as second:
            ended([second])
    assert notes(tmp_path, 2)[0] >= 6
    (record,) = store.records("tiny")
    assert [point.epoch for point in record.result.learning] == list(range(1, 21))
    assert attempts_on_record(store) == [2]
    assert list(artifacts.glob("checkpoint-*")) == []
    store.close()


@pytest.mark.postgres  # a frozen process may hold the lock of a SQLite file
@pytest.mark.parametrize("artifacts", [False, True], ids=["shared folder", "artifacts"])
def test_a_frozen_worker_whose_slot_was_given_away_overwrites_nothing(
    artifacts: bool, tmp_path: Path, postgres_url: str
) -> None:
    place = tmp_path / "artifacts" if artifacts else None
    first_node = node(tmp_path, "a", place)
    second_node = node(tmp_path, "b" if artifacts else "a", place)
    with script_folder(tmp_path, FUNCTION):
        sweep = script_sweep(**SWEEP)
        store = registered_script(postgres_url, sweep)
        with worker_process(postgres_url, *first_node) as frozen:
            wait_for(lambda: len(notes(tmp_path, 1)) >= 12)
            freeze(frozen, signal.SIGSTOP)
            before = notes(tmp_path, 1)
            with worker_process(postgres_url, *second_node) as other:
                # While the other trains: later it could not do any harm.
                wait_for(lambda: len(notes(tmp_path, 2)) >= 12)
                freeze(frozen, signal.SIGCONT)
                ended([other])
            ended([frozen])
    assert notes(tmp_path, 2)[-1] == EPOCHS
    assert attempts_on_record(store) == [2]
    assert_exact(store, sweep)
    assert store.status("tiny").failures == {"lease over": 1}
    store.close()
    if not artifacts:
        # At most what it was in the middle of: what follows a step, it has not begun.
        assert len(notes(tmp_path, 1)) <= len(before) + 1
        state = (tmp_path / "a/tiny/dense/0-0/state.json").read_text()
        assert '"attempt": 2' in state


def freeze(worker: WorkerProcess, number: signal.Signals) -> None:
    """Stop or continue a worker with all that it has started, as a machine that sleeps does."""
    for pid in [worker.pid, *descendants(worker.pid)]:
        with suppress(ProcessLookupError):  # it has ended since it was seen
            os.kill(pid, number)
    time.sleep(0.1)
