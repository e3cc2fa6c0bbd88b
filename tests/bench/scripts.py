"""The cost of the service for trainings of one's own: the time between two trials of a worker.

    python tests/bench/scripts.py [--seconds 10] [--workers 16] [--trials 6] [--samplers random,tpe]
        [--arms 4] [--in-flight 8] [--url URL] [--json] [--quick]

A trial only waits, so that many workers fit on few cores. The sides, in turns on one PostgreSQL:
workers of sweeper that call a function, and as many processes of Optuna's `study.optimize`, with
the same function, the same searched parameters and as many studies as there are arms. The time
between the end of a trial and the beginning of its worker's next one is what each side costs; and
the cost of `trial.step()`.
"""

import argparse
import json
import os
import sys
import tempfile
import time
import timeit
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import optuna
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.storages import RDBStorage

from support.postgres import Postgres
from support.scripts import registered_script, script_folder, script_sweep
from support.worker_processes import worker_process
from sweeper import Trial

FUNCTION = """
    import os, time

    def train(trial):
        seconds = trial.params["seconds"]
        began = now = time.monotonic()
        while now < began + seconds:
            trial.step((now - began) / seconds)
            time.sleep(min(0.1, began + seconds - now))
            now = time.monotonic()
        times = {"worker": os.getpid(), "began": began, "ended": time.monotonic()}
        return {"size": 1, "validation": trial.params["rate"], "test": 0.5, **times}
"""
LONG = 600.0
"""Seconds that a side may take beyond its trials."""


@dataclass(frozen=True)
class Options:
    """What was asked for."""

    seconds: float
    workers: int
    trials: int
    samplers: tuple[str, ...]
    arms: int
    in_flight: int
    url: str

    @property
    def budget(self) -> int:
        """Trials of each arm."""
        return self.workers * self.trials // self.arms


@dataclass(frozen=True)
class Measured:
    """One side with one sampler."""

    side: str
    sampler: str
    trials: int
    gap_milliseconds: float
    """Mean time between two trials of one worker."""
    lasted: float
    """Mean seconds of a trial."""
    overhead: float
    """Share of a worker's time that is no trial's, between its first one and its last."""


Times = list[tuple[int, float, float]]
"""Of each trial its worker, when it began and when it ended."""


def measured(side: str, sampler: str, times: Times, seconds: float) -> Measured:
    """Return what the times of all trials come to."""
    by_worker: dict[int, list[tuple[float, float]]] = {}
    for worker, began, ended in times:
        by_worker.setdefault(worker, []).append((began, ended))
    gaps: list[float] = []
    for spans in by_worker.values():
        spans.sort()
        gaps += [after[0] - before[1] for before, after in pairwise(spans)]
    gap = sum(gaps) / len(gaps)
    lasted = sum(ended - began for _, began, ended in times) / len(times)
    return Measured(side, sampler, len(times), 1e3 * gap, lasted, gap / (gap + seconds))


def ours(url: str, sampler: str, options: Options) -> Times:
    """Run workers of sweeper."""
    sweep = script_sweep(
        parameters={"rate": {"uniform": [0, 1]}, "seconds": options.seconds},
        search={"sampler": sampler, "trials": options.budget, "in_flight": options.in_flight},
        arms={f"arm-{number}": {} for number in range(options.arms)},
    )
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        stack.enter_context(script_folder(Path(folder), FUNCTION))
        store = registered_script(url, sweep)
        crew = [
            stack.enter_context(worker_process(url, "--script", folder))
            for _ in range(options.workers)
        ]
        for worker in crew:
            worker.wait(LONG + options.trials * options.seconds)
        numbers = [dict(record.result.numbers) for record in store.records(sweep.name)]
        store.close()
    assert len(numbers) == options.budget * options.arms
    return [(int(one["worker"]), one["began"], one["ended"]) for one in numbers]


