"""What commands say of sweeps whose trials bring several networks."""

import json
import re
from contextlib import closing
from pathlib import Path

import pytest

from support.commands import Command, command_here
from support.fakes import fake_train
from sweeper import api, lifecycle
from sweeper.config import Sweep
from sweeper.store import Store
from sweeper.worker.worker_loop import work

STUDY = """
name: tiny
dataset: digits
model: mlp(32)
training: {epochs: 1, learning_rate: {log_uniform: [0.01, 0.1]}}
sparsification: {densities: {from: 0.2, to: 0.05, rungs: 3}}
search: {trials: 4, seeds: 2}
targets: {accuracy: [0.9, 0.96]}
arms:
  dense: {}
  l1: {penalty: l1, strength: {log_uniform: [1e-4, 1e-1]}}
"""


@pytest.fixture
def sweeper(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Run a command in a folder whose sweeper.db holds the finished sweep `tiny`."""
    monkeypatch.delenv("SWEEPER_STORAGE", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.yaml").write_text(STUDY)
    with closing(Store("sqlite:///sweeper.db")) as store:
        lifecycle.register(store, Sweep.load("tiny.yaml"))
        work("tiny", store, pack=16, train=fake_train)
    return command_here(capsys)


def test_trials_are_told_from_the_networks_that_they_bring(sweeper: Command) -> None:
    plan = sweeper("check", "tiny.yaml")[1]
    assert "2 arms x 1 repeat x 4 trials = 8 trials (tpe)" in plan
    assert (
        "each trial: 2 trainings with seeds of their own, each cut at 3 densities "
        "(0.2, 0.1, 0.05); 48 networks in all\n"
    ) in plan
    progress = sweeper("status", "tiny")[1]
    assert re.search(r"^arm +done +failed +best val %", progress, re.MULTILINE)
    assert re.search(r"^l1 +4/4 +\d+/24 ", progress, re.MULTILINE)
    assert "8 of 8 trials done" in progress
    summary = sweeper("run", "tiny.yaml")[1]
    assert re.search(r"^arm +done +failed +val %", summary, re.MULTILINE)
    assert max(map(len, (progress + summary.partition("report:")[0]).splitlines())) <= 80


def test_each_network_of_a_front_shows_its_density(sweeper: Command) -> None:
    lines = sweeper("front", "tiny")[1].splitlines()
    head = "nonzero  effective  val %  test %  density  repeat  trial"
    assert lines.count(head) == 2
    points = json.loads(sweeper("front", "tiny", "--json")[1])["fronts"]["l1"]["points"]
    shown = [line.split() for line in lines[lines.index(head, 5) + 2 :]][: len(points)]
    assert [(row[4], row[6]) for row in shown] == [
        (f"{point['params']['density']:g}", str(point["trial"])) for point in points
    ]
    # In a notebook the same, by name.
    front = api.front("tiny", "l1")
    assert [dict(point.params) for point in front] == [point["params"] for point in points]
    assert {*front.to_pandas()["params_density"]} <= {0.2, 0.1, 0.05}
    assert api.run("tiny.yaml")["l1"] == front
