"""Setup of a pack: all that its trainings and its networks share."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sweeper.config.judging_plan import JudgingPlan, PartSizes, judging_plan
from sweeper.training.augmentation import Augmenter
from sweeper.training.batch_statistics import needs_recalibration
from sweeper.training.checkpoint import Keep
from sweeper.training.custom_methods import takes_density
from sweeper.training.datasets import Data
from sweeper.training.evaluation import Evaluator
from sweeper.training.fine_tuning import OptimizerSettings
from sweeper.training.learning_looks import LearningCurves
from sweeper.training.stack import Stack
from sweeper.training.stacked_architecture import StackedArchitecture
from sweeper.training.work_meter import WorkMeter
from sweeper.types import SharedConfig, Tick, Track, TrialConfig


@dataclass(frozen=True, slots=True, eq=False)
class PackSetup:
    """Trainings that run together, the networks that are cut from each, and what serves all."""

    configs: Sequence[TrialConfig]
    """Of networks, of this pack and of others."""
    trainings: Sequence[Sequence[int]]
    """Places of the networks of each training, in the order of the stack."""
    network: StackedArchitecture
    data: Data
    recipe: SharedConfig
    plan: JudgingPlan
    meter: WorkMeter
    augmenter: Augmenter | None
    judge: Evaluator
    """On whole parts of the data."""
    keep: Keep | None

    @classmethod
    def of(
        cls,
        configs: Sequence[TrialConfig],
        trainings: Sequence[Sequence[int]],
        network: StackedArchitecture,
        data: Data,
        tick: Tick,
        keep: Keep | None,
    ) -> "PackSetup":
        """Return the setup of some trainings of configurations of one recipe."""
        recipe = configs[0].recipe
        plan = plan_of(recipe, network, data)
        cut = [density_left(configs[k]) for networks in trainings for k in networks]
        further = len(cut) - len(trainings)
        passes = further * plan.network_passes - sum(map(plan.saved, cut))
        meter = WorkMeter(tick, plan.passes + passes / len(trainings))
        augmenter = Augmenter.of(recipe, data)
        judge = Evaluator(network, data, meter, recipe.measure).on(plan.whole)
        return cls(configs, trainings, network, data, recipe, plan, meter, augmenter, judge, keep)

    @property
    def count(self) -> int:
        """Number of networks."""
        return sum(map(len, self.trainings))

    def settings(self) -> OptimizerSettings:
        """Return the settings of the trainings, in the order of the stack."""
        return OptimizerSettings(
            self.tensor(lambda config: config.learning_rate),
            self.tensor(lambda config: config.momentum),
            self.tensor(lambda config: config.weight_decay),
            tuple(self.configs[places[0]].init_seed for places in self.trainings),
        )

    def tensor(self, number: Callable[[TrialConfig], float]) -> Tensor:
        numbers = [number(self.configs[places[0]]) for places in self.trainings]
        return torch.tensor(numbers, device=self.data.device)

    def learning_curves(self, share: float = 1.0) -> LearningCurves:
        """Return empty curves, of so many networks as a share of the trainings."""
        return LearningCurves.of(
            self.network,
            self.data.validation,
            self.plan.learning,
            self.recipe.measure,
            lambda passes: self.meter(share * passes),
        )

    def hand_on(
        self, track: Track, networks: Sequence[int], stack: Stack, healthy: Sequence[bool]
    ) -> None:
        """Hand on finished networks, in the moment in which their track is judged."""
        names = (*self.network.parameters, *self.network.buffers)
        for place, k in enumerate(networks):
            if self.keep and self.configs[k].track == track and healthy[place]:
                self.keep(k, {name: stack[name][place].clone() for name in names})


def plan_of(recipe: SharedConfig, network: StackedArchitecture, data: Data) -> JudgingPlan:
    """Return the plan of the judging of networks of a recipe."""
    return judging_plan(
        recipe,
        PartSizes(len(data.train), len(data.validation), len(data.test)),
        is_mlp=network.layers is not None,
        has_statistics=needs_recalibration(network),
    )


def training_density(config: TrialConfig) -> float:
    """Return the density that a training is told."""
    return config.density if config.training_density is None else config.training_density


def density_left(config: TrialConfig) -> float:
    """Return the density to prune to: 1 where a method has brought the network there itself."""
    is_there = config.density == training_density(config) and takes_density(config.method.name)
    return 1.0 if is_there else config.density
