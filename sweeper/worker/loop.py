"""The worker's loop: claim -> ask -> link -> train -> record -> tell."""

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweeper import brackets, service
from sweeper.errors import (
    InputError,
    Interrupted,
    LeaseLost,
    StorageError,
    TrainingError,
    UnknownSweepError,
)
from sweeper.results import Bracket, ProbePoint, ProbeTask, Scalar, Slot, TrialConfig
from sweeper.search import Search
from sweeper.store import Store
from sweeper.worker.lease import Lease, Stop, orphaned, signals
from sweeper.worker.trainer import Probe, Train, Trainer, TrainingFailed

_log = logging.getLogger("sweeper.worker")
ATTEMPTS = 3
"""Failures in a row, of the same kind and without a result, after which a worker gives up."""


def work(
    name: str,
    store: Store,
    *,
    device: str = "auto",
    pack: int = 16,
    folder: Path | None = None,
    train: Train | None = None,
    probe: Probe | None = None,
    data: Any = None,
    on_event: Callable[[str], None] | None = None,
) -> int:
    """Work until the sweep is finished or stopped; return how many trials were recorded here.

    Slots that are not finished are given back, whatever happens. Raises Interrupted after a
    signal, TrainingError, StorageError, UnknownSweepError, and what loading the data raises.
    """
    sweep = store.sweep(name)
    with signals() as stop, service.searching(store, sweep) as search:
        worker = _Worker(name, store, search, stop, pack, on_event or _log.info)
        if orphaned():
            raise Interrupted("the launcher is gone")
        search.create()
        worker.mend()
        if worker.anything_left():
            trainer = Trainer(
                sweep, device=device, folder=folder, train=train, probe=probe, data=data
            )
            search.prepare()
            worker.run(trainer)
    return worker.done


@dataclass(frozen=True, slots=True)
class _Asked:
    """A slot with the trial that was asked for it."""

    slot: Slot
    trial: int
    params: dict[str, Scalar]
    config: TrialConfig


