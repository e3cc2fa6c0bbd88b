"""Ray Tune with Optuna's search over the hand-written loop, the data once in the object store."""

import json
import os
import warnings
from dataclasses import asdict
from typing import Any

import torch

from handwritten import Loop
from sweeper.training import datasets
from sweeper.training.datasets import Data, DataSplit
from task import Task, Trial

QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # no files for each trial
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


def run(task: Task) -> None:
    """Run all trials; Ray's own processes are ended whatever happens."""
    os.environ.update(QUIET)
    import ray
    from ray import tune
    from ray.tune.search.optuna import OptunaSearch

    data = datasets.load(task.configs[0].recipe.dataset)
    arrays = {
        name: (part.examples.numpy(), part.labels.numpy())
        for name, part in (
            ("train", data.train),
            ("validation", data.validation),
            ("test", data.test),
        )
    }
    size = sum(array.nbytes for pair in arrays.values() for array in pair)
    space = {
        "learning_rate": tune.loguniform(1e-3, 1.0),
        "strength": tune.loguniform(1e-7, 1.0),
        "density": tune.loguniform(1e-4, 1.0),
        "slot": tune.randint(0, len(task.configs) + 1),
    }
    points = [
        {
            "learning_rate": config.learning_rate,
            "strength": config.method.strength,
            "density": config.density,
            "slot": slot,
        }
        for slot, config in enumerate(task.configs)
    ]
    ray.init(
        num_cpus=task.processes,
        _node_ip_address="127.0.0.1",
        include_dashboard=False,
        object_store_memory=size + 200 * 2**20,
        log_to_driver=False,
        logging_level="error",
        _temp_dir=str(task.folder / "ray"),
    )
    try:
        trainable = tune.with_parameters(
            train, configs=task.configs, arrays=arrays, classes=data.classes
        )
        tuner = tune.Tuner(
            tune.with_resources(trainable, {"cpu": 1}),
            tune_config=tune.TuneConfig(
                search_alg=OptunaSearch(
                    space,
                    metric=["nonzero", "val_accuracy"],
                    mode=["min", "max"],
                    points_to_evaluate=points,
                ),
                num_samples=len(task.configs),
                max_concurrent_trials=task.processes,
                reuse_actors=True,  # else each trial starts a process that imports torch
            ),
            run_config=tune.RunConfig(storage_path=str(task.folder / "results"), verbose=0),
        )
        for result in tuner.fit():
            if result.error:
                raise result.error
            Trial.read(result.metrics["trial"]).report()
    finally:
        ray.shutdown()


def train(config: dict[str, Any], configs: Any, arrays: Any, classes: int) -> dict[str, Any]:
    """One trial of the hand-written loop."""
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the arrays are read-only, and nobody writes
        fit, validation, test = (
            DataSplit(torch.from_numpy(images), torch.from_numpy(labels))
            for images, labels in arrays.values()
        )
    slot = config["slot"]
    trial = Loop(Data("", classes, fit, validation, test, "")).run(slot, configs[slot])
    return {
        "nonzero": trial.pruned.nonzero,
        "val_accuracy": trial.pruned.validation,
        "trial": json.dumps(asdict(trial)),
    }
