"""Validation of a user's own loss, on a few made-up examples, before any training."""

from collections.abc import Callable

import torch
from torch import Tensor

from sweeper.config.registry import load
from sweeper.errors import PluginError, typed_line
from sweeper.training.losses import is_registered
from sweeper.types import LossConfig

_BATCH = 6


def try_out(loss: LossConfig, outputs: int, *, values: bool = False) -> None:
    """Raise PluginError, one line, if a loss from outside does not work on so many outputs.

    `values`: targets are numbers, no labels.
    """
    if is_registered(loss):
        return
    name = loss.name
    function = load(name)
    _demand(name, callable(function), f"must be a function, is a {type(function).__name__}")
    generator = torch.Generator().manual_seed(0)
    given = torch.randn(_BATCH, outputs, generator=generator)
    labels = torch.arange(_BATCH) % outputs
    if values:
        labels = torch.rand(_BATCH, outputs, generator=generator)
    leaf = given.clone().requires_grad_()
    losses = _call(name, lambda: function(leaf, labels.clone()))
    _check_values(name, losses, "")
    extreme = _call(name, lambda: function(given * 1e3, labels.clone()))
    _check_values(name, extreme, " for outputs of some thousands")
    _demand(name, losses.requires_grad, "has no gradient: it must be made of torch's functions")
    (gradient,) = torch.autograd.grad(losses[0], leaf, retain_graph=True, allow_unused=True)
    _demand(name, gradient is not None, "has no gradient in the outputs")
    _demand(name, bool(gradient.isfinite().all()), "its gradient is not finite")
    mixed = bool(gradient[1:].any())
    few = _call(name, lambda: function(given[:2].clone(), labels[:2].clone())).detach()
    mixed |= few.shape != (2,) or not torch.allclose(few, losses[:2].detach(), rtol=1e-4)
    _demand(name, not mixed, "mixes examples: the value of one changes with those beside it")


def _check_values(name: str, values: Tensor, when: str) -> None:
    kind = type(values).__name__
    _demand(name, isinstance(values, Tensor), f"must return a tensor, returned a {kind}")
    shape = list(values.shape)
    text = f"must return one value for each example, here [{_BATCH}], returned {shape}"
    _demand(name, shape == [_BATCH], text)
    _demand(name, values.is_floating_point(), f"must return floats, returned {values.dtype}")
    _demand(name, bool(values.isfinite().all()), f"is not finite{when}")


def _call(name: str, function: Callable[[], Tensor]) -> Tensor:
    try:
        return function()
    except Exception as error:  # whatever a function of somebody else's raises
        raise PluginError(f"{name}: {typed_line(error)}") from error


def _demand(name: str, holds: bool, text: str) -> None:
    if not holds:
        raise PluginError(f"{name}: {text}")
