"""Train a pack: configurations in, results out. No environment, no database, no Optuna."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from sweeper.config.judging_plan import STEP_PASSES, JudgingPlan, PartSizes, judging_plan
from sweeper.training.augmentation import Augmenter
from sweeper.training.batch_statistics import needs_recalibration
from sweeper.training.checkpoint import Keep
from sweeper.training.custom_methods import is_seen_in_training, takes_density
from sweeper.training.datasets import Data
from sweeper.training.density_curves import density_curves
from sweeper.training.determinism import deterministic_numerics
from sweeper.training.evaluation import Evaluator, finite
from sweeper.training.fine_tuning import MIN_PACK, FineTuner, OptimizerSettings
from sweeper.training.learning_looks import LearningCurves
from sweeper.training.methods import TrainingContext
from sweeper.training.network_groups import network_groups, parts_to_train, static_part
from sweeper.training.stack import Stack
from sweeper.training.stacked_architecture import StackedArchitecture
from sweeper.training.training_loop import Schedule, fit
from sweeper.training.work_meter import WorkMeter
from sweeper.types import (
    CurvePoint,
    Evaluation,
    LearningPoint,
    SharedConfig,
    Tick,
    Track,
    TrialConfig,
    TrialResult,
    TrialState,
    by_training,
    nothing,
    tick_of_part,
)


def train_pack(
    configs: Sequence[TrialConfig],
    data: Data,
    device: str = "cpu",
    *,
    tick: Tick = nothing,
    keep: Keep | None = None,
    learning: bool = True,
) -> list[TrialResult]:
    """Train and judge configurations of one recipe together; results in the order given.

    Networks that differ in their density alone are cut from one training, see `by_training`; each
    has the bits that it has by itself.
    On one kind of CPU a configuration's result has the same bits whatever it is packed with and
    however many threads there are. `data` lies on `device` already. `tick` is called before
    every step and every piece of judging, with the share of all work done so far, and may raise to
    end the training. `keep` is given the finished network of the track that counts, with its place
    in `configs`; none of those that diverged. Without `learning` there are no learning curves, and
    all else is the same. Raises ValueError
    for an empty pack, mixed recipes or data elsewhere, InputError for a precision that the device
    does not have.
    """
    if len({config.recipe for config in configs}) != 1:
        raise ValueError("a pack needs one or more configurations with one and the same recipe")
    if data.device.type != torch.device(device).type:
        raise ValueError(f"the data lie on {data.device}, not on {device}")
    trainings = by_training(configs)
    first = [configs[places[0]] for places in trainings]
    keys = [repr(static_part(config.method)) for config in first]
    recipe = configs[0].recipe
    network = StackedArchitecture.of(recipe, data)
    captures = data.device.type == "cuda" and not network.draws
    placed: dict[int, TrialResult] = {}
    with deterministic_numerics(data.device, recipe.precision):
        for part in parts_to_train(first, captures=captures):
            stacked = [trainings[k] for k in sorted(part, key=lambda k: keys[k])]
            within = tick_of_part(tick, len(placed), sum(map(len, stacked)), len(configs))
            pack = _Pack(configs, stacked, network, data, within, keep)
            placed |= pack.results(learning=learning)
    return [placed[k] for k in range(len(configs))]


@dataclass(frozen=True, slots=True, eq=False)
class _Trained:
    """Trained networks that nothing is cut from yet, [pack], and what is known of each."""

    stack: Stack
    healthy: list[bool]
    as_trained: list[Evaluation]
    ranked: Tensor
    curves: list[tuple[CurvePoint, ...]]
    learning: list[tuple[LearningPoint, ...]]
    steps: int


@dataclass(frozen=True, slots=True, eq=False)
class _Cut:
    """Network that was cut from a training and fine-tuned."""

    healthy: bool
    judged: Evaluation
    learning: tuple[LearningPoint, ...]
    steps: int


class _Pack:
    """Trainings that run together, and the networks that are cut from each."""

    def __init__(
        self,
        configs: Sequence[TrialConfig],
        trainings: Sequence[Sequence[int]],
        network: StackedArchitecture,
        data: Data,
        tick: Tick,
        keep: Keep | None,
    ) -> None:
        """`trainings` are the places of the networks of each, in the order of the stack."""
        self._began = time.perf_counter()
        self._configs, self._trainings, self._keep = configs, trainings, keep
        self._network, self._data, self._recipe = network, data, configs[0].recipe
        self._plan = plan_of(self._recipe, network, data)
        self._count = sum(map(len, trainings))
        further = self._count / len(trainings) - 1
        self._meter = WorkMeter(tick, self._plan.passes + further * self._plan.network_passes)
        self._augmenter = Augmenter.of(self._recipe, data)
        judge = Evaluator(network, data, self._meter, self._recipe.measure)
        self._judge = judge.on(self._plan.whole)

    def results(self, *, learning: bool) -> dict[int, TrialResult]:
        """Train, cut and judge; return the results by the places of the networks."""
        settings = self._settings()
        trained = self._train(settings, learning=learning)
        factor = self._tensor(lambda config: config.finetune_learning_rate_factor)
        slower = replace(settings, rate=settings.rate * factor)
        tuning = FineTuner(
            self._network, self._recipe, self._data.train, self._augmenter, self._meter
        )
        finetuned = tuning.curves(
            self._judge.on(self._plan.finetuned),
            trained.stack,
            trained.ranked,
            self._recipe.finetuned_curve,
            slower,
        )
        cut: dict[int, _Cut] = {}
        for stacked in self._chunks():
            part = self._part(stacked, trained, slower)
            cut |= self._cut(stacked, tuning, *part, learning=learning)
        self._meter.finish()
        seconds = (time.perf_counter() - self._began) / self._count
        results: dict[int, TrialResult] = {}
        for place, networks in enumerate(self._trainings):
            states = [
                self._state(k, trained.healthy[place], cut[k], trained.as_trained[place])
                for k in networks
            ]
            # What a training has once stands with the first of its networks that did not diverge.
            first = next((n for n, state in enumerate(states) if state != "diverged"), 0)
            for number, (k, state) in enumerate(zip(networks, states, strict=True)):
                is_first, diverged = number == first, state == "diverged"
                has_shared = is_first and not diverged
                results[k] = TrialResult(
                    state=state,
                    total=self._network.total,
                    pruned=None if diverged else cut[k].judged,
                    as_trained=trained.as_trained[place] if has_shared else None,
                    curve=trained.curves[place] if has_shared else (),
                    steps=trained.steps + cut[k].steps,
                    seconds=seconds,
                    pack=len(self._trainings),
                    finetuned=finetuned[place] if has_shared else (),
                    learning=(trained.learning[place] if is_first else ()) + cut[k].learning,
                )
        return results

    def _train(self, settings: OptimizerSettings, *, learning: bool) -> _Trained:
        network, recipe, data = self._network, self._recipe, self._data
        configs = [self._configs[places[0]] for places in self._trainings]
        stack = network.init([config.init_seed for config in configs], recipe, data)
        curves = self._learning_curves() if learning else None
        training = Schedule(
            recipe.epochs, recipe.batch_size, recipe.optimizer, recipe.schedule, recipe.order_seed
        )
        context = TrainingContext(
            seeds=settings.seeds,
            order_seed=recipe.order_seed,
            density=torch.tensor(
                [_training_density(config) for config in configs],
                device=data.device,
                dtype=torch.float64,
            ),
            steps=training.steps(len(data.train)),
            rule=network.rule,
        )
        steps = fit(
            network,
            stack,
            data.train,
            training,
            rate=settings.rate,
            momentum=settings.momentum,
            decay=settings.decay,
            groups=network_groups(configs, data.device),
            context=context,
            seeds=context.seeds,
            augmenter=self._augmenter,
            tick=partial(self._meter, STEP_PASSES * recipe.batch_size),
            watch=curves.watch(recipe.epochs) if curves else None,
        )
        healthy = finite(network, stack)
        # The statistics of training itself go on into fine-tuning.
        trained = {**stack, **{name: stack[name].clone() for name in network.buffers}}
        self._judge.recalibrate(trained)
        as_trained = self._judge.judge(trained)
        self._hand_on("as_trained", [places[0] for places in self._trainings], trained, healthy)
        ranked = network.rule.rank({name: stack[name] for name in network.weights})
        judge = self._judge.on(self._plan.curve)
        return _Trained(
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
        )

    def _chunks(self) -> list[list[tuple[int, int]]]:
        """Return the networks that are fine-tuned together, each by training and own place.

        Rung by rung, for those of one rung take equally long; as many at once as there are
        trainings, whose optimizer had as much memory.
        """
        networks = sorted(
            (number, training, k)
            for training, places in enumerate(self._trainings)
            for number, k in enumerate(places)
        )
        size = max(len(self._trainings), MIN_PACK)
        return [
            [(training, k) for _, training, k in networks[start : start + size]]
            for start in range(0, len(networks), size)
        ]

    def _part(
        self, stacked: Sequence[tuple[int, int]], trained: _Trained, settings: OptimizerSettings
    ) -> tuple[Stack, Tensor, OptimizerSettings]:
        """Return the trained networks that some are cut from, with ranks and settings."""
        if self._count == len(self._trainings):
            return trained.stack, trained.ranked, settings  # for good: nobody needs them any more
        chosen = torch.tensor([training for training, _ in stacked], device=self._data.device)
        stack = {name: value[chosen] for name, value in trained.stack.items()}
        return stack, trained.ranked[chosen], settings.at(chosen)

    def _cut(
        self,
        stacked: Sequence[tuple[int, int]],
        tuning: FineTuner,
        stack: Stack,
        ranked: Tensor,
        settings: OptimizerSettings,
        *,
        learning: bool,
    ) -> dict[int, _Cut]:
        """Cut networks from trained ones, in place, and judge them; by their places."""
        recipe, networks = self._recipe, [k for _, k in stacked]
        configs = [self._configs[k] for k in networks]
        share = len(networks) / len(self._trainings)
        curves = self._learning_curves(share) if learning else None
        steps = tuning.prune(
            stack,
            ranked,
            torch.tensor(
                [_left(config) for config in configs],
                device=self._data.device,
                dtype=torch.float64,
            ),
            settings,
            share=share,
            watch=curves.watch(recipe.finetune_epochs, before=recipe.epochs) if curves else None,
        )
        healthy = finite(self._network, stack)
        self._judge.recalibrate(stack, share)
        judged = self._judge.judge(stack, share)
        self._hand_on("pruned", networks, stack, healthy)
        return {
            k: _Cut(healthy[place], judged[place], curves.points(place) if curves else (), steps)
            for place, k in enumerate(networks)
        }

    def _hand_on(
        self, track: Track, networks: Sequence[int], stack: Stack, healthy: Sequence[bool]
    ) -> None:
        """Hand on finished networks, in the moment in which their track is judged."""
        names = (*self._network.parameters, *self._network.buffers)
        for place, k in enumerate(networks):
            if self._keep and self._configs[k].track == track and healthy[place]:
                self._keep(k, {name: stack[name][place].clone() for name in names})

    def _state(self, k: int, trained: bool, cut: _Cut, as_trained: Evaluation) -> TrialState:
        config = self._configs[k]
        if not (trained and cut.healthy):
            return "diverged"
        judged = cut.judged if config.track == "pruned" else as_trained
        return "complete" if judged.val_accuracy >= config.floor else "collapsed"

    def _settings(self) -> OptimizerSettings:
        """Return the settings of the trainings, in the order of the stack."""
        return OptimizerSettings(
            self._tensor(lambda config: config.learning_rate),
            self._tensor(lambda config: config.momentum),
            self._tensor(lambda config: config.weight_decay),
            tuple(self._configs[places[0]].init_seed for places in self._trainings),
        )

    def _tensor(self, number: Callable[[TrialConfig], float]) -> Tensor:
        numbers = [number(self._configs[places[0]]) for places in self._trainings]
        return torch.tensor(numbers, device=self._data.device)

    def _learning_curves(self, share: float = 1.0) -> LearningCurves:
        """Return empty curves, of so many networks as a share of the trainings."""
        return LearningCurves.of(
            self._network,
            self._data.validation,
            self._plan.learning,
            self._recipe.measure,
            lambda passes: self._meter(share * passes),
        )


def plan_of(recipe: SharedConfig, network: StackedArchitecture, data: Data) -> JudgingPlan:
    """Return the plan of the judging of networks of a recipe."""
    return judging_plan(
        recipe,
        PartSizes(len(data.train), len(data.validation), len(data.test)),
        is_mlp=network.layers is not None,
        has_statistics=needs_recalibration(network),
    )


def _training_density(config: TrialConfig) -> float:
    return config.density if config.training_density is None else config.training_density


def _left(config: TrialConfig) -> float:
    """Return the density to prune to: 1 where a method has brought the network there itself."""
    is_there = config.density >= _training_density(config) and takes_density(config.method.name)
    return 1.0 if is_there else config.density
