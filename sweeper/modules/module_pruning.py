"""Pruning of a module in place, by the rule that packs are pruned by."""

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from sweeper.config.parsing import build
from sweeper.config.sparsification import Sparsification
from sweeper.errors import InputError, SpecError, shown
from sweeper.modules.masks import Masks
from sweeper.modules.module_weights import plain_name, unwrapped, weights_of
from sweeper.modules.pack_of_one import PackOfOne, example_shape
from sweeper.training.dead_biases import live_biases, remove_dead_biases
from sweeper.training.traced_network import NotFollowed
from sweeper.training.training_loop import apply_masks
from sweeper.types import PruneConfig, PruningScope

_PLACE = "prune_"
_KEYS = {"prune_dead_biases": "dead_biases"}
"""Keys of a study file that have other names here."""


@torch.no_grad()
def prune_(
    model: nn.Module,
    density: float | None = None,
    *,
    scope: PruningScope = "global",
    granularity: str = "weight",
    names: str | Sequence[str] = (),
    dead_biases: bool = False,
    example: Tensor | None = None,
) -> Masks:
    """Cut the smallest weights of a module to exactly 0, in place, and return the masks that hold.

    `density` is kept weights / all weights, of those of two or more dimensions that `names` chooses
    (`"conv*"`, `"!head*"`), frozen ones too. `scope` says which weights are ranked together: all,
    `global`, or those of each layer, at the density of all (`per_layer`) or at Erdos-Renyi-Kernel
    densities (`erk`). `granularity` says what goes at once: a `weight`, all of an `input` or
    `output`, or of every four inputs the smaller two, `2:4`, whose density is known. `dead_biases`
    cuts biases that no weight leads on from, too; a module that is no chain of Flatten, Linear and
    ReLU needs an `example` [1, ...] for it.

    Zeros stay zeros, scores as large as the last one that stays, stay too: the masks are those of a
    trial of packs. Pruned again, a module has the new masks in place of the old.

    >>> from torch import nn
    >>> model = nn.Linear(4, 1, bias=False)
    >>> _ = model.weight.data.copy_(torch.tensor([[0.1, -0.4, 0.3, -0.2]]))
    >>> prune_(model, 0.5)
    Masks(2 of 4 stay)
    >>> [round(weight, 1) for weight in model.weight[0].tolist()]
    [0.0, -0.4, 0.3, 0.0]
    """
    config, share = _checked(density, scope, granularity, dead_biases)
    module = unwrapped(_PLACE, model)
    weights = tuple(weights_of(_PLACE, module, names).values())
    shape = example_shape(_PLACE, "example", example)
    pack = PackOfOne.of(_PLACE, module, weights=weights, prune=config, example_shape=shape)
    if dead_biases:
        _refuse_unfollowed(pack)
    devices = {str(value.device) for value in pack.prunable.values()}
    if len(devices) > 1:
        raise InputError(
            f"{_PLACE}: model: must lie on one device, got {', '.join(sorted(devices))}"
        )
    rule = pack.architecture.rule
    ranked = rule.rank(pack.prunable)
    densities = torch.tensor([share], dtype=torch.float64, device=devices.pop())
    masks = rule.masks(pack.prunable, ranked, densities)
    apply_masks(pack.stack, masks)
    masks |= remove_dead_biases(pack.architecture, pack.stack)
    return Masks(model, {plain_name(name): mask[0] for name, mask in masks.items()})


def _refuse_unfollowed(pack: PackOfOne) -> None:
    """Raise InputError, before anything is cut, where it is not known what biases lead to."""
    if pack.architecture.layers is None and not pack.architecture.example_shape:
        text = "required with dead_biases for such a module: a tensor [1, ...] of its inputs"
        raise InputError(f"{_PLACE}: example: {text}")
    try:
        live_biases(pack.architecture, pack.stack)
    except NotFollowed as refusal:
        text = f"the module cannot be followed: {refusal}"
        raise InputError(f"{_PLACE}: dead_biases: {text}; allowed: False") from None


def _checked(
    density: Any, scope: str, granularity: Any, dead_biases: bool
) -> tuple[PruneConfig, float]:
    """Return what a study file would say. Raises SpecError with its lines."""
    keys: dict[str, Any] = {
        "density": density,
        "scope": scope,
        "granularity": granularity,
        "prune_dead_biases": dead_biases,
    }
    given = {key: value for key, value in keys.items() if value is not None}
    has_pattern = isinstance(granularity, str) and ":" in granularity
    if density is None and not has_pattern:
        raise SpecError([f"{_PLACE}: density: required: kept weights / all weights, in (0, 1]"])
    if density is not None and (isinstance(density, bool) or not isinstance(density, int | float)):
        raise SpecError([f"{_PLACE}: density: must be a number, got {shown(density)}"])
    try:
        section = cast(Sparsification, build(Sparsification, given, place=_PLACE))
    except SpecError as error:
        lines = error.problems
        for theirs, ours in _KEYS.items():
            head = f"{_PLACE}: "
            lines = tuple(line.replace(f"{head}{theirs}", f"{head}{ours}") for line in lines)
        raise SpecError(lines) from None
    return section.prune_config, cast(float, section.density)
