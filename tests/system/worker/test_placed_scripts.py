"""Scripts on a machine with pretended GPUs: each trial sees its own, be it one or several."""

import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from support.paths import ROOT, TESTS
from support.processes import LONG
from support.scripts import script_folder, script_sweep
from sweeper import api
from sweeper.config import Sweep
from sweeper.errors import InputError
from sweeper.store import Store
from sweeper.worker.launch.machine import Machine

pytestmark = pytest.mark.slow
RANKS = """\
#!/bin/sh
# As torchrun: a process for each GPU of the trial.
set -eu
number=0
for gpu in $(echo "$CUDA_VISIBLE_DEVICES" | tr , ' '); do
    RANK=$number sh -c 'echo "$CUDA_VISIBLE_DEVICES $OMP_NUM_THREADS $1" > "$2/rank-$RANK"' \\
        rank "$1" "$SWEEPER_FOLDER" &
    number=$((number + 1))
done
wait
sleep 0.3
echo "{\\"size\\": $number, \\"validation\\": 0.5, \\"test\\": 0.5}"
"""


ON_RAY = """
from sweeper import api
from sweeper.config import Sweep
from sweeper.worker.launch.machine import Machine
machine = {machine}
Machine.here = classmethod(lambda cls: machine)
api.launch(Sweep.from_json({spec!r}), {url!r}, on="ray")
"""
"""In a process of its own: once loaded, Ray keeps the way in which it listens."""


def study(gpus: float) -> Sweep:
    return script_sweep(
        command=["sh", "ranks.sh", "{device}"],
        resources={"cpus": 2, "gpus": gpus},
        arms={"a": {}},
        search={"trials": 6, "in_flight": 6},
    )


def launched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, machine: Machine, gpus: float, **options: Any
) -> list[list[str]]:
    """Run the command on a pretended machine; return what the processes of each trial saw."""
    monkeypatch.setattr(Machine, "here", classmethod(lambda cls: machine))
    return seen_by_trials(tmp_path, lambda url: api.launch(study(gpus), url, **options))


def seen_by_trials(tmp_path: Path, launch: Callable[[str], object]) -> list[list[str]]:
    url = f"sqlite:///{tmp_path}/sweeper.db"
    with script_folder(tmp_path, RANKS, "ranks.sh"):
        launch(url)
    with closing(Store(url)) as store:
        records = store.records("tiny")
    assert [record.provenance.device for record in records] == ["cuda"] * 6
    assert [record.provenance.threads for record in records] == [2] * 6
    return [
        [file.read_text().strip() for file in sorted(folder.glob("rank-*"))]
        for folder in sorted((tmp_path / "sweeps/tiny/trials/a").iterdir())
    ]


def test_a_trial_on_two_gpus_is_one_whose_processes_see_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine(4, 4, visible=("4", "6", "1", "0"))
    seen = launched(tmp_path, monkeypatch, machine, gpus=2)
    both = (["4,6 2 cuda"] * 2, ["1,0 2 cuda"] * 2)
    assert all(ranks in both for ranks in seen)
    assert all(ranks in seen for ranks in both)


def test_trials_that_share_a_gpu_run_at_the_same_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = 0

    def look(status: Any) -> None:
        nonlocal most
        most = max(most, sum(worker.alive for worker in status.workers))

    seen = launched(tmp_path, monkeypatch, Machine(8, 1), gpus=0.5, on_status=look)
    assert seen == [["0 2 cuda"]] * 6
    assert most == 2


@pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed")
def test_ray_gives_a_trial_its_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{TESTS}")

    def launch(url: str) -> None:
        text = ON_RAY.format(machine=Machine(2, 2), spec=study(2).canonical, url=url)
        done = subprocess.run(
            [sys.executable, "-c", text], capture_output=True, text=True, timeout=LONG, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    seen = seen_by_trials(tmp_path, launch)
    assert all(sorted(ranks[0].split()[0].split(",")) == ["0", "1"] for ranks in seen)
    assert all(len(ranks) == 2 for ranks in seen)


def test_a_trial_that_fits_nowhere_is_refused_before_anything_is_registered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match=r"^resources: a trial needs 2 GPUs, this machine has no"):
        launched(tmp_path, monkeypatch, Machine(2, 0), gpus=2)
    with pytest.raises(InputError, match=r"^ray: no node has room for a worker of 2 CPUs and 2 GP"):
        launched(tmp_path, monkeypatch, Machine(2, 1), gpus=2, on="ray")
