"""Cut networks of a pack: pruned from trained ones to their densities, fine-tuned and judged."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sweeper.training.evaluation import finite
from sweeper.training.fine_tuning import MIN_PACK, FineTuner, OptimizerSettings
from sweeper.training.learning_looks import LearningCurves, Watch
from sweeper.training.pack_setup import PackSetup, density_left
from sweeper.training.stack import Stack
from sweeper.training.trained_networks import TrainedNetworks
from sweeper.types import Evaluation, LearningPoint


@dataclass(frozen=True, slots=True, eq=False)
class CutNetwork:
    """Network that was cut from a training and fine-tuned."""

    healthy: bool
    judged: Evaluation
    learning: tuple[LearningPoint, ...]
    steps: int


def cut_networks(
    pack: PackSetup,
    trained: TrainedNetworks,
    tuning: FineTuner,
    settings: OptimizerSettings,
    *,
    learning: bool,
) -> dict[int, CutNetwork]:
    """Cut all networks of a pack; return them by their places. `settings` are of the trainings."""
    cut: dict[int, CutNetwork] = {}
    for networks in _chunks(pack, trained):
        further = trained.steps - trained.forks[networks[0]].step
        part = _part(pack, networks, trained, settings)
        cut |= _cut(pack, networks, further, tuning, *part, learning=learning)
    return cut


def _chunks(pack: PackSetup, trained: TrainedNetworks) -> list[list[int]]:
    """Return the networks that are fine-tuned together, by their places.

    Rung by rung, for those of one rung take equally long, and apart by the steps that they
    have; as many at once as there are trainings, whose optimizer had as much memory.
    """
    rungs: dict[tuple[int, int], list[int]] = {}
    for networks in pack.trainings:
        for number, k in enumerate(networks):
            rungs.setdefault((trained.forks[k].step, number), []).append(k)
    by_step: dict[int, list[int]] = {}
    for step, number in sorted(rungs):
        by_step.setdefault(step, []).extend(rungs[step, number])
    size = max(len(pack.trainings), MIN_PACK)
    return [
        networks[start : start + size]
        for networks in by_step.values()
        for start in range(0, len(networks), size)
    ]


def _part(
    pack: PackSetup,
    networks: Sequence[int],
    trained: TrainedNetworks,
    settings: OptimizerSettings,
) -> tuple[Stack, Tensor, OptimizerSettings]:
    """Return the trained networks that some are cut from, with ranks and settings."""
    are_whole = trained.is_whole(networks[0])
    if are_whole and len(networks) == len(pack.trainings) == pack.count:
        return trained.stack, trained.ranked, settings  # for good: nobody needs them any more
    forks = [trained.forks[k] for k in networks]
    chosen = torch.tensor([fork.training for fork in forks], device=pack.data.device)
    settings = settings.at(chosen)
    if are_whole:
        stack = {name: value[chosen] for name, value in trained.stack.items()}
        return stack, trained.ranked[chosen], settings
    stack = trained.forked.stack(forks)
    rule = pack.network.rule
    return stack, rule.rank({name: stack[name] for name in pack.network.weights}), settings


def _cut(
    pack: PackSetup,
    networks: Sequence[int],
    further: int,
    tuning: FineTuner,
    stack: Stack,
    ranked: Tensor,
    settings: OptimizerSettings,
    *,
    learning: bool,
) -> dict[int, CutNetwork]:
    """Cut networks from trained ones, in place, and judge them; by their places."""
    configs = [pack.configs[k] for k in networks]
    share = len(networks) / len(pack.trainings)
    curves = pack.learning_curves(share) if learning else None
    steps = tuning.prune(
        stack,
        ranked,
        torch.tensor(
            [density_left(config) for config in configs],
            device=pack.data.device,
            dtype=torch.float64,
        ),
        settings,
        further=further,
        share=share,
        watch=_watch(pack, curves, further) if curves else None,
    )
    healthy = finite(pack.network, stack)
    pack.judge.recalibrate(stack, share)
    judged = pack.judge.judge(stack, share)
    pack.hand_on("pruned", networks, stack, healthy)
    return {
        k: CutNetwork(healthy[place], judged[place], curves.points(place) if curves else (), steps)
        for place, k in enumerate(networks)
    }


def _watch(pack: PackSetup, curves: LearningCurves, further: int) -> Watch:
    """Return what looks at networks that are fine-tuned for `further` steps more than usual."""
    recipe = pack.recipe
    more = further / (len(pack.data.train) // recipe.batch_size)
    return curves.watch(recipe.finetune_epochs + int(more), before=recipe.epochs - more)
