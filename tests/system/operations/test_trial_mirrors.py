"""Mirrors of finished trials: each once in a real MLflow, and a failing one fails no sweep."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

import sweeper
from support.commands import main_ok
from support.factories import make_fact, make_learning, make_sweep
from support.fakes import fake_train, small_sweep
from support.processes import wait_for
from support.script_records import flops_sweep, script_records
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
        raise OSError("postgresql://me:geheim@db is away, key 0123456789abcdef")
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


def test_a_network_of_a_ladder_is_a_run_with_its_density_and_its_whole_curve() -> None:
    sweep = make_sweep(sparsification={"densities": [0.2, 0.1]})
    curves = make_learning(0.5, 0.9, 0.8), make_learning(0.5, 0.9, 0.7)[2:]
    records = [make_fact(sweep=sweep, network=n, learning=curve) for n, curve in enumerate(curves)]
    there: list[MirroredTrial] = []

    class Kept:
        def keys(self) -> set[str]:
            return set()

        def add(self, trial: MirroredTrial) -> None:
            there.append(trial)

    assert trial_mirrors._add_new(Kept(), sweep, records) == 2
    assert [trial.key for trial in there] == ["toy/l1/0#0", "toy/l1/0#1"]
    assert [trial.params["density"] for trial in there] == [0.2, 0.1]
    assert [[epoch for epoch, _ in trial.curve] for trial in there] == [[1, 2, 3]] * 2


def test_a_learning_curve_and_further_numbers_are_metrics_of_a_run(tracking: Path) -> None:
    from mlflow.tracking import MlflowClient

    sweep = flops_sweep()
    records = [record for record in script_records(sweep) if record.result.state == "complete"]
    halves = tuple(
        dataclasses.replace(point, epoch=point.epoch / 2) for point in records[1].result.learning
    )
    result = dataclasses.replace(records[1].result, learning=halves)
    in_halves = dataclasses.replace(records[1], result=result)
    for record in (records[0], in_halves):
        MlflowMirror(sweep).add(MirroredTrial.of(record, sweep))
    by_key = {run.data.tags[TAG]: run for run in runs(sweep.name)}
    for record, steps in (records[0], range(1, 13)), (in_halves, range(12)):
        run = by_key[f"{record.slot.study}#{record.trial}"]
        history = MlflowClient().get_metric_history(run.info.run_id, "learning/loss")
        assert [point.step for point in history] == list(steps)
        losses = [dict(point.values)["loss"] for point in record.result.learning]
        assert [point.value for point in history] == losses
        numbers = {f"numbers/{name}": value for name, value in record.result.numbers}
        assert numbers.items() <= run.data.metrics.items()
        assert run.data.metrics["learning/epoch"] == record.result.learning[-1].epoch


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
    monkeypatch.setenv("WANDB_API_KEY", "0123456789abcdef")
    Path("failing_mirror.py").write_text(FAILING)
    monkeypatch.syspath_prepend(".")
    known = {"failing": "failing_mirror:Failing"}
    monkeypatch.setattr(trial_mirrors, "BUILT_IN", known)
    monkeypatch.setattr(trial_mirrors, "EVERY", 0.05)
    notes: list[str] = []
    with mirrored(store, sweep, ["failing"], notes.append):
        pass
    line = "OSError: postgresql://me:***@db is away, key ***"
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
    line = "mirror: no such mirror: got 'mlfow'; allowed: mlflow, wandb; did you mean 'mlflow'?"
    with pytest.raises(InputError) as refusal:
        sweeper.launch(small_sweep(), mirrors=["mlfow"])
    assert str(refusal.value) == line
    assert not Path("sweeper.db").exists()
    with pytest.raises(SystemExit):
        main(["run", "study.yaml", "--mirror", "mlfow"])
    assert capsys.readouterr().err == f"error: {line}\n"
    assert mirror_names(["mlflow", "mlflow "]) == ("mlflow",)
