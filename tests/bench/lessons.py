"""What samplers should be told of a ladder: its hypervolume, or its networks one by one.

`python tests/bench/lessons.py` searches with each sampler and each lesson on the same data, all
of it trained, and prints the hypervolume of the front after some trainings, beside random search.
`--quick` is a look of seconds.
"""

import argparse
import statistics
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import optuna

from sweeper.analysis.front import hypervolume
from sweeper.config import Sweep
from sweeper.search.lessons import FinishedSlot, lesson_of
from sweeper.search.samplers import ParameterSource
from sweeper.settings import data_folder
from sweeper.types import TrialConfig, TrialResult, nothing

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
AT_ONCE = 64
"""Trainings of a pack."""


@dataclass(slots=True)
class Search:
    """One search of an arm: a sampler, what it is told, a repeat."""

    sampler: str
    lesson: str
    arm: str
    repeat: int
    sweep: Sweep
    source: ParameterSource
    finished: list[FinishedSlot] = field(default_factory=list)

    def ask(self, slot: int) -> tuple[dict[str, Any], list[TrialConfig]]:
        params = self.source.params(self.arm, self.repeat, slot, lambda: self.finished)
        numbers = range(self.sweep.networks_of_slot)
        return params, [self.sweep.config(self.arm, self.repeat, slot, params, n) for n in numbers]

    def volume(self, trainings: int) -> float:
        """Return the hypervolume of what the first trainings brought."""
        values = [v for slot in self.finished if slot.slot < trainings for v in slot.values if v]
        return hypervolume(values, corner(self.sweep))


def corner(sweep: Sweep) -> tuple[int, float]:
    """Return the corner of hypervolumes."""
    return sweep.total_parameters or 1, sweep.reference.error


def sweep_of(sampler: str, options: argparse.Namespace) -> Sweep:
    """Return the study of a sampler; all are equal but for it."""
    return Sweep.of_mapping(
        {
            "name": "lessons",
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
        one_by_one = lesson_of(sweep)
        lessons = {
            "hypervolume": replace(one_by_one, reference=corner(sweep)),
            "networks": one_by_one,
        }
        for name, lesson in lessons.items() if sampler != "random" else [("-", one_by_one)]:
            all_ += [
                Search(sampler, name, arm, repeat, sweep, ParameterSource(sweep, lesson))
                for arm in sweep.arms
                for repeat in range(options.repeats)
            ]
    return all_


def train(configs: list[TrialConfig], sweep: Sweep, folder: Path) -> list[TrialResult]:
    """Return the results of networks of one recipe, in packs."""
    from sweeper.training.pack import train_pack
    from sweeper.training.recipe_data import RecipeData

    data = RecipeData(folder, "cpu").of(configs[0].recipe)
    size = AT_ONCE * sweep.networks_of_slot
    results = []
    for start in range(0, len(configs), size):
        results += train_pack(configs[start : start + size], data, tick=nothing, learning=False)
    return results


def values_of(result: TrialResult) -> tuple[float, float] | None:
    if result.state != "complete" or result.pruned is None:
        return None
    return float(result.pruned.nonzero), result.pruned.val_accuracy


def run(options: argparse.Namespace) -> list[Search]:
    """Search with all of them at once, slot by slot: they share packs, which change no result."""
    every = searches(options)
    for start in range(0, options.trials, 4):
        for repeat in range(options.repeats):
            some = [search for search in every if search.repeat == repeat]
            asked = [
                (search, slot, *search.ask(slot))
                for search in some
                for slot in range(start, min(start + 4, options.trials))
            ]
            configs = [config for *_, of_slot in asked for config in of_slot]
            results = iter(train(configs, some[0].sweep, data_folder()))
            for search, slot, params, of_slot in asked:
                values = tuple(values_of(next(results)) for _ in of_slot)
                search.finished.append(FinishedSlot(slot, params, values))
    return every


def rows(every: Iterable[Search], marks: Iterable[int]) -> list[list[str]]:
    """Return of each sampler and lesson the mean hypervolumes, over those of random search."""
    groups: dict[tuple[str, str], list[Search]] = {}
    for search in every:
        groups.setdefault((search.sampler, search.lesson), []).append(search)
    made = []
    for (sampler, lesson), members in groups.items():
        cells = [f"{statistics.mean(s.volume(mark) for s in members):.4f}" for mark in marks]
        made.append([sampler, lesson, *cells])
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
