"""Sparse inference: MLPs with few weights left, run on a CPU through these weights alone.

A matrix product takes as long for a pruned network as for a dense one. For 784 x 300 weights and
1,000 examples on one thread the loop below counts 40 to 50 GFLOP/s for the weights that stay, from
1 % of them on, where the product has 100 or, by `kernels.matmul`, 220 for all: faster up to about
40 % or 20 % of the weights.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sweeper.kernels import matmul
from sweeper.kernels.jit import Array, jit
from sweeper.training.stack import Layers, Stack

MAX_DENSITY, MAX_DENSITY_FAST_MATMUL = 0.35, 0.17
"""Density up to which networks are run so; the second where `kernels.matmul` is faster."""

Integers = NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class _Layer:
    """One layer by its rows: the weights [out, in] that stay, and the bias [out]."""

    values: Array
    columns: Integers
    starts: Integers
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
            out = np.empty((len(layer.bias), examples.shape[1]), np.float32)
            _run(layer.values, layer.columns, layer.starts, layer.bias, examples, out, index < last)
            examples = out
        return examples


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
    starts = np.zeros(len(weight) + 1, np.int32)
    _count(weight, least, starts)
    values, columns = np.empty(starts[-1], np.float32), np.empty(starts[-1], np.int32)
    _gather(weight, least, starts, values, columns)
    return _Layer(values, columns, starts, bias)


@jit
def _count(weight: Array, least: np.float32, starts: Integers) -> None:
    for row in range(weight.shape[0]):
        weights = weight[row]
        count = 0
        for i in range(weights.size):
            size = abs(weights[i])
            count += 1 if size >= least and size > 0 else 0
        starts[row + 1] = starts[row] + count


@jit
def _gather(
    weight: Array, least: np.float32, starts: Integers, values: Array, columns: Integers
) -> None:
    for row in range(weight.shape[0]):
        weights, place = weight[row], starts[row]
        for i in range(weights.size):
            size = abs(weights[i])
            if size >= least and size > 0:
                values[place], columns[place] = weights[i], i
                place += 1


@jit
def _run(
    values: Array,
    columns: Integers,
    starts: Integers,
    bias: Array,
    inputs: Array,
    out: Array,
    rectified: bool,
) -> None:
    """out = weight x inputs + bias, [out, examples], and its ReLU; four weights at a time."""
    for row in range(out.shape[0]):
        sums, place, end = out[row], starts[row], starts[row + 1]
        sums[:] = bias[row]
        while place + 4 <= end:
            a, b, c, d = values[place], values[place + 1], values[place + 2], values[place + 3]
            first, second = inputs[columns[place]], inputs[columns[place + 1]]
            third, fourth = inputs[columns[place + 2]], inputs[columns[place + 3]]
            for i in range(sums.size):
                sums[i] += a * first[i] + b * second[i] + c * third[i] + d * fourth[i]
            place += 4
        while place < end:
            a, first = values[place], inputs[columns[place]]
            for i in range(sums.size):
                sums[i] += a * first[i]
            place += 1
        if rectified:
            for i in range(sums.size):
                sums[i] = np.float32(0) if sums[i] < 0 else sums[i]  # NaN stays


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
