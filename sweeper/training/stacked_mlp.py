"""Stacked MLPs: gradients of K fully connected networks at once, written out, into fixed buffers.

Autograd gives the same numbers, but allocates every gradient anew: for 16 LeNet-300-100 on one
thread it took 2.6 ms a step and network (best of 40) against 2.2 here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from sweeper.kernels import matmul
from sweeper.training import separate_mlp
from sweeper.training.losses import CROSS_ENTROPY, Loss
from sweeper.training.noise import Noise
from sweeper.training.separate_mlp import HalfBuffers
from sweeper.training.stack import GradientBuffer, Layers, Stack


@dataclass(slots=True)
class StackedMLP:
    """Logits and gradients of a stack; buffers are made once for each size of batch."""

    layers: Layers
    loss: Loss = CROSS_ENTROPY
    half: bool = False
    """Whether products of the gradients are taken in bfloat16."""
    _buffers: Stack = field(default_factory=dict)
    _halves: HalfBuffers = field(default_factory=HalfBuffers)

    @torch.no_grad()
    def logits(self, stack: Stack, examples: Tensor) -> Tensor:
        """Return [pack, batch, classes] for examples [batch, ...]; overwritten by the next call."""
        if matmul.serves(examples):
            return separate_mlp.logits(self.layers, stack, examples)
        hidden = self._hidden(stack, examples.flatten(1))
        return self._affine(hidden[-1], stack, len(self.layers) - 1)

    @torch.no_grad()
    def backward(
        self,
        stack: Stack,
        examples: Tensor,
        labels: Tensor,
        sinks: Sequence[GradientBuffer],
        noise: Noise | None = None,
    ) -> None:
        """Add the gradient of each network's mean loss to what the sinks keep.

        It draws no random numbers: `noise` is for modules that do.
        """
        if self.half and self._runs_together(examples):
            self._backward_in_half(stack, examples, labels, sinks)
            return
        if self.half or matmul.serves(examples):
            half = self._halves if self.half else None
            separate_mlp.backward(self.layers, stack, examples, labels, sinks, self.loss, half=half)
            return
        hidden = self._hidden(stack, examples.flatten(1))
        logits = self._affine(hidden[-1], stack, len(self.layers) - 1)
        delta = self.loss.gradient(logits, labels, self.loss.guide(examples))
        for index in reversed(range(len(self.layers))):
            weight, bias = self.layers[index]
            inputs = hidden[index]
            for sink in sinks:
                span, into = sink.networks, sink.into[weight]
                sink.take(bias, delta[span].sum(1))
                # One product for the gradient and for what is kept of the earlier ones.
                torch.baddbmm(
                    into, delta[span].transpose(1, 2), inputs[span], beta=sink.keep, out=into
                )
            if index:
                back = self._buffer(f"back {index}", inputs.shape, inputs)
                torch.bmm(delta, stack[weight], out=back)
                # Hidden units that are off pass nothing back; `inputs` is their ReLU.
                delta = torch.ops.aten.threshold_backward.grad_input(
                    back, inputs, 0, grad_input=back
                )

    def _runs_together(self, examples: Tensor) -> bool:
        return examples.device.type != "cpu"

    def _backward_in_half(
        self, stack: Stack, examples: Tensor, labels: Tensor, sinks: Sequence[GradientBuffer]
    ) -> None:
        """Do the same in bfloat16: products are summed in float32, and what they give rounded."""
        weights = [stack[weight].bfloat16() for weight, _ in self.layers]
        biases = [stack[bias][:, None].bfloat16() for _, bias in self.layers]
        flat = examples.flatten(1).bfloat16()
        hidden = [flat.expand(len(weights[0]), *flat.shape)]
        for weight, bias in zip(weights, biases, strict=True):
            outputs = torch.baddbmm(bias, hidden[-1], weight.transpose(1, 2))
            hidden.append(outputs.clamp_min(0))
        delta = self.loss.gradient(outputs.float(), labels, self.loss.guide(examples)).bfloat16()
        for index in reversed(range(len(self.layers))):
            names, inputs = self.layers[index], hidden[index]
            for sink in sinks:
                part = delta[sink.networks]
                sink.take(names[0], torch.bmm(part.transpose(1, 2), inputs[sink.networks]))
                sink.take(names[1], part.sum(1, dtype=torch.float32))
            if index:
                back = torch.bmm(delta, weights[index])
                delta = torch.ops.aten.threshold_backward.default(back, inputs, 0)

    def _hidden(self, stack: Stack, flat: Tensor) -> list[Tensor]:
        """Return the inputs of each layer, [pack, batch, in] each."""
        weight, _ = self.layers[0]
        pack = stack[weight].shape[0]
        hidden = [flat.expand(pack, *flat.shape)]
        for index in range(len(self.layers) - 1):
            hidden.append(self._affine(hidden[-1], stack, index).clamp_min_(0))
        return hidden

    def _affine(self, inputs: Tensor, stack: Stack, index: int) -> Tensor:
        """Return inputs x weight + bias, [pack, batch, out]."""
        weight, bias = (stack[name] for name in self.layers[index])
        pack, width, _ = weight.shape
        batch = inputs.shape[1]
        if index or weight.device.type == "cpu":
            # In the first layer too: as one wide product it gave other bits for another pack
            # (784 -> 64, batch 128), and 16 x 300 wide it took 21.7 ms against 20.4 ms so.
            out = self._buffer(f"layer {index}", (pack, batch, width), weight)
            return torch.bmm(inputs, weight.transpose(1, 2), out=out).add_(bias[:, None])
        # All first layers see the same examples: one wide product in place of `pack` narrow ones.
        wide = self._buffer("layer 0", (batch, pack * width), weight)
        torch.mm(inputs[0], weight.flatten(0, 1).T, out=wide).add_(bias.flatten())
        return wide.view(batch, pack, width).transpose(0, 1)

    def _buffer(self, name: str, shape: tuple[int, ...], like: Tensor) -> Tensor:
        buffer = self._buffers.get(name)
        if buffer is None or buffer.shape != shape:
            self._buffers[name] = buffer = like.new_empty(shape)
        return buffer
