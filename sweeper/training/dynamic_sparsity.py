"""Dynamic sparsity: networks that are sparse from the start, and move their weights about.

At each update a layer drops those of its weights that are smallest in magnitude, and as many that
were 0 begin to be trained. A weight that is dropped and chosen again in the same update
stays as it is. An update comes beside a step of the optimizer, after it, so that there are as many
steps as in any other arm.
"""

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from sweeper.config import derive_seed
from sweeper.training.layer_densities import apportioned, weight_counts
from sweeper.training.methods import Method, TrainingContext, TrainingStep
from sweeper.training.stack import Stack

Ranks = dict[str, Tensor]
"""What ranks the weights of one network, [out, in] by name."""


@dataclass(slots=True, eq=False)
class SparseTraining:
    """Some networks in sparse training."""

    masks: Stack
    """1 where a weight is trained, else 0."""
    moments: tuple[Stack, ...]
    """The optimizer's, [pack, out, in] by the names of the weights."""
    updates: list[frozenset[int]]
    """Of each network: after how many steps."""
    ends: list[float]
    """Of each network: the step from which on its mask is held."""
    generators: list[torch.Generator]
    steps: int = 0
    """Steps that are done."""
    dense: Stack = field(default_factory=dict)
    """Gradients of all weights, kept where an update comes at the end of the step."""


@dataclass(frozen=True, slots=True, eq=False)
class DynamicSparsity(Method):
    """Sparse from the start; subclasses say how many weights an update moves, and where to."""

    fraction: Tensor
    """Of a layer's weights that an update drops."""
    every: Tensor
    """Share of the training between two updates."""
    end: Tensor
    """Share of the training after which the mask is held."""
    distribution: str

    def fraction_at(self, network: int, progress: float) -> float:
        """Return the fraction to drop, `progress` in [0, 1) on the way from start to `end`."""
        raise NotImplementedError

    def ranks(self, network: int, weights: Stack, state: SparseTraining) -> Ranks:
        """Return by what the weights of one network are chosen: the largest, that are 0."""
        raise NotImplementedError

    def grown(self, network: int, dropped: dict[str, int], state: SparseTraining) -> dict[str, int]:
        """Return how many weights each layer gets for all that were dropped."""
        return dropped

    def first_value(
        self, network: int, name: str, rate: Tensor, state: SparseTraining
    ) -> Tensor | float:
        """Return what weights that come begin with, [out, in] or a number."""
        return 0.0

    @torch.no_grad()
    def start(self, weights: Stack, biases: Stack, context: TrainingContext) -> SparseTraining:
        """Set all weights but `density` x their number to 0, at random in each layer."""
        shaped = context.moments[0] if context.moments else weights
        shapes = {name: tuple(shaped[name].shape[1:]) for name in weights}
        # The same for all methods of this kind: their arms start with the same networks.
        seeds = [derive_seed(seed, "dynamic_sparsity") for seed in context.seeds]
        state = SparseTraining(
            masks={name: torch.zeros_like(weight) for name, weight in weights.items()},
            moments=tuple(
                {name: moments[name].view_as(weight) for name, weight in weights.items()}
                for moments in context.moments
            ),
            updates=[self._updates(k, context.steps) for k in range(len(seeds))],
            ends=[float(end) * context.steps for end in self.end.tolist()],
            generators=[torch.Generator().manual_seed(seed) for seed in seeds],
        )
        for k, density in enumerate(context.density.tolist()):
            counts = weight_counts(shapes, density, self.distribution)
            for name, weight in weights.items():
                order = torch.randperm(weight[k].numel(), generator=state.generators[k])
                chosen = order[: counts[name]].to(weight.device)
                state.masks[name][k].view(-1)[chosen] = 1
                weight[k].mul_(state.masks[name][k])
        return state

    @torch.no_grad()
    def after(self, weights: Stack, state: SparseTraining, step: TrainingStep) -> None:
        state.steps = step.number + 1
        for name, weight in weights.items():
            weight.mul_(state.masks[name])
        for k, updates in enumerate(state.updates):
            if state.steps in updates:
                self._update(k, weights, step.rate[k], state)

    def _updates(self, network: int, steps: int) -> frozenset[int]:
        """Return after how many steps the updates of a network come; at most one a step."""
        every, end = float(self.every[network]) * steps, float(self.end[network]) * steps
        # 0.7 in float32 is a little less than 0.7.
        places = (int(n * every + 1e-4) for n in range(1, math.ceil(end / every) + 1))
        return frozenset(at for at in places if 0 < at < int(end + 1e-4))

    def _update(self, k: int, weights: Stack, rate: Tensor, state: SparseTraining) -> None:
        ranks = self.ranks(k, weights, state)
        fraction = self.fraction_at(k, state.steps / state.ends[k])
        before = {name: mask[k] > 0 for name, mask in state.masks.items()}
        dropped = {name: int(fraction * int(mask.sum())) for name, mask in before.items()}
        grown = self.grown(k, dropped, state)
        for name, mask in before.items():
            magnitude = weights[name][k].abs().masked_fill_(~mask, math.inf)
            stays = mask & ~_first(magnitude, dropped[name])
            rank = ranks[name].masked_fill(stays, -math.inf)
            now = stays | _first(-rank, grown[name])
            state.masks[name][k].copy_(now)
            self._renew(k, name, before=mask, now=now, state=state)
            weight = weights[name][k].mul_(now)
            first = self.first_value(k, name, rate, state)
            weight.copy_(torch.where(now & ~mask, first, weight))

    def _renew(
        self, k: int, name: str, *, before: Tensor, now: Tensor, state: SparseTraining
    ) -> None:
        """Set the moments of weights that come or go to 0."""
        for moments in state.moments:
            moments[name][k].masked_fill_(~(before & now), 0)


