"""Sparse inference: MLPs with few weights left, run on a CPU through these weights alone.

A matrix product takes as long for a pruned network as for a dense one. For 784 x 300 weights and
1,000 examples on one thread `kernels.sparse_products` has 40 to 50 GFLOP/s for the weights that
stay, from 1 % of them on, where the product has 100 or, by `kernels.matmul`, 220 for all: faster up
to about 40 % or 20 % of the weights.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sweeper.kernels import matmul
from sweeper.kernels.jit import Array, jit
from sweeper.kernels.sparse_products import Integers, Starts, add_product, rectify
from sweeper.training.stack import Layers, NetworkRange, Stack, unflagged_runs
from sweeper.training.stacked_architecture import Runner, StackedArchitecture

MAX_DENSITY, MAX_DENSITY_FAST_MATMUL = 0.35, 0.17
"""Density up to which networks are run so; the second where `kernels.matmul` is faster."""


@dataclass(frozen=True, slots=True, eq=False)
class _Layer:
    """One layer by its rows: the weights [out, in] that stay, and the bias [out]."""

    values: Array
    columns: Integers
    starts: Starts
    """Start of each row in `values` and `columns`, and the end of the last one, [out + 1]."""
    bias: Array


@dataclass(frozen=True, slots=True, eq=False)
class SparseMLP:
    """One network without its smallest weights."""

    layers: tuple[_Layer, ...]

    @classmethod
    def cut(
        cls, layers: Layers, stack: Stack, network: int, thresholds: Sequence[float]
    ) -> "SparseMLP":
        """Keep the weights of at least each layer's threshold of one network; zeros never."""
        return cls(
            tuple(
                _sparse_layer(
                    stack[weight][network].numpy(), stack[bias][network].numpy(), threshold
                )
                for (weight, bias), threshold in zip(layers, thresholds, strict=True)
            )
        )

    def without_dead_biases(self) -> "SparseMLP":
        """Return the network with 0 in place of the biases of units that nothing leads on from."""
        layers: list[_Layer] = []
        live = np.ones(len(self.layers[-1].bias), bool)
        for index in reversed(range(len(self.layers))):
            layer = self.layers[index]
            layers.insert(0, replace(layer, bias=np.where(live, layer.bias, np.float32(0))))
            if index:
                used = layer.columns[np.repeat(live, np.diff(layer.starts))]
                live = np.zeros(len(self.layers[index - 1].bias), bool)
                live[used] = True
        return SparseMLP(tuple(layers))

    @property
    def nonzero(self) -> int:
        """Parameters, biases included, that are not exactly 0."""
        return sum(len(layer.values) + int(np.count_nonzero(layer.bias)) for layer in self.layers)

    def right(self, examples: Array, labels: NDArray[np.int64]) -> int:
        """Return the number of [pixels, examples] that get their label; NaN logits are wrong."""
        return int(_hits(self.outputs(examples), labels))

    def outputs(self, examples: Array) -> Array:
        """Return the logits [classes, examples] of [pixels, examples]."""
        last = len(self.layers) - 1
        for index, layer in enumerate(self.layers):
            out = np.repeat(layer.bias[:, None], examples.shape[1], axis=1)
            add_product(layer.values, layer.columns, layer.starts, examples, out)
            if index < last:
                rectify(out)
            examples = out
        return examples


@dataclass(frozen=True, slots=True, eq=False)
class StackLogits:
    """Logits of a stack, each network run in the way that takes less time for it.

    Sparse up to `max_density` of weights that are not 0: a matter of the network alone, so that its
    bits do not depend on the pack, and the one rule for all networks that are judged whole. Those
    of a curve are cut to their density and follow from it.
    """

    stack: Stack
    runner: Runner
    sparse: dict[int, SparseMLP]
    """By the numbers of the networks."""
    others: tuple[NetworkRange, ...]

    @classmethod
    def of(
        cls, network: StackedArchitecture, stack: Stack, runner: Runner | None = None
    ) -> "StackLogits":
        """Return the logits of a stack as it is now, by a runner of its architecture."""
        runner, layers = runner or network.runner(), network.layers
        pack = len(next(iter(stack.values())))
        if layers is None or not runs(layers, stack):
            return cls(stack, runner, {}, (NetworkRange(0, pack),))
        weights = [stack[weight] for weight, _ in layers]
        most = max_density() * sum(weight[0].numel() for weight in weights)
        counts = sum(weight.count_nonzero((1, 2)) for weight in weights)
        chosen = (counts <= torch.tensor(most)).tolist()
        sparse = {
            k: SparseMLP.cut(layers, stack, k, [0.0] * len(layers))
            for k in range(pack)
            if chosen[k]
        }
        return cls(stack, runner, sparse, tuple(unflagged_runs(chosen)))

    def __call__(self, examples: Tensor) -> Tensor:
        """Return [pack, batch, outputs] for examples [batch, ...]; until the next call."""
        if not self.sparse:
            return self.runner.logits(self.stack, examples)
        turned = pixels_first(examples)
        each: dict[int, Tensor] = {
            k: torch.from_numpy(net.outputs(turned)).T for k, net in self.sparse.items()
        }
        for some in self.others:
            # A runner's buffer is overwritten by its next call.
            logits = self.runner.logits(some.of(self.stack), examples).clone()
            each |= dict(zip(range(some.start, some.stop), logits, strict=True))
        return torch.stack([each[k] for k in range(len(each))])


def max_density() -> float:
    """Return the density up to which networks are run so: the same on one kind of processor."""
    return MAX_DENSITY_FAST_MATMUL if matmul.faster() else MAX_DENSITY


def runs(layers: Layers | None, stack: Stack) -> bool:
    """Return True if networks of a stack can be run so."""
    first = next(iter(stack.values()))
    return layers is not None and first.device.type == "cpu" and first.dtype == torch.float32


def pixels_first(examples: Tensor) -> Array:
    """Return examples [examples, ...] as [pixels, examples]."""
    array: Array = examples.flatten(1).T.contiguous().numpy()
    return array


def _sparse_layer(weight: Array, bias: Array, threshold: float) -> _Layer:
    least = np.float32(threshold)
    starts = np.zeros(len(weight) + 1, np.int64)
    _count(weight, least, starts)
    values, columns = np.empty(starts[-1], np.float32), np.empty(starts[-1], np.int32)
    _gather(weight, least, starts, values, columns)
    return _Layer(values, columns, starts, bias)


@jit
def _count(weight: Array, least: np.float32, starts: Starts) -> None:
    for row in range(weight.shape[0]):
        weights = weight[row]
        count = 0
        for i in range(weights.size):
            size = abs(weights[i])
            count += 0 if size < least or size == 0 else 1  # NaN stays
        starts[row + 1] = starts[row] + count


@jit
def _gather(
    weight: Array, least: np.float32, starts: Starts, values: Array, columns: Integers
) -> None:
    for row in range(weight.shape[0]):
        weights, place = weight[row], starts[row]
        for i in range(weights.size):
            size = abs(weights[i])
            if not (size < least or size == 0):
                values[place], columns[place] = weights[i], i
                place += 1


@jit
def _hits(logits: Array, labels: NDArray[np.int64]) -> int:
    right = 0
    for i in range(logits.shape[1]):
        best, finite = 0, True
        for row in range(logits.shape[0]):
            finite = finite and np.isfinite(logits[row, i])
            if logits[row, i] > logits[best, i]:
                best = row
        right += 1 if finite and best == labels[i] else 0
    return right
