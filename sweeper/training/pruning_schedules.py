"""Pruning while training: weights are cut at given moments and stay 0."""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from sweeper.config import derive_seed
from sweeper.training import pruning
from sweeper.training.methods import Method, TrainingContext
from sweeper.training.stack import Stack

CUTS = 40
"""Cuts of gradual pruning. Each ranks all weights: 3 ms for LeNet-300-100 on one thread."""


class Cut(NamedTuple):
    """After `steps` steps of training a network keeps `density` of its weights."""

    steps: int
    density: float


@dataclass(slots=True, eq=False)
class PruningState:
    """Where the networks of a slice are in their schedules."""

    cuts: list[dict[int, float]]
    """Of each network: steps -> density."""
    scores: Stack | None
    """What ranks the weights, if it is not their magnitude."""
    masks: Stack | None = None


class Pruner(Method):
    """A schedule of cuts. Subclasses say when, and by what the weights are ranked."""

    step_invariant: ClassVar[bool] = False

    def schedule(self, network: int, density: float, steps: int) -> list[Cut]:
        """Return the cuts of one network, densities falling to that of the trial."""
        raise NotImplementedError

    def scores(self, weights: Stack, setting: TrainingContext) -> Stack | None:
        """Return what ranks the weights; None for their magnitude at the moment of the cut."""
        return None

    def start(self, weights: Stack, biases: Stack, setting: TrainingContext) -> PruningState:
        wanted = setting.density.tolist()
        cuts = [dict(self.schedule(k, d, setting.steps)) for k, d in enumerate(wanted)]
        state = PruningState(cuts, self.scores(weights, setting))
        self._cut(weights, state, 0)
        return state

    def after(self, weights: Stack, state: PruningState, rate: Tensor, step: int) -> None:
        self._cut(weights, state, step + 1)
        if state.masks is not None:
            for name, weight in weights.items():
                weight.mul_(state.masks[name])

    @torch.no_grad()
    def _cut(self, weights: Stack, state: PruningState, steps: int) -> None:
        for k, cuts in enumerate(state.cuts):
            if steps not in cuts:
                continue
            if state.masks is None:
                state.masks = {name: torch.ones_like(weight) for name, weight in weights.items()}
            own = {name: weight[k : k + 1] for name, weight in weights.items()}
            if state.scores is not None:
                own = {name: score[k : k + 1] for name, score in state.scores.items()}
            # What a penalty holds at 0 in this moment may come back until the last cut: a schedule
            # that still leaves room for it must not take it.
            early = steps < max(cuts)
            for name, mask in pruning.mask_at_density(own, cuts[steps], zeros=early).items():
                mine = state.masks[name][k : k + 1].mul_(mask)
                weights[name][k : k + 1].mul_(mine)


@dataclass(frozen=True, slots=True, eq=False)
class OneShotMagnitude(Pruner):
    """One cut by magnitude."""

    at: Tensor

    def schedule(self, network: int, density: float, steps: int) -> list[Cut]:
        return [Cut(_step(float(self.at[network]), steps), density)]


@dataclass(frozen=True, slots=True, eq=False)
class RandomPruning(Pruner):
    """One cut at random, the same for all weights of all layers."""

    at: Tensor

    def schedule(self, network: int, density: float, steps: int) -> list[Cut]:
        return [Cut(_step(float(self.at[network]), steps), density)]

    def scores(self, weights: Stack, setting: TrainingContext) -> Stack:
        # A seed of its own: that of the initial weights would rank them by their very values.
        seeds = [derive_seed(seed, "random_pruning") for seed in setting.seeds]
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        found = {name: torch.empty_like(weight) for name, weight in weights.items()}
        for score in found.values():
            for own, generator in zip(score, generators, strict=True):
                # Never 0, which `cut` takes for a weight that is gone.
                own.copy_(1 - torch.rand(own.shape, generator=generator))
        return found


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


def _step(share: float, steps: int) -> int:
    """Return the step at a share of the training; 0.7 in float32 is a little less than 0.7."""
    return int(share * steps + 1e-4)