class MaskedGradients(DynamicSparsity):
    """Dynamic sparsity in which only weights in the mask have gradients, and so momentum."""

    __slots__ = ()

    @torch.no_grad()
    def vjp(self, weights: Stack, gradients: Stack, state: SparseTraining) -> None:
        if any(state.steps + 1 in updates for updates in state.updates):
            state.dense = {name: gradient.clone() for name, gradient in gradients.items()}
        for name, gradient in gradients.items():
            gradient.mul_(state.masks[name])


class Set(MaskedGradients):
    """Sparse evolutionary training: weights come at random, the fraction stays the same.

    None comes that has no gradient in this step, but for those that were dropped and stay instead,
    and one begins with a step along its gradient: an input that is 0 from now on, or a dead unit,
    would hold it at 0, and the network would have fewer weights than it may. The paper draws first
    values at random.
    """

    __slots__ = ()

    def fraction_at(self, network: int, progress: float) -> float:
        return float(self.fraction[network])

    def ranks(self, network: int, weights: Stack, state: SparseTraining) -> Ranks:
        generator = state.generators[network]
        ranks = {}
        for name, mask in state.masks.items():
            dense = state.dense[name][network]
            drawn = torch.rand(dense.shape, generator=generator).to(dense.device)
            ranks[name] = drawn + torch.where(dense != 0, 2.0, mask[network])
        return ranks

    def first_value(
        self, network: int, name: str, rate: Tensor, state: SparseTraining
    ) -> Tensor | float:
        return state.dense[name][network] * -rate


class RigL(MaskedGradients):
    """Weights come where the gradient is largest, ever fewer of them."""

    __slots__ = ()

    def fraction_at(self, network: int, progress: float) -> float:
        return annealed(float(self.fraction[network]), progress)

    def ranks(self, network: int, weights: Stack, state: SparseTraining) -> Ranks:
        return {name: dense[network].abs() for name, dense in state.dense.items()}


class SparseMomentum(DynamicSparsity):
    """Weights come where momentum is largest; layers get as many as their momentum is large.

    Momentum is that of all weights, those that are 0 too: nothing is masked but the weights. Those
    whose momentum is 0, as behind a dead unit, do not come: they would stay 0.
    """

    __slots__ = ()

    def fraction_at(self, network: int, progress: float) -> float:
        return annealed(float(self.fraction[network]), progress)

    def ranks(self, network: int, weights: Stack, state: SparseTraining) -> Ranks:
        ranks = {}
        for name, moment in state.moments[0].items():
            idle = (moment[network] == 0) & (state.masks[name][network] == 0)
            ranks[name] = moment[network].abs().masked_fill_(idle, -1.0)
        return ranks

    def grown(self, network: int, dropped: dict[str, int], state: SparseTraining) -> dict[str, int]:
        """Share in proportion to the mean |momentum| of each layer's weights in the mask."""
        means, room = {}, {}
        for name, mask in state.masks.items():
            inside = mask[network] > 0
            count = int(inside.sum())
            moment = state.moments[0][name][network]
            means[name] = float((moment.abs() * inside).sum()) / count if count else 0.0
            room[name] = int((~inside & (moment != 0)).sum()) + dropped[name]
        return apportioned(sum(dropped.values()), means, room)

    def _renew(
        self, k: int, name: str, *, before: Tensor, now: Tensor, state: SparseTraining
    ) -> None:
        """Leave momentum as it is: it is what has chosen."""


def annealed(fraction: float, progress: float) -> float:
    """Return fraction / 2 (1 + cos(pi progress)), which falls to 0.

    >>> [round(annealed(0.3, progress), 3) for progress in (0.0, 0.5, 1.0)]
    [0.3, 0.15, 0.0]
    """
    return fraction / 2 * (1 + math.cos(math.pi * progress))


def _first(values: Tensor, count: int) -> Tensor:
    """Return where the smallest values are; of equal ones the first, on any device; NaN is last.

    The value of that rank is selected, not sorted for: of 235,200 weights 1.5 to 3.4 ms in place of
    8 to 31 for a stable `argsort`, which was nine tenths of an update.
    """
    flat = values.flatten()
    count = min(count, flat.numel())
    if count == 0:
        return torch.zeros_like(values, dtype=torch.bool)
    limit = flat.kthvalue(count).values
    first, alike = flat < limit, flat == limit
    if limit.isnan():  # of a network that diverges
        alike = flat.isnan()
        first = ~alike
    first[alike.nonzero().flatten()[: count - int(first.sum())]] = True
    return first.view_as(values)
