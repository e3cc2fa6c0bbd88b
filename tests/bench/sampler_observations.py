"""What samplers should be told of a ladder: its hypervolume, or its networks one by one.

`python tests/bench/sampler_observations.py` searches with each sampler and each rule on the same
data, all of it trained, and prints the hypervolume of the front after some trainings, beside random
search.
`--quick` is a look of seconds.
"""

import argparse
import statistics
import time
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import optuna

from searches import Search, advance, corner
from sweeper.config import Sweep
from sweeper.search.observations import observation_rule
from sweeper.search.samplers import ParameterSource

SAMPLERS = "tpe,nsga2,gp,random"
ARMS: dict[str, Any] = {
    "l1": {"penalty": "l1", "strength": {"log_uniform": [1e-5, 1e-1]}},
    "l_half": {"penalty": "l_half", "strength": {"log_uniform": [1e-5, 1e-1]}},
    "entropy": {
        "penalty": "marginal_entropy",
        "apply": "shrink",
        "strength": {"log_uniform": [1e-5, 1e-1]},
    },
}


def sweep_of(sampler: str, options: argparse.Namespace) -> Sweep:
    """Return the study of a sampler; all are equal but for it."""
    return Sweep.of_mapping(
        {
            "name": "observations",
            "dataset": options.dataset,
            "model": options.model,
            "training": {
                "epochs": options.epochs,
                "learning_rate": {"log_uniform": [0.005, 0.3]},
            },
            "sparsification": {
                "densities": {"from": 0.2, "to": 0.01, "rungs": 5},
                "finetune_epochs": max(1, options.epochs // 2),
                "finetune_learning_rate_factor": {"log_uniform": [0.05, 1.0]},
                "floor": 0.1,
                "curve": [0.1],
            },
            "search": {
                "sampler": sampler,
                "trials": options.trials,
                "repeats": options.repeats,
                "in_flight": 4,
            },
            "reference": {"error": 0.5 if options.dataset == "digits" else 0.2},
            "arms": ARMS,
        }
    )


def searches(options: argparse.Namespace) -> list[Search]:
    """Return all searches."""
    all_ = []
    for sampler in options.samplers.split(","):
        sweep = sweep_of(sampler, options)
        one_by_one = observation_rule(sweep)
        rules = {
            "hypervolume": replace(one_by_one, reference=corner(sweep)),
            "networks": one_by_one,
        }
        for name, rule in rules.items() if sampler != "random" else [("-", one_by_one)]:
            all_ += [
                Search(sweep, arm, repeat, ParameterSource(sweep, rule), name)
                for arm in sweep.arms
                for repeat in range(options.repeats)
            ]
    return all_


def run(options: argparse.Namespace) -> list[Search]:
    """Search with all of them at once, generation by generation."""
    every = searches(options)
    for _ in range(0, options.trials, 4):
        for repeat in range(options.repeats):
            advance([search for search in every if search.repeat == repeat], options.trials)
    return every


def rows(every: Iterable[Search], marks: Iterable[int]) -> list[list[str]]:
    """Return of each sampler and rule the mean hypervolumes, over those of random search."""
    groups: dict[tuple[str, str], list[Search]] = {}
    for search in every:
        groups.setdefault((search.sweep.search.sampler, search.label), []).append(search)
    made = []
    for (sampler, rule), members in groups.items():
        cells = [f"{statistics.mean(s.volume(mark) for s in members):.4f}" for mark in marks]
        made.append([sampler, rule, *cells])
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", default="digits")
    parser.add_argument("--model", default="mlp(64, 32)")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--samplers", default=SAMPLERS)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    if options.quick:
        options.epochs, options.trials, options.repeats = 2, 12, 1
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    began = time.monotonic()
    every = run(options)
    marks = [options.trials // 3, options.trials * 2 // 3, options.trials]
    head = ["sampler", "is told", *(f"after {mark}" for mark in marks)]
    print(f"Mean hypervolume over {len(ARMS)} arms and {options.repeats} repeats:")
    for row in [head, *rows(every, marks)]:
        print(f"{row[0]:<10}{row[1]:<14}" + "".join(f"{cell:>12}" for cell in row[2:]))
    print(f"{sum(len(s.finished) for s in every):,} trainings in {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
