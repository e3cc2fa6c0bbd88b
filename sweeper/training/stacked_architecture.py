"""Stacked architecture: K networks of one kind as stacked tensors, run as one program."""

import logging
from collections.abc import Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from sweeper.errors import typed_line
from sweeper.training import models
from sweeper.training.datasets import Data
from sweeper.training.forward_pass import (
    ForwardError,
    TrainingChanges,
    called,
    refuse_changes_when_judged,
    same_bits,
    training_changes,
)
from sweeper.training.losses import CROSS_ENTROPY, Loss
from sweeper.training.pruning_rule import PruningRule
from sweeper.training.stack import GradientBuffer, Stack
from sweeper.training.stacked_mlp import StackedMLP
from sweeper.training.stacked_module import StackedModule
from sweeper.training.teacher import Teacher
from sweeper.types import PruneConfig, SharedConfig

_log = logging.getLogger("sweeper.worker")
Runner = StackedMLP | StackedModule


@dataclass(frozen=True, slots=True, eq=False)
class StackedArchitecture:
    """An architecture: draws the parameters of K networks, and runs them as a stack."""

    template: nn.Module
    weights: tuple[str, ...]
    """Names of the parameters that are penalised and pruned."""
    layers: tuple[tuple[str, str], ...] | None
    """(weight, bias) names of a fully connected network with ReLU; None for any other."""
    parameters: tuple[str, ...]
    """Names of all parameters, tied ones once."""
    buffers: tuple[str, ...] = ()
    """Names of the buffers that each network has its own of; others are the template's."""
    draws: bool = False
    """Whether training draws random numbers, as dropout does."""
    channels_last: bool = False
    """Whether the module can be run with images that lie so: see `StackedModule`."""
    one_by_one: str = ""
    """Why a GPU runs its networks one by one; empty where it runs all as one program."""
    loss: Loss = CROSS_ENTROPY
    """Loss that they are trained along."""
    prune: PruneConfig = field(default_factory=PruneConfig)
    example_shape: tuple[int, ...] = ()
    precision: str = "float32"
    """Of the matrix products in training; whatever it is, networks are judged in float32."""

    @classmethod
    def of(cls, recipe: SharedConfig, data: Data) -> "StackedArchitecture":
        """Build the architecture of a recipe.

        Raises PluginError for a factory that fails, and for a module of a user's that a pack would
        train in a wrong way in silence: as far as a look at two examples shows it.
        """
        module = _build(recipe, data, seed=0)
        layers = fully_connected(module)
        parameters = tuple(name for name, _ in module.named_parameters())
        teacher = None if recipe.teacher is None else Teacher.of(recipe.teacher, data)
        loss = Loss(recipe.loss, teacher)
        weights = models.prunable(module, recipe.prune.names)
        if layers is not None:
            emptied = _emptied(module, data.device, ())
            return cls(
                emptied,
                weights,
                layers,
                parameters,
                loss=loss,
                prune=recipe.prune,
                example_shape=data.shape,
                precision=recipe.precision,
            )
        module.to(data.device)
        changes, examples = TrainingChanges(), data.train.examples[:2]
        with suppress(ForwardError):  # it is raised where the module is trained
            try:
                changes = training_changes(recipe.model, module, examples)
            except ForwardError:  # it may want more of them
                examples = data.train.examples[: recipe.batch_size]
                changes = training_changes(recipe.model, module, examples)
            refuse_changes_when_judged(recipe.model, module, examples)
        other = dict(_build(recipe, data, seed=1).named_buffers())
        # Beside one that changes at this step another may change at a later one.
        changing = {_owner(name) for name in changes.buffers}
        buffers = tuple(
            name
            for name, value in module.named_buffers()
            if _owner(name) in changing or not _equal(value.cpu(), other.get(name))
        )
        lies_so = data.device.type == "cpu" and _runs_channels_last(module, examples)
        architecture = cls(
            _emptied(module, data.device, buffers),
            weights,
            None,
            parameters,
            buffers,
            changes.draws,
            lies_so,
            loss=loss,
            prune=recipe.prune,
            example_shape=data.shape,
            precision=recipe.precision,
        )
        if data.device.type == "cpu":
            return architecture
        if reason := _refusal(architecture, recipe, data):
            _log.info("%s: networks one by one on %s: %s", recipe.model, data.device, reason)
        return replace(architecture, one_by_one=reason)

    def init(self, seeds: Sequence[int], recipe: SharedConfig, data: Data) -> Stack:
        """Return fresh parameters and buffers, those of network k drawn from seeds[k] alone."""
        named = (*self.template.named_parameters(), *self.template.named_buffers())
        owned = {*self.parameters, *self.buffers}
        stack = {
            name: torch.empty(len(seeds), *value.shape, dtype=value.dtype, device=data.device)
            for name, value in named
            if name in owned
        }
        for k, seed in enumerate(seeds):  # one by one: thousands may not fit beside a GPU
            module = _build(recipe, data, seed=seed)
            for name, value in (*module.named_parameters(), *module.named_buffers()):
                if name in owned:
                    stack[name][k].copy_(value.detach())
        return stack

    def trained(self, stack: Stack) -> Stack:
        """Return the parameters of a stack, without its buffers."""
        return {name: stack[name] for name in self.parameters}

    def values(self, stack: Stack, k: int) -> dict[str, Tensor]:
        """Return parameters and buffers of network k of a stack, those that all share too."""
        shared = dict(self.template.named_buffers())
        return {**shared, **{name: value[k] for name, value in stack.items()}}

    def runner(self, *, training: bool = False) -> Runner:
        """Return the runner of stacks: logits and gradients. It keeps buffers between calls.

        One for `training` takes its products in the precision of the recipe, any other in float32.
        """
        half = training and self.precision == "bfloat16"
        if self.layers is not None:
            return StackedMLP(self.layers, self.loss, half)
        return StackedModule(
            self.template,
            self.parameters,
            self.buffers,
            self.channels_last,
            not self.one_by_one,
            self.loss,
            half,
        )

    @property
    def rule(self) -> PruningRule:
        """The rule by which its weights are pruned."""
        shapes = {name: tuple(self.template.get_parameter(name).shape) for name in self.weights}
        return PruningRule(self.prune, shapes)

    @property
    def total(self) -> int:
        """All parameters of one network, biases included."""
        return sum(value.numel() for value in self.template.parameters())


