"""Trained networks of a pack: before any is cut, and with what is known of each by then."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from sweeper.config.judging_plan import STEP_PASSES
from sweeper.training.custom_methods import is_seen_in_training
from sweeper.training.density_curves import density_curves
from sweeper.training.evaluation import finite
from sweeper.training.fine_tuning import OptimizerSettings
from sweeper.training.forks import Fork, ForkedNetworks, fork_steps
from sweeper.training.methods import TrainingContext
from sweeper.training.network_groups import NetworkGroup, network_groups
from sweeper.training.pack_setup import PackSetup, training_density
from sweeper.training.stack import Stack
from sweeper.training.training_loop import Schedule, fit
from sweeper.types import CurvePoint, Evaluation, LearningPoint


@dataclass(frozen=True, slots=True, eq=False)
class TrainedNetworks:
    """Trained networks that nothing is cut from yet, [pack], and what is known of each."""

    stack: Stack
    healthy: list[bool]
    as_trained: list[Evaluation]
    ranked: Tensor
    curves: list[tuple[CurvePoint, ...]]
    learning: list[tuple[LearningPoint, ...]]
    steps: int
    forks: dict[int, Fork]
    """By the place of the network."""
    forked: ForkedNetworks

    def is_whole(self, network: int) -> bool:
        """Tell whether a network leaves its training at the end of it."""
        return self.forks[network].step == self.steps


def train_together(
    pack: PackSetup, settings: OptimizerSettings, *, learning: bool
) -> TrainedNetworks:
    """Train the networks of a pack; return them as they are before any is cut."""
    network, recipe, data = pack.network, pack.recipe, pack.data
    configs = [pack.configs[places[0]] for places in pack.trainings]
    stack = network.init([config.init_seed for config in configs], recipe, data)
    curves = pack.learning_curves() if learning else None
    training = Schedule(
        recipe.epochs, recipe.batch_size, recipe.optimizer, recipe.schedule, recipe.order_seed
    )
    context = TrainingContext(
        seeds=settings.seeds,
        order_seed=recipe.order_seed,
        density=torch.tensor(
            [training_density(config) for config in configs],
            device=data.device,
            dtype=torch.float64,
        ),
        steps=training.steps(len(data.train)),
        rule=network.rule,
    )
    groups = network_groups(configs, data.device)
    forks = _forks(pack, groups, context)
    forked = ForkedNetworks.of([fork for fork in forks.values() if fork.step < context.steps])
    steps = fit(
        network,
        stack,
        data.train,
        training,
        rate=settings.rate,
        momentum=settings.momentum,
        decay=settings.decay,
        groups=groups,
        context=context,
        seeds=context.seeds,
        augmenter=pack.augmenter,
        tick=partial(pack.meter, STEP_PASSES * recipe.batch_size),
        watch=curves.watch(recipe.epochs) if curves else None,
        forked=forked,
    )
    healthy = finite(network, stack)
    # The statistics of training itself go on into fine-tuning.
    trained = {**stack, **{name: stack[name].clone() for name in network.buffers}}
    pack.judge.recalibrate(trained)
    as_trained = pack.judge.judge(trained)
    pack.hand_on("as_trained", [places[0] for places in pack.trainings], trained, healthy)
    ranked = network.rule.rank({name: stack[name] for name in network.weights})
    judge = pack.judge.on(pack.plan.curve)
    return TrainedNetworks(
        stack,
        healthy,
        as_trained,
        ranked,
        density_curves(judge, stack, ranked, recipe.curve),
        [
            # Of a method that is known at its end alone there is nothing to see before.
            curves.points(k) if curves and is_seen_in_training(config.method.name) else ()
            for k, config in enumerate(configs)
        ],
        steps,
        forks,
        forked,
    )


def _forks(
    pack: PackSetup, groups: Sequence[NetworkGroup], context: TrainingContext
) -> dict[int, Fork]:
    """Return where each network leaves its training, by its place."""
    densities = {
        place: [pack.configs[k].density for k in networks]
        for place, networks in enumerate(pack.trainings)
    }
    steps = fork_steps(groups, densities, context.density.tolist(), context.steps)
    return {
        k: Fork(place, step)
        for place, networks in enumerate(pack.trainings)
        for k, step in zip(networks, steps[place], strict=True)
    }
