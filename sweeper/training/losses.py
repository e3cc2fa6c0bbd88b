"""Losses: what training minimises, as one value for each example.

Outputs are [..., batch, outputs], labels [batch], or values [batch, outputs]. The gradient of the
mean over the examples in the outputs is written out for the losses of the registry, and by autograd
for one of a user's own.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from sweeper.config.registry import LOSSES, load
from sweeper.training.teacher import Teacher
from sweeper.types import LossConfig


@dataclass(frozen=True, slots=True)
class Loss:
    """A loss: its values, and its slope in the outputs.

    With a teacher it is (1 - weight) x the loss of the labels + weight x temperature^2 x the
    Kullback-Leibler distance of the softened outputs from the teacher's; `guide` [batch, outputs]
    are the teacher's outputs for the same examples.
    """

    config: LossConfig
    teacher: Teacher | None = None

    def guide(self, examples: Tensor) -> Tensor | None:
        """Return the teacher's outputs for examples; None without a teacher."""
        return None if self.teacher is None else self.teacher.outputs(examples)

    def values(self, outputs: Tensor, labels: Tensor, guide: Tensor | None = None) -> Tensor:
        """Return the loss of each example, [batch], for outputs [batch, outputs]."""
        values = self._of_labels(outputs, labels)
        if self.teacher is None or guide is None:
            return values
        weight, temperature = self.teacher.config.weight, self.teacher.config.temperature
        theirs, ours = ((each / temperature).log_softmax(-1) for each in (guide, outputs))
        distance = (theirs.exp() * (theirs - ours)).sum(-1)
        return (1 - weight) * values + weight * temperature**2 * distance

    def _of_labels(self, outputs: Tensor, labels: Tensor) -> Tensor:
        if self.config.name == "cross_entropy":
            return self._cross_entropy(outputs, labels, "none")
        if self.config.name == "mse":
            return (outputs - _wanted(outputs, labels)).square().mean(-1)
        if self.config.name == "binary_cross_entropy":
            wanted = _wanted(outputs, labels)
            each = functional.binary_cross_entropy_with_logits(outputs, wanted, reduction="none")
            return each.mean(-1)
        values: Tensor = self._outside(outputs, labels)
        return values

    def total(self, outputs: Tensor, labels: Tensor, guide: Tensor | None = None) -> Tensor:
        """Return the sum over all examples, a number, for outputs [batch, outputs]."""
        if self.config.name == "cross_entropy" and guide is None:
            return self._cross_entropy(outputs, labels, "sum")
        return self.values(outputs, labels, guide).sum()

    def gradient(self, outputs: Tensor, labels: Tensor, guide: Tensor | None = None) -> Tensor:
        """Return the gradient of each network's mean loss in its outputs [pack, batch, outputs]."""
        gradient = self._gradient_of_labels(outputs, labels)
        if self.teacher is None or guide is None:
            return gradient
        weight, temperature = self.teacher.config.weight, self.teacher.config.temperature
        ours, theirs = ((each / temperature).softmax(-1) for each in (outputs, guide))
        towards = (ours - theirs).mul_(weight * temperature / len(labels))
        return gradient.mul_(1 - weight).add_(towards)

    def _gradient_of_labels(self, outputs: Tensor, labels: Tensor) -> Tensor:
        if self.config.name == "cross_entropy":
            return _cross_entropy_gradient(outputs, labels, self.config.label_smoothing)
        if self.config.name == "mse":
            gradient = (outputs - _wanted(outputs, labels)).mul_(2)
        elif self.config.name == "binary_cross_entropy":
            gradient = outputs.sigmoid().sub_(_wanted(outputs, labels))
        else:
            return self._gradient_by_autograd(outputs, labels)
        return gradient.div_(outputs.shape[-1] * outputs.shape[-2])

    def _cross_entropy(self, outputs: Tensor, labels: Tensor, reduction: str) -> Tensor:
        smoothing = self.config.label_smoothing
        return functional.cross_entropy(
            outputs, labels, reduction=reduction, label_smoothing=smoothing
        )

    @property
    def _outside(self) -> Callable[[Tensor, Tensor], Tensor]:
        function: Callable[[Tensor, Tensor], Tensor] = load(self.config.name)
        return function

    def _gradient_by_autograd(self, outputs: Tensor, labels: Tensor) -> Tensor:
        # One by one: the bits of a network must not depend on its pack.
        gradients = []
        for network in outputs:
            leaf = network.detach().clone().requires_grad_()
            with torch.enable_grad():
                total = self._of_labels(leaf, labels).sum() / len(labels)
                (gradient,) = torch.autograd.grad(total, leaf)
            gradients.append(gradient)
        return torch.stack(gradients)


CROSS_ENTROPY = Loss(LossConfig())


def is_registered(config: LossConfig) -> bool:
    """Return whether a loss is one of the registry."""
    return config.name in LOSSES


def _wanted(outputs: Tensor, labels: Tensor) -> Tensor:
    """Return what the outputs should be, [batch, outputs]: 1 at the label, or the values."""
    if labels.is_floating_point():
        return labels
    return functional.one_hot(labels, outputs.shape[-1]).to(outputs.dtype)


def _cross_entropy_gradient(logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    """(softmax - (1 - smoothing) one hot - smoothing / classes) / batch."""
    # Along the last of few classes softmax takes 127 us for 8 x 128 x 10, along another one 7.
    gradient = logits.transpose(-1, -2).contiguous().softmax(-2).transpose(-1, -2).contiguous()
    if smoothing:
        gradient.sub_(smoothing / logits.shape[-1])
    index = labels[None, :, None].expand(logits.shape[0], -1, 1)
    taken = gradient.new_full((1, 1, 1), smoothing - 1.0)
    gradient.scatter_add_(2, index, taken.expand_as(index))
    return gradient.div_(labels.shape[0])
