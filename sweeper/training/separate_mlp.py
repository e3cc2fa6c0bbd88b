"""Separate MLPs: logits and gradients of K networks one after the other, by `kernels.matmul`.

For processors on which these are twice as fast as PyTorch's own, which take all networks at once:
for LeNet-300-100 at batch 128 on one thread of a Zen 5, 0.83 ms a step and network instead of 1.46,
in packs of 1 and of 8 alike. Starting the products from Python takes a tenth of that.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from sweeper.kernels.matmul import linear
from sweeper.training.losses import Loss
from sweeper.training.stack import GradientBuffer, Layers, Stack

Rows = list[tuple[Tensor, ...]]
"""Of each layer, its parameter in each network."""


def logits(layers: Layers, stack: Stack, examples: Tensor) -> Tensor:
    """Return [pack, batch, classes] for examples [batch, ...]."""
    weights, biases = _apart(layers, stack)
    flat = examples.flatten(1)
    pack = len(weights[0])
    return torch.stack(
        [_output(weights, biases, k, _hidden(weights, biases, k, flat)[-1]) for k in range(pack)]
    )


def backward(
    layers: Layers,
    stack: Stack,
    examples: Tensor,
    labels: Tensor,
    sinks: Sequence[GradientBuffer],
    loss: Loss,
) -> None:
    """Add the gradient of each network's mean loss to what the sinks keep."""
    weights, biases = _apart(layers, stack)
    flat = examples.flatten(1)
    hidden = [_hidden(weights, biases, k, flat) for k in range(len(weights[0]))]
    outputs = [_output(weights, biases, k, inputs[-1]) for k, inputs in enumerate(hidden)]
    deltas = loss.gradient(torch.stack(outputs), labels, loss.guide(examples))
    for sink in sinks:
        into, beside = _apart(layers, sink.into)
        for k in range(sink.start, sink.stop):
            back, place = deltas[k], k - sink.start
            for index in reversed(range(len(layers))):
                inputs = hidden[k][index]
                sink.put(beside[index][place], back.sum(0))
                sink.put(into[index][place], linear(back.T, inputs.T))
                if index:
                    back = linear(back, weights[index][k].T)
                    # Hidden units that are off pass nothing back; `inputs` is their ReLU.
                    back = torch.ops.aten.threshold_backward.grad_input(
                        back, inputs, 0, grad_input=back
                    )


def _apart(layers: Layers, stack: Stack) -> tuple[Rows, Rows]:
    """Return the weights and the biases of the layers, network by network."""
    weights = [stack[weight].unbind(0) for weight, _ in layers]
    return weights, [stack[bias].unbind(0) for _, bias in layers]


def _hidden(weights: Rows, biases: Rows, k: int, flat: Tensor) -> list[Tensor]:
    """Return the inputs of each layer of network k, [batch, in] each."""
    hidden = [flat]
    for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
        hidden.append(linear(hidden[-1], weight[k], bias[k], "relu"))
    return hidden


def _output(weights: Rows, biases: Rows, k: int, inputs: Tensor) -> Tensor:
    return linear(inputs, weights[-1][k], biases[-1][k])
