"""Pruning rule: what goes first as networks are cut to a density, and from which layers."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from sweeper.training import layer_densities, pruning
from sweeper.training.stack import Stack
from sweeper.types import PruneConfig

_UNITS = {"output": 1, "input": 2}
"""Axis of the units in weights [pack, out, in, ...]."""


@dataclass(frozen=True, slots=True, eq=False)
class PruningRule:
    """A rule for the prunable weights of one kind of network.

    A density counts weights. Units and ties stay whole, so that a little more than it may stay.
    """

    config: PruneConfig
    shapes: Mapping[str, tuple[int, ...]]
    """Of the prunable weights of one network, by name."""

    @classmethod
    def plain(cls, weights: Stack) -> "PruningRule":
        """Return the rule that ranks all weights of a stack by their magnitude."""
        return cls(PruneConfig(), {name: tuple(w.shape[1:]) for name, w in weights.items()})

    def rank(self, weights: Stack) -> Tensor:
        """Return the scores of all weights, [pack, weights]: the largest first in each group.

        A group is what is cut at one score: all layers, or each of them in its place.
        """
        if self.config.pattern:  # a weight competes with those beside it alone
            first = next(iter(weights.values()))
            return first.new_empty(len(first), 0)
        scores = self._scores(weights)
        if self.config.scope == "global":
            return pruning.magnitudes(scores)
        each = [pruning.magnitudes({name: score}) for name, score in scores.items()]
        return torch.cat(each, dim=1)

    def thresholds(self, ranked: Tensor, density: Tensor) -> Stack:
        """Return the least score that stays in each layer, [pack] by name.

        `ranked` comes from `rank`, `density` [pack] lies in (0, 1]. Not for consecutive inputs.
        """
        if self.config.scope == "global":
            return dict.fromkeys(self.shapes, pruning.thresholds(ranked, density))
        each = [self._layer_densities(value) for value in density.tolist()]
        parts = torch.split(ranked, [math.prod(shape) for shape in self.shapes.values()], dim=1)
        return {
            name: pruning.thresholds(
                part, density.new_tensor([densities[name] for densities in each])
            )
            for name, part in zip(self.shapes, parts, strict=True)
        }

    def masks(self, weights: Stack, ranked: Tensor, density: Tensor) -> Stack:
        """Return masks of the weights that stay: zeros never.

        Scores as large as the last one that stays, stay too, so that the choice does not depend
        on a sorting order. `ranked` comes from `rank` of the same weights.
        """
        if self.config.pattern:
            stay = [self._of_pattern(value) for value in density.tolist()]
            return {
                name: torch.cat([self._largest(w[k : k + 1], n) for k, n in enumerate(stay)])
                for name, w in weights.items()
            }
        least = self.thresholds(ranked, density)
        scores = self._scores(weights)
        if scores is weights:
            return {
                name: pruning.magnitude_mask({name: weight}, least[name])[name]
                for name, weight in weights.items()
            }
        return {
            name: pruning.magnitude_mask({name: scores[name]}, least[name])[name] & (weight != 0)
            for name, weight in weights.items()
        }

    def network_masks(self, scores: Stack, density: float, *, zeros: bool = False) -> Stack:
        """Return masks of one network, [1, ...], without sorting; `scores` rank its weights.

        The scores may be viewed as matrices. `zeros`: those stay too, where fewer than the density
        others are left.
        """
        if self.is_plain:
            return pruning.mask_at_density(scores, density, zeros=zeros)
        shaped = {name: score.view(1, *self.shapes[name]) for name, score in scores.items()}
        if self.config.pattern:
            stay = self._of_pattern(density)
            masks = {name: self._largest(s, stay, zeros=zeros) for name, s in shaped.items()}
        else:
            units = self._scores(shaped)
            if self.config.scope == "global":
                masks = pruning.mask_at_density(units, density, zeros=zeros)
            else:
                densities = self._layer_densities(density)
                masks = {
                    name: pruning.mask_at_density({name: u}, densities[name], zeros=zeros)[name]
                    for name, u in units.items()
                }
            if not zeros:
                masks = {name: mask & (shaped[name] != 0) for name, mask in masks.items()}
        return {name: mask.view_as(scores[name]) for name, mask in masks.items()}

    @property
    def is_plain(self) -> bool:
        """Whether all weights are ranked together, each by itself."""
        return self.config.scope == "global" and self.config.granularity == "weight"

    @property
    def cuts_at_scores(self) -> bool:
        """Whether a weight stays by its own magnitude and the threshold of its layer."""
        return self.config.granularity == "weight"

    def _layer_densities(self, density: float) -> dict[str, float]:
        rule = layer_densities.erk if self.config.scope == "erk" else layer_densities.uniform
        return rule(self.shapes, density)

    def _scores(self, weights: Stack) -> Stack:
        axis = _UNITS.get(self.config.granularity)
        if axis is None:
            return weights
        return {name: _unit_norms(weight, axis) for name, weight in weights.items()}

    def _of_pattern(self, density: float) -> int:
        """Return how many of the consecutive inputs stay at a density: one at least."""
        _, of = self.config.pattern or (1, 1)
        return min(max(1, round(density * of)), of)

    def _largest(self, weight: Tensor, stay: int, *, zeros: bool = False) -> Tensor:
        """Return the mask of the `stay` largest of each so many consecutive inputs.

        `weight` is [networks, out, in, ...]. Where inputs end early, as many stay of the last ones.
        """
        _, of = self.config.pattern or (1, 1)
        magnitudes = weight.abs().movedim(2, -1)
        inputs = magnitudes.shape[-1]
        # Smaller than any magnitude: what fills the last group up never stays in place of others.
        filled = torch.nn.functional.pad(magnitudes, (0, -inputs % of), value=-1.0)
        groups = filled.reshape(*filled.shape[:-1], -1, of)
        least = groups.kthvalue(of - stay + 1, dim=-1, keepdim=True).values
        mask = (groups >= least) if zeros else (groups >= least) & (groups > 0)
        stays: Tensor = mask.flatten(-2)[..., :inputs].movedim(-1, 2)
        return stays.contiguous()


def _unit_norms(weight: Tensor, axis: int) -> Tensor:
    """Return for each weight the L2 norm of its unit / sqrt(its size), in the weights' shape."""
    others = [dim - 1 for dim in range(1, weight.ndim) if dim != axis]
    size = math.prod(weight.shape[dim + 1] for dim in others)
    # Network by network, so that the order of a sum does not depend on the pack.
    norms = [(one.double().square().sum(others, keepdim=True) / size).sqrt() for one in weight]
    return torch.stack(norms).to(weight.dtype).expand_as(weight)
