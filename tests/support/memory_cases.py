"""Trials whose memory is measured."""

import dataclasses

from support.packs import RECIPE, config, method, penalty
from sweeper.types import MethodConfig, SharedConfig, TrialConfig

CASES: dict[str, tuple[MethodConfig, str, str, int, int]] = {
    "l1": (penalty("l1", "prox"), "lenet-300-100", "sgd", 24, 1000),
    "an entropy and Adam": (penalty("joint_entropy", "loss"), "lenet-300-100", "adam", 24, 1000),
    "gates": (method("l0_hard_concrete", 1e-4), "lenet-300-100", "sgd", 24, 1000),
    "growing weights": (method("rigl"), "lenet-300-100", "sgd", 24, 1000),
    "factors and Adam": (method("factorized", 1e-4, depth=3), "lenet-300-100", "adam", 24, 1000),
    "convolutions": (penalty("l1", "prox"), "lenet-5", "sgd", 16, 200),
}
"""The arm, the model, the optimizer, the size of the pack and the number of images."""


def recipe(model: str = "mlp", optimizer: str = "sgd") -> SharedConfig:
    """Return a recipe for random images of MNIST's size."""
    options = RECIPE.model_options if model == "mlp" else ()
    return dataclasses.replace(
        RECIPE, model=model, model_options=options, dataset="mnist", optimizer=optimizer
    )


def trials(*methods: MethodConfig | None, **changes: str) -> list[TrialConfig]:
    return [config(0, one, recipe=recipe(**changes)) for one in methods]
