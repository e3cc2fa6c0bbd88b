"""Sweeps that doctests speak of: two finished ones, one confirmed, whose networks are kept."""

import os
import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from support.paths import TESTS
from support.surroundings import set_usual_surroundings
from sweeper import lifecycle
from sweeper.analysis.confirmation import confirmation_sweep
from sweeper.config import Sweep
from sweeper.store import Store
from sweeper.worker.worker_loop import work

STUDY = """\
name: tiny
dataset: digits
model: mlp(12)
training: {epochs: 1, learning_rate: {log_uniform: [0.05, 0.2]}}
sparsification: {density: {log_uniform: [0.1, 0.5]}, finetune_epochs: 1, floor: 0.05}
search: {trials: 3}
targets: {accuracy: [0.2, 0.99], nonzero: [1000]}
arms:
  dense: {}
  l1: {penalty: l1, strength: {log_uniform: [1e-4, 1e-2]}}
"""
LONGER = STUDY.replace("name: tiny", "name: longer").replace("{epochs: 1,", "{epochs: 2,")
SPEAK_OF_SWEEPS = ("sweeper.api.", "sweeper.operations.sweep_fronts.")
"""Modules whose examples are of sweeps on record."""


def make_documented_sweeps(folder: Path) -> None:
    """Train two sweeps and the confirmation of the first in a folder, by the real trainer."""
    (folder / "study.yaml").write_text(STUDY)
    (folder / "longer.yaml").write_text(LONGER)
    with closing(Store(f"sqlite:///{folder}/sweeper.db")) as store:
        for file in ("study.yaml", "longer.yaml"):
            sweep = Sweep.load(folder / file)
            lifecycle.register(store, sweep)
            work(sweep.name, store, device="cpu", pack=6)
        facts = store.records("tiny")
        sweep = Sweep.load(folder / "study.yaml")
        again = confirmation_sweep(sweep, store.status("tiny"), facts, seeds=2)
        lifecycle.register(store, again)
        work(again.name, store, device="cpu", pack=4, artifacts=f"{folder}/networks")


@pytest.fixture(scope="session")
def documented_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sweeps of `documented_sweeps`, trained once in a process of their own."""
    folder = tmp_path_factory.mktemp("documented")
    command = [sys.executable, __file__, str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(autouse=True)
def documented(request: pytest.FixtureRequest) -> None:
    """Run the examples that speak of sweeps where these are on record."""
    if not isinstance(request.node, pytest.DoctestItem):
        return
    if request.node.name.startswith(SPEAK_OF_SWEEPS):
        set_usual_surroundings()
        folder = request.getfixturevalue("tmp_path")
        made = request.getfixturevalue("documented_folder")
        shutil.copytree(made, folder, dirs_exist_ok=True)
        request.getfixturevalue("monkeypatch").chdir(folder)


if __name__ == "__main__":
    make_documented_sweeps(Path(sys.argv[1]))
