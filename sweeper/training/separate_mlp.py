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


def logits(layers: Layers, stack: Stack, examples: Tensor) -> Tensor:
    """Return [pack, batch, classes] for examples [batch, ...]."""
    weights, biases = _apart(layers, stack)
    flat = _Examples(examples.flatten(1), half=False)
    return torch.stack([_forward(weights, biases, k, flat).outputs for k in range(len(weights[0]))])


def backward(
    layers: Layers,
    stack: Stack,
    examples: Tensor,
    labels: Tensor,
    sinks: Sequence[GradientBuffer],
    loss: Loss,
    *,
    half: bool = False,
) -> None:
    """Add the gradient of each network's mean loss to what the sinks keep; `half` in bfloat16."""
    weights, biases = _apart(layers, stack)
    flat = _Examples(examples.flatten(1), half)
    passes = [_forward(weights, biases, k, flat) for k in range(len(weights[0]))]
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
                sink.put(into[index][place], matmul.outer(back, inputs))
                if index:
                    back = matmul.linear(back, kept.weights[index].T)
                    # Hidden units that are off pass nothing back; `inputs` is their ReLU.
                    back = torch.ops.aten.threshold_backward.grad_input(
                        back, inputs, 0, grad_input=back
                    )


class _Examples:
    """Examples of a step [batch, in], converted once for all networks."""

    def __init__(self, flat: Tensor, half: bool) -> None:
        self._flat, self.half, self.batch = flat, half, len(flat)
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


def _forward(weights: Rows, biases: Rows, k: int, examples: _Examples) -> _Pass:
    """Run network k."""
    inputs: list[Tensor] = []
    taken: list[Tensor] = []
    hidden: Tensor | _Examples = examples
    for index in range(len(weights)):
        weight, bias = weights[index][k], biases[index][k]
        half = examples.half and not matmul.is_small(examples.batch, weight)
        numbers = torch.bfloat16 if half else weight.dtype
        inputs.append(hidden.to(numbers))
        taken.append(weight.to(numbers))
        then = "relu" if index < len(weights) - 1 else "none"
        hidden = matmul.linear(inputs[-1], taken[-1], bias.to(numbers), then)
    return _Pass(inputs, taken, hidden.to(weights[0][k].dtype))
