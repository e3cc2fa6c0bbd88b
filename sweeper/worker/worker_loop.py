"""Worker loop: claim a pack, ask for its trials, train them, record the results, tell Optuna.

Training has this thread. The database is dealt with in another one, so that a claim and a record
cost no time between two packs: see `pack_pipeline` and `trial_storage`.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Unpack

from sweeper.analysis import strength_range
from sweeper.config.probe_plan import probe_config
from sweeper.errors import InputError, Interrupted, LeaseLost, TrainingError, UnknownSweepError
from sweeper.store import Store
from sweeper.trainers.open_trainer import open_trainer
from sweeper.trainers.trainer import Trainer, TrainerOptions, TrainingFailed
from sweeper.types import ProbePoint, ProbeTask, StrengthRange, TrialTask
from sweeper.worker.background_thread import BackgroundThread
from sweeper.worker.lease import Lease
from sweeper.worker.pack_pipeline import PackPipeline
from sweeper.worker.stop_signals import (
    StopFlag,
    exit_in_time,
    handle_signals,
    stop_if_orphaned,
    stoppable_policy,
)
from sweeper.worker.time_budget import TimeBudget, moment_text
from sweeper.worker.trial_storage import Pack, TrialStorage, slots_of
from sweeper.worker.worker_timings import WorkerTimings

_log = logging.getLogger("sweeper.worker")
ATTEMPTS = 3
"""Leases lost in a row, without a result, after which a worker gives up."""
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
"""Seconds between two looks for a claim, while other workers hold all that could be claimed."""


def work(
    name: str,
    store: Store,
    *,
    trials: Path | None = None,
    artifacts: str | None = None,
    on_event: Callable[[str], None] | None = None,
    on_spent: Callable[[WorkerTimings], None] | None = None,
    alone: bool = False,
    until: float | None = None,
    **options: Unpack[TrainerOptions],
) -> int:
    """Work until the sweep is finished or stopped; return the number of trials recorded here.

    Slots that are not finished are given back, whatever happens. `options` are those of its
    trainer, see `TrainerOptions`. `on_spent` is told at the end
    what the time went into. The networks of a confirmation and the checkpoints of scripts are
    stored in `artifacts`, a folder or a bucket, all files of scripts in `trials`. `alone`: the
    process is this worker's alone, and is ended where it does not stop within ten seconds of being
    asked to. `until`, in seconds since 1970, is the end of its time: it begins nothing that would
    end later. Raises Interrupted after a signal, TrainingError, StorageError, UnknownSweepError,
    and the errors of loading the data.
    """
    on_event = on_event or _log.info
    sweep = store.sweep(name)
    leaving = threading.Event()
    budget = None if until is None else TimeBudget(until)
    networks = artifacts if sweep.confirms and sweep.script is None else None
    with (
        handle_signals() as stop,
        closing(store.reconnect(stoppable_policy(stop, on_event))) as worker_store,
        BackgroundThread(
            partial(TrialStorage.open, worker_store, sweep, leaving, networks, budget)
        ) as background,
        ExitStack() as stack,
    ):
        worker = _Worker(
            name,
            worker_store,
            background,
            leaving,
            stop,
            on_event,
            stores_networks=networks is not None,
            budget=budget,
        )
        if alone:
            stack.enter_context(exit_in_time(stop, worker_store, lambda: worker.id))
        stop_if_orphaned(stop)
        stop.check()
        background.wait(background.submit(TrialStorage.create), stop.check)
        worker.recover()
        if worker.is_work_left() and not worker.has_no_time(1):
            with stop.at_once():  # torch, the data and a first look at packs take their time
                trainer = open_trainer(
                    sweep,
                    trials=trials,
                    artifacts=artifacts,
                    identity=store.identity(name) or "",
                    on_event=on_event,
                    **options,
                )
            stack.enter_context(closing(trainer))
            background.wait(background.submit(TrialStorage.warm_up), stop.check)
            with worker.timed(on_spent):
                worker.run(trainer)
    return worker.done


class _Worker:
    def __init__(
        self,
        name: str,
        store: Store,
        background: BackgroundThread,
        leaving: threading.Event,
        stop: StopFlag,
        on_event: Callable[[str], None],
        *,
        stores_networks: bool,
        budget: TimeBudget | None,
    ) -> None:
        self.done = 0
        """Trials recorded."""
        self.id = ""
        """The id of the present lease, in whose name slots are held."""
        self._budget = budget
        self._stores_networks = stores_networks
        self._name, self._store = name, store
        self._background, self._leaving = background, leaving
        self._stop, self._on_event = stop, on_event
        self._sweep = store.sweep(name)
        # A script tells of its progress in shares.
        self._steps = self._sweep.steps_in_all if self._sweep.script is None else 1
        self._created_at = store.status(name).created_at
        self._recovered_at = 0.0
        self._losses = 0
        self._trained = 0.0
        self._waited = 0.0

    def is_work_left(self) -> bool:
        """Return True while the sweep is open and unfinished. Raises TrainingError if it failed."""
        state = self._store.state(self._name)
        if state == "failed":
            raise TrainingError(self._store.status(self._name).error)
        return state == "open" and not self._store.finished(self._name)

    def recover(self) -> None:
        """Recover the slots of expired leases."""
        freed = self._background.wait(
            self._background.submit(TrialStorage.recover), self._stop.check
        )
        self._recovered_at = time.monotonic()
        if freed:
            self._on_event(f"freed {freed} slots of workers that are gone")

    @contextmanager
    def timed(self, on_spent: Callable[[WorkerTimings], None] | None) -> Iterator[None]:
        """Tell of the timings of the block, however it ends."""
        background = self._background
        waited, computed = background.waited, background.cpu_seconds
        self._waited = waited
        try:
            yield
        finally:
            timings = WorkerTimings(
                self._trained, background.waited - waited, background.cpu_seconds - computed
            )
            self._on_event(f"{self.done} trials: {timings}")
            if on_spent:
                on_spent(timings)

    def run(self, trainer: Trainer) -> None:
        """Hold one lease after another until no work is left."""
        most = max(1, trainer.pack // self._sweep.seeds)
        if self._budget:
            self._budget.expected = trainer.trial_seconds
        while self.is_work_left() and not self.has_no_time(most):
            try:
                with Lease(self._store, self._name, trainer.device, self._stop) as lease:
                    self.id = lease.worker_id
                    self._on_event(f"joined as {lease.worker_id} on {trainer.device}")
                    self._check_identity()
                    packs = PackPipeline(
                        self._background,
                        self._leaving,
                        lease,
                        trainer,
                        partial(self._on_record, trainer),
                    )
                    try:
                        self._loop(packs, trainer, lease, most)
                    except BaseException as error:
                        packs.drain(error)
                        raise
            except LeaseLost as error:
                self._on_event(f"lease lost: {error}")
                self._losses += 1
                if self._losses >= ATTEMPTS:
                    raise
            except Interrupted:
                self._stop.check()  # a signal goes on; `sweeper stop` ends quietly
        self.recover()
        last = self._background.submit(lambda storage: storage.publish(force=True))
        self._background.wait(last, self._stop.check)

    def _check_identity(self) -> None:
        """Refuse to train an old study file for a new sweep of the same name."""
        if self._store.status(self._name).created_at != self._created_at:
            raise UnknownSweepError(
                f"{self._name} was deleted and registered anew; start this worker again"
            )

    def has_no_time(self, most: int) -> bool:
        """Tell whether no pack, of `most` trials, would end within the time budget; say so."""
        if self._budget is None or not self._budget.is_spent(self._store.status(self._name), most):
            return False
        until = moment_text(self._budget.until)
        self._on_event(f"until {until}: nothing that is left would end before it")
        return True

    def _loop(self, packs: PackPipeline, trainer: Trainer, lease: Lease, most: int) -> None:
        """Claim and ask, train, record and tell, until no work is left, or no time for it."""
        pause = FIRST_PAUSE
        while True:
            lease.check()
            claim = packs.next_claim()  # a pack with its trials, asked while the last one trained
            if isinstance(claim, ProbeTask):
                self._probe(claim, packs, trainer, lease)
            elif claim is not None:
                self._train(claim, packs, trainer, lease)  # recorded and told while the next trains
            elif self._budget and self._budget.is_spent(self._store.status(self._name), most):
                return
            elif self.is_work_left():
                # Others hold the generation that must be told first, or all that is left is paused.
                self._recover_when_due()
                self._await_resume(lease)
                self._stop.wait(pause)
                pause = min(LONGEST_PAUSE, pause * 1.5)
                continue
            else:
                return
            pause = FIRST_PAUSE

    def _recover_when_due(self) -> None:
        if time.monotonic() - self._recovered_at > self._store.lease_seconds / 4:
            self.recover()

    def _await_resume(self, lease: Lease) -> None:
        """Wait while all that is left is paused: by one look a second, which locks nothing."""
        waits = False
        while self._store.interventions.is_held_up(self._name):
            if self._budget and self._budget.is_over:
                return
            if not waits:
                self._on_event(f"paused: sweeper resume {self._name} goes on")
            waits = True
            self._recover_when_due()
            self._stop.wait(LONGEST_PAUSE)
            lease.check()

    def _train(self, pack: Pack, packs: PackPipeline, trainer: Trainer, lease: Lease) -> None:
        """Train a pack, one recipe after the other; submit the results of each at once."""
        left = _parts(pack, lambda task: task.config.recipe)
        while left:
            lease.check()
            part = left.pop(0)
            on_step = packs.step_callback(self._steps, last=not left)
            on_memory = partial(packs.record_out_of_memory, part)
            networks: dict[int, Any] | None = {} if self._stores_networks else None
            began = time.monotonic()
            try:
                with packs.background_errors():
                    results = trainer.train(part, on_step, on_memory, networks)
            except TrainingFailed as error:
                arms = _parts(part, lambda task: task.slot.arm)
                if len(arms) > 1:
                    # One of them is to blame: the others should neither wait nor be counted.
                    self._on_event(f"training failed, now arm by arm: {error}")
                    left = arms + left
                else:
                    self._on_event(f"training {part[0].slot.arm} failed: {error}")
                    packs.release(part, str(error))
                    self.is_work_left()  # raises if that was once too often
            else:
                seconds = time.monotonic() - began
                if self._budget:
                    self._budget.note(slots_of(part), seconds)
                files = self._network_files(part, trainer, networks)
                packs.submit_results(part, results, seconds, files)
            finally:
                self._trained += time.monotonic() - began
                lease.progress = 0.0

    def _network_files(
        self, pack: Pack, trainer: Trainer, networks: Mapping[int, Any] | None
    ) -> dict[int, bytes]:
        """Return the trained networks of a pack as safetensors files, by their place in it."""
        if not networks:
            return {}
        from sweeper.training.checkpoint import to_safetensors
        from sweeper.training.network_description import NetworkDescription

        files = {}
        for place, network in networks.items():
            task = pack[place]
            description = NetworkDescription.of(self._sweep, task.config.recipe, trainer.provenance)
            about = {"sweep": task.slot.sweep, "study": task.slot.study, "trial": str(task.trial)}
            files[place] = to_safetensors(network, {**description.metadata(), **about})
        return files

    def _on_record(self, trainer: Trainer, pack: Pack, seconds: float) -> None:
        trainer.note_recorded(pack)
        self.done += len(slots_of(pack))
        self._losses = 0
        waited, self._waited = self._background.waited - self._waited, self._background.waited
        self._on_event(
            f"recorded {_counted(pack)} after {seconds:.1f} s; "
            f"waited {waited:.1f} s for the database"
        )

    def _probe(self, task: ProbeTask, packs: PackPipeline, trainer: Trainer, lease: Lease) -> None:
        """Train the probe of a strength; record the range that follows from it."""
        sweep = self._store.sweep(self._name)
        config = probe_config(sweep, task.arm, task.parameter)
        steps = config.recipe.epochs * (sweep.data.train // config.recipe.batch_size)
        worker_id = lease.worker_id
        try:
            on_step = packs.step_callback(steps, last=False)
            with packs.background_errors():
                points, seconds = trainer.probe(config, on_step)
        except TrainingFailed as error:
            message = f"{task.parameter}: auto: {error}"
            self._on_event(f"the probe of {task.arm} failed: {error}")
            job = self._background.submit(
                lambda storage: storage.release_probe(worker_id, task, message)
            )
            self._background.wait(job, lease.check)
            self.is_work_left()  # raises if that was once too often
            return
        self._trained += seconds
        strengths = self._range(task, points, seconds)
        provenance = trainer.provenance
        job = self._background.submit(
            lambda storage: storage.record_range(worker_id, task, strengths, provenance)
        )
        self._background.wait(job, lease.check)
        self._losses = 0
        text = f"{task.parameter} {strengths.low:.3g} to {strengths.high:.3g}"
        self._on_event(f"{task.arm}: {text}, by a probe of {seconds:.1f} s")

    def _range(
        self, task: ProbeTask, points: tuple[ProbePoint, ...], seconds: float
    ) -> StrengthRange:
        try:
            return strength_range.range_from_probe(points, seconds)
        except InputError as error:
            key = task.parameter if task.parameter == "strength" else f"sum.{task.parameter}"
            raise InputError(f"{self._name}: arms.{task.arm}.{key}: auto: {error}") from error


def _counted(pack: Pack) -> str:
    slots = slots_of(pack)
    networks = f" with {len(pack)} networks" if len(pack) > len(slots) else ""
    return f"{len(slots)} trials{networks}"


def _parts(pack: Pack, key: Callable[[TrialTask], object]) -> list[Pack]:
    """Return the tasks of a pack in groups of equal `key`."""
    parts: dict[object, Pack] = {}
    for task in pack:
        parts[key(task)] = (*parts.get(key(task), ()), task)
    return list(parts.values())
