"""Pruning while training: weights are cut at given moments and stay 0."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from sweeper.config import derive_seed
from sweeper.training import pruning
from sweeper.training.methods import Method, TrainingContext, TrainingStep
from sweeper.training.pruning_rule import PruningRule
from sweeper.training.stack import NetworkRange, Stack

CUTS = 40
"""Cuts of gradual pruning. Each ranks all weights: 3 ms for LeNet-300-100 on one thread."""


class Cut(NamedTuple):
    """After `steps` steps of training a network keeps `density` of its weights."""

    steps: int
    density: float


@dataclass(slots=True, eq=False)
class PruningState:
    """Cuts and masks of some networks in training."""

    cuts: list[dict[int, float]]
    """Of each network: steps -> density."""
    context: TrainingContext
    masks: Stack | None = None


class Pruner(Method):
    """A schedule of cuts. Subclasses say when, and by what the weights are ranked."""

    def schedule(self, network: int, density: float, steps: int) -> list[Cut]:
        """Return the cuts of one network, densities falling to that of the trial."""
        raise NotImplementedError

    @property
    def is_by_magnitude(self) -> bool:
        """Whether the weights are ranked by their magnitude."""
        return type(self).chosen is Pruner.chosen

    def chosen(
        self, weights: Stack, density: float, context: TrainingContext, *, early: bool
    ) -> Stack:
        """Return the masks of a cut of one network, whose context it is; `early` if more follow."""
        # What a penalty holds at 0 in this moment may come back until the last cut: a schedule
        # that still leaves room for it must not take it.
        return _rule(weights, context).network_masks(weights, density, zeros=early)

    def start(self, weights: Stack, biases: Stack, context: TrainingContext) -> PruningState:
        wanted = context.density.tolist()
        cuts = [dict(self.schedule(k, d, context.steps)) for k, d in enumerate(wanted)]
        state = PruningState(cuts, context)
        self._cut(weights, state, 0)
        return state

    def after(self, weights: Stack, state: PruningState, step: TrainingStep) -> None:
        self._cut(weights, state, step.number + 1)
        if state.masks is not None:
            for name, weight in weights.items():
                weight.mul_(state.masks[name])

    @torch.no_grad()
    def _cut(self, weights: Stack, state: PruningState, steps: int) -> None:
        cut = [k for k, cuts in enumerate(state.cuts) if steps in cuts]
        if not cut:
            return
        if state.masks is None:
            state.masks = {name: torch.ones_like(weight) for name, weight in weights.items()}
        if self._cuts_at_once(weights, state.context):
            self._cut_at_once(weights, state, steps, cut)
            return
        for k in cut:
            cuts, network = state.cuts[k], NetworkRange(k, k + 1)
            masks = self.chosen(
                network.of(weights),
                cuts[steps],
                state.context.part(network),
                early=steps < max(cuts),
            )
            for name, mask in masks.items():
                network.cut(weights[name]).mul_(network.cut(state.masks[name]).mul_(mask))

    def _cuts_at_once(self, weights: Stack, context: TrainingContext) -> bool:
        # On a CPU a network's k-th value takes no longer than the bits of it.
        on_cpu = next(iter(weights.values())).device.type == "cpu"
        return not on_cpu and self.is_by_magnitude and _rule(weights, context).is_plain

    @staticmethod
    def _cut_at_once(weights: Stack, state: PruningState, steps: int, cut: list[int]) -> None:
        densities = [state.cuts[k][steps] for k in cut]
        early = [steps < max(state.cuts[k]) for k in cut]
        first = next(iter(weights.values()))
        index = torch.tensor(cut).to(first.device)
        part = {name: weight.index_select(0, index) for name, weight in weights.items()}
        masks = state.masks or {}
        for name, mask in pruning.masks_at_densities(part, densities, early).items():
            stays = masks[name].index_select(0, index).mul_(mask)
            masks[name].index_copy_(0, index, stays)
            weights[name].index_copy_(0, index, part[name].mul_(stays))


@dataclass(frozen=True, slots=True, eq=False)
class OneShotMagnitude(Pruner):
    """One cut, by magnitude or by how much the loss would rise to second order."""

    at: Tensor
    score: str = "magnitude"
    examples: int = 256

    @property
    def is_by_magnitude(self) -> bool:
        return self.score == "magnitude"

    def schedule(self, network: int, density: float, steps: int) -> list[Cut]:
        return [Cut(_step(float(self.at[network]), steps), density)]

    def chosen(
        self, weights: Stack, density: float, context: TrainingContext, *, early: bool
    ) -> Stack:
        rule = _rule(weights, context)
        if self.is_by_magnitude:
            return rule.network_masks(weights, density, zeros=early)
        if context.loss is None:
            raise ValueError("pruning by the loss needs the loss")
        index = context.loss.examples(self.examples, "curvature")
        curvature = context.loss.squares(index)
        # h w^2 / 2, without the factor that all have.
        scores = {name: curvature[name] * weight.square() for name, weight in weights.items()}
        return (
            pruning.largest(scores, density)
            if rule.is_plain
            else rule.network_masks(scores, density)
        )


@dataclass(frozen=True, slots=True, eq=False)
class RandomPruning(Pruner):
    """One cut at random, the same for all weights of all layers."""

    at: Tensor

    def schedule(self, network: int, density: float, steps: int) -> list[Cut]:
        return [Cut(_step(float(self.at[network]), steps), density)]

    def chosen(
        self, weights: Stack, density: float, context: TrainingContext, *, early: bool
    ) -> Stack:
        scores = self.scores(weights, context)
        return _rule(weights, context).network_masks(scores, density, zeros=early)

    def scores(self, weights: Stack, context: TrainingContext) -> Stack:
        """Return random numbers in (0, 1] for the weights of some networks."""
        # A seed of its own: that of the initial weights would rank them by their very values.
        seeds = [derive_seed(seed, "random_pruning") for seed in context.seeds]
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        scores = {name: torch.empty_like(weight) for name, weight in weights.items()}
        for stacked in scores.values():
            for score, generator in zip(stacked, generators, strict=True):
                # Never 0, which `cut` takes for a weight that is gone.
                score.copy_(1 - torch.rand(score.shape, generator=generator))
        return scores


@dataclass(frozen=True, slots=True, eq=False)
class IterativeMagnitude(Pruner):
    """Cuts by magnitude at equal distances, each keeping the same share of what is left."""

    begin: Tensor
    end: Tensor
    rounds: int

    def schedule(self, network: int, density: float, steps: int) -> list[Cut]:
        begin, end = float(self.begin[network]), float(self.end[network])
        return [
            Cut(
                _step(begin + (end - begin) * n / (self.rounds - 1), steps),
                density ** ((n + 1) / self.rounds),
            )
            for n in range(self.rounds)
        ]


@dataclass(frozen=True, slots=True, eq=False)
class GradualMagnitude(Pruner):
    """Many cuts by magnitude, the density falling as a cubic."""

    begin: Tensor
    end: Tensor

    def schedule(self, network: int, density: float, steps: int) -> list[Cut]:
        begin, end = float(self.begin[network]), float(self.end[network])
        return [
            Cut(
                _step(begin + (end - begin) * n / CUTS, steps),
                density + (1 - density) * (1 - n / CUTS) ** 3,
            )
            for n in range(CUTS + 1)
        ]


def _rule(weights: Stack, context: TrainingContext) -> PruningRule:
    return context.rule or PruningRule.plain(weights)


def _step(share: float, steps: int) -> int:
    """Return the step at a share of the training; 0.7 in float32 is a little less than 0.7."""
    return int(share * steps + 1e-4)
