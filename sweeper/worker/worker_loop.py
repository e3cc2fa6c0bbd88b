"""The worker's loop: take a pack, train it, hand it in; the database is dealt with at the desk."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sweeper.analysis import strength_range
from sweeper.errors import InputError, Interrupted, LeaseLost, TrainingError, UnknownSweepError
from sweeper.store import Store
from sweeper.types import ProbePoint, ProbeTask, StrengthRange, TrialTask
from sweeper.worker import outage_notice
from sweeper.worker.background_thread import BackgroundThread
from sweeper.worker.callbacks import reraise_background_error, step_callback
from sweeper.worker.forced_exit import exit_in_time
from sweeper.worker.lease import Lease, StopFlag, handle_signals, orphaned
from sweeper.worker.pack_pipeline import PackPipeline
from sweeper.worker.pack_size import PackSize
from sweeper.worker.trainer import Probe, Train, Trainer, TrainingFailed
from sweeper.worker.trial_storage import Pack, TrialStorage

_log = logging.getLogger("sweeper.worker")
ATTEMPTS = 3
"""Leases lost in a row, without a result, after which a worker gives up."""


@dataclass(frozen=True, slots=True)
class WorkerTimings:
    """Sums over all that one worker did, in seconds."""

    training: float
    """Wall time of packs and probes."""
    waiting: float
    """Wall time in which nothing was trained because the database was waited for."""
    bookkeeping: float
    """CPU time of the thread that works beside training: claims, asks, records, tells, draws."""

    def __str__(self) -> str:
        return (
            f"trained for {self.training:.1f} s; waited {self.waiting:.1f} s for the database; "
            f"{self.bookkeeping:.1f} s of CPU for it beside training"
        )


def work(
    name: str,
    store: Store,
    *,
    device: str = "auto",
    pack: PackSize = "auto",
    folder: Path | None = None,
    train: Train | None = None,
    probe: Probe | None = None,
    data: Any = None,
    artifacts: str | None = None,
    on_event: Callable[[str], None] | None = None,
    on_spent: Callable[[WorkerTimings], None] | None = None,
    alone: bool = False,
) -> int:
    """Work until the sweep is finished or stopped; return how many trials were recorded here.

    Slots that are not finished are given back, whatever happens. `on_spent` is told at the end
    what the time went into. The networks of a confirmation are kept at `artifacts`, a folder or a
    bucket. `alone`: the process is this worker's alone, and is ended where it does not stop within
    ten seconds of being asked to. Raises Interrupted after a signal, TrainingError, StorageError,
    UnknownSweepError, and what loading the data raises.
    """
    tell = on_event or _log.info
    sweep = store.sweep(name)
    leaving = threading.Event()
    kept = artifacts if sweep.confirms else None
    with (
        handle_signals() as stop,
        closing(store.reconnect(outage_notice.stoppable_policy(stop, tell))) as own,
        BackgroundThread(partial(TrialStorage.open, own, sweep, leaving, kept)) as desk,
        ExitStack() as stack,
    ):
        worker = _Worker(name, own, desk, leaving, stop, tell, keeps=kept is not None)
        if alone:
            stack.enter_context(exit_in_time(stop, own, lambda: worker.holder))
        if orphaned():
            raise Interrupted("the launcher is gone")
        desk.wait(desk.submit(TrialStorage.create), stop.check)
        worker.mend()
        if worker.anything_left():
            with stop.at_once():  # torch, the data and a first look at packs take their time
                trainer = Trainer(
                    sweep,
                    device=device,
                    pack=pack,
                    folder=folder,
                    train=train,
                    probe=probe,
                    data=data,
                    on_event=tell,
                )
            desk.wait(desk.submit(TrialStorage.prepare), stop.check)
            with worker.reckoning(on_spent):
                worker.run(trainer)
    return worker.done


class _Worker:
    def __init__(
        self,
        name: str,
        store: Store,
        desk: BackgroundThread[TrialStorage],
        leaving: threading.Event,
        stop: StopFlag,
        on_event: Callable[[str], None],
        *,
        keeps: bool,
    ) -> None:
        self.done = 0
        self.holder = ""
        """The worker of the present lease, in whose name slots are held."""
        self._keeps = keeps
        self._name, self._store = name, store
        self._desk, self._leaving = desk, leaving
        self._stop, self._tell = stop, on_event
        self._sweep = store.sweep(name)
        self._created_at = store.status(name).created_at
        self._mended = 0.0
        self._losses = 0
        self._trained = 0.0
        self._waited = 0.0

    def anything_left(self) -> bool:
        """Tell whether there is. Raises TrainingError if the sweep was given up."""
        state = self._store.state(self._name)
        if state == "failed":
            raise TrainingError(self._store.status(self._name).error)
        return state == "open" and not self._store.finished(self._name)

    def mend(self) -> None:
        freed = self._desk.wait(self._desk.submit(TrialStorage.mend), self._stop.check)
        self._mended = time.monotonic()
        if freed:
            self._tell(f"freed {freed} slots of workers that are gone")

    @contextmanager
    def reckoning(self, on_spent: Callable[[WorkerTimings], None] | None) -> Iterator[None]:
        """Say what the time of the block went into, however it ends."""
        desk = self._desk
        self._waited, waited, computed = desk.waited, desk.waited, desk.cpu_seconds
        try:
            yield
        finally:
            spent = WorkerTimings(self._trained, desk.waited - waited, desk.cpu_seconds - computed)
            self._tell(f"{self.done} trials: {spent}")
            if on_spent:
                on_spent(spent)

    def run(self, trainer: Trainer) -> None:
        """Hold one lease after another until nothing is left to do."""
        while self.anything_left():
            try:
                with Lease(self._store, self._name, trainer.device, self._stop) as lease:
                    self.holder = lease.worker
                    self._tell(f"joined as {lease.worker} on {trainer.device}")
                    self._check_identity()
                    packs = PackPipeline(self._desk, self._leaving, lease, trainer, self._recorded)
                    try:
                        self._loop(packs, trainer, lease)
                    except BaseException as error:
                        packs.drain(error)
                        raise
            except LeaseLost as error:
                self._tell(f"lease lost: {error}")
                self._losses += 1
                if self._losses >= ATTEMPTS:
                    raise
            except Interrupted:
                self._stop.check()  # a signal goes on; `sweeper stop` ends quietly
        self.mend()
        last = self._desk.submit(lambda clerk: clerk.publish(force=True))
        self._desk.wait(last, self._stop.check)

    def _check_identity(self) -> None:
        """Refuse to train an old study file for a new sweep of the same name."""
        if self._store.status(self._name).created_at != self._created_at:
            raise UnknownSweepError(
                f"{self._name} was deleted and registered anew; start this worker again"
            )

    def _loop(self, packs: PackPipeline, trainer: Trainer, lease: Lease) -> None:
        pause = 0.05
        while True:
            lease.check()
            found = packs.next_pack()
            if found is not None:
                pause = 0.05
                if isinstance(found, ProbeTask):
                    self._probe(found, packs, trainer, lease)
                else:
                    self._train(found, packs, trainer, lease)
            elif self.anything_left():
                # Others hold the generation that must be told first.
                if time.monotonic() - self._mended > self._store.lease_seconds / 4:
                    self.mend()
                self._stop.wait(pause)
                pause = min(1.0, pause * 1.5)
            else:
                return

    def _train(self, pack: Pack, packs: PackPipeline, trainer: Trainer, lease: Lease) -> None:
        """Train a pack, one recipe after the other; each is handed in at once."""
        left = _parts(pack, lambda task: task.config.recipe)
        while left:
            lease.check()
            group = left.pop(0)
            tick = step_callback(lease, self._sweep.steps_in_all, packs, last=not left)
            noted = partial(packs.record_out_of_memory, group)
            began = time.monotonic()
            networks: dict[int, Any] | None = {} if self._keeps else None
            try:
                with reraise_background_error():
                    results = trainer.train([task.config for task in group], tick, noted, networks)
            except TrainingFailed as error:
                arms = _parts(group, lambda task: task.slot.arm)
                if len(arms) > 1:
                    # One of them is to blame: the others should neither wait nor be counted.
                    self._tell(f"training failed, now arm by arm: {error}")
                    left = arms + left
                else:
                    self._tell(f"training {group[0].slot.arm} failed: {error}")
                    packs.release(group, str(error))
                    self.anything_left()  # raises if that was once too often
            else:
                packs.submit_results(
                    group, results, time.monotonic() - began, _files(group, networks)
                )
            finally:
                self._trained += time.monotonic() - began
                lease.progress = 0.0

    def _recorded(self, pack: Pack, seconds: float) -> None:
        self.done += len(pack)
        self._losses = 0
        waited, self._waited = self._desk.waited - self._waited, self._desk.waited
        self._tell(
            f"recorded {len(pack)} trials after {seconds:.1f} s; "
            f"waited {waited:.1f} s for the database"
        )

    def _probe(self, task: ProbeTask, packs: PackPipeline, trainer: Trainer, lease: Lease) -> None:
        """Find the range of one strength."""
        sweep = self._store.sweep(self._name)
        config = sweep.probe(task.arm, task.parameter)
        ticks = config.recipe.epochs * (sweep.data.train // config.recipe.batch_size)
        worker = lease.worker
        try:
            tick = step_callback(lease, ticks, packs, last=False)
            with reraise_background_error():
                points, seconds = trainer.probe(config, tick)
        except TrainingFailed as error:
            said = f"{task.parameter}: auto: {error}"
            self._tell(f"the probe of {task.arm} failed: {error}")
            job = self._desk.submit(lambda clerk: clerk.release_probe(worker, task, said))
            self._desk.wait(job, lease.check)
            self.anything_left()  # raises if that was once too often
            return
        self._trained += seconds
        bracket = self._range(task, points, seconds)
        found = trainer.provenance
        done = self._desk.submit(lambda clerk: clerk.record_range(worker, task, bracket, found))
        self._desk.wait(done, lease.check)
        self._losses = 0
        range_ = f"{task.parameter} {bracket.low:.3g} to {bracket.high:.3g}"
        self._tell(f"{task.arm}: {range_}, by a probe of {seconds:.1f} s")

    def _range(
        self, task: ProbeTask, points: tuple[ProbePoint, ...], seconds: float
    ) -> StrengthRange:
        try:
            return strength_range.range_from_probe(points, seconds)
        except InputError as error:
            key = task.parameter if task.parameter == "strength" else f"sum.{task.parameter}"
            raise InputError(f"{self._name}: arms.{task.arm}.{key}: auto: {error}") from error


def _files(pack: Pack, networks: Mapping[int, Any] | None) -> dict[int, bytes]:
    """Return the finished networks of a pack as files, by their place in it."""
    if not networks:
        return {}
    from sweeper.training.checkpoint import to_safetensors

    return {
        place: to_safetensors(
            network,
            {
                "sweep": pack[place].slot.sweep,
                "study": pack[place].slot.study,
                "trial": str(pack[place].trial),
                "model": pack[place].config.recipe.model,
            },
        )
        for place, network in networks.items()
    }


def _parts(pack: Pack, by: Callable[[TrialTask], object]) -> list[Pack]:
    """Return the tasks of a pack that are equal in `by`, together."""
    parts: dict[object, Pack] = {}
    for task in pack:
        parts[by(task)] = (*parts.get(by(task), ()), task)
    return list(parts.values())
