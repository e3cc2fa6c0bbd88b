"""Stacked architecture: K networks of one kind as stacked tensors, run as one program."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import torch
from torch import nn

from sweeper.config.registry import MODELS
from sweeper.errors import PluginError
from sweeper.training import models
from sweeper.training.datasets import Data
from sweeper.training.forward_pass import ForwardError, same_bits, training_pass
from sweeper.training.stack import Stack
from sweeper.training.stacked_mlp import StackedMLP
from sweeper.training.stacked_module import StackedModule
from sweeper.types import SharedConfig

Runner = StackedMLP | StackedModule


@dataclass(frozen=True, slots=True, eq=False)
class StackedArchitecture:
    """An architecture: draws the parameters of K networks, and runs them as a stack."""

    template: nn.Module
    weights: tuple[str, ...]
    """Names of the parameters that are penalised and pruned."""
    layers: tuple[tuple[str, str], ...] | None
    """(weight, bias) names of a fully connected network with ReLU; None for any other."""

    @classmethod
    def of(cls, recipe: SharedConfig, data: Data) -> "StackedArchitecture":
        """Build the architecture of a recipe.

        Raises PluginError for a factory that fails, and for a module of a user's that draws random
        numbers or changes its buffers in training: cheap to see, and wrong in silence.
        """
        module = _build(recipe, data, seed=0)
        if recipe.model not in MODELS:
            with suppress(ForwardError):  # it is raised where the module is trained
                training_pass(recipe.model, module.to(data.device), data.train.examples[:2])
        return cls(_emptied(module, data.device), models.prunable(module), _fully_connected(module))

    def init(self, seeds: Sequence[int], recipe: SharedConfig, data: Data) -> Stack:
        """Return fresh parameters, those of network k drawn from seeds[k] alone."""
        stack = {
            name: torch.empty(len(seeds), *value.shape, dtype=value.dtype, device=data.device)
            for name, value in self.template.named_parameters()
        }
        constant = dict(self.template.named_buffers())
        for k, seed in enumerate(seeds):  # one by one: thousands may not fit beside a GPU
            module = _build(recipe, data, seed=seed)
            for name, value in module.named_parameters():
                stack[name][k].copy_(value.detach())
            for name, buffer in module.named_buffers():
                if not same_bits(buffer.to(data.device), constant[name]):
                    text = f"buffer {name} differs from seed to seed, and a pack has one for all"
                    raise PluginError(f"{recipe.model}: {text}; allowed: constant buffers")
        return stack

    def runner(self) -> Runner:
        """Return the runner of stacks: logits and gradients. It keeps buffers between calls."""
        if self.layers is not None:
            return StackedMLP(self.layers)
        return StackedModule(self.template)

    @property
    def total(self) -> int:
        """All parameters of one network, biases included."""
        return sum(value.numel() for value in self.template.parameters())


def _build(recipe: SharedConfig, data: Data, *, seed: int) -> nn.Module:
    return models.build(recipe.model, recipe.model_options, data.shape, data.classes, seed=seed)


def _emptied(module: nn.Module, device: torch.device) -> nn.Module:
    """Return the module with its buffers on a device and parameters without values.

    What is shared stays shared, which `to("meta")` alone does not see to: each place would get a
    parameter of its own. Without values, whatever computes with them by mistake is an error.
    """
    places: dict[int, list[str]] = {}
    for name, value in module.named_parameters(remove_duplicate=False):
        places.setdefault(id(value), []).append(name)
    listed = module.named_buffers(remove_duplicate=False)
    buffers = {name: value.to(device) for name, value in listed}
    template = module.to("meta")
    for first, *others in places.values():
        for name in others:
            owner, _, leaf = name.rpartition(".")
            setattr(template.get_submodule(owner), leaf, template.get_parameter(first))
    for name, buffer in buffers.items():
        owner, _, leaf = name.rpartition(".")
        setattr(template.get_submodule(owner), leaf, buffer)
    return template


def _fully_connected(module: nn.Module) -> tuple[tuple[str, str], ...] | None:
    """Return the layers' parameter names if a module is Flatten, Linear, ReLU, ..., Linear."""
    # By exact type: what a subclass computes is its own affair.
    if type(module) is not nn.Sequential or not len(module):
        return None
    # At all its places: a layer that is used twice has one place among the named children.
    parts = list(module._modules.items())
    if not all(map(_untouched, (module, *(part for _, part in parts)))):
        return None
    if _flattens(parts[0][1]):
        parts = parts[1:]
    linear, between = parts[::2], parts[1::2]
    plain = all(type(part) is nn.Linear and part.bias is not None for _, part in linear)
    if not plain or not all(type(part) is nn.ReLU for _, part in between):
        return None
    if len(linear) != len(between) + 1:
        return None
    layers = tuple((f"{name}.weight", f"{name}.bias") for name, _ in linear)
    listed = {name for name, _ in module.named_parameters()}
    return layers if listed == {name for layer in layers for name in layer} else None


def _flattens(part: nn.Module) -> bool:
    return type(part) is nn.Flatten and (part.start_dim, part.end_dim) == (1, -1)


def _untouched(part: nn.Module) -> bool:
    """Return True if a module computes what its class says: no hooks, no `forward` of its own."""
    hooks = (part._forward_hooks, part._forward_pre_hooks, part._backward_hooks)
    return not any((*hooks, part._backward_pre_hooks)) and "forward" not in vars(part)
