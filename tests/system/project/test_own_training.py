"""studies/own-training: each of its trainings run, on Ray too, cut off, confirmed, restored."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from support.commands import finish, sweeper
from support.paths import ROOT
from support.processes import LONG, wait_for
from support.scripts import left_behind
from sweeper.config import Sweep
from sweeper.store import Store
from sweeper.types import TrialRecord

pytestmark = pytest.mark.slow
EXAMPLES = ROOT / "studies" / "own-training"


@dataclass(frozen=True, slots=True)
class Example:
    """A study file of the folder, and how its training is made to last."""

    file: str
    epochs: int
    """Of a trial."""
    longer: tuple[str, str, str]
    """File, text and what takes its place."""
    long: int
    """Epochs then."""
    state: str
    """File that it keeps in the folder of a trial, and goes on from."""

    @property
    def sweep(self) -> Sweep:
        return Sweep.load(EXAMPLES / self.file)


DIGITS = Example("digits.yaml", 20, ("digits.yaml", "epochs: 15", "epochs: 150"), 155,
                 "checkpoint.pt")  # fmt: skip
LASSO = Example("lasso.yaml", 20, ("lasso.sh", "epochs=20", "epochs=150"), 150, "coefficients")
both = pytest.mark.parametrize("example", [DIGITS, LASSO], ids=lambda example: example.file)


def copied(example: Example, folder: Path, *, trials: int = 2, lasts: bool = False) -> Path:
    """Copy the folder, with few trials, and few to confirm; `lasts`: each takes some seconds."""
    shutil.copytree(EXAMPLES, folder)
    study = folder / example.file
    text = study.read_text().replace("trials: 12", f"trials: {trials}")
    sizes = example.sweep.targets.nonzero
    few = text.replace(f"{[*sizes]}", f"{[*sizes][1:2]}")
    assert few != text
    study.write_text(few)
    if lasts:
        name, old, new = example.longer
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new))
    return study


def records(folder: Path, name: str) -> tuple[TrialRecord, ...]:
    with closing(Store(f"sqlite:///{folder}/sweeper.db")) as store:
        return store.records(name)


def measured(folder: Path, name: str) -> dict[Any, tuple[Any, ...]]:
    """Return what was measured of each trial, whatever it took."""
    return {
        record.slot.place: (
            record.result.pruned,
            record.result.learning,
            {k: v for k, v in record.result.numbers if k != "epochs_of_this_attempt"},
        )
        for record in records(folder, name)
    }


@both
def test_it_runs_is_reported_confirmed_exported_and_restored(
    example: Example, tmp_path: Path
) -> None:
    sweep, folder = example.sweep, tmp_path / "mine"
    copied(example, folder)
    assert f"{sweep.name}: " in finish(sweeper(folder, "check", example.file))
    out = finish(sweeper(folder, "run", example.file))
    budget = 2 * len(sweep.arms) * sweep.search.repeats
    assert f"{budget} of {budget} trials done" in out
    searched = records(folder, sweep.name)
    assert len(searched) == budget
    for record in searched:
        assert record.result.state == "complete"
        assert [point.epoch for point in record.result.learning] == [*range(1, example.epochs + 1)]
        assert dict(record.result.numbers)["epochs_of_this_attempt"] == example.epochs

    report = folder / "sweeps" / sweep.name / "report.html"
    assert sweep.size_label in report.read_text(encoding="utf-8")

    out = finish(sweeper(folder, "confirm", sweep.name, "--seeds", "2"))
    confirmed = records(folder, f"{sweep.name}/confirmed")
    assert len(confirmed) == int(re.findall(r"new sweep, .* (\d+) trials", out)[0])
    seeds = {record.config.init_seed for record in confirmed}
    assert len(seeds) == 2 * sweep.search.repeats  # alike for all arms of a repeat, and fresh
    assert seeds.isdisjoint(record.config.init_seed for record in searched)

    finish(sweeper(folder, "export", sweep.name, "--out", "exported"))
    again = tmp_path / "again"
    again.mkdir()
    finish(sweeper(again, "restore", str(folder / "exported")))
    for name in (sweep.name, f"{sweep.name}/confirmed"):
        assert measured(again, name) == measured(folder, name)
        assert len(records(again, name)) == len(records(folder, name))


@both
@pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed")
def test_it_runs_on_ray(example: Example, tmp_path: Path) -> None:
    sweep, folder = example.sweep, tmp_path / "mine"
    copied(example, folder, trials=1)
    finish(sweeper(folder, "launch", example.file, "--on", "ray"))
    on_ray = measured(folder, sweep.name)
    shutil.rmtree(folder)
    copied(example, folder, trials=1)
    finish(sweeper(folder, "run", example.file, "--no-report"))
    assert on_ray == measured(folder, sweep.name)


@contextmanager
def killed(folder: Path, *words: str) -> Iterator[None]:
    """Run a command in a `with` block; kill it behind that with all that it has started."""
    process = sweeper(folder, *words)
    try:
        yield
    finally:
        for pid in {process.pid, *left_behind(str(folder))}:
            with suppress(ProcessLookupError):  # its guard was quicker
                os.kill(pid, signal.SIGKILL)
        process.communicate()


@both
def test_killed_in_the_middle_it_goes_on_and_measures_the_same(
    example: Example, tmp_path: Path
) -> None:
    name, folder, whole = example.sweep.name, tmp_path / "mine", tmp_path / "whole"
    arm = next(iter(example.sweep.arms))
    for place in (folder, whole):
        study = copied(example, place, trials=1, lasts=True)
        text = study.read_text().replace("repeats: 2", "repeats: 1")
        head, _, arms = text.partition("\narms:")
        line = next(line for line in arms.splitlines() if line.startswith(f"  {arm}:"))
        study.write_text(f"{head}\narms:\n{line}\n")
    state = folder / "sweeps" / name / "trials" / arm / "0-0" / example.state
    with killed(folder, "run", example.file, "--no-report"):
        wait_for(state.exists)
        first = state.stat().st_ino
        wait_for(lambda: state.exists() and state.stat().st_ino != first)
    assert records(folder, name) == ()
    finish(sweeper(folder, "run", example.file, "--no-report"))
    [record] = records(folder, name)
    epochs = dict(record.result.numbers)["epochs_of_this_attempt"]
    assert 0 < epochs < example.long
    seen = [point.epoch for point in record.result.learning]
    assert seen == sorted(set(seen))
    # A point may go with the worker, which was killed between its line and the curve's file.
    assert len({*range(1, example.long + 1)} - set(seen)) <= 1
    finish(sweeper(whole, "run", example.file, "--no-report"))
    [(ours, curve, numbers)] = measured(folder, name).values()
    [(theirs, undisturbed, others)] = measured(whole, name).values()
    assert (ours, numbers) == (theirs, others)
    known = {point.epoch: point for point in undisturbed}
    assert all(known.get(point.epoch, point) == point for point in curve)


FRAMEWORKS = ("lightning", "transformers")
CUT_OFF = """
import json
import sys
from importlib import import_module

