"""Custom formulas: those of the registry by name, and functions of other packages."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from sweeper.config.registry import FORMULAS, Formula, load
from sweeper.errors import PluginError
from sweeper.types import Scalar

Pairs = tuple[tuple[str, Scalar], ...]

_NO_PROX = "it names no proximal operator; use shrink"


def resolve(name: str) -> Formula:
    """Return a formula of the registry, or import `package.module:name`. Raises PluginError.

    What is imported is a function (weight [pack, out, in], **hyper) -> [pack], or a `Formula`
    that names its functions.
    """
    if name in FORMULAS:
        return FORMULAS[name]
    loaded = load(name)
    if isinstance(loaded, Formula):
        return loaded
    if not callable(loaded):
        kind = type(loaded).__name__
        raise PluginError(f"{name}: must be a function or a sweeper.Formula, is a {kind}")
    return Formula(
        summary=name,
        formula="R(W), see its code",
        reference="",
        value=name,
        default_mode="loss",
        unsupported={"prox": _NO_PROX},
    )


def completed(formula: Formula, hyper: Pairs) -> Pairs:
    """Return hyperparameters with the defaults of a `Formula` from outside, numbers as floats."""
    entries = formula.hyper
    pairs = [
        (name, float(value) if name in entries and not entries[name].choices else value)
        for name, value in hyper
    ]
    names = dict(pairs)
    missing = [(name, entry.default) for name, entry in entries.items() if name not in names]
    return (*pairs, *missing)


def shrinkage_of(formula: Formula, weight: Tensor, letters: Mapping[str, Any]) -> Tensor:
    """Return dR/d|w|, broadcastable over `weight`; by autograd where a formula names none."""
    if formula.shrinkage:
        shrinkage: Tensor = load(formula.shrinkage)(weight, **letters)
        return shrinkage
    with torch.enable_grad():
        leaf = weight.detach().requires_grad_()
        value = load(formula.value)(leaf, **letters).sum()
        (gradient,) = torch.autograd.grad(value, leaf)
    slope: Tensor = gradient * weight.sign()
    return slope
