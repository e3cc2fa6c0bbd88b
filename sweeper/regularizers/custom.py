"""Formulas by name with their functions, those of other packages too."""

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
    """Return a formula of the catalogue, or import `package.module:name`. Raises PluginError.

    What is imported is a function (weight [pack, out, in], **hyper) -> [pack], or a `Formula`
    that names its functions.
    """
    if name in FORMULAS:
        return FORMULAS[name]
    found = load(name)
    if isinstance(found, Formula):
        return found
    if not callable(found):
        kind = type(found).__name__
        raise PluginError(f"{name}: must be a function or a sweeper.Formula, is a {kind}")
    return Formula(
        summary=name,
        formula="R(W), see its code",
        reference="",
        value=name,
        default_mode="loss",
        unsupported={"prox": _NO_PROX},
    )


def completed(formula: Formula, given: Pairs) -> Pairs:
    """Return hyperparameters with the defaults of a `Formula` from outside, numbers as floats."""
    known = formula.hyper
    found = [
        (name, float(value) if name in known and not known[name].choices else value)
        for name, value in given
    ]
    names = dict(found)
    missing = [(name, one.default) for name, one in known.items() if name not in names]
    return (*found, *missing)


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
