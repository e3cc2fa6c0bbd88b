"""The cost of a step with many arms in one pack, and a trial's bookkeeping in a large study."""

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from floor import L1, least_milliseconds, mixed_step, step
from sweeper.config import Sweep
from sweeper.config.registry import FORMULAS
from sweeper.search import SweepStudies
from sweeper.store import Store
from sweeper.trainers.provenance import gather_provenance
from sweeper.types import (
    Evaluation,
    LayerCount,
    MethodConfig,
    PenaltyConfig,
    TrialOutcome,
    TrialResult,
)
from work import Work

PACK = 16
ARMS = (1, 4, 16)
TRIALS = (0, 100, 500, 2000)
TARGET = 0.03
"""Share of a trial's training that its bookkeeping may take at 500 finished trials."""


@dataclass(frozen=True)
class Mixed:
    """A pack of several arms; milliseconds a step and network."""

    arms: int
    together: float
    alone: float
    """The mean of its arms when each fills a pack of its own."""


@dataclass(frozen=True)
class Bookkeeping:
    """Claim, ask, link, record and tell of one trial, in a study that holds others already."""

    sampler: str
    finished: int
    milliseconds: float
    share: float
    """Of what one trial's training takes."""


def penalties(count: int) -> list[MethodConfig]:
    """Return different penalties by prox or shrink, those that cost little first."""
    found = []
    for name, formula in FORMULAS.items():
        hyper = tuple((key, known.default) for key, known in formula.hyper.items())
        ways = [way for way in ("prox", "shrink") if way in formula.modes and name != "none"]
        found += [MethodConfig((PenaltyConfig(name, way, 1e-5, hyper),)) for way in ways[:1]]
    return found[:count]


def mixed(widths: Sequence[int], batch: int, rounds: int, device: str) -> list[Mixed]:
    """Measure packs of 16 with more and more arms, in turns with packs of one arm each."""
    found = []
    for arms in ARMS:
        methods = penalties(arms)
        together = [method for method in methods for _ in range(PACK // arms)]
        programs = {"together": mixed_step(together, widths, batch, device)}
        for number, method in enumerate(methods):
            programs[f"alone {number}"] = step(method, PACK, widths, batch, device)
        least = least_milliseconds(programs, rounds, device)
        joint = least.pop("together") / PACK
        found.append(Mixed(arms, joint, fmean(least.values()) / PACK))
    return found


def training_seconds(work: Work, rounds: int, device: str) -> float:
    """Return what a trial's steps take in a pack of 16, judging left out."""
    program = step(L1, PACK, work.widths, work.batch_size, device)
    least = least_milliseconds({"step": program}, rounds, device)["step"]
    return least / PACK / 1e3 * work.steps


def bookkeeping(
    work: Work, sizes: Sequence[int], seconds: float, say: Callable[[str], None]
) -> list[Bookkeeping]:
    """Measure with samplers that know the slot alone and with one that learns.

    `seconds` is what one trial's training takes.
    """
    found = []
    for sampler in ("qmc", "tpe"):
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            study = _Study(work, sampler, max(sizes) + 4 * PACK, f"sqlite:///{folder}/b.db")
            try:
                for size in sizes:
                    say(f"bookkeeping: {sampler}, {size} finished trials")
                    study.fill(size)
                    taken = study.run(2 * PACK) / (2 * PACK)
                    found.append(Bookkeeping(sampler, size, 1e3 * taken, taken / seconds))
            finally:
                study.close()
    return found


class _Study:
    """A worker of one arm that trains nothing."""

    def __init__(self, work: Work, sampler: str, trials: int, url: str) -> None:
        spec = work.sweep(trials).model_dump(mode="json")
        spec["search"] = {**spec["search"], "sampler": sampler}
        self._sweep = Sweep.model_validate(spec)
        self._store = Store(url, lease_seconds=3600)
        self._store.upgrade()
        self._store.register(self._sweep)
        self._search = SweepStudies(url, self._sweep)
        self._search.create()
        self._search.warm_up()
        self._worker = self._store.join(self._sweep.name, device="cpu")
        self._provenance = gather_provenance(device="cpu", processor="", threads=1, data_hash="")
        self._done = 0

    def fill(self, finished: int) -> None:
        """Bring the study to a number of finished trials."""
        if finished > self._done:
            self.run(finished - self._done)

    def run(self, count: int) -> float:
        """Do the bookkeeping of `count` trials; return the seconds."""
        began, until = time.perf_counter(), self._done + count
        while self._done < until:
            slots = self._store.claim(self._worker, min(PACK, until - self._done))
            asked = self._search.ask(slots)
            self._store.link(self._worker, {slot: of[0].trial for slot, of in asked.items()})
            outcomes = [
                TrialOutcome.of(task, _result(1000 + slot.number % 97), self._provenance)
                for slot, tasks in asked.items()
                for task in tasks
            ]
            self._store.record(self._worker, outcomes)
            self._search.tell([(o.slot.study, o.trial, o.result) for o in outcomes])
            self._store.mark_reported(slots)
            self._done += len(slots)
        return time.perf_counter() - began

    def close(self) -> None:
        self._search.close()
        self._store.close()


def _result(nonzero: int) -> TrialResult:
    """Return a result as long as a real one, with no curve."""
    shapes = {"1": (300, 784), "3": (100, 300), "5": (10, 100)}
    layers = tuple(
        LayerCount(name, shape, nonzero // 3, shape[0] * shape[1], 0, shape[0])
        for name, shape in shapes.items()
    )
    judged = Evaluation(nonzero, nonzero, 0, nonzero, 1 - 1 / nonzero, 1 - 1 / nonzero, layers)
    larger = replace(judged, nonzero=2 * nonzero, weights=2 * nonzero)
    return TrialResult("complete", 266_610, judged, larger, (), 1000, 1.0, PACK)