from sweeper import Trial, TrialEnded
from sweeper.types import PenaltyConfig

train = import_module(sys.argv[1]).train
params = {"learning_rate": 0.02, "density": 0.5, "epochs": 6}
common = {"seed": 1, "order_seed": 2, "terms": (PenaltyConfig("l1", "prox", 1e-4),)}
kept = []


def keep():
    kept.append(None)
    if len(kept) == 4:
        first.ending = "asked to leave"


first = Trial(params, folder="cut", keep=keep, **common)
second, whole = (Trial(params, folder=place, **common) for place in ("cut", "whole"))
try:
    train(first)
except TrialEnded:
    results = [train(trial) for trial in (second, whole)]
    told = [[point.epoch for point in trial.curve.points] for trial in (first, second, whole)]
    told.append([[float(result["validation"]), result["size"].nonzero] for result in results])
    print("told", json.dumps(told))
"""
"""A training is cut off behind its fourth checkpoint, and goes on; beside it one that is not."""


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_callbacks_of_a_framework_tie_its_loop_to_a_trial(framework: str, tmp_path: Path) -> None:
    if find_spec(framework) is None:
        pytest.skip(f"{framework} is not installed")
    folder, file = tmp_path / "mine", f"{framework}_digits.yaml"
    shutil.copytree(EXAMPLES, folder)
    study = (folder / file).read_text()
    study = study.replace("trials: 12", "trials: 1").replace("[1.0e-5, 1.0e-3]", "[0.009, 0.01]")
    (folder / file).write_text(study.replace("{log_uniform: [0.05, 0.5]}", "1.0"))
    finish(sweeper(folder, "run", file, "--no-report"))
    trials = {record.slot.arm: record.result for record in records(folder, f"{framework}-digits")}
    networks = {arm: result.judged("pruned") for arm, result in trials.items()}
    for result in trials.values():
        assert [point.epoch for point in result.learning] == [*range(1, 11)]
        assert {"val_accuracy", "loss"} <= dict(result.learning[-1].values).keys()
    assert networks["dense"] is not None
    assert networks["l1"] is not None
    assert networks["l1"].nonzero < networks["dense"].nonzero  # it sets weights to exactly 0
    assert trials["l2"].learning != trials["dense"].learning  # it acts by the gradient


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_framework_goes_on_at_its_last_checkpoint(framework: str, tmp_path: Path) -> None:
    if find_spec(framework) is None:
        pytest.skip(f"{framework} is not installed")
    for name in ("cut", "whole"):
        (tmp_path / name).mkdir()
    environment = {**os.environ, "PYTHONPATH": f"{EXAMPLES}:{ROOT}"}
    done = subprocess.run(
        [sys.executable, "-c", CUT_OFF, f"{framework}_digits"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=LONG, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    [line] = [line for line in done.stdout.splitlines() if line.startswith("told ")]
    first, second, whole, (resumed, undisturbed) = json.loads(line.removeprefix("told "))
    assert (first, second, whole) == ([1, 2, 3, 4], [5, 6], [1, 2, 3, 4, 5, 6])
    assert resumed == undisturbed
