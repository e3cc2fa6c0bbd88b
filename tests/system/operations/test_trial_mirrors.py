"""Mirrors of finished trials: each once in a real MLflow, and a failing one fails no sweep."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import sweeper
from support.commands import main_ok
from support.fakes import fake_train, small_sweep
from support.processes import wait_for
from sweeper import lifecycle
from sweeper.cli import main
from sweeper.config import Sweep
from sweeper.errors import InputError, SweeperError
from sweeper.operations import trial_mirrors
from sweeper.operations.mlflow_mirror import TAG, MlflowMirror
from sweeper.operations.trial_mirrors import MirroredTrial, mirror_all, mirror_names, mirrored
from sweeper.store import Store
from sweeper.worker.worker_loop import work

pytest.importorskip("mlflow", reason="MLflow is not installed: sweeper[mlflow]")
FAILING = """
class Failing:
    def __init__(self, sweep):
        pass

    def keys(self):
        raise OSError("postgresql://me:geheim@db is away")
"""


@pytest.fixture
def tracking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder in which MLflow has its own, and tells nobody of it."""
    for name in ("MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK", "MLFLOW_ALLOW_FILE_STORE"):
        monkeypatch.setenv(name, "true")
    folder = tmp_path / "tracking"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", folder.as_uri())
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.fixture
def finished(tmp_path: Path) -> Iterator[tuple[Store, Sweep]]:
    """A storage, and the finished sweep `tiny` in it."""
    with closing(Store(f"sqlite:///{tmp_path}/sweeper.db")) as store:
        sweep = small_sweep()
        lifecycle.register(store, sweep)
        work("tiny", store, pack=8, train=fake_train)
        yield store, sweep


def runs(name: str = "tiny") -> list[Any]:
    """Return the runs of a sweep's experiment."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient()
    experiment = client.get_experiment_by_name(f"sweeper/{name}")
    return [] if experiment is None else list(client.search_runs([experiment.experiment_id]))


def test_each_trial_is_one_run_with_its_numbers(
    tracking: Path, finished: tuple[Store, Sweep]
) -> None:
    store, sweep = finished
    records = store.records("tiny")
    assert mirror_all(store, "tiny", "mlflow") == (len(records), len(records))
    by_key = {run.data.tags[TAG]: run for run in runs()}
    assert len(by_key) == len(runs()) == len(records)
    for record in records:
        run = by_key[f"{record.slot.study}#{record.trial}"]
        network = record.result.judged(sweep.sparsification.track)
        assert run.info.status == "FINISHED"
        assert run.info.run_name == f"{record.slot.arm}/{record.slot.repeat}#{record.trial}"
        assert run.data.params == {name: str(value) for name, value in record.params.items()}
        assert run.data.tags["sweeper.arm"] == record.slot.arm
        assert run.data.tags["sweeper.state"] == record.result.state
        if network is None:
            assert "nonzero" not in run.data.metrics
            continue
        assert run.data.metrics["nonzero"] == network.nonzero
        assert run.data.metrics["val_accuracy"] == pytest.approx(network.val_accuracy)
        assert run.data.metrics["test_accuracy"] == pytest.approx(network.test_accuracy)


def test_a_trial_that_is_there_is_not_added_again(
    tracking: Path, finished: tuple[Store, Sweep], capsys: pytest.CaptureFixture[str]
) -> None:
    store, sweep = finished
    first, *_ = store.records("tiny")
    MlflowMirror(sweep).add(MirroredTrial.of(first, sweep))
    main_ok("mirror", "tiny", "--to", "mlflow")
    left = len(store.records("tiny")) - 1
    said = f"tiny: {left} trials mirrored to mlflow; 1 were there already\n"
    assert capsys.readouterr().out == said
    assert mirror_all(store, "tiny", "mlflow")[0] == 0
    assert len(runs()) == left + 1


def test_a_run_that_a_crash_left_unfinished_is_gone_on_with(
    tracking: Path, finished: tuple[Store, Sweep]
) -> None:
    store, sweep = finished
    first, *_ = store.records("tiny")
    left = MlflowMirror(sweep)._begun(MirroredTrial.of(first, sweep))  # and then a crash
    mirror_all(store, "tiny", "mlflow")
    assert len(runs()) == len(store.records("tiny"))
    [resumed] = [run for run in runs() if run.info.run_id == left]
    assert resumed.info.status == "FINISHED"
    assert resumed.data.metrics["total"] == first.result.total


def test_a_run_mirrors_its_trials_while_it_goes_on(
    tracking: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial_mirrors, "EVERY", 0.05)
    added: list[str] = []
    usual = MlflowMirror.add

    def add(mirror: MlflowMirror, trial: MirroredTrial) -> None:
        usual(mirror, trial)
        added.append(trial.key)

    def run_workers(name: str, store: Store, **options: Any) -> None:
        work(name, store, pack=8, train=fake_train)
        wait_for(lambda: len(added) == 18)  # before the run is over

    monkeypatch.setattr(MlflowMirror, "add", add)
    monkeypatch.setattr("sweeper.worker.launch.local_workers.run_workers", run_workers)
    notes: list[str] = []
    sweeper.launch(small_sweep(), mirrors=["mlflow"], on_note=notes.append)
    assert sorted(added) == sorted(run.data.tags[TAG] for run in runs())
    assert notes == []
    monkeypatch.setenv("SWEEPER_MIRRORS", " mlflow,")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tracking.parent / "another").as_uri())
    sweeper.run(small_sweep())  # nothing is left to train
    assert len(runs()) == 18


def test_a_mirror_that_fails_is_one_line_and_fails_no_sweep(
    tracking: Path, finished: tuple[Store, Sweep], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, sweep = finished
    Path("failing_mirror.py").write_text(FAILING)
    monkeypatch.syspath_prepend(".")
    known = {"failing": "failing_mirror:Failing"}
    monkeypatch.setattr(trial_mirrors, "BUILT_IN", known)
    monkeypatch.setattr(trial_mirrors, "EVERY", 0.05)
    notes: list[str] = []
    with mirrored(store, sweep, ["failing"], notes.append):
        pass
    line = "OSError: postgresql://me:***@db is away"
    assert notes == [
        f"mirror failing: trials may be missing there ({line}): "
        "sweeper mirror tiny --to failing adds them"
    ]
    with pytest.raises(SweeperError) as refusal:
        mirror_all(store, "tiny", "failing")
    assert str(refusal.value) == f"failing: {line}"


def test_a_mirror_that_there_is_not_is_refused_before_anything_is_registered(
    tracking: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = "mirror: no such mirror: got 'mlfow'; allowed: mlflow; did you mean 'mlflow'?"
    with pytest.raises(InputError) as refusal:
        sweeper.launch(small_sweep(), mirrors=["mlfow"])
    assert str(refusal.value) == line
    assert not Path("sweeper.db").exists()
    with pytest.raises(SystemExit):
        main(["run", "study.yaml", "--mirror", "mlfow"])
    assert capsys.readouterr().err == f"error: {line}\n"
    assert mirror_names(["mlflow", "mlflow "]) == ("mlflow",)
