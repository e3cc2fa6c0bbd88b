"""Validation of a user's own formula, on small matrices, before any training."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from sweeper.config.registry import FORMULAS, Formula, load
from sweeper.errors import PluginError, choices, typed_line
from sweeper.training.custom_formulas import completed, resolve, shrinkage_of
from sweeper.types import PenaltyConfig

_PACK, _OUT, _IN = 2, 5, 7
_STEP = {"step": torch.full((_PACK,), 0.01), "strength": torch.full((_PACK,), 0.01)}


def try_out(terms: Iterable[PenaltyConfig]) -> None:
    """Raise PluginError, one line, for the first formula from outside that does not work."""
    for term in terms:
        if term.penalty not in FORMULAS:
            _try(term)


def _try(term: PenaltyConfig) -> None:
    formula = resolve(term.penalty)
    modes = [mode for mode in formula.modes if mode != "prox" or formula.prox]
    if term.apply not in modes:
        reason = {str(mode): why for mode, why in formula.unsupported.items()}.get(term.apply)
        raise PluginError(
            f"{term.penalty}: cannot be applied as {term.apply}"
            + (f": {reason}" if reason else f"; allowed: {', '.join(modes)}")
        )
    hyper = _letters(term)
    letters = {**hyper, "strength": torch.ones(_PACK)} if formula.strength_inside else hyper
    weight = torch.randn(_PACK, _OUT, _IN, generator=torch.Generator().manual_seed(0))
    weight[0, 0, 0] = 0
    weight[1, 2] = 0
    value = load(formula.value)
    _try_keys(term, value, letters)
    returned = _call(term, lambda: value(weight.clone().requires_grad_(), **letters))
    kind = type(returned).__name__
    _demand(term, isinstance(returned, Tensor), f"must return a tensor, returned {kind}")
    shape = tuple(returned.shape)
    _demand(term, shape == (_PACK,), f"must return [pack], here [{_PACK}], returned {list(shape)}")
    _demand(term, bool(returned.isfinite().all()), "is not finite where a weight is 0")
    _alone(term, lambda stack, hyper: value(stack, **hyper), returned.detach(), weight, letters)
    if term.apply == "prox":
        prox, arguments = load(formula.prox or ""), {**hyper, **_STEP}
        moved = _moved(term, lambda: prox(weight.clone(), **arguments), weight, "prox")
        _alone(term, lambda stack, hyper: prox(stack, **hyper), moved, weight, arguments)
    else:
        slope = _moved(term, lambda: _slope(formula, weight.clone(), letters), weight, "gradient")
        _alone(term, lambda stack, hyper: _slope(formula, stack, hyper), slope, weight, letters)


def _slope(formula: Formula, weight: Tensor, letters: Mapping[str, Any]) -> Tensor:
    return shrinkage_of(formula, weight, letters).expand_as(weight)


def _letters(term: PenaltyConfig) -> dict[str, Any]:
    """Return the hyperparameters as training gives them: floats as [pack]."""
    return {
        name: torch.full((_PACK,), value) if isinstance(value, float) else value
        for name, value in completed(resolve(term.penalty), term.hyper)
    }


def _try_keys(term: PenaltyConfig, value: Any, letters: Mapping[str, Any]) -> None:
    """Demand that the keys of the file are those of the function."""
    _demand(term, callable(value), f"its value must be a function, is a {type(value).__name__}")
    try:
        parameters = list(inspect.signature(value).parameters.values())[1:]
    except ValueError:  # a function that is not written in Python
        return
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return
    keys = [parameter.name for parameter in parameters]
    for name in letters:
        _demand(term, name in keys, f"unknown key: {choices(name, keys)}")


def _moved(
    term: PenaltyConfig, function: Callable[[], Tensor], weight: Tensor, what: str
) -> Tensor:
    """Call what gives a tensor of the weight's shape, and demand that it does."""
    moved = _call(term, function)
    shape = getattr(moved, "shape", None)
    _demand(term, shape == weight.shape, f"its {what} must have the shape of the weight")
    _demand(term, bool(moved.isfinite().all()), f"its {what} is not finite where a weight is 0")
    return moved


def _alone(
    term: PenaltyConfig,
    function: Callable[[Tensor, dict[str, Any]], Tensor],
    together: Tensor,
    weight: Tensor,
    letters: Mapping[str, Any],
) -> None:
    """Demand that the first network gets without the others what it got among them."""
    first = {
        key: value[:1] if isinstance(value, Tensor) else value for key, value in letters.items()
    }
    alone = _call(term, lambda: function(weight[:1].clone(), first))
    same = alone.shape == together[:1].shape and torch.allclose(alone, together[:1], rtol=1e-4)
    _demand(term, same, "mixes networks: what one gets changes with its pack")


def _call(term: PenaltyConfig, function: Callable[[], Tensor]) -> Tensor:
    try:
        return function()
    except PluginError:
        raise
    except Exception as error:  # whatever a function of somebody else's raises
        raise PluginError(f"{term.penalty}: {typed_line(error)}") from error


def _demand(term: PenaltyConfig, holds: bool, text: str) -> None:
    if not holds:
        raise PluginError(f"{term.penalty}: {text}")
