"""A ladder beside one density a training: the fronts that so much core time brings.

`python tests/bench/ladder.py` searches five arms of `studies/lenet300-mnist.yaml` in both ways, TPE
and five repeats, and prints the cost of a training, networks an hour, the hypervolume after so many
trainings, and the core time to what one density reaches after 24. `--quick` is a look of seconds.

One density is not searched again, but taken from the results of that study in this repository,
unless `--again` says so: the recipe and the ranges are the same.

Cost is CPU time of one thread. "Before" is one density with fine-tuning by dense products, as it
was before networks were fine-tuned through the weights that are left.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import optuna

from searches import Search, advance, train
from sweeper.analysis.front import hypervolume
from sweeper.config import Sweep
from sweeper.operations import export
from sweeper.search.samplers import ParameterSource
from sweeper.types import TrialConfig, TrialResult

DENSITIES = (0.08, 0.004)
MODES = ("one", "ladder")
TRIALS = 24
"""Of a search with one density: what it reaches by then is the goal."""
ARMS: dict[str, Any] = {
    "gradual_magnitude": {"method": "gradual_magnitude", "end": {"uniform": [0.5, 0.8]}},
    "l1": {"penalty": "l1", "apply": "prox", "strength": {"log_uniform": [3.2e-4, 1e-2]}},
    "l_half": {"penalty": "l_half", "apply": "prox", "strength": {"log_uniform": [6.1e-5, 1.9e-3]}},
    "joint_entropy": {
        "penalty": "joint_entropy",
        "apply": "shrink",
        "strength": {"log_uniform": [4.4e-4, 4.4e-2]},
    },
    "l1_marginal_entropy": {
        "penalty": "l1_marginal_entropy",
        "apply": "shrink",
        "mix": {"log_uniform": [0.03, 1]},
        "strength": {"log_uniform": [3.2e-4, 1e-2]},
    },
}
"""The strengths lie in the ranges that the study's probes have found."""


@dataclass(frozen=True, slots=True)
class Job:
    """One repeat in one way."""

    mode: str
    repeat: int
    trials: int
    options: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Its hypervolumes by arm and number of trainings."""

    mode: str
    repeat: int
    volumes: dict[str, list[float]]


def study(mode: str, options: dict[str, Any]) -> Sweep:
    """Return the study in one of the two ways."""
    high, low = DENSITIES
    density: dict[str, Any] = {"density": {"log_uniform": [low, high]}}
    if mode == "ladder":
        density = {"densities": {"from": high, "to": low, "rungs": options["rungs"]}}
    return Sweep.of_mapping(
        {
            "name": f"bench-{mode}",
            "dataset": options["dataset"],
            "model": "lenet-300-100",
            "training": {"epochs": options["epochs"], "learning_rate": 0.1},
            "sparsification": {
                **density,
                "finetune_epochs": options["finetune_epochs"],
                "finetune_learning_rate_factor": 1.0,
                "floor": options["floor"],
                "curve": [0.004, 0.01, 0.02, 0.04, 0.1, 0.3],
            },
            "search": {"trials": TRIALS, "repeats": options["repeats"]},
            "reference": {"error": 0.1 if options["dataset"] == "mnist" else 0.9},
            "arms": ARMS,
        }
    )


def search(job: Job) -> Outcome:
    """Search all arms of a repeat."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sweep = study(job.mode, job.options)
    every = [Search(sweep, arm, job.repeat, ParameterSource(sweep)) for arm in sweep.arms]
    _warm(sweep)
    for _ in range(0, job.trials, sweep.search.in_flight):
        advance(every, job.trials)
    volumes = {s.arm: [s.volume(count + 1) for count in range(job.trials)] for s in every}
    return Outcome(job.mode, job.repeat, volumes)


def _warm(sweep: Sweep) -> None:
    """Have compiled loops at hand."""
    configs = [sweep.config("l1", 0, 0, {"strength": 1e-3, "density": 0.02}, n) for n in (0,)]
    train(configs, 1)


def costs(options: dict[str, Any], trainings: int = 10) -> dict[str, float]:
    """Return the CPU seconds of a training in each way, in turns in one process."""
    from sweeper.training import fine_tuning
    from sweeper.training.training_loop import fit

    configs: dict[str, list[TrialConfig]] = {mode: [] for mode in MODES}
    networks = {}
    for mode in MODES:
        sweep = study(mode, options)
        _warm(sweep)
        networks[mode] = sweep.networks_of_slot
        source = ParameterSource(sweep)
        for slot in range(trainings):
            arm = list(sweep.arms)[slot % len(sweep.arms)]
            params = source.params(arm, 0, slot % 4, list)
            configs[mode] += [sweep.config(arm, 0, slot, params, n) for n in range(networks[mode])]
    seconds = dict.fromkeys(("before", *MODES), 0.0)
    for _ in range(2):
        for name in seconds:
            mode = "one" if name == "before" else name
            began = time.process_time()
            with (
                patch.object(fine_tuning, "fit_pruned", fit) if name == "before" else nullcontext()
            ):
                train(configs[mode], networks[mode])
            seconds[name] += (time.process_time() - began) / (2 * trainings)
    return seconds


