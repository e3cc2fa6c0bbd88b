"""Trials per hour of each contestant, one after the other, each alone on the machine."""

import importlib.util
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any

from handwritten import RUNGS
from sweeper import api, settings
from sweeper.config import Sweep, registry
from sweeper.store import Store
from sweeper.types import Evaluation, TrialConfig
from task import Accuracy, Task, Trial
from work import USUAL_CURVE, Work

NAMES = {
    "ours": "sweeper",
    "curve": "sweeper, 20 densities",
    "rungs": f"sweeper, ladders of {RUNGS}",
    "loop": "hand-written loop",
    "ladder": f"hand-written ladder of {RUNGS}",
    "jax": "stacked JAX loop",
    "optuna": "Optuna + DataLoader",
    "ray": "Ray Tune + loop",
}
SHARES = {
    "ours": 4,
    "curve": 4,
    "rungs": 8,
    "loop": 1,
    "ladder": 2,
    "jax": 2,
    "optuna": 0.5,
    "ray": 1,
}
"""Trials of each as multiples of --trials: slow ones run fewer."""
TOLERANCE = 0.005
Say = Callable[[str], None]


@dataclass(frozen=True)
class Rate:
    """How fast one contestant was, and how good its networks are."""

    name: str
    trials: int = 0
    seconds: float = 0.0
    """From the start of the first trial to the end of the last one."""
    total_seconds: float = 0.0
    """From the start of the first process to the end of the last one."""
    pack: int = 1
    pruned: float = 0.0
    """Mean test accuracy."""
    pruned_spread: float = 0.0
    as_trained: float = 0.0
    as_trained_spread: float = 0.0
    difference: float | None = None
    """Largest difference from ours in mean accuracy over the same trials, of the two networks."""
    skipped: str = ""

    @property
    def per_hour(self) -> float:
        return 3600 * self.trials / self.seconds if self.trials else 0.0

    @property
    def per_hour_with_start(self) -> float:
        return 3600 * self.trials / self.total_seconds if self.trials else 0.0

    @property
    def differs(self) -> bool:
        return self.difference is not None and abs(self.difference) > TOLERANCE

    def step_milliseconds(self, work: Work, processes: int) -> float:
        """Time of one core for each step, judging and all else included."""
        return 1e3 * self.seconds * processes / (self.trials * work.steps)


@dataclass(frozen=True)
class Run:
    """What one run of a contestant gave."""

    trials: Sequence[Trial]
    total_seconds: float
    pack: int = 1

    @property
    def seconds(self) -> float:
        return max(t.ended for t in self.trials) - min(t.began for t in self.trials)


