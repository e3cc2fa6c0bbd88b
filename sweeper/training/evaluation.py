"""Evaluation of all networks of a pack: accuracies on examples not trained on, and sizes."""

from dataclasses import dataclass

import torch

from sweeper.training import parameter_counts
from sweeper.training.datasets import Data, DataSplit
from sweeper.training.stack import Stack, rows
from sweeper.training.stacked_architecture import StackedArchitecture
from sweeper.training.training_loop import Tick
from sweeper.types import Evaluation

# Examples a forward pass of a pack takes at once: large enough for full speed, small enough that
# the hidden layers of 16 LeNet-300-100 take 20 MB.
CHUNK = 1000


@torch.no_grad()
def accuracy(
    network: StackedArchitecture, stack: Stack, part: DataSplit, tick: Tick
) -> list[float]:
    """Return the share of examples that each network labels rightly; NaN logits are wrong."""
    pack = next(iter(stack.values())).shape[0]
    right = torch.zeros(pack, dtype=torch.int64, device=part.labels.device)
    runner = network.runner()
    for start in range(0, len(part), CHUNK):
        tick()
        logits = runner.logits(stack, part.examples[start : start + CHUNK])
        hits = logits.argmax(-1) == part.labels[start : start + CHUNK]
        right += (hits & logits.isfinite().all(-1)).sum(1)
    return [count / len(part) for count in right.tolist()]


@dataclass(frozen=True, slots=True, eq=False)
class Evaluator:
    """Evaluates stacks of one architecture on one dataset."""

    network: StackedArchitecture
    data: Data
    tick: Tick

    @torch.no_grad()
    def judge(self, stack: Stack) -> list[Evaluation]:
        """Count and evaluate every network: the very same weights."""
        val, test = self.accuracies(stack)
        constant, level = parameter_counts.constant_inputs(self.data.train.examples)
        effective = parameter_counts.effective(self.network, stack, constant, level)
        return [
            Evaluation(
                nonzero=sum(layer.weights + layer.biases for layer in layers),
                weights=sum(layer.weights for layer in layers),
                biases=sum(layer.biases for layer in layers),
                effective=effective[k],
                val_accuracy=val[k],
                test_accuracy=test[k],
                layers=layers,
            )
            for k, layers in enumerate(parameter_counts.layer_counts(self.network, stack))
        ]

    def accuracies(self, stack: Stack) -> tuple[list[float], list[float]]:
        """Return the validation and test accuracy of every network."""
        val = accuracy(self.network, stack, self.data.validation, self.tick)
        return val, accuracy(self.network, stack, self.data.test, self.tick)


def finite(network: StackedArchitecture, stack: Stack) -> list[bool]:
    """Return for every network True if all its parameters are finite."""
    each = [rows(value).isfinite().all(1) for value in network.trained(stack).values()]
    flags: list[bool] = torch.stack(each).all(0).tolist()
    return flags