def accuracies_apart(options: dict[str, Any]) -> dict[str, float]:
    """Return by arm the mean test accuracy of a ladder's networks, less those of the same
    densities with a training each, in points."""
    sweep = study("ladder", options)
    apart = {}
    for arm in sweep.arms:
        source = ParameterSource(sweep)
        differences = []
        for repeat in range(min(2, options["repeats"])):
            params = source.params(arm, repeat, 0, list)
            numbers = range(sweep.networks_of_slot)
            ladder = [sweep.config(arm, repeat, 0, params, n) for n in numbers]
            alone = [_alone(config) for config in ladder]
            pairs = zip(train(ladder, len(ladder)), train(alone, 1), strict=True)
            differences += [100 * (_test(a) - _test(b)) for a, b in pairs]
        apart[arm] = statistics.mean(differences)
    return apart


def _alone(config: TrialConfig) -> TrialConfig:
    return replace(config, training_density=None)


def _test(result: TrialResult) -> float:
    return 0.0 if result.pruned is None else result.pruned.test_accuracy


def trainings_to(goal: float, means: Sequence[float]) -> int | None:
    """Return after how many trainings a mean hypervolume reaches a goal; None if it does not."""
    return next((count for count, mean in enumerate(means, 1) if mean >= goal), None)


def mean_volumes(outcomes: Sequence[Outcome], mode: str) -> list[float]:
    """Return the mean hypervolume over arms and repeats, by number of trainings."""
    rows = [row for o in outcomes if o.mode == mode for row in o.volumes.values()]
    return [statistics.mean(column) for column in zip(*rows, strict=True)]


def recorded() -> list[Outcome]:
    """Return the searches of the study that is on record, as if they had been run here."""
    folder = Path(__file__).parents[2] / "studies" / "results" / "lenet300-mnist"
    dump = export.read(folder)
    corner = (266_610, dump.sweep.reference.error)
    values: dict[tuple[int, str], list[tuple[float, float] | None]] = {}
    for row in sorted(dump.facts, key=lambda row: row["slot"]):
        if row["arm"] in ARMS:
            is_one = row["state"] == "complete"
            value = (row["pruned_nonzero"], row["pruned_val_accuracy"]) if is_one else None
            values.setdefault((row["repeat"], row["arm"]), []).append(value)
    outcomes = []
    for repeat in range(dump.sweep.search.repeats):
        volumes = {
            arm: [
                hypervolume([v for v in values[repeat, arm][:count] if v], corner)
                for count in range(1, TRIALS + 1)
            ]
            for arm in ARMS
        }
        outcomes.append(Outcome("one", repeat, volumes))
    return outcomes


def measure(options: dict[str, Any], processes: int) -> dict[str, Any]:
    """Run everything; return the figures."""
    seconds = costs(options)
    modes = MODES if options["again"] else ("ladder",)
    jobs = [
        Job(mode, repeat, TRIALS if mode == "one" else options["ladders"], options)
        for repeat in range(options["repeats"])
        for mode in modes
    ]
    with ProcessPoolExecutor(processes) as pool:
        outcomes = list(pool.map(search, jobs))
    if not options["again"]:
        outcomes += recorded()
    volumes = {mode: mean_volumes(outcomes, mode) for mode in MODES}
    goal = volumes["one"][-1]
    reached = trainings_to(goal, volumes["ladder"])
    return {
        "options": options,
        "seconds": seconds,
        "goal": goal,
        "volumes": volumes,
        "reached": reached,
        "apart": accuracies_apart(options),
    }


def report(figures: dict[str, Any]) -> str:
    """Return the figures as text."""
    seconds, options = figures["seconds"], figures["options"]
    rows = [("one density, as before", "before", 1), ("one density", "one", 1)]
    rows.append((f"a ladder of {options['rungs']}", "ladder", options["rungs"]))
    first = 3600 / seconds["before"]
    lines = [f"{'':<26}{'CPU s a training':>18}{'networks an hour':>18}{'ratio':>8}"]
    for name, key, networks in rows:
        an_hour = 3600 * networks / seconds[key]
        lines.append(f"{name:<26}{seconds[key]:>18.2f}{an_hour:>18,.0f}{an_hour / first:>8.1f}")
    lines.append(f"mean hypervolume of one density after {TRIALS} trainings: {figures['goal']:.4f}")
    ladder = figures["volumes"]["ladder"]
    lines.append("of ladders after 1, 2, ... : " + " ".join(f"{v:.4f}" for v in ladder))
    if (count := figures["reached"]) is not None:
        for name, key in (("before", "before"), ("now", "one")):
            share = count * seconds["ladder"] / (TRIALS * seconds[key])
            lines.append(f"reached after {count} ladders, {share:.2f} of the core time ({name})")
    else:
        lines.append(f"not reached by {len(ladder)} ladders")
    apart = ", ".join(f"{arm} {value:+.3f}" for arm, value in figures["apart"].items())
    mean = statistics.mean(figures["apart"].values())
    lines.append("test accuracy of a ladder's networks less that of trainings of their own:")
    lines.append(apart)
    lines.append(f"mean {mean:+.3f} points")
    return "\n".join(lines)


def main() -> None:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--rungs", type=int, default=8)
    parser.add_argument("--ladders", type=int, default=12, help="trainings of a ladder's search")
    parser.add_argument("--again", action="store_true", help="search one density again, too")
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    options: dict[str, Any] = {
        "dataset": "digits" if given.quick else "mnist",
        "epochs": 2 if given.quick else 7,
        "finetune_epochs": 1 if given.quick else 3,
        "floor": 0.1 if given.quick else 0.95,
        "repeats": 1 if given.quick else given.repeats,
        "again": given.again or given.quick,
        "rungs": given.rungs,
        "ladders": 4 if given.quick else given.ladders,
    }
    figures = measure(options, given.processes)
    print(report(figures))
    if given.json:
        given.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
