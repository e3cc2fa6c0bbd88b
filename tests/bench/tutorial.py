"""Plain PyTorch as its tutorials have it: a module, SGD, eager, images as they lie, in memory.

Pruning is that of the pruning tutorial, `torch.nn.utils.prune`, over all weights at once.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from sweeper.training import models
from sweeper.training.datasets import Data, DataSplit
from sweeper.types import TrialConfig

JUDGED_AT_ONCE = 1000


@dataclass(frozen=True)
class Judged:
    """A finished network: what it is right on, and its parameters that are not 0."""

    validation: float
    test: float
    nonzero: int


class TutorialStep:
    """A network in training."""

    def __init__(self, model: nn.Module, rate: float, momentum: float, steps: int) -> None:
        self.model = model
        self._loss = nn.CrossEntropyLoss()
        self._optimizer = torch.optim.SGD(model.parameters(), lr=rate, momentum=momentum)
        self._schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self._optimizer, T_max=steps)

    def take(self, images: Tensor, labels: Tensor) -> None:
        """Take a step."""
        loss = self._loss(self.model(images), labels)
        loss.backward()
        self._optimizer.step()
        self._optimizer.zero_grad()
        self._schedule.step()


def build(config: TrialConfig, data: Data) -> nn.Module:
    """Return the network of a configuration with the initial weights that its seed gives."""
    recipe = config.recipe
    return models.build(
        recipe.model, recipe.model_options, data.shape, data.classes, seed=config.init_seed
    )


def trial(config: TrialConfig, data: Data) -> Judged:
    """Train, judge, prune, fine-tune and judge one network."""
    recipe, model = config.recipe, build(config, data)
    _train(model, data.train, config, recipe.epochs, config.learning_rate, recipe.order_seed)
    _judge(model, data)
    layers = [part for part in model.modules() if isinstance(part, nn.Linear | nn.Conv2d)]
    weights = [(part, "weight") for part in layers]
    prune.global_unstructured(weights, prune.L1Unstructured, amount=1 - config.density)
    rate = config.learning_rate * config.finetune_learning_rate_factor
    _train(model, data.train, config, recipe.finetune_epochs, rate, recipe.order_seed + 1)
    for part in layers:
        prune.remove(part, "weight")  # type: ignore[no-untyped-call]
    return _judge(model, data)


def _train(
    model: nn.Module, part: DataSplit, config: TrialConfig, epochs: int, rate: float, seed: int
) -> None:
    batch = config.recipe.batch_size
    step = TutorialStep(model, rate, config.momentum, epochs * (len(part) // batch))
    model.train()
    for index in _batches(len(part), batch, epochs, seed):
        step.take(part.examples[index], part.labels[index])


def _batches(examples: int, size: int, epochs: int, seed: int) -> Iterator[Tensor]:
    """Yield the batches that ours trains on, in the same order."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        order = torch.randperm(examples, generator=generator)
        for start in range(0, examples - size + 1, size):
            yield order[start : start + size]


def _judge(model: nn.Module, data: Data) -> Judged:
    nonzero = sum(int(value.count_nonzero()) for value in model.parameters())
    return Judged(_share(model, data.validation), _share(model, data.test), nonzero)


def _share(model: nn.Module, part: DataSplit) -> float:
    model.eval()
    right = 0
    with torch.no_grad():
        for start in range(0, len(part), JUDGED_AT_ONCE):
            logits = model(part.examples[start : start + JUDGED_AT_ONCE])
            labels = part.labels[start : start + JUDGED_AT_ONCE]
            right += int((logits.argmax(1) == labels).sum())
    return right / len(part)
