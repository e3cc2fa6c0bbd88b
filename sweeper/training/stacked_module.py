"""Stacked modules: logits and gradients of K networks of any kind, by torch.func and autograd."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn import functional

from sweeper.errors import PluginError
from sweeper.training.stack import GradientBuffer, Stack


@dataclass(frozen=True, slots=True, eq=False)
class StackedModule:
    """Runs stacked parameters through a module that is written for one network."""

    template: nn.Module

    def logits(self, stack: Stack, examples: Tensor) -> Tensor:
        """Return [pack, batch, classes] for examples [batch, channels, height, width].

        The module is in its evaluation mode.
        """
        return self._logits(stack, examples, training=False)

    def backward(
        self, stack: Stack, examples: Tensor, labels: Tensor, sinks: Sequence[GradientBuffer]
    ) -> None:
        """Add the gradient of each network's mean cross-entropy to what the sinks keep."""
        if examples.device.type == "cpu":
            # One by one here too, so that the hidden layers of one network are held at a time.
            for sink in sinks:
                for k in range(sink.start, sink.stop):
                    network = {name: value[k : k + 1] for name, value in stack.items()}
                    sink.at(k).take_all(self._gradients(network, examples, labels))
            return
        together = self._gradients(stack, examples, labels)
        for sink in sinks:
            sink.take_all({name: value[sink.networks] for name, value in together.items()})

    def _gradients(self, stack: Stack, examples: Tensor, labels: Tensor) -> Stack:
        leaves = {name: value.detach().requires_grad_() for name, value in stack.items()}
        with torch.enable_grad():
            logits = self._logits(leaves, examples, training=True)
            pack, batch, classes = logits.shape
            # A sum over networks: the gradient of one does not depend on the others.
            loss = functional.cross_entropy(
                logits.reshape(-1, classes), labels.repeat(pack), reduction="sum"
            )
            values: Sequence[Tensor | None] = torch.autograd.grad(
                loss / batch, list(leaves.values()), allow_unused=True
            )
        gradients = {}
        for name, value in zip(leaves, values, strict=True):
            if value is None:
                # An optimizer of PyTorch's would skip it at this step, momentum and decay too.
                raise PluginError(f"the network's parameter {name} gets no gradient")
            gradients[name] = value
        return gradients

    def _logits(self, stack: Stack, examples: Tensor, *, training: bool) -> Tensor:
        if self.template.training != training:
            self.template.train(training)
        if examples.device.type == "cpu":
            # One by one: on a CPU vmap took 0.56 s for a step of six LeNet-5 against 0.40 s,
            # and its grouped convolutions gave other bits for another pack.
            pack = next(iter(stack.values())).shape[0]
            networks = [{name: value[k] for name, value in stack.items()} for k in range(pack)]
            return torch.stack([self._network_logits(network, examples) for network in networks])
        return self.together(stack, examples)

    def together(self, stack: Stack, examples: Tensor) -> Tensor:
        """Return the logits of all networks at once, as a GPU computes them."""
        logits: Tensor = vmap(self._network_logits, in_dims=(0, None))(stack, examples)
        return logits

    def _network_logits(self, parameters: Stack, examples: Tensor) -> Tensor:
        logits: Tensor = functional_call(self.template, parameters, (examples,))
        return logits
