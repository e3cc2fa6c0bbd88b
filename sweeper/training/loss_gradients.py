"""Loss gradients: how the loss of networks changes with their weights, apart from training."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.func import functional_call

from sweeper.config import derive_seed
from sweeper.training import losses
from sweeper.training.loaded_data import DataSplit
from sweeper.training.stack import NetworkRange, Stack
from sweeper.training.stacked_architecture import StackedArchitecture


@dataclass(frozen=True, slots=True, eq=False)
class LossGradients:
    """Gradients of the mean loss over some examples, at the weights that networks have by then.

    Networks are taken one by one, so that the bits of one do not depend on its pack. The module is
    in its training mode: batch norm sees the very examples, dropout draws from the network's seed.
    Nothing of the stack changes, buffers included.
    """

    network: StackedArchitecture
    stack: Stack
    """Of the whole pack, as it is trained."""
    part: DataSplit
    seeds: tuple[int, ...]
    """Of the networks in the range."""
    order_seed: int
    networks: NetworkRange

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

    def _each(self, index: Tensor, weights: Stack | None, direction: Stack | None) -> Stack:
        names = self.network.weights
        results: dict[str, list[Tensor]] = {name: [] for name in names}
        chosen = self.part.at(index)
        with self._training_mode():
            for k, seed in enumerate(self.seeds):
                values = {n: v[self.networks.start + k] for n, v in self.stack.items()}
                for name in self.network.buffers:
                    values[name] = values[name].clone()
                for name in names:
                    value = values[name] if weights is None else weights[name][k]
                    values[name] = value.detach().view(values[name].shape).requires_grad_()
                torch.manual_seed(derive_seed(seed, "loss_gradients"))
                leaves = [values[name] for name in names]
                with torch.enable_grad():
                    outputs = functional_call(self.network.template, values, (chosen.examples,))
                    loss = losses.cross_entropy(outputs, chosen.labels).mean()
                    first = torch.autograd.grad(loss, leaves, create_graph=direction is not None)
                    if direction is not None:
                        along = (
                            (gradient.flatten() * direction[name][k].flatten()).sum()
                            for name, gradient in zip(names, first, strict=True)
                        )
                        first = torch.autograd.grad(sum(along, start=loss.new_zeros(())), leaves)
                for name, gradient in zip(names, first, strict=True):
                    results[name].append(gradient.detach().view(len(gradient), -1))
        return {name: torch.stack(each) for name, each in results.items()}

    @contextmanager
    def _training_mode(self) -> Iterator[None]:
        template, device = self.network.template, self.part.labels.device
        was = template.training
        devices = [device] if device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            template.train()
            try:
                yield
            finally:
                template.train(was)
