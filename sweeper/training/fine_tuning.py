"""Fine-tuning of pruned networks: each at the density of its trial, and at those of its curve."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from statistics import fmean

import torch
from torch import Tensor

from sweeper.config.judging_plan import STEP_PASSES, step_cost
from sweeper.training import parameter_counts
from sweeper.training.augmentation import Augmenter
from sweeper.training.datasets import DataSplit
from sweeper.training.dead_biases import remove_dead_biases
from sweeper.training.evaluation import Evaluator
from sweeper.training.learning_looks import Watch
from sweeper.training.pruned_fit import fit_pruned
from sweeper.training.stack import Stack
from sweeper.training.stacked_architecture import StackedArchitecture
from sweeper.training.training_loop import Schedule, apply_masks
from sweeper.training.work_meter import Advance
from sweeper.types import CurvePoint, SharedConfig

MIN_PACK = 8
"""Networks that are fine-tuned together at the least: the densities of one trained network fill a
pack. More than the trials of a pack only if that holds fewer than this."""


@dataclass(frozen=True, slots=True, eq=False)
class OptimizerSettings:
    """Settings of the training of each network, [pack] each."""

    rate: Tensor
    momentum: Tensor
    decay: Tensor
    seeds: tuple[int, ...]
    """Of the initial weights, from which the noise of each network follows."""

    def at(self, networks: Tensor) -> "OptimizerSettings":
        """Return the settings of some networks, by their numbers."""
        seeds = tuple(self.seeds[k] for k in networks.tolist())
        return OptimizerSettings(
            self.rate[networks], self.momentum[networks], self.decay[networks], seeds
        )


@dataclass(frozen=True, slots=True, eq=False)
class FineTuner:
    """Prunes and fine-tunes networks of one recipe."""

    network: StackedArchitecture
    recipe: SharedConfig
    part: DataSplit
    augmenter: Augmenter | None
    advance: Advance

    def prune(
        self,
        stack: Stack,
        ranked: Tensor,
        density: Tensor,
        rates: OptimizerSettings,
        *,
        further: int = 0,
        share: float = 1.0,
        watch: Watch | None = None,
    ) -> int:
        """Prune a stack to `density` [pack] and fine-tune it in place; return the steps.

        `ranked` comes from the network's rule; `share` are the networks beside those of the whole
        pack, whose steps cost what their densities say. Networks that have left their training have
        `further` steps, those that were left of it. `watch` is told of each epoch.
        """
        recipe, is_mlp = self.recipe, self.network.layers is not None
        cost = fmean(step_cost(each, is_mlp=is_mlp) for each in density.tolist())
        prunable = {name: stack[name] for name in self.network.weights}
        masks = self.network.rule.masks(prunable, ranked, density)
        apply_masks(stack, masks)
        masks |= remove_dead_biases(self.network, stack)
        schedule = Schedule(
            recipe.finetune_epochs,
            recipe.batch_size,
            recipe.optimizer,
            recipe.schedule,
            (recipe.order_seed + 1) % 2**32,
            further,
        )
        steps = fit_pruned(
            self.network,
            stack,
            self.part,
            schedule,
            rate=rates.rate,
            momentum=rates.momentum,
            decay=rates.decay,
            masks=masks,
            seeds=rates.seeds,
            augmenter=self.augmenter,
            tick=partial(self.advance, share * cost * STEP_PASSES * recipe.batch_size),
            watch=watch,
        )
        remove_dead_biases(self.network, stack)
        return steps

    def curves(
        self,
        evaluator: Evaluator,
        stack: Stack,
        ranked: Tensor,
        densities: Sequence[float],
        rates: OptimizerSettings,
    ) -> list[tuple[CurvePoint, ...]]:
        """Return for every network its fine-tuned points at the densities; `stack` stays."""
        pack = len(ranked)
        pairs = [(k, density) for density in densities for k in range(pack)]
        points: list[list[CurvePoint]] = [[] for _ in range(pack)]
        size = max(pack, MIN_PACK)
        for start in range(0, len(pairs), size):
            chunk = pairs[start : start + size]
            networks = torch.tensor([k for k, _ in chunk], device=ranked.device)
            density = torch.tensor([d for _, d in chunk], device=ranked.device, dtype=torch.float64)
            copies = {name: value[networks] for name, value in stack.items()}
            share = len(chunk) / pack
            self.prune(copies, ranked[networks], density, rates.at(networks), share=share)
            evaluator.recalibrate(copies, share)
            val, test = evaluator.accuracies(copies, share)
            counts = parameter_counts.nonzero(self.network, copies)
            rows = zip(chunk, counts, val, test, strict=True)
            for (k, at), count, validation, tested in rows:
                points[k].append(evaluator.point(at, count, validation, tested))
        return [tuple(row) for row in points]
