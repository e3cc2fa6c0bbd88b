"""Whether fronts in bfloat16 differ from those in float32: the same trainings in both, in pairs.

`python tests/bench/precisions.py` trains configurations of the five arms of `ladder.py` at random,
each as a ladder, in both precisions, and prints the mean difference in accuracy by rung and of the
hypervolume by arm, with 95 % intervals over repeats. `--quick` is a look of seconds.
"""

import argparse
import os
import statistics
from collections.abc import Sequence
from typing import Any

import optuna

from ladder import study
from searches import corner, train, values_of
from sweeper.analysis import mean
from sweeper.analysis.front import hypervolume
from sweeper.config import Sweep
from sweeper.search.samplers import ParameterSource
from sweeper.types import TrialResult

PRECISIONS = ("float32", "bfloat16")


def sweep_in(precision: str, options: dict[str, Any]) -> Sweep:
    """Return the study of ladders in a precision, searched at random."""
    values = study("ladder", options).model_dump()
    values["training"]["precision"] = precision
    values["search"]["sampler"] = "random"
    return Sweep.model_validate(values)


def results(sweep: Sweep, repeat: int, trials: int) -> dict[str, list[TrialResult]]:
    """Return of each arm the networks of its first trials."""
    source = ParameterSource(sweep)
    configs = [
        sweep.config(arm, repeat, slot, source.params(arm, repeat, slot, list), network)
        for arm in sweep.arms
        for slot in range(trials)
        for network in range(sweep.networks_of_slot)
    ]
    trained = train(configs, sweep.networks_of_slot)
    many = trials * sweep.networks_of_slot
    return {arm: trained[place * many : (place + 1) * many] for place, arm in enumerate(sweep.arms)}


def interval(values: Sequence[float], digits: int) -> str:
    """Return a mean with its interval over repeats; without one where they are too few."""
    estimate = mean(values)
    if estimate is None or estimate.low is None or estimate.high is None:
        return f"{statistics.mean(values):+.{digits}f}"
    return (
        f"{estimate.center:+.{digits}f} ({estimate.low:+.{digits}f} to {estimate.high:+.{digits}f})"
    )


def main() -> None:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=3, help="of each arm and repeat")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    options: dict[str, Any] = {
        "dataset": "digits" if given.quick else "mnist",
        "epochs": 2 if given.quick else 7,
        "finetune_epochs": 1 if given.quick else 3,
        "floor": 0.0,
        "repeats": 1 if given.quick else given.repeats,
        "rungs": 8,
        "again": False,
    }
    trials = 1 if given.quick else given.trials
    sweeps = {precision: sweep_in(precision, options) for precision in PRECISIONS}
    first = sweeps["float32"]
    apart: dict[str, list[float]] = {arm: [] for arm in first.arms}
    by_rung: list[list[float]] = [[] for _ in range(first.rungs)]
    for repeat in range(options["repeats"]):
        pair = [results(sweep, repeat, trials) for sweep in sweeps.values()]
        rungs: list[list[float]] = [[] for _ in range(first.rungs)]
        for arm in first.arms:
            volumes = [
                hypervolume([v for r in of[arm] if (v := values_of(r))], corner(first))
                for of in pair
            ]
            apart[arm].append(volumes[1] - volumes[0])
            for place, (plain, brief) in enumerate(zip(pair[0][arm], pair[1][arm], strict=True)):
                if plain.pruned and brief.pruned:
                    points = brief.pruned.test_accuracy - plain.pruned.test_accuracy
                    rungs[place % first.rungs].append(100 * points)
        for column, values in zip(by_rung, rungs, strict=True):
            column.append(statistics.mean(values))
    print("test accuracy in bfloat16 less that in float32, points, mean over arms:")
    for density, values in zip(first.sparsification.densities, by_rung, strict=True):
        print(f"  at {density:<8g} {interval(values, 3)}")
    every = [statistics.mean(column) for column in zip(*by_rung, strict=True)]
    print(f"  all         {interval(every, 3)}")
    print("hypervolume on validation, of the same trainings:")
    for arm, values in apart.items():
        print(f"  {arm:<22}{interval(values, 4)}")


if __name__ == "__main__":
    main()