class _Worker:
    def __init__(
        self,
        name: str,
        store: Store,
        search: Search,
        stop: Stop,
        pack: int,
        on_event: Callable[[str], None],
    ) -> None:
        self.done = 0
        self._name, self._store, self._search = name, store, search
        self._stop, self._pack, self._tell = stop, pack, on_event
        self._sweep = store.sweep(name)
        self._created_at = store.status(name).created_at
        self._mended = 0.0
        self._failures: list[str] = []

    def anything_left(self) -> bool:
        return self._store.state(self._name) == "open" and not self._store.finished(self._name)

    def mend(self) -> None:
        freed = service.mend(self._store, self._name, self._search)
        self._mended = time.monotonic()
        if freed:
            self._tell(f"freed {freed} slots of workers that are gone")

    def run(self, trainer: Trainer) -> None:
        """Hold one lease after another until nothing is left to do."""
        while self.anything_left():
            try:
                with Lease(self._store, self._name, trainer.device, self._stop) as lease:
                    self._tell(f"joined as {lease.worker} on {trainer.device}")
                    self._check_identity()
                    self._loop(trainer, lease)
            except LeaseLost as error:
                self._tell(f"lease lost: {error}")
                if self._third("lease lost"):
                    raise
            except Interrupted:
                self._stop.check()  # a signal goes on as Interrupted; `sweeper stop` ends quietly
        self.mend()
        service.publish(self._store, self._name, force=True, search=self._search)

    def _check_identity(self) -> None:
        """Refuse to train an old study file for a new sweep of the same name."""
        if self._store.status(self._name).created_at != self._created_at:
            raise UnknownSweepError(
                f"{self._name} was deleted and registered anew; start this worker again"
            )

    def _loop(self, trainer: Trainer, lease: Lease) -> None:
        pause = 0.05
        while True:
            lease.check()
            if self._probe(trainer, lease):
                continue
            slots = self._store.claim(lease.worker, self._pack)
            if slots:
                pause = 0.05
                self._do(slots, trainer, lease)
                service.publish(self._store, self._name, search=self._search)
            elif self.anything_left():
                # Others hold the generation that must be told first.
                if time.monotonic() - self._mended > self._store.lease_seconds / 4:
                    self.mend()
                self._stop.wait(pause)
                pause = min(1.0, pause * 1.5)
            else:
                return

    def _probe(self, trainer: Trainer, lease: Lease) -> bool:
        """Find the range of one strength, if one is still to be found; tell whether one was."""
        task = self._store.claim_probe(lease.worker)
        if task is None:
            return False
        sweep = self._store.sweep(self._name)
        config = sweep.probe(task.arm, task.parameter)
        ticks = config.recipe.epochs * (sweep.data.train // config.recipe.batch_size)
        try:
            points, seconds = trainer.probe(config, self._ticking(lease, ticks))
            bracket = self._range(task, points, seconds)
            self._store.record_bracket(lease.worker, task, bracket, trainer.provenance)
        except TrainingFailed as error:
            self._store.release_probe(lease.worker, task)
            self._tell(f"the probe of {task.arm} failed: {error}")
            if self._third(str(error)):
                raise TrainingError(f"{error} ({ATTEMPTS} times in a row)") from error.__cause__
            return True
        self._failures.clear()
        found = f"{task.parameter} {bracket.low:.3g} to {bracket.high:.3g}"
        self._tell(f"{task.arm}: {found}, by a probe of {seconds:.1f} s")
        return True

    def _range(self, task: ProbeTask, points: tuple[ProbePoint, ...], seconds: float) -> Bracket:
        try:
            return brackets.read(points, seconds)
        except InputError as error:
            key = task.parameter if task.parameter == "strength" else f"sum.{task.parameter}"
            raise InputError(f"{self._name}: arms.{task.arm}.{key}: auto: {error}") from error

    def _do(self, slots: Sequence[Slot], trainer: Trainer, lease: Lease) -> None:
        """Train the slots, all of them on record afterwards or given back."""
        left: list[_Asked] = []
        try:
            for slot in slots:
                lease.check()
                left.append(self._ask(slot))
                self._store.link(lease.worker, slot, left[-1].trial)
            recipes = dict.fromkeys(one.config.recipe for one in left)
            for recipe in recipes:
                group = [one for one in left if one.config.recipe == recipe]
                self._train(group, left, trainer, lease)
        except LeaseLost:
            self._fail(left)  # nobody else tells them: their slots were given to others unasked
            raise
        except StorageError:
            raise  # what was written is not known; the lease ends here, and who is alive mends
        except TrainingFailed as error:
            self._give_back(slots, left, lease)
            self._tell(f"training failed: {error}")
            if self._third(str(error)):
                raise TrainingError(f"{error} ({ATTEMPTS} times in a row)") from error.__cause__
        except BaseException:
            self._give_back(slots, left, lease)
            raise

    def _ask(self, slot: Slot) -> _Asked:
        # The sweep was extended, or the range of a strength was found meanwhile.
        if slot.arm not in self._sweep.arms or self._sweep.automatic(slot.arm):
            found = brackets.ranges(self._store.brackets(self._name))
            self._sweep = self._store.sweep(self._name).with_brackets(found)
            self._search.extend(self._sweep)
        trial, params = self._search.ask(slot)
        while self._store.has_fact(slot.study, trial):
            # The study was deleted in the dashboard and counts from 0 again: skip what is taken.
            self._search.fail(slot.study, trial)
            trial, params = self._search.ask(slot)
        config = self._sweep.config(slot.arm, slot.repeat, slot.number, params)
        return _Asked(slot, trial, params, config)

    def _train(
        self, group: Sequence[_Asked], left: list[_Asked], trainer: Trainer, lease: Lease
    ) -> None:
        began = time.monotonic()
        ticks = self._sweep.steps_per_trial
        results = trainer.train([one.config for one in group], self._ticking(lease, ticks))
        lease.progress = 0.0
        for one, result in zip(group, results, strict=True):
            self._store.record(
                lease.worker,
                one.slot,
                one.trial,
                one.params,
                one.config,
                result,
                trainer.provenance,
            )
            left.remove(one)
            self.done += 1
            self._failures.clear()
            self._search.tell(one.slot.study, one.trial, result, trainer.provenance.device)
            self._store.told(one.slot)
        self._tell(f"recorded {len(group)} trials after {time.monotonic() - began:.1f} s")

    def _ticking(self, lease: Lease, ticks: int) -> Callable[[], None]:
        """Return what training calls at every step: it ends it in time, and counts."""
        steps = 0

        def tick() -> None:
            nonlocal steps
            lease.check()
            steps += 1
            # Training ticks while it judges, too: the last percents are slow ones.
            lease.progress = min(steps / ticks, 0.99)

        return tick

    def _give_back(self, slots: Sequence[Slot], left: Sequence[_Asked], lease: Lease) -> None:
        with suppress(StorageError):  # the lease ends anyway
            self._store.release(lease.worker, slots)
        self._fail(left)

    def _fail(self, left: Sequence[_Asked]) -> None:
        """Tell FAIL what belongs to no slot any more; what is recorded after all stays."""
        with suppress(StorageError):
            for one in left:
                used = self._store.trials_in_use(self._name, one.slot.arm, one.slot.repeat)
                if used is not None and one.trial not in used:
                    self._search.fail(one.slot.study, one.trial)

    def _third(self, failure: str) -> bool:
        """Tell whether the same failure came three times in a row without any result."""
        self._failures = [*(one for one in self._failures if one == failure), failure]
        return len(self._failures) >= ATTEMPTS
