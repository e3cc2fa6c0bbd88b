"""The real commands, with real training, in processes of their own."""

import dataclasses
import os
import signal
import subprocess
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from support.commands import FACTORY, finish, sweeper, write_study
from support.databases import on_sqlite
from support.paths import ROOT
from support.processes import LONG
from sweeper.lifecycle import load_record
from sweeper.store import Store
from sweeper.types import TrialRecord


def facts(folder: Path, url: str | None = None) -> list[TrialRecord]:
    """What counts of every fact: not the clock, the company or the number of the trial."""
    store = Store(url or f"sqlite:///{folder}/sweeper.db")
    try:
        found = store.records("tiny")
    finally:
        store.close()
    return [_timeless(fact) for fact in found]


def _timeless(fact: TrialRecord) -> TrialRecord:
    changes: dict[str, Any] = {
        "result": dataclasses.replace(fact.result, seconds=0.0, pack=0),
        "provenance": dataclasses.replace(fact.provenance, threads=0),
        "recorded_at": 0.0,
        "trial": 0,
    }
    return dataclasses.replace(fact, **changes)


@pytest.mark.slow
def test_facts_are_the_same_twice_and_with_other_workers_and_packs(tmp_path: Path) -> None:
    # tests/test_worker.py does so for every sampler, with a training that takes no time.
    found = []
    for name, options in (
        ("alone", ["--workers", "1", "--pack", "3"]),
        ("together", ["--workers", "2", "--pack", "16"]),
    ):
        study = write_study(tmp_path / name)
        out = finish(sweeper(study.parent, "run", str(study), "--no-report", *options))
        assert "new sweep" in out
        found.append(facts(study.parent))
    assert len(found[0]) == 2 * 6
    assert found[0] == found[1]


@pytest.mark.slow
def test_the_study_of_a_table_runs_to_its_end(tmp_path: Path) -> None:
    file = ROOT / "studies" / "breast-cancer.yaml"
    out = finish(sweeper(tmp_path, "run", str(file), "--workers", "1"))
    assert "36 of 36 trials done" in out
    with closing(Store(f"sqlite:///{tmp_path}/sweeper.db")) as store:
        record = load_record(store, "breast-cancer")
    assert record.problems == ()
    fronts = record.fronts()
    for arm in ("dense", "l1", "marginal_entropy"):
        assert max(point.test_accuracy for point in fronts[arm].points) > 0.9
    splits = {fact.config.recipe.split for fact in record.records}
    assert len(splits) == 3
    assert len({fact.provenance.normalisation for fact in record.records}) == 3
    assert (tmp_path / "sweeps" / "breast-cancer" / "report.html").is_file()


@pytest.mark.slow
def test_workers_and_launcher_killed_while_training_cost_no_trial(
    tmp_path: Path, storage_url: str
) -> None:
    study = write_study(tmp_path, trials=4, epochs=60)
    launcher = sweeper(
        tmp_path, "run", str(study), "--workers", "2", "--pack", "2", url=storage_url
    )
    store = Store(storage_url)
    try:
        killed = _kill_busy_workers(store, launcher)
        launcher.communicate(timeout=240)
        assert killed == 2
        before = store.status("tiny")
        assert not before.finished
        again = sweeper(tmp_path, "run", str(study), "--workers", "2", url=storage_url)
        out = finish(again)
        assert f"goes on: {before.done} of 8 done" in out
        after = store.status("tiny")
    finally:
        store.close()
    assert (after.done, after.budget) == (8, 8)
    assert sum(after.failures.values()) >= 1
    found = facts(tmp_path, storage_url)
    assert len({(fact.slot.arm, fact.slot.number) for fact in found}) == len(found) == 8
    assert "nothing to do" in finish(sweeper(tmp_path, "run", str(study), url=storage_url))
    assert facts(tmp_path, storage_url) == found


@pytest.mark.slow
@on_sqlite
def test_two_runs_of_one_file_at_once_share_its_budget(tmp_path: Path, storage_url: str) -> None:
    study = write_study(tmp_path, trials=8, epochs=10)
    runs = [
        sweeper(tmp_path, "run", str(study), "--workers", "1", "--pack", "2", url=storage_url)
        for _ in range(2)
    ]
    outs = [finish(process) for process in runs]
    assert sorted("new sweep" in out for out in outs) == [False, True]
    for out in outs:
        assert "16 of 16 trials done" in out
        assert len([line for line in out.splitlines() if line.startswith("report:")]) == 1
    found = facts(tmp_path, storage_url)
    assert len({(fact.slot.arm, fact.slot.number) for fact in found}) == len(found) == 16


def _kill_busy_workers(store: Store, launcher: "subprocess.Popen[str]") -> int:
    """Kill -9 the launcher, then its workers, once both train; return how many."""
    deadline = time.monotonic() + LONG
    while time.monotonic() < deadline:
        time.sleep(0.1)
        assert launcher.poll() is None, launcher.communicate()
        try:
            workers = [one for one in store.status("tiny").workers if one.alive and one.slots]
        except Exception:  # not registered yet
            continue
        if len(workers) == 2:
            launcher.kill()
            for worker in workers:
                os.kill(worker.pid, signal.SIGKILL)
            return len(workers)
    raise AssertionError("two workers never trained")


@pytest.mark.slow
def test_a_network_from_a_module_in_the_current_folder_is_trained(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(FACTORY, encoding="utf-8")
    study = write_study(tmp_path, trials=2, model="{name: 'mine:network', options: {kernels: 2}}")
    out = finish(sweeper(tmp_path, "run", str(study), "--workers", "1"))
    assert "4 of 4 trials done" in out
    (total,) = {fact.result.total for fact in facts(tmp_path)}
    assert total == 2 * 9 + 2 + 10 * 72 + 10
    assert (tmp_path / "sweeps" / "tiny" / "report.html").is_file()


def test_a_network_that_cannot_be_built_is_one_line(tmp_path: Path) -> None:
    study = write_study(tmp_path, trials=2, model="nowhere.to_be:found")
    process = sweeper(tmp_path, "run", str(study), "--workers", "1", "--no-report")
    out, _ = process.communicate(timeout=240)
    assert process.returncode == 2
    assert out.splitlines()[-1] == (
        f"error: {study}: model: nowhere.to_be:found: cannot be loaded: ModuleNotFoundError: "
        "No module named 'nowhere'"
    )
    assert not (tmp_path / "sweeper.db").exists()


def test_data_that_cannot_be_had_are_one_line(tmp_path: Path) -> None:
    raw = tmp_path / "data" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name in ("train-images", "train-labels", "t10k-images", "t10k-labels"):
        kind = "idx3" if "images" in name else "idx1"
        (raw / f"{name}-{kind}-ubyte").write_bytes(b"")
    process = sweeper(tmp_path, "data", "mnist", "--data", str(tmp_path / "data"))
    out, _ = process.communicate(timeout=240)
    assert process.returncode == 2
    assert len(out.splitlines()) == 1
    assert out.startswith(f"error: mnist: damaged: {raw}/train-images-idx3-ubyte is empty; ")