def _optimize(url: str, sampler: str, options: Options, number: int, results: Any) -> None:
    """Be one process of Optuna's."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    samplers: dict[str, BaseSampler] = {"random": RandomSampler(), "tpe": TPESampler()}
    study = optuna.load_study(
        study_name=f"arm-{number % options.arms}", storage=url, sampler=samplers[sampler]
    )
    times: Times = []

    def objective(trial: optuna.Trial) -> tuple[float, float]:
        began = time.monotonic()
        rate = trial.suggest_float("rate", 0, 1)
        while (left := began + options.seconds - time.monotonic()) > 0:
            time.sleep(min(0.1, left))
        ended = time.monotonic()
        # What a user of ours has for it, too: seeds, the test's quality, where and when.
        for key, value in (("test", 0.5), ("worker", os.getpid()), ("began", began)):
            trial.set_user_attr(key, value)
        times.append((os.getpid(), began, ended))
        return 1.0, rate

    study.optimize(objective, n_trials=options.trials)
    results.put(times)


def theirs(url: str, sampler: str, options: Options) -> Times:
    """Run processes of Optuna's `study.optimize`, a share of them in each study."""
    storage = RDBStorage(url)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    for number in range(options.arms):
        name = f"arm-{number}"
        optuna.create_study(study_name=name, storage=storage, directions=["minimize", "maximize"])
    context = get_context("fork")
    results = context.Queue()
    crew = [
        context.Process(target=_optimize, args=(url, sampler, options, number, results))
        for number in range(options.workers)
    ]
    for process in crew:
        process.start()
    times = [one for _ in crew for one in results.get(timeout=LONG + 10 * options.seconds)]
    for process in crew:
        process.join()
    return times


def step_nanoseconds(call: str) -> float:
    """Return what a call of a trial takes: the fastest of some rounds, for the machine is busy."""
    calls = 200_000
    return (
        1e9 * min(timeit.repeat(call, number=calls, repeat=9, globals={"trial": Trial()})) / calls
    )


@contextmanager
def serving(options: Options) -> Iterator[Postgres | None]:
    """Lend a server with room for all workers, unless one is named."""
    if options.url:
        yield None
        return
    server = Postgres(connections=8 * options.workers + 20)
    try:
        yield server
    finally:
        server.stop()


def race(options: Options) -> Iterator[Measured]:
    """Yield each side with each sampler, in turns."""
    with serving(options) as server:
        for sampler in options.samplers:
            for side, run in (("plain Optuna", theirs), ("sweeper", ours)):
                with ExitStack() as stack:
                    url = stack.enter_context(server.database()) if server else options.url
                    print(f"{time.strftime('%H:%M:%S')} {side}, {sampler}", file=sys.stderr)
                    times = run(url, sampler, options)
                yield measured(side, sampler, times, options.seconds)


def table(rows: Sequence[Measured]) -> Iterator[str]:
    """Yield the lines of the table."""
    yield "| | between two trials, ms | of the time |"
    yield "|---|---:|---:|"
    for row in rows:
        share = f"{100 * row.overhead:.2f} %"
        yield f"| {row.side}, {row.sampler} | {row.gap_milliseconds:.0f} | {share} |"


def parse(arguments: list[str] | None = None) -> tuple[Options, bool]:
    """Return the options, and whether JSON is wanted."""
    parser = argparse.ArgumentParser(description="what the service costs for one's own training")
    parser.add_argument("--seconds", type=float, default=10.0, help="of a trial")
    parser.add_argument("--workers", type=int, default=16)
    parser.add_argument("--trials", type=int, default=6, help="of each worker")
    parser.add_argument("--samplers", default="random,tpe")
    parser.add_argument("--arms", type=int, default=4)
    parser.add_argument("--in-flight", type=int, default=8, help="of each arm, with TPE")
    parser.add_argument("--url", default="", help="an empty PostgreSQL database")
    parser.add_argument("--quick", action="store_true", help="seconds, with few trials")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    if given.quick:
        return Options(0.3, 2, 3, ("random",), 2, 8, given.url), given.json
    samplers = tuple(given.samplers.split(","))
    counts = given.workers, given.trials, samplers, given.arms, given.in_flight
    return Options(given.seconds, *counts, given.url), given.json


def main() -> None:
    """Measure, and print the table."""
    options, as_json = parse()
    rows = list(race(options))
    steps = {call: step_nanoseconds(call) for call in ("trial.step()", "trial.step(0.5)")}
    if as_json:
        print(json.dumps({"sides": [asdict(row) for row in rows], "nanoseconds": steps}))
        return
    print(*table(rows), sep="\n")
    print(*(f"{name}: {value:.0f} ns" for name, value in steps.items()), sep="\n")


if __name__ == "__main__":
    main()
