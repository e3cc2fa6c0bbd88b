"""The two sides: our workers, and plain Optuna; both train in no time."""

import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from random import Random

import optuna
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.storages import RDBStorage

from crew import Counter, Report, Work, crew
from prefilled import Server, Task, execute, fill
from support.fakes import fake_probe, fake_train
from sweeper import lifecycle
from sweeper.config.registry import SAMPLERS
from sweeper.search import SweepStudies
from sweeper.search.objectives import DIRECTIONS
from sweeper.search.samplers import ParameterSource, space_of
from sweeper.store import Store
from sweeper.trainers.provenance import gather_provenance
from sweeper.worker import worker_loop
from sweeper.worker.trial_storage import TrialStorage

PAUSE = 0.01
"""Seconds until a worker that found nothing to do looks again."""


@dataclass(frozen=True)
class Side:
    """Who does the work."""

    name: str
    pack: int
    whole: bool = False
    """The whole worker, and not its calls in a loop."""

    def __str__(self) -> str:
        if self.name == "optuna":
            return "plain Optuna"
        return f"{'whole workers' if self.whole else 'ours'}, packs of {self.pack}"


OPTUNA = Side("optuna", 1)
LOOPS = tuple(Side("ours", pack) for pack in (1, 4, 16))
WHOLE = tuple(Side("ours", pack, whole=True) for pack in (4, 16))


def race(side: Side, server: Server, task: Task, workers: int, patience: float) -> Report:
    """Do all that is left of a task. Raises RuntimeError unless exactly that was done in time."""
    with server.lend(task, lambda url: fill(url, task)) as url:
        if side.name == "optuna":
            work: Work = partial(_optuna, url, task, workers)
        else:
            work = partial(_whole if side.whole else _ours, url, task, side.pack)
        report = crew(workers, work, patience, server.cpu_seconds)
        if side.name == "ours":
            _check_slots(url, task)
        _check_trials(url, task)
    report.trials = task.left * task.studies
    return report


def _watch_storage(counter: Counter) -> None:
    cached = type(optuna.storages.get_storage("sqlite://"))
    counter.watch(cached, get_all_trials="read")


def _counted() -> Counter:
    counter = Counter()
    counter.watch(
        Store,
        claim_probe="probe",
        claim="claim",
        trials_taken="on record",
        link="link",
        record="record",
        mark_reported="told",
    )
    counter.watch(SweepStudies, ask="ask", tell="tell")
    counter.watch(ParameterSource, params="sample")
    _watch_storage(counter)
    return counter


def _ours(url: str, task: Task, pack: int, number: int, start: Callable[[], None]) -> Report:
    """Take packs and hand them in, as a worker's background thread does, until nothing is left."""
    sweep = task.sweep
    provenance = gather_provenance(device="cpu", processor="", threads=1, data_hash="")
    with (
        closing(Store(url, lease_seconds=600)) as store,
        lifecycle.open_studies(store, sweep) as search,
    ):
        trials = TrialStorage(store, search, sweep, threading.Event())
        trials.create()
        lease = store.join(sweep.name, device="cpu")
        start()
        counter = _counted()
        while True:
            found = trials.claim(lease, pack, "cpu", _nothing)
            if isinstance(found, tuple):
                results = fake_train([one.config for one in found])
                trials.record(lease, found, results, provenance)
            elif store.finished(sweep.name):
                break
            else:
                time.sleep(PAUSE)
        store.leave(lease)
    return counter.report


def _whole(url: str, task: Task, pack: int, number: int, start: Callable[[], None]) -> Report:
    """Work as `sweeper worker` does, with its threads."""
    start()
    counter = _counted()
    with closing(Store(url)) as store:
        worker_loop.work(
            task.sweep.name,
            store,
            device="cpu",
            pack=pack,
            train=fake_train,
            probe=fake_probe,
            on_event=_ignore,
        )
    return counter.report


def _optuna(url: str, task: Task, workers: int, number: int, start: Callable[[], None]) -> Report:
    """Ask and tell in all studies in turns, as many trials of each as ours."""
    sweep = task.sweep
    space = space_of(sweep, next(iter(sweep.arms)))
    storage = RDBStorage(url)
    names = [sweep.study(arm, repeat) for arm in sweep.arms for repeat in range(task.repeats)]
    cached = optuna.storages.get_storage(storage)
    studies = [
        optuna.load_study(
            study_name=name, storage=cached, sampler=_sampler(task.sampler, number, place)
        )
        for place, name in enumerate(names)
    ]
    turns = [study for study in range(len(studies)) for _ in range(task.left)]
    Random(0).shuffle(turns)
    start()
    counter = Counter()
    counter.watch(optuna.Study, ask="ask", tell="tell")
    counter.watch(optuna.Trial, set_user_attr="attribute")
    _watch_storage(counter)
    for turn in turns[number::workers]:
        trial = studies[turn].ask(space)
        trial.set_user_attr("device", "cpu")
        closeness = trial.params["strength"] / (trial.params["learning_rate"] + 0.1)
        size = 1e5 * trial.params.get("density", 0.1)
        studies[turn].tell(trial, (size, 0.9 + 0.09 * closeness))
    storage.remove_session()
    storage.engine.dispose()
    return counter.report


def _sampler(name: str, worker: int, study: int) -> BaseSampler:
    seed = 1_000 * study + worker  # workers of equal seeds would ask for equal trials
    if name == "random":
        return RandomSampler(seed=seed)
    return TPESampler(seed=seed, n_startup_trials=SAMPLERS["tpe"], constant_liar=True)


def load() -> None:
    """Import what samplers need, before processes are forked."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(directions=DIRECTIONS, sampler=TPESampler(n_startup_trials=1))
    space = space_of(Task("tpe", 0, 1).sweep, "l1-0")
    for value in range(1, 20):
        study.tell(study.ask(space), (value, 1 / value))
    fake_train([])


def _check_slots(url: str, task: Task) -> None:
    budget = task.studies * (task.each + task.left)
    query = (
        "SELECT count(*), count(f.slot), count(DISTINCT (f.study, f.trial)), "
        "count(*) FILTER (WHERE s.state = 'told' AND s.trial + f.network = f.trial) "
        "FROM sweeper_slot s "
        "LEFT JOIN sweeper_fact f ON (s.arm, s.repeat, s.number) = (f.arm, f.repeat, f.slot)"
    )
    found = execute(url, query)[0]
    if found != (budget,) * 4:
        raise RuntimeError(f"slots, facts, trials, told: {found}, and not {budget} of each")


def _check_trials(url: str, task: Task) -> None:
    query = (
        "SELECT count(*), count(DISTINCT number) FROM trials WHERE state = 'COMPLETE' "
        "GROUP BY study_id UNION ALL SELECT -1, -1 FROM trials WHERE state <> 'COMPLETE'"
    )
    wanted = [(task.each + task.left,) * 2] * task.studies
    if (found := execute(url, query)) != wanted:
        raise RuntimeError(f"trials of each study: {found}, and not {wanted[0][0]}")


def _nothing() -> None:
    pass


def _ignore(text: str) -> None:
    pass
