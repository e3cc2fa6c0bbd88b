"""Separate MLPs: logits and gradients of K networks one after the other, by `kernels.matmul`.

For processors on which these are twice as fast as PyTorch's own, which take all networks at once:
for LeNet-300-100 at batch 128 on one thread of a Zen 5, 0.83 ms a step and network instead of 1.46,
in packs of 1 and of 8 alike. Starting the products from Python takes a tenth of that.

In bfloat16 too: the factors of large products are rounded to 8 bits, and so is what they give.
Weights, biases, outputs, gradients of biases and all that is summed are float32.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sweeper.kernels import matmul
from sweeper.training.losses import Loss
from sweeper.training.stack import GradientBuffer, Layers, Stack

Rows = list[tuple[Tensor, ...]]
"""Of each layer, its parameter in each network."""


@dataclass(frozen=True, slots=True, eq=False)
class _Pass:
    """What a forward pass of a network leaves for the way back."""

    inputs: list[Tensor]
    """Of each layer, [batch, in], in the numbers that it is multiplied in."""
    weights: list[Tensor]
    """Of each layer, [out, in], in the same numbers."""
    outputs: Tensor
    """[batch, classes] in float32."""


class HalfBuffers:
    """Memory for what is made in bfloat16 of each network in turn, so that it stays in cache."""

    def __init__(self) -> None:
        self._made: dict[tuple[str, torch.Size], Tensor] = {}

    def of(self, what: str, like: Tensor) -> Tensor:
        """Return a tensor of the shape of another one, the same one for the same purpose."""
        key = what, like.shape
        if key not in self._made:
            self._made[key] = torch.empty_like(like, dtype=torch.bfloat16)
        return self._made[key]


def logits(layers: Layers, stack: Stack, examples: Tensor) -> Tensor:
    """Return [pack, batch, classes] for examples [batch, ...]."""
    weights, biases = _apart(layers, stack)
    flat = _Examples(examples.flatten(1))
    return torch.stack([_forward(weights, biases, k, flat).outputs for k in range(len(weights[0]))])


def backward(
    layers: Layers,
    stack: Stack,
    examples: Tensor,
    labels: Tensor,
    sinks: Sequence[GradientBuffer],
    loss: Loss,
    *,
    half: HalfBuffers | None = None,
) -> None:
    """Add the gradient of each network's mean loss to what the sinks keep.

    `half` is where numbers of bfloat16 are made, with which products are taken in them.
    """
    weights, biases = _apart(layers, stack)
    flat = _Examples(examples.flatten(1))
    passes = [_forward(weights, biases, k, flat, half) for k in range(len(weights[0]))]
    outputs = torch.stack([each.outputs for each in passes])
    deltas = loss.gradient(outputs, labels, loss.guide(examples))
    for sink in sinks:
        into, beside = _apart(layers, sink.into)
        for k in range(sink.start, sink.stop):
            back, place, kept = deltas[k], k - sink.start, passes[k]
            for index in reversed(range(len(layers))):
                inputs = kept.inputs[index]
                sink.put(beside[index][place], back.sum(0, dtype=torch.float32))
                back = back.to(inputs.dtype)
                out = half.of("gradient", into[index][place]) if half else None
                sink.put(into[index][place], matmul.outer(back, inputs, out))
                if index:
                    back = matmul.linear(back, kept.weights[index].T)
                    # Hidden units that are off pass nothing back; `inputs` is their ReLU.
                    back = torch.ops.aten.threshold_backward.grad_input(
                        back, inputs, 0, grad_input=back
                    )


class _Examples:
    """Examples of a step [batch, in], converted once for all networks."""

    def __init__(self, flat: Tensor) -> None:
        self._flat, self.batch = flat, len(flat)
        self._rounded: Tensor | None = None

    def to(self, numbers: torch.dtype) -> Tensor:
        if numbers == self._flat.dtype:
            return self._flat
        if self._rounded is None:
            self._rounded = self._flat.to(numbers)
        return self._rounded


def _apart(layers: Layers, stack: Stack) -> tuple[Rows, Rows]:
    """Return the weights and the biases of the layers, network by network."""
    weights = [stack[weight].unbind(0) for weight, _ in layers]
    return weights, [stack[bias].unbind(0) for _, bias in layers]


def _forward(
    weights: Rows, biases: Rows, k: int, examples: _Examples, half: HalfBuffers | None = None
) -> _Pass:
    """Run network k."""
    inputs: list[Tensor] = []
    taken: list[Tensor] = []
    hidden: Tensor | _Examples = examples
    for index in range(len(weights)):
        weight, bias = weights[index][k], biases[index][k]
        numbers = weight.dtype
        if half and not matmul.is_small(examples.batch, weight):
            numbers = torch.bfloat16
            # The way back asks for no weights of the first layer: their place is taken again.
            weight = weight.bfloat16() if index else half.of("first", weight).copy_(weight)
        inputs.append(hidden.to(numbers))
        taken.append(weight)
        then = "relu" if index < len(weights) - 1 else "none"
        hidden = matmul.linear(inputs[-1], weight, bias.to(numbers), then)
    return _Pass(inputs, taken, hidden.to(weights[0][k].dtype))
