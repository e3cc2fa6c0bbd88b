"""Evaluation of all networks of a pack: quality on examples not trained on, and sizes."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from sweeper.config.judging_plan import STATISTICS, JudgedExamples
from sweeper.training import parameter_counts
from sweeper.training.batch_statistics import recalibrate
from sweeper.training.datasets import Data, DataSplit
from sweeper.training.measures import measured
from sweeper.training.sparse_inference import StackLogits
from sweeper.training.stack import Stack, rows
from sweeper.training.stacked_architecture import StackedArchitecture
from sweeper.training.work_meter import Advance
from sweeper.types import CurvePoint, Evaluation

CHUNK = 1000
"""Examples that a forward pass of MLPs, or of a pack on a GPU, takes at once: large enough for full
speed, small enough that the hidden layers of 16 LeNet-300-100 take 20 MB."""
CHUNK_IN_CACHE = 100
"""Examples that any other network takes at once on a CPU: what it computes stays in cache. By
thousands LeNet-5 took 126 us an example against 83, convolutions of 32, 64 and 128 channels on
32 x 32 x 3 616 against 250; fewer than 100 or 250 at once were no faster."""


def chunk(network: StackedArchitecture, device: torch.device) -> int:
    """Return the examples that a forward pass takes at once: the same in any pack."""
    return CHUNK if network.layers is not None or device.type != "cpu" else CHUNK_IN_CACHE


def batches(part: DataSplit, size: int, chosen: Tensor | None) -> Iterator[DataSplit]:
    """Yield a part, or the examples at the `chosen` indices of it, by so many at once."""
    count = len(part) if chosen is None else len(chosen)
    for start in range(0, count, size):
        # Not all chosen ones at once, which may be nearly a whole part.
        index = slice(start, start + size) if chosen is None else chosen[start : start + size]
        yield part.at(index)


def sample(part: DataSplit, count: int) -> Tensor | None:
    """Return the indices of `count` examples, ascending; None for all of them.

    Each class, or range of values, gives its share, evenly spaced in the order of the part: the
    same for everybody.
    """
    if count >= len(part):
        return None
    classes = part.labels if part.labels.ndim == 1 else part.labels[:, 0]
    by_class = classes.argsort(stable=True)
    spaced = torch.arange(count, device=by_class.device) * len(part) // count
    return by_class[spaced].sort().values


@torch.no_grad()
def quality(
    network: StackedArchitecture,
    stack: Stack,
    part: DataSplit,
    advance: Advance,
    *,
    measure: str = "accuracy",
    chosen: Tensor | None = None,
    cost: float = 1.0,
) -> list[float]:
    """Return a measure of each network on all examples, or on those at the `chosen` indices.

    `cost` is that of an example, in forward passes.
    """
    if measure == "accuracy":
        return _accuracy(network, stack, part, advance, chosen, cost)
    logits, outputs, labels = StackLogits.of(network, stack), [], []
    for some in batches(part, chunk(network, part.labels.device), chosen):
        advance(cost * len(some))
        outputs.append(logits(some.examples).clone().cpu())
        labels.append(some.labels.cpu())
    true = torch.cat(labels).numpy()
    return [
        measured(measure, network_outputs.float().numpy(), true)
        for network_outputs in torch.cat(outputs, dim=1)
    ]


def _accuracy(
    network: StackedArchitecture,
    stack: Stack,
    part: DataSplit,
    advance: Advance,
    chosen: Tensor | None,
    cost: float,
) -> list[float]:
    """Return the share of examples that each network labels rightly; NaN logits are wrong."""
    pack = next(iter(stack.values())).shape[0]
    hits = torch.zeros(pack, dtype=torch.int64, device=part.labels.device)
    logits = StackLogits.of(network, stack)
    for some in batches(part, chunk(network, part.labels.device), chosen):
        advance(cost * len(some))
        hits += right(logits(some.examples), some.labels)
    count = len(part) if chosen is None else len(chosen)
    return [number / count for number in hits.tolist()]


def right(logits: Tensor, labels: Tensor) -> Tensor:
    """Return how many labels each network gives rightly, [pack], by logits [pack, batch, classes].

    Logits that are not finite are wrong.
    """
    return ((logits.argmax(-1) == labels) & logits.isfinite().all(-1)).sum(1)


@dataclass(frozen=True, slots=True, eq=False)
class Evaluator:
    """Evaluates stacks of one architecture on one dataset, or on a fixed part of it."""

    network: StackedArchitecture
    data: Data
    advance: Advance
    measure: str = "accuracy"
    validation: Tensor | None = None
    """Indices of the validation examples that are judged on; None: all of them."""
    test: Tensor | None = None
    statistics: int = STATISTICS
    """Training examples that running statistics are taken from before each judgement."""
    _inputs: list[tuple[Tensor, Tensor]] = field(default_factory=list, repr=False)
    """The constant inputs, once they are known."""

    def on(self, examples: JudgedExamples) -> "Evaluator":
        """Return the evaluator on this many examples."""
        return replace(
            self,
            validation=sample(self.data.validation, examples.validation),
            test=sample(self.data.test, examples.test),
            statistics=examples.statistics,
        )

    @torch.no_grad()
    def judge(self, stack: Stack, cost: float = 1.0) -> list[Evaluation]:
        """Count and evaluate every network: the very same weights; `cost` as in `quality`."""
        val, test = self.accuracies(stack, cost)
        constant, level = self._constant_inputs()
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

    def recalibrate(self, stack: Stack, cost: float = 1.0) -> None:
        """Take the running statistics of networks that have any again, in place."""
        recalibrate(
            self.network,
            stack,
            self.data.train,
            examples=self.statistics,
            advance=lambda passes: self.advance(cost * passes),
        )

    def accuracies(self, stack: Stack, cost: float = 1.0) -> tuple[list[float], list[float]]:
        """Return the measure on validation and test of every network; `cost` as in `quality`."""
        val, test = (
            quality(
                self.network,
                stack,
                part,
                self.advance,
                measure=self.measure,
                chosen=chosen,
                cost=cost,
            )
            for part, chosen in self.parts()
        )
        return val, test

    def parts(self) -> tuple[tuple[DataSplit, Tensor | None], tuple[DataSplit, Tensor | None]]:
        """Return the validation and the test part, each with the indices that are judged on."""
        return (self.data.validation, self.validation), (self.data.test, self.test)

    def point(self, density: float, nonzero: int, val: float, test: float) -> CurvePoint:
        """Return a point of a curve with the examples that it was judged on."""
        seen = [0 if chosen is None else len(chosen) for chosen in (self.validation, self.test)]
        return CurvePoint(density, nonzero, val, test, *seen)

    def _constant_inputs(self) -> tuple[Tensor, Tensor]:
        # Once for both judgings: all training examples are gone through, 0.1 s for MNIST.
        if not self._inputs:
            self._inputs.append(parameter_counts.constant_inputs(self.data.train.examples))
        return self._inputs[0]


def finite(network: StackedArchitecture, stack: Stack) -> list[bool]:
    """Return for every network True if all its parameters are finite."""
    each = [rows(value).isfinite().all(1) for value in network.trained(stack).values()]
    flags: list[bool] = torch.stack(each).all(0).tolist()
    return flags
