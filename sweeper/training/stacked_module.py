"""Stacked modules: logits and gradients of K networks of any kind, by torch.func and autograd."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from sweeper.errors import PluginError
from sweeper.training.losses import CROSS_ENTROPY, Loss
from sweeper.training.noise import Noise
from sweeper.training.stack import GradientBuffer, Stack

Run = Callable[[Stack, Tensor], Tensor]
"""Gives the logits of parameters and buffers for examples."""


@dataclass(frozen=True, slots=True, eq=False)
class StackedModule:
    """Runs stacked parameters through a module that is written for one network."""

    template: nn.Module
    parameters: tuple[str, ...]
    """Names of what is trained."""
    buffers: tuple[str, ...] = ()
    """Names of the rest of a stack, which training changes, too."""
    channels_last: bool = False
    """Whether images and kernels are laid out with their channels last. On one thread of a CPU a
    step of LeNet-5 takes 29 ms so and 45 ms without, one of a convnet with batch norm 88 and 144.
    """
    at_once: bool = True
    """Whether a GPU runs all networks as one program."""
    loss: Loss = CROSS_ENTROPY
    half: bool = False
    """Whether products and convolutions of the gradients are taken in bfloat16: by PyTorch's
    autocast, whose list says what stays in float32, such as sums and norms."""

    def logits(self, stack: Stack, examples: Tensor) -> Tensor:
        """Return [pack, batch, classes] for examples [batch, ...].

        The module is in its evaluation mode.
        """
        self._set_mode(training=False)
        if self._runs_together(examples):
            return self.together(stack, examples)
        # One by one: on a CPU vmap took 0.56 s for a step of six LeNet-5 against 0.40 s,
        # and its grouped convolutions gave other bits for another pack.
        examples = self._laid_out(examples)
        pack = len(next(iter(stack.values())))
        return torch.stack(
            [self._network_logits(self._network(stack, k), examples) for k in range(pack)]
        )

    def backward(
        self,
        stack: Stack,
        examples: Tensor,
        labels: Tensor,
        sinks: Sequence[GradientBuffer],
        noise: Noise | None = None,
    ) -> None:
        """Add the gradient of each network's mean loss to what the sinks keep.

        The module is in its training mode: buffers of the stack change in place. Without `noise`
        it draws random numbers as they come.
        """
        self._set_mode(training=True)
        if not self._runs_together(examples):
            # One by one here too, so that the hidden layers of one network are held at a time.
            guide = self.loss.guide(examples)
            examples = self._laid_out(examples)
            for sink in sinks:
                for k in range(sink.start, sink.stop):
                    if noise is not None:
                        noise.start(k, examples.device)
                    gradients = self._network_gradients(stack, k, examples, labels, guide)
                    sink.at(k).take_all(gradients)
            return
        if noise is not None:
            noise.start(0, examples.device)
        together = self._gradients(stack, examples, labels)
        for sink in sinks:
            sink.take_all({name: value[sink.networks] for name, value in together.items()})

    def refresh(self, stack: Stack, examples: Tensor) -> None:
        """Run examples through the networks in the mode that the module is in, for its buffers."""
        if self._runs_together(examples):
            self.together(stack, examples)
            return
        examples = self._laid_out(examples)
        for k in range(len(next(iter(stack.values())))):
            network = self._network(stack, k)
            self._network_logits(network, examples)
            self._keep_buffers(stack, k, network)

    def together(self, stack: Stack, examples: Tensor) -> Tensor:
        """Return the logits of all networks at once, as a GPU computes them."""
        randomness = "different" if self.template.training else "error"
        run = vmap(self._network_logits, in_dims=(0, None), randomness=randomness)
        logits: Tensor = run(dict(stack), examples)
        return logits

    def _set_mode(self, *, training: bool) -> None:
        if self.template.training != training:
            self.template.train(training)

    def _runs_together(self, examples: Tensor) -> bool:
        return self.at_once and examples.device.type != "cpu"

    def _network(self, stack: Stack, k: int) -> Stack:
        """Return views of the parameters and buffers of a network."""
        return {name: self._laid_out(value[k]) for name, value in stack.items()}

    def _network_gradients(
        self, stack: Stack, k: int, examples: Tensor, labels: Tensor, guide: Tensor | None
    ) -> Stack:
        """Return the gradients of a network by name, [1, *shape] each."""
        network = self._network(stack, k)
        leaves = [network[name].detach().requires_grad_() for name in self.parameters]
        network.update(zip(self.parameters, leaves, strict=True))
        with torch.enable_grad():
            logits = self._training_logits(self._network_logits, network, examples)
            loss = self.loss.total(logits, labels, guide) / len(labels)
            values: Sequence[Tensor | None] = torch.autograd.grad(loss, leaves, allow_unused=True)
        self._keep_buffers(stack, k, network)
        return self._named(value if value is None else value[None] for value in values)

    def _gradients(self, stack: Stack, examples: Tensor, labels: Tensor) -> Stack:
        """Return the gradients of all networks by name, [pack, *shape] each."""
        network = dict(stack)
        leaves = [stack[name].detach().requires_grad_() for name in self.parameters]
        network.update(zip(self.parameters, leaves, strict=True))
        with torch.enable_grad():
            logits = self._training_logits(self.together, network, examples)
            pack, batch, classes = logits.shape
            # A sum over networks: the gradient of one does not depend on the others.
            guide = self.loss.guide(examples)
            guides = None if guide is None else torch.cat([guide] * pack)
            flat = logits.reshape(-1, classes)
            loss = self.loss.total(flat, torch.cat([labels] * pack), guides)
            values: Sequence[Tensor | None] = torch.autograd.grad(
                loss / batch, leaves, allow_unused=True
            )
        return self._named(values)

    def _named(self, values: Iterable[Tensor | None]) -> Stack:
        gradients = {}
        for name, value in zip(self.parameters, values, strict=True):
            if value is None:
                # An optimizer of PyTorch's would skip it at this step, momentum and decay too.
                raise PluginError(f"the network's parameter {name} gets no gradient")
            gradients[name] = value
        return gradients

    def _keep_buffers(self, stack: Stack, k: int, network: Stack) -> None:
        """Keep the buffers that a module has assigned anew; most are changed in place."""
        for name in self.buffers:
            kept, value = stack[name][k], network[name]
            if value.data_ptr() != kept.data_ptr():
                kept.copy_(value.detach())

    def _laid_out(self, value: Tensor) -> Tensor:
        """Return images, or kernels, with their channels last where that is faster."""
        if self.channels_last and value.ndim == 4:
            # Not `contiguous`: to it, images of one channel lie so as they are, and PyTorch then
            # takes the slow way: 46 ms for that step instead of 31.
            return value.to(memory_format=torch.channels_last)
        return value

    def _training_logits(self, run: Run, network: Stack, examples: Tensor) -> Tensor:
        if not self.half:
            return run(network, examples)
        # Without a cache: that of weights outlives what they are changed to.
        with torch.autocast(examples.device.type, torch.bfloat16, cache_enabled=False):
            return run(network, examples).float()

    def _network_logits(self, network: Stack, examples: Tensor) -> Tensor:
        logits: Tensor = functional_call(self.template, network, (examples,))
        return logits