def _build(recipe: SharedConfig, data: Data, *, seed: int) -> nn.Module:
    return models.build(recipe.model, recipe.model_options, data.shape, data.classes, seed=seed)


def _owner(name: str) -> str:
    """Return the name of the part of a module that holds a parameter or buffer."""
    return name.rpartition(".")[0]


def _equal(left: Tensor, right: Tensor | None) -> bool:
    return right is not None and same_bits(left, right)


def _runs_channels_last(module: nn.Module, examples: Tensor) -> bool:
    """Tell whether a module runs with images and kernels laid out so, as those with `view` do not.

    It must have convolutions of images; others gain nothing by it.
    """
    if examples.ndim != 4 or not any(isinstance(part, nn.Conv2d) for part in module.modules()):
        return False
    copied = deepcopy(module).to(memory_format=torch.channels_last).eval()
    with torch.no_grad():
        try:
            expected = called("", module.eval(), examples)
            output = called("", copied, examples.contiguous(memory_format=torch.channels_last))
        except ForwardError:
            return False
    return isinstance(output, Tensor) and output.shape == expected.shape


def _refusal(network: StackedArchitecture, recipe: SharedConfig, data: Data) -> str:
    """Return why torch.func.vmap does not run a module on the device of the data; else ''.

    Data-dependent control flow and in-place sums pass on a CPU and are refused on a GPU. Buffers
    that are assigned anew, not changed in place, would be lost.
    """
    part = data.train
    results = []
    for at_once in (True, False):
        runner = replace(network, one_by_one="" if at_once else "asked for").runner()
        stack = network.init((0, 1), recipe, data)
        gradients = {name: torch.zeros_like(stack[name]) for name in network.parameters}
        sinks = [GradientBuffer(0, 2, gradients, 0.0)]
        try:
            runner.backward(stack, part.examples[:2], part.labels[:2], sinks)
        except Exception as error:  # of torch.func.vmap
            if not at_once:
                return ""  # it is raised where the module is trained
            return typed_line(error)
        results.append({name: stack[name] for name in network.buffers})
    together, alone = results
    for name, value in together.items():
        if not torch.allclose(value.double(), alone[name].double(), rtol=1e-3, atol=1e-5):
            return f"buffer {name} is assigned anew, not changed in place"
    return ""


def _emptied(module: nn.Module, device: torch.device, buffers: tuple[str, ...]) -> nn.Module:
    """Return the module with parameters and `buffers` without values, the rest on a device.

    What is shared stays shared, which `to("meta")` alone does not see to: each place would get a
    parameter of its own. Without values, whatever computes with them by mistake is an error.
    """
    places: dict[int, list[str]] = {}
    constant: dict[str, Tensor] = {}
    for name, value in module.named_parameters(remove_duplicate=False):
        places.setdefault(id(value), []).append(name)
    own = {id(module.get_buffer(name)) for name in buffers}
    for name, buffer in module.named_buffers(remove_duplicate=False):
        if id(buffer) in own:
            places.setdefault(id(buffer), []).append(name)
        else:
            constant[name] = buffer.to(device)
    template = module.to("meta").eval()
    for first, *others in places.values():
        for name in others:
            owner, _, leaf = name.rpartition(".")
            part = template.get_submodule(first.rpartition(".")[0])
            setattr(template.get_submodule(owner), leaf, getattr(part, first.rpartition(".")[2]))
    for name, buffer in constant.items():
        owner, _, leaf = name.rpartition(".")
        setattr(template.get_submodule(owner), leaf, buffer)
    return template


def fully_connected(module: nn.Module) -> tuple[tuple[str, str], ...] | None:
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