@dataclass(frozen=True)
class Contest:
    """The work, and what of the machine is used for it."""

    work: Work
    device: str
    processes: int
    trials: int
    pack: int | None
    say: Say
    ours: int | None = None

    def rates(self, names: Sequence[str], rounds: int) -> list[Rate]:
        """Run all contestants, every other round backwards; the best run of each counts."""
        best: dict[str, Run] = {}
        skipped: dict[str, str] = {}
        for number in range(rounds):
            for name in names if number % 2 == 0 else names[::-1]:
                if reason := self._why_not(name):
                    skipped[name] = reason
                    continue
                self.say(f"round {number + 1} of {rounds}: {NAMES[name]}")
                run = self._run(name)
                if name not in best or run.seconds < best[name].seconds:
                    best[name] = run
        reference = {trial.slot: trial for trial in best["ours"].trials} if "ours" in best else {}
        # Of a ladder the first trials alone are those of others: the rest has their training.
        first = {slot: trial for slot, trial in reference.items() if slot % RUNGS == 0}
        return [
            rate(name, best[name], {"ladder": first, "rungs": {}}.get(name, reference))
            if name in best
            else Rate(name, skipped=skipped[name])
            for name in names
        ]

    def count(self, name: str) -> int:
        """Return the trials of a contestant: as many for each process."""
        if self.ours and name in {"ours", "curve", "jax"}:
            return self.ours
        each = max(1, round(SHARES[name] * self.trials / self.processes))
        if name in {"ladder", "rungs"}:
            each = math.ceil(each / RUNGS) * RUNGS
        return each * self.processes

    def _why_not(self, name: str) -> str:
        if name == "ray" and not all(
            map(importlib.util.find_spec, ("ray", "tensorboardX", "pyarrow"))
        ):
            return "not installed: pip install 'sweeper[bench]'"
        if name == "jax":
            return _why_no_jax(self.device)
        if self.device != "cpu" and name in {"optuna", "ray"}:
            return "measured on CPUs only"
        return ""

    def _run(self, name: str) -> Run:
        configs = self.work.configs(self.count(name))
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            if name in {"ours", "curve"}:
                return self._ours(configs, Path(folder), USUAL_CURVE if name == "curve" else ())
            if name == "rungs":
                sweep = self.work.sweep(len(configs) // RUNGS, rungs=RUNGS)
                return self._sweep(sweep, Path(folder))
            return self._rival(name, Task(Path(folder), configs, self.processes, self.device))

    def _ours(self, configs: Sequence[TrialConfig], folder: Path, curve: Sequence[float]) -> Run:
        sweep = self.work.sweep(len(configs), curve)
        return self._sweep(sweep, folder, None if curve else configs)

    def _sweep(
        self, sweep: Sweep, folder: Path, configs: Sequence[TrialConfig] | None = None
    ) -> Run:
        """Run a sweep as anybody would; raise AssertionError if it has other `configs`."""
        url = f"sqlite:///{folder / 'sweeps.db'}"
        options: dict[str, Any] = {} if self.pack is None else {"pack": self.pack}
        data = settings.data_folder().absolute()
        began = time.time()
        with chdir(folder):  # its logs are written there
            workers = self.processes if self.device == "cpu" else 1
            api.run(sweep, url, workers=workers, device=self.device, data=data, **options)
        total = time.time() - began
        store = Store(url)
        facts = store.records(sweep.name)
        store.close()
        if configs and [fact.config for fact in facts] != list(configs):
            raise AssertionError("the sweep has trained other trials than its rivals")
        trials, as_trained = list[Trial](), None
        for number, fact in enumerate(facts):
            result = fact.result
            as_trained = result.as_trained or as_trained  # the first of a training has it
            assert result.pruned is not None
            assert as_trained is not None
            # A pack begins and ends as one.
            began_at = fact.recorded_at - result.seconds * result.pack * sweep.networks_of_slot
            judged = _accuracy(result.pruned), _accuracy(as_trained)
            trials.append(Trial(number, began_at, fact.recorded_at, *judged))
        return Run(trials, total, max(fact.result.pack for fact in facts))

    def _rival(self, name: str, task: Task) -> Run:
        began = time.time()
        if name == "optuna":
            import dataloader

            if self.work.dataset != "mnist":
                raw = registry.load(registry.DATASETS[self.work.dataset].loader)
                dataloader.write_idx(raw(settings.data_folder()), task.folder / "data")
            dataloader.prepare(task)
        file = task.write()
        count = 1 if name == "ray" or self.device != "cpu" else self.processes
        program = [sys.executable, str(Path(__file__).with_name("rivals.py")), name, str(file)]
        outputs = run_all([[*program, str(process)] for process in range(count)], task.folder)
        trials = [Trial.read(line) for output in outputs for line in output.splitlines()]
        if sorted(trial.slot for trial in trials) != list(range(len(task.configs))):
            raise AssertionError(f"{NAMES[name]} has not run each trial once")
        return Run(trials, time.time() - began)


def rate(name: str, run: Run, reference: Mapping[int, Trial]) -> Rate:
    """Return what a run comes to; `reference` are our trials by slot."""
    pruned = [trial.pruned.test for trial in run.trials]
    as_trained = [trial.as_trained.test for trial in run.trials]
    pairs = [(trial, reference[trial.slot]) for trial in run.trials if trial.slot in reference]
    apart = [
        fmean(own.pruned.test - ours.pruned.test for own, ours in pairs),
        fmean(own.as_trained.test - ours.as_trained.test for own, ours in pairs),
    ] if pairs else []  # fmt: skip
    return Rate(
        name,
        len(run.trials),
        run.seconds,
        run.total_seconds,
        run.pack,
        fmean(pruned),
        pstdev(pruned),
        fmean(as_trained),
        pstdev(as_trained),
        max(apart, key=abs, default=None),
    )


def run_all(commands: Sequence[Sequence[str]], folder: Path) -> list[str]:
    """Run commands at the same time, one thread each; return their standard outputs.

    None is left running, however this ends. Raises RuntimeError if one fails.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    running: list[subprocess.Popen[bytes]] = []
    files = [(folder / f"out-{n}.txt", folder / f"err-{n}.txt") for n in range(len(commands))]
    try:
        for command, (out, err) in zip(commands, files, strict=True):
            with out.open("wb") as output, err.open("wb") as errors:
                process = subprocess.Popen(
                    command,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=errors,
                    start_new_session=True,  # Ctrl-C is for us, who then end them one by one
                )
            running.append(process)
        for process, (_, err) in zip(running, files, strict=True):
            if process.wait():
                last = (err.read_text(errors="replace").split("\n\n")[-1].splitlines() or [""])[-1]
                raise RuntimeError(f"{command_name(process)} failed: {last}")
    finally:
        end(running)
    return [out.read_text() for out, _ in files]


def command_name(process: "subprocess.Popen[bytes]") -> str:
    """Return the contestant that a process belongs to."""
    arguments = process.args
    assert isinstance(arguments, list)
    return str(arguments[2])


def end(running: Sequence["subprocess.Popen[bytes]"]) -> None:
    """End processes that still run: SIGTERM, some seconds, SIGKILL."""
    for process in running:
        if process.poll() is None:
            process.terminate()
    deadline = time.monotonic() + 15
    for process in running:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _why_no_jax(device: str) -> str:
    known = importlib.util.find_spec
    if known("jax") is None:
        return "not installed: pip install 'sweeper[bench]'"
    if device != "cpu" and not any(map(known, ("jax_cuda12_plugin", "jax_cuda13_plugin"))):
        return "JAX has no CUDA here: pip install 'jax[cuda13]'"
    return ""


def _accuracy(judged: Evaluation) -> Accuracy:
    return Accuracy(judged.val_accuracy, judged.test_accuracy, judged.nonzero)
