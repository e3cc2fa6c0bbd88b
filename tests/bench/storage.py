"""The cost of the shared database: claims, asks, records and tells of workers that train nothing.

    python tests/bench/storage.py [--part all] [--workers 1,4,16,64] [--trials 512] [--rounds 1]
        [--url URL] [--json] [--quick]

Parts, each beside plain Optuna's ask, one attribute and tell on the same server, with the same
number of processes, studies, trials and searched parameters, and the same sampler:

- rates: by workers, in 64 studies (16 arms, 4 repeats) that hold 1,024 finished trials;
- ladders: the same with ladders of eight, each network of which is a trial of Optuna's;
- before: by finished trials beforehand, in 64 studies, and all of them in a single one;
- phases: where the time goes.

PostgreSQL, a server of its own unless `--url` names a database of another (whose user may create
databases). Every run begins with a copy of the same database and is checked to have done the exact
budget. The sides take turns; figures of busy machines are good as ratios only.
"""

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import storage_tables as tables
from contestants import LOOPS, OPTUNA, WHOLE, Side, load, race
from crew import Report
from prefilled import Server, Task
from support.postgres import Postgres
from sweeper.errors import SweeperError

PARTS = ("rates", "ladders", "before", "phases")
BEFORE = 1024
"""Finished trials that a task begins with: enough for the sampler to have started."""

RUNGS = 8
"""Networks of a ladder."""


@dataclass(frozen=True)
class Options:
    """What was asked for."""

    parts: tuple[str, ...]
    workers: tuple[int, ...]
    trials: int
    rounds: int
    url: str
    quick: bool

    @property
    def usual(self) -> int:
        """Workers of the parts that are measured with one number of them."""
        return min(self.workers, key=lambda one: abs(one - 16))


