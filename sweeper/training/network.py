"""K networks of one architecture as stacked tensors, run as one program."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from sweeper import models
from sweeper.datasets import Data
from sweeper.results import Recipe
from sweeper.training.stacked_mlp import StackedMLP
from sweeper.training.stacked_module import Stack, StackedModule

Runner = StackedMLP | StackedModule


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """An architecture: how to draw its parameters, and how to run a stack of K of them."""

    template: nn.Module
    weights: tuple[str, ...]
    """Names of the parameters that are penalised and pruned."""
    layers: tuple[tuple[str, str], ...] | None
    """(weight, bias) names of a fully connected network with ReLU; None for any other."""

    @classmethod
    def of(cls, recipe: Recipe, data: Data) -> "Network":
        """Build the architecture of a recipe. Raises PluginError for a factory that fails."""
        template = models.build(
            recipe.model, recipe.model_options, data.shape, data.classes, seed=0
        ).to("meta")
        return cls(template, models.prunable(template), _fully_connected(template))

    def init(self, seeds: Sequence[int], recipe: Recipe, data: Data) -> Stack:
        """Return fresh parameters, those of network k drawn from seeds[k] alone."""
        stack = {
            name: torch.empty(len(seeds), *value.shape, dtype=value.dtype, device=data.device)
            for name, value in self.template.named_parameters()
        }
        for k, seed in enumerate(seeds):  # one by one: thousands may not fit beside a GPU
            built = models.build(
                recipe.model, recipe.model_options, data.shape, data.classes, seed=seed
            )
            for name, value in built.named_parameters():
                stack[name][k].copy_(value.detach())
        return stack

    def runner(self) -> Runner:
        """Return what computes logits and gradients of stacks; it keeps buffers between calls."""
        if self.layers is not None:
            return StackedMLP(self.layers)
        return StackedModule(self.template)

    @property
    def total(self) -> int:
        """All parameters of one network, biases included."""
        return sum(value.numel() for value in self.template.parameters())


def _fully_connected(module: nn.Module) -> tuple[tuple[str, str], ...] | None:
    """Return the layers' parameter names if a module is Flatten, Linear, ReLU, ..., Linear."""
    # By exact type: what a subclass computes is its own affair.
    if type(module) is not nn.Sequential or not len(module):
        return None
    parts: list[tuple[str, nn.Module]] = list(module.named_children())
    if type(parts[0][1]) is nn.Flatten:
        parts = parts[1:]
    linear, between = parts[::2], parts[1::2]
    plain = all(type(part) is nn.Linear and part.bias is not None for _, part in linear)
    if not plain or not all(type(part) is nn.ReLU for _, part in between):
        return None
    if len(linear) != len(between) + 1:
        return None
    return tuple((f"{name}.weight", f"{name}.bias") for name, _ in linear)
