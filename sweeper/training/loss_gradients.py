"""Loss gradients: how the loss of networks changes with their weights, apart from training."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.func import functional_call

from sweeper.config import derive_seed
from sweeper.training.loaded_data import DataSplit
from sweeper.training.stack import NetworkRange, Stack
from sweeper.training.stacked_architecture import StackedArchitecture

AT_ONCE = 128
"""Examples that go through a network at a time, at the most: more may not fit in memory."""


@dataclass(frozen=True, slots=True, eq=False)
class LossGradients:
    """Gradients of the mean loss over some examples, at the weights that networks have by then.

    Networks are taken one by one, so that the bits of one do not depend on its pack. The module is
    in its training mode unless said otherwise: batch norm sees the very examples, in equal parts of
    AT_ONCE at the most, dropout draws from the network's seed. Nothing of the stack changes,
    buffers included.
    """

    network: StackedArchitecture
    stack: Stack
    """Of the whole pack, as it is trained."""
    part: DataSplit
    seeds: tuple[int, ...]
    """Of the networks in the range."""
    order_seed: int
    networks: NetworkRange

    @classmethod
    def of_pack(
        cls,
        network: StackedArchitecture,
        stack: Stack,
        part: DataSplit,
        seeds: Sequence[int],
        order_seed: int,
    ) -> "LossGradients":
        """Return the gradients of all networks of a pack."""
        return cls(network, stack, part, tuple(seeds), order_seed, NetworkRange(0, len(seeds)))

    def of(self, networks: NetworkRange) -> "LossGradients":
        """Return the gradients of some of these networks."""
        start = self.networks.start + networks.start
        seeds = self.seeds[networks.start : networks.stop]
        return replace(self, seeds=seeds, networks=NetworkRange(start, start + len(networks)))

    def examples(self, count: int, purpose: str) -> Tensor:
        """Draw `count` training examples, by index: the same for all networks of a repeat."""
        seed = derive_seed(self.order_seed, purpose)
        drawn = torch.randperm(len(self.part), generator=torch.Generator().manual_seed(seed))
        return drawn[:count].to(self.part.labels.device)

    def at(self, index: Tensor, weights: Stack | None = None) -> Stack:
        """Return the gradients in the prunable weights, [pack, out, in] by name.

        `weights`, in the same shapes, stand in for the networks' own.
        """
        return self._each(index, weights, None)

    def hessian_product(self, index: Tensor, direction: Stack) -> Stack:
        """Return the Hessian of the loss times a direction, both [pack, out, in] by name."""
        return self._each(index, None, direction)

    def squares(self, index: Tensor) -> Stack:
        """Return the mean over examples of the squared gradient of the loss of each of them.

        The diagonal of the empirical Fisher matrix, [pack, out, in] by name: labels are the given
        ones. In evaluation mode, where one example does not depend on others: batch norm has its
        running statistics, nothing is dropped.
        """
        names = self.network.weights
        with self._mode(training=False):
            each = []
            for k in range(len(self.seeds)):
                summed: list[Tensor] = []
                for place in torch.split(index, 1):  # one by one: gradients of all would not fit
                    leaves, loss = self._loss(k, place, None)
                    gradients = torch.autograd.grad(loss, leaves, materialize_grads=True)
                    if not summed:
                        summed = [torch.zeros_like(gradient) for gradient in gradients]
                    for total, gradient in zip(summed, gradients, strict=True):
                        total.addcmul_(gradient, gradient)
                each.append([total.div_(len(index)) for total in summed])
        return _stacked(names, each)

    def _each(self, index: Tensor, weights: Stack | None, direction: Stack | None) -> Stack:
        names = self.network.weights
        each = []
        with self._mode(training=True):
            for k, seed in enumerate(self.seeds):
                torch.manual_seed(derive_seed(seed, "loss_gradients"))
                summed: list[Tensor] = []
                for part in index.tensor_split(math.ceil(len(index) / AT_ONCE)):
                    leaves, loss = self._loss(k, part, weights)
                    loss = loss * (len(part) / len(index))
                    along = None if direction is None else [direction[name][k] for name in names]
                    values = _derivatives(loss, leaves, along)
                    summed = (
                        [total + value for total, value in zip(summed, values, strict=True)]
                        if summed
                        else values
                    )
                each.append(summed)
        return _stacked(names, each)

    def _loss(self, k: int, index: Tensor, weights: Stack | None) -> tuple[list[Tensor], Tensor]:
        """Return the prunable weights of a network, to be derived by, and its mean loss."""
        names, chosen = self.network.weights, self.part.at(index)
        values = {n: v[self.networks.start + k] for n, v in self.stack.items()}
        for name in self.network.buffers:
            values[name] = values[name].clone()
        for name in names:
            value = values[name] if weights is None else weights[name][k]
            values[name] = value.detach().view(values[name].shape).requires_grad_()
        with torch.enable_grad():
            outputs = functional_call(self.network.template, values, (chosen.examples,))
            guide = self.network.loss.guide(chosen.examples)
            loss = self.network.loss.values(outputs, chosen.labels, guide).mean()
        return [values[name] for name in names], loss

    @contextmanager
    def _mode(self, *, training: bool) -> Iterator[None]:
        """Have the module in a mode, with gradients, and random numbers put back afterwards."""
        template, device = self.network.template, self.part.labels.device
        was = template.training
        devices = [device] if device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices), torch.enable_grad():
            template.train(training)
            try:
                yield
            finally:
                template.train(was)


def _derivatives(
    loss: Tensor, leaves: Sequence[Tensor], along: Sequence[Tensor] | None
) -> list[Tensor]:
    """Return the gradients, or, along a direction, the product with the Hessian."""
    # A parameter without gradient is refused where it is trained.
    first = torch.autograd.grad(
        loss, leaves, create_graph=along is not None, materialize_grads=True
    )
    if along is None:
        return list(first)
    pairs = zip(first, along, strict=True)
    products = [(value.flatten() * way.flatten()).sum() for value, way in pairs]
    return list(torch.autograd.grad(torch.stack(products).sum(), leaves, materialize_grads=True))


def _stacked(names: Sequence[str], each: Sequence[Sequence[Tensor]]) -> Stack:
    """Return what each network has for each name as stacks [pack, out, in]."""
    columns = zip(*each, strict=True)
    return {
        name: torch.stack([value.detach().reshape(len(value), -1) for value in column])
        for name, column in zip(names, columns, strict=True)
    }