class Bench:
    """Runs the sides in turns on one server."""

    def __init__(self, server: Server, options: Options) -> None:
        self._server, self._options = server, options

    def race(self, sides: Sequence[Side], task: Task, workers: int) -> list[tables.Run]:
        """Return the fastest round of each side."""
        best: dict[Side, Report] = {}
        for number in range(self._options.rounds):
            for side in sides if number % 2 == 0 else reversed(sides):
                say(
                    f"{task.sampler}, {task.each} in each of {task.studies}, "
                    f"{workers} workers: {side}"
                )
                report = race(side, self._server, task, workers, 60 + task.trials)
                if side not in best or report.seconds < best[side].seconds:
                    best[side] = report
        return [tables.Run(side, task, workers, best[side]) for side in sides]

    def rates(self) -> list[tables.Run]:
        found = []
        sides = (OPTUNA, *LOOPS[:2], WHOLE[0]) if self._options.quick else (OPTUNA, *LOOPS, *WHOLE)
        for sampler in ("tpe", "random"):
            for workers in self._options.workers:
                task = self._task(sampler, BEFORE, workers)
                found += self.race(sides, task, workers)
                if not self._options.quick:
                    found += self.race([OPTUNA], _single(task), workers)
        return found

    def ladders(self) -> list[tables.Run]:
        measured = []
        sides = (OPTUNA, *(LOOPS[:2] if self._options.quick else LOOPS))
        for workers in self._options.workers:
            measured += self.race(sides, self._ladder(workers), workers)
        return measured

    def before(self) -> list[tables.Run]:
        found = []
        workers = self._options.usual
        sides = (OPTUNA, LOOPS[0], LOOPS[1])
        for before in (0, 100) if self._options.quick else (0, 1024, 5120):
            task = self._task("tpe", before, workers)
            found += self.race(sides, task, workers)
            found += self.race(sides, _single(replace(task, trials=task.trials // 2)), workers)
        return found

    def phases(self) -> list[tables.Run]:
        found = []
        for workers in sorted({self._options.workers[0], self._options.usual}):
            sides = (OPTUNA, *(LOOPS[:2] if self._options.quick else LOOPS))
            found += self.race(sides, self._task("tpe", BEFORE, workers), workers)
            if not self._options.quick:
                found += self.race(LOOPS, self._ladder(workers), workers)
        return found

    def _task(self, sampler: str, before: int, workers: int) -> Task:
        if self._options.quick:
            return Task(sampler, min(before, 64), self._options.trials, arms=4, repeats=1)
        trials = self._options.trials
        return Task(sampler, before, trials if workers > 1 else trials // 2)

    def _ladder(self, workers: int) -> Task:
        """Return the task of ladders; two trainings at least are left of each study."""
        task = replace(self._task("tpe", BEFORE, workers), rungs=RUNGS)
        return replace(task, trials=max(task.trials, 2 * RUNGS * task.studies))


def _single(task: Task) -> Task:
    """Return the task with one study, whose generations are as large as there are workers."""
    return replace(task, arms=1, repeats=1, in_flight=16)


@contextmanager
def serving(options: Options) -> Iterator[Server]:
    """Lend a server, with room for all workers."""
    own = None if options.url else Postgres(connections=8 * max(options.workers) + 20)
    server = Server(own.url("postgres"), own.process.pid) if own else Server(options.url)
    try:
        yield server
    finally:
        server.close()
        if own:
            own.stop()


def measure(options: Options, show: Callable[[str], None]) -> dict[str, Any]:
    """Return what was measured, for JSON; `show` is given each table as soon as it is known."""
    measured: dict[str, Any] = {}
    load()
    with serving(options) as server:
        bench = Bench(server, options)
        for part in options.parts:
            runs: list[tables.Run] = getattr(bench, part)()
            measured[part] = [described(run) for run in runs]
            show(getattr(tables, part)(runs))
            if part == "rates":
                show(tables.summary(runs))
    return measured


def described(run: tables.Run) -> dict[str, Any]:
    """Return a run for JSON."""
    report = run.report
    return {
        "side": str(run.side),
        "pack": run.side.pack,
        "whole": run.side.whole,
        "sampler": run.task.sampler,
        "studies": run.task.studies,
        "rungs": run.task.rungs,
        "before": run.task.each * run.task.studies,
        "workers": run.workers,
        "trials": report.trials,
        "milliseconds": report.milliseconds,
        "cpu_milliseconds": report.cpu_milliseconds,
        "server_cpu_milliseconds": 1e3 * report.server_seconds / report.trials,
        "ready_seconds": report.ready_seconds,
        "phases": {name: asdict(phase) for name, phase in report.phases.items()},
    }


def say(text: str) -> None:
    """Show progress, beside the figures."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def parse(arguments: list[str] | None = None) -> tuple[Options, bool]:
    """Return the options, and whether JSON is wanted."""
    parser = argparse.ArgumentParser(description="what the shared database costs")
    parser.add_argument("--part", choices=(*PARTS, "all"), default="all")
    parser.add_argument("--workers", default="", help="numbers of processes, by comma")
    parser.add_argument("--trials", type=int, default=512, help="of each run")
    parser.add_argument("--rounds", type=int, default=1, help="the fastest counts")
    parser.add_argument("--url", default="", help="a PostgreSQL database of another server")
    parser.add_argument("--quick", action="store_true", help="seconds, with few trials")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    try:
        numbers = given.workers or ("1,2" if given.quick else "1,4,16,64")
        workers = tuple(sorted({int(one) for one in numbers.split(",")}))
    except ValueError:
        parser.error(f"--workers: numbers by comma, got {given.workers!r}")
    if workers[0] < 1:
        parser.error(f"--workers: at least 1, got {workers[0]}")
    return Options(
        PARTS if given.part == "all" else (given.part,),
        workers,
        16 if given.quick else given.trials,
        given.rounds,
        given.url,
        given.quick,
    ), given.json


def main() -> None:
    options, as_json = parse()
    signal.signal(signal.SIGTERM, _leave)
    try:
        measured = measure(options, _nothing if as_json else _print)
    except KeyboardInterrupt:
        sys.exit("stopped")
    except (SweeperError, RuntimeError) as error:
        sys.exit(f"error: {error}")
    if as_json:
        print(json.dumps(measured, indent=2))


def _print(table: str) -> None:
    print(f"{table}\n", flush=True)


def _nothing(table: str) -> None:
    pass


def _leave(number: int, frame: FrameType | None) -> None:
    """End as usual, so that processes and databases are cleared up."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
