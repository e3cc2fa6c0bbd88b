"""Configurations of small networks, for tests that train."""

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor

from sweeper.config.registry import FORMULAS, METHODS
from sweeper.training.datasets import Data, DataSplit
from sweeper.training.methods import TrainingContext
from sweeper.types import (
    MethodConfig,
    Options,
    PenaltyConfig,
    Scalar,
    SharedConfig,
    TrialConfig,
    TrialResult,
)

RECIPE = SharedConfig(
    model="mlp",
    model_options=(("widths", (24, 12)),),
    dataset="digits",
    batch_size=32,
    epochs=3,
    finetune_epochs=1,
    optimizer="sgd",
    schedule="cosine",
    repeat=0,
    order_seed=7,
    curve=(0.02, 0.2, 0.9),
)


def config(k: int = 0, method: MethodConfig | None = None, **changes: object) -> TrialConfig:
    """Return the k-th of many different configurations; `changes` replace its fields."""
    base = TrialConfig(
        recipe=RECIPE,
        init_seed=k,
        learning_rate=0.05 * (1 + k % 3),
        momentum=0.9 if k % 2 else 0.8,
        finetune_learning_rate_factor=0.2,
        method=method or MethodConfig(),
        density=0.05 * (1 + k % 4),
        floor=0.1,
        track="pruned",
    )
    return dataclasses.replace(base, **changes)  # type: ignore[arg-type]


def penalty(
    name: str, way: str, strength: float = 1e-3, *, shuffled: bool = False, **hyper: Scalar
) -> MethodConfig:
    """Return one penalty; what `hyper` does not name has its default."""
    usual = {key: known.default for key, known in FORMULAS[name].hyper.items()}
    return MethodConfig(
        (PenaltyConfig(name, way, strength, tuple({**usual, **hyper}.items()), shuffled),)
    )


def method(name: str, strength: float = 0.0, **hyper: Scalar) -> MethodConfig:
    """Return one method of the registry."""
    usual = {key: known.default for key, known in METHODS[name].hyper.items()}
    return MethodConfig((), name, strength, tuple({**usual, **hyper}.items()))


def every_method() -> list[MethodConfig]:
    """Every formula in each of its ways, every method, a sum and a control."""
    terms = [
        penalty(name, way)
        for name, formula in FORMULAS.items()
        for way in formula.modes
        if name != "none"
    ]
    both = MethodConfig(
        (PenaltyConfig("l1", "prox", 1e-3), PenaltyConfig("l2", "prox", 1e-3)),
        "gradual_magnitude",
        hyper=(("begin", 0.2), ("end", 0.8)),
    )
    return [
        MethodConfig(),
        *terms,
        *(method(name, 1e-3 if entry.has_strength else 0.0) for name, entry in METHODS.items()),
        method("l0_hard_concrete", 1e-4, per="input"),
        both,
        penalty("marginal_entropy", "shrink", shuffled=True),
        MethodConfig(
            (
                PenaltyConfig("l1", "prox", 1e-3, during=(0.0, 0.6)),
                PenaltyConfig(
                    "marginal_entropy", "shrink", 1e-3, (("scaled", True),), during=(0.5, 1.0)
                ),
            )
        ),
        MethodConfig((PenaltyConfig("mcp", "loss", 1e-3, (("gamma", 3.0),), ramp=0.5),)),
    ]


def facts(results: Sequence[TrialResult]) -> list[TrialResult]:
    """Results without what a clock or the company gives."""
    return [dataclasses.replace(result, seconds=0.0, pack=0) for result in results]


BUILT_IN: dict[str, tuple[Options, int]] = {
    "mlp": ((("dropout", 0.3), ("widths", (24, 12))), 8),
    "lenet-300-100": ((), 8),
    "lenet-5": ((), 16),
    "convnet": ((("widths", (8, 12)),), 8),
    "resnet-20": ((), 8),
    "resnet-32": ((), 8),
    "vgg-16-bn": ((), 16),
}
"""Every network of the registry with its options, and the side of small images for it."""


def small_images(count: int = 48, side: int = 28) -> Data:
    """Return random images with random labels."""
    generator = torch.Generator().manual_seed(0)
    part = DataSplit(
        torch.rand(count, 1, side, side, generator=generator),
        torch.randint(0, 10, (count,), generator=generator),
    )
    return Data("mnist", 10, part, part, part, hash="")


def setting(pack: int, steps: int = 100, density: float = 0.1, seed: int = 3) -> TrainingContext:
    return TrainingContext(
        tuple(range(pack)), seed, torch.full((pack,), density, dtype=torch.float64), steps
    )


def stack_of(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
