"""Databases that hold a sweep with finished trials, written in bulk and copied for each run."""

import math
import os
import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from optuna.distributions import distribution_to_json
from sqlalchemy import make_url

from support.fakes import fake_train
from sweeper import lifecycle
from sweeper.config import Sweep
from sweeper.search.samplers import space_of
from sweeper.store import Store, tables
from sweeper.trainers.provenance import gather_provenance
from sweeper.worker.trial_storage import TrialStorage

ARMS, REPEATS, IN_FLIGHT = 16, 4, 4


@dataclass(frozen=True)
class Task:
    """A sweep that holds finished trials, and how many are left to do."""

    sampler: str
    before: int
    """Finished trials beforehand, in all studies together."""
    trials: int
    """That are left, in all studies together."""
    arms: int = ARMS
    repeats: int = REPEATS
    in_flight: int = IN_FLIGHT
    rungs: int = 1
    """Networks of each training: trials of Optuna, which are those that are counted here."""

    @property
    def studies(self) -> int:
        return self.arms * self.repeats

    @property
    def each(self) -> int:
        """Finished trials of each study: whole generations."""
        whole = self.in_flight * self.rungs
        return -(-self.before // self.studies // whole) * whole

    @property
    def left(self) -> int:
        """Trials that are left of each study."""
        return max(1, self.trials // self.studies // self.rungs) * self.rungs

    @property
    def sweep(self) -> Sweep:
        arm = {"penalty": "l1", "strength": {"log_uniform": [1e-4, 1e-1]}}
        rule: dict[str, Any] = {"density": {"log_uniform": [0.005, 0.2]}}
        if self.rungs > 1:
            rule = {"densities": {"from": 0.2, "to": 0.005, "rungs": self.rungs}}
        return Sweep.model_validate(
            {
                "name": "bench",
                "dataset": "digits",
                "model": "mlp(32)",
                "training": {"epochs": 1, "learning_rate": {"log_uniform": [0.01, 0.12]}},
                "sparsification": rule,
                "search": {
                    "sampler": self.sampler,
                    "trials": (self.each + self.left) // self.rungs,
                    "repeats": self.repeats,
                    "in_flight": self.in_flight,
                },
                "arms": {f"l1-{number}": arm for number in range(self.arms)},
            }
        )


class Server:
    """Databases of a PostgreSQL server that are dropped at the end."""

    def __init__(self, url: str, session: int = 0) -> None:
        """`session`: of its processes, if they run here."""
        self._url = make_url(url)
        self._session = session
        self._filled: dict[Hashable, str] = {}
        self._made = 0

    def url(self, database: str) -> str:
        return self._url.set(database=database).render_as_string(hide_password=False)

    @contextmanager
    def lend(self, what: Hashable, fill: Callable[[str], None]) -> Iterator[str]:
        """Lend a database that was filled at the first time, and is a copy of it each time."""
        if what not in self._filled:
            name = self._create()
            fill(self.url(name))
            self._filled[what] = name
        copy = self._create(self._filled[what])
        try:
            yield self.url(copy)
        finally:
            self._drop(copy)

    def cpu_seconds(self) -> float:
        """Return the CPU time that the server has used so far."""
        ticks = 0
        for stat in Path("/proc").glob("[0-9]*/stat") if self._session else ():
            with suppress(OSError):  # it has ended meanwhile: then its parent has its time
                fields = stat.read_text().rpartition(")")[2].split()
                if int(fields[3]) == self._session:  # proc(5) counts from 3: 6 and 14 to 17
                    ticks += sum(int(field) for field in fields[11:15])
        return ticks / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        for name in self._filled.values():
            self._drop(name)
        self._filled.clear()

    def _create(self, template: str = "template1") -> str:
        self._made += 1
        name = f"sweeper_bench_{self._made}"
        self._execute(
            f"DROP DATABASE IF EXISTS {name}", f"CREATE DATABASE {name} TEMPLATE {template}"
        )
        return name

    def _drop(self, name: str) -> None:
        self._execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def _execute(self, *statements: str) -> None:
        execute(self._url.render_as_string(hide_password=False), *statements)


def execute(url: str, *statements: str, **values: Any) -> list[tuple[Any, ...]]:
    """Execute statements, each in a transaction of its own; return the rows of the last."""
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            cursor = connection.execute(statement.encode(), values or None)
        return cursor.fetchall() if cursor.description else []


def fill(url: str, task: Task) -> None:
    """Register the sweep of a task, with its finished trials."""
    sweep = task.sweep
    with closing(Store(url)) as store:
        lifecycle.register(store, sweep)
        if task.each:
            with lifecycle.open_studies(store, sweep) as search:
                worker = store.join(sweep.name, device="cpu")
                trials = TrialStorage(store, search, sweep, threading.Event())
                pack = trials.claim(worker, 1, "cpu", lambda: None)
                assert isinstance(pack, tuple)
                results = fake_train([one.config for one in pack])
                found = gather_provenance(device="cpu", processor="", threads=1, data_hash="")
                trials.record(worker, pack, results, found)
                store.leave(worker)
            with closing(psycopg.connect(url, autocommit=True)) as connection:
                _fill(connection, task)
    execute(url, "VACUUM ANALYZE")


def _fill(connection: psycopg.Connection[Any], task: Task) -> None:
    """Make the one finished training that is there into many."""
    execute = connection.execute
    execute("SELECT setseed(0.5)")
    execute("DELETE FROM trial_values")
    execute("DELETE FROM trial_params")
    execute("DELETE FROM trial_user_attributes")
    execute("DELETE FROM trials")
    execute(
        "INSERT INTO trials (number, study_id, state, datetime_start, datetime_complete) "
        "SELECT n, study_id, 'COMPLETE', now(), now() FROM studies, generate_series(0, %s) AS n "
        "WHERE study_name LIKE '%%/%%' ORDER BY n, study_id",
        [task.each - 1],
    )
    for objective, value in enumerate(("floor(exp(7 + 5 * random()))", "0.9 + 0.09 * random()")):
        execute(
            "INSERT INTO trial_values (trial_id, objective, value, value_type) "
            f"SELECT trial_id, {objective}, {value}, 'FINITE' FROM trials".encode()
        )
    space = space_of(task.sweep, next(iter(task.sweep.arms)))
    for name, distribution in space.items():
        low, high = math.log(distribution.low), math.log(distribution.high)  # type: ignore[attr-defined]
        execute(
            "INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json) "
            "SELECT trial_id, %s, exp(%s + random() * %s), %s FROM trials",
            [name, low, 0.999 * (high - low), distribution_to_json(distribution)],
        )
    attributes = {
        "arm": "to_json(split_part(study_name, '/', 2))::text",
        "slot": f"(number / {task.rungs})::text",
        "device": "'\"cpu\"'",
        "strength": "'0.001'",
        "density": "'0.05'",
        "test_accuracy": "'0.97'",
        "effective_nonzero": "'4000'",
        "seconds": "'0.5'",
        "as_trained_nonzero": "'266610'",
        "as_trained_val_accuracy": "'0.97'",
    }
    for key, value in attributes.items():
        execute(
            "INSERT INTO trial_user_attributes (trial_id, key, value_json) "
            f"SELECT trial_id, '{key}', {value} FROM trials JOIN studies USING (study_id)".encode()
        )
    execute(
        "UPDATE sweeper_slot SET state = 'told', trial = %s * number, "
        "worker = (SELECT id FROM sweeper_worker) WHERE number < %s",
        [task.rungs, task.each // task.rungs],
    )
    own = ("arm", "repeat", "slot", "study", "trial")
    rest = ", ".join(f'f."{one.name}"' for one in tables.fact.c if one.name not in own)
    execute(
        f"INSERT INTO sweeper_fact ({', '.join(own)}, {rest.replace('f.', '')}) "
        "SELECT s.arm, s.repeat, s.number, s.sweep || '/' || s.arm || '/' || s.repeat, "
        f"s.trial + f.network, {rest} FROM sweeper_slot s, sweeper_fact f "
        "WHERE s.state = 'told' AND NOT "
        "(s.arm = f.arm AND s.repeat = f.repeat AND s.number = f.slot)".encode()
    )
