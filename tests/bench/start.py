"""Start of a worker by its phases, and what `sweeper check` predicts beside what a study takes.

    python tests/bench/start.py [--json] [--quick] [NAME ...]

Processor seconds of one worker up to its first step, with loops that are compiled already; then
each study is run to its end with a worker for each core. Beside its wall time stand the processor
seconds of all its processes, divided by the cores: the wall time of a machine that does nothing
else. It takes six minutes on two cores.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sweeper.config import Sweep
from sweeper.operations.plan import plan
from sweeper.worker.launch.machine import cores

STUDIES = Path(__file__).parents[2] / "studies"
MLP = """
name: small-mnist
dataset: mnist
model: lenet-300-100
training: {epochs: 2}
sparsification: {density: {log_uniform: [0.01, 0.2]}, finetune_epochs: 1}
search: {trials: 6, sampler: random}
arms: {dense: {}, l1: {penalty: l1, strength: auto}}
"""
IMAGES = """
name: NAME
dataset: mnist
model: MODEL
training: {epochs: 1}
sparsification: {density: {log_uniform: [0.01, 0.2]}, finetune_epochs: 1}
search: {trials: 2, sampler: random}
arms: {l1: {penalty: l1, strength: 1e-4}}
"""
TEXTS = {
    "quickstart": (STUDIES / "quickstart.yaml").read_text(),
    "small-mnist": MLP,
    "lenet-5": IMAGES.replace("NAME", "lenet-5").replace("MODEL", "lenet-5"),
    "convnet": IMAGES.replace("NAME", "convnet").replace("MODEL", "convnet(16, 32)"),
}
PHASES = """
import json, sys, time
marks = [("python", time.process_time())]
def mark(name):
    marks.append((name, time.process_time()))
import sweeper.worker.worker_loop
from sweeper.store import Store
mark("worker, store, search")
import torch
mark("torch")
import sweeper.training.pack, sweeper.training.recipe_data, sweeper.training.strength_probe
mark("training, numba")
from sweeper.trainers import pack_size
from sweeper.trainers.pack_trainer import PackTrainer
store = Store(sys.argv[1])
sweep = store.sweep(sys.argv[2])
torch.set_num_threads(1)
trainer = PackTrainer(sweep, pack=1)
mark("data")
pack_size.measure(sweep, trainer._data, "cpu")
mark("size of packs")
config = pack_size.examples(sweep)[0]
class Enough(Exception): pass
def stop(share=None):
    if share:
        raise Enough
try:
    sweeper.training.pack.train_pack([config], trainer._data, tick=stop)
except Enough:
    mark("first step")
print(json.dumps(marks))
"""


@dataclass(frozen=True)
class Start:
    """A study: what its worker does first, and what all of it takes."""

    name: str
    phases: dict[str, float]
    """Processor seconds of each phase of a worker's start."""
    predicted: float
    wall: float
    busy: float
    """Processor seconds of all processes, divided by the cores."""

    @property
    def ratio(self) -> float:
        """Real to predicted time, on a machine that does nothing else."""
        return self.busy / self.predicted


def measure(name: str, folder: Path) -> Start:
    """Measure a study in a folder of its own."""
    file = folder / "study.yaml"
    file.write_text(TEXTS[name])
    sweep = Sweep.load(file)
    predicted = plan(sweep).seconds or 0.0
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

    def run(*command: str) -> str:
        done = subprocess.run(
            command, cwd=folder, env=environment, check=True, capture_output=True, text=True
        )
        return done.stdout

    before, began = _children(), time.perf_counter()
    run(sys.executable, "-m", "sweeper", "run", "study.yaml", "--device", "cpu")
    wall, busy = time.perf_counter() - began, (_children() - before) / cores()
    said = run(sys.executable, "-c", PHASES, "sqlite:///sweeper.db", sweep.name)
    marks: list[tuple[str, float]] = json.loads(said.splitlines()[-1])
    starts = [0.0, *(at for _, at in marks)]
    phases = {what: at - start for (what, at), start in zip(marks, starts, strict=False)}
    return Start(name, phases, predicted, wall, busy)


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(TEXTS))
    parser.add_argument("--quick", action="store_true", help="the quickstart alone")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if unknown := sorted(set(options.names) - TEXTS.keys()):
        parser.error(f"no such study: {unknown[0]}; allowed: {', '.join(TEXTS)}")
    measured: list[dict[str, Any]] = []
    for name in options.names or (["quickstart"] if options.quick else TEXTS):
        with tempfile.TemporaryDirectory() as folder:
            start = measure(name, Path(folder))
        measured.append(asdict(start))
        if options.json:
            continue
        print(f"{name}: start of a worker, processor seconds")
        for what, seconds in start.phases.items():
            print(f"  {what:<24}{seconds:>8.2f}")
        print(f"  {'in all':<24}{sum(start.phases.values()):>8.2f}")
        print(
            f"  predicted {start.predicted:.0f} s, wall {start.wall:.0f} s, "
            f"busy {start.busy:.0f} s: {start.ratio:.2f} of what was predicted",
            flush=True,
        )
    if options.json:
        print(json.dumps(measured, indent=2))


if __name__ == "__main__":
    main()
