"""Train a pack: configurations in, results out. No environment, no database, no Optuna."""

import time
from collections.abc import Sequence
from functools import partial
from statistics import fmean

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
from sweeper.training.fine_tuning import FineTuner, OptimizerSettings
from sweeper.training.learning_looks import LearningCurves
from sweeper.training.methods import TrainingContext
from sweeper.training.network_groups import network_groups, parts_to_train, static_part
from sweeper.training.stack import Stack
from sweeper.training.stacked_architecture import StackedArchitecture
from sweeper.training.training_loop import Schedule, fit
from sweeper.training.work_meter import WorkMeter
from sweeper.types import (
    Evaluation,
    LearningPoint,
    SharedConfig,
    Tick,
    Track,
    TrialConfig,
    TrialResult,
    TrialState,
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
    keys = [repr(static_part(config.method)) for config in configs]
    recipe = configs[0].recipe
    network = StackedArchitecture.of(recipe, data)
    captures = data.device.type == "cuda" and not network.draws
    placed: dict[int, TrialResult] = {}
    with deterministic_numerics(data.device, recipe.precision):
        for part in parts_to_train(configs, captures=captures):
            order = sorted(part, key=lambda k: keys[k])
            ordered = [configs[k] for k in order]
            within = tick_of_part(tick, len(placed), len(part), len(configs))
            networks = _Networks(network, keep, order)
            results = _train(ordered, recipe, network, data, within, networks, learning=learning)
            placed |= zip(order, results, strict=True)
    return [placed[k] for k in range(len(configs))]


class _Networks:
    """Hands on finished networks, each in the moment in which its track is judged."""

    def __init__(
        self, network: StackedArchitecture, keep: Keep | None, order: Sequence[int]
    ) -> None:
        self._names = (*network.parameters, *network.buffers)
        self._keep, self._order = keep, order

    def take(
        self, track: Track, configs: Sequence[TrialConfig], stack: Stack, healthy: Sequence[bool]
    ) -> None:
        for k, config in enumerate(configs):
            if self._keep and config.track == track and healthy[k]:
                self._keep(self._order[k], {name: stack[name][k].clone() for name in self._names})


def _train(
    configs: list[TrialConfig],
    recipe: SharedConfig,
    network: StackedArchitecture,
    data: Data,
    tick: Tick,
    networks: _Networks,
    *,
    learning: bool,
) -> list[TrialResult]:
    began = time.perf_counter()
    stack = network.init([config.init_seed for config in configs], recipe, data)
    rate = torch.tensor([config.learning_rate for config in configs], device=data.device)
    momentum = torch.tensor([config.momentum for config in configs], device=data.device)
    decay = torch.tensor([config.weight_decay for config in configs], device=data.device)
    factor = torch.tensor(
        [config.finetune_learning_rate_factor for config in configs], device=data.device
    )
    density = torch.tensor([c.density for c in configs], device=data.device, dtype=torch.float64)
    plan = plan_of(recipe, network, data)
    left = _left(configs, density)
    meter = WorkMeter(tick, plan.passes - fmean(plan.saved(each) for each in left.tolist()))
    augmenter = Augmenter.of(recipe, data)
    judge = Evaluator(network, data, meter, recipe.measure).on(plan.whole)
    learnt = None
    if learning:
        part, measure = data.validation, recipe.measure
        learnt = LearningCurves.of(network, part, plan.learning, measure, meter)

    training = Schedule(
        recipe.epochs, recipe.batch_size, recipe.optimizer, recipe.schedule, recipe.order_seed
    )
    context = TrainingContext(
        seeds=tuple(config.init_seed for config in configs),
        order_seed=recipe.order_seed,
        density=density,
        steps=training.steps(len(data.train)),
        rule=network.rule,
    )
    steps = fit(
        network,
        stack,
        data.train,
        training,
        rate=rate,
        momentum=momentum,
        decay=decay,
        groups=network_groups(configs, data.device),
        context=context,
        seeds=context.seeds,
        augmenter=augmenter,
        tick=partial(meter, STEP_PASSES * recipe.batch_size),
        watch=learnt.watch(recipe.epochs) if learnt else None,
    )
    healthy = finite(network, stack)
    # The statistics of training itself go on into fine-tuning.
    trained = {**stack, **{name: stack[name].clone() for name in network.buffers}}
    judge.recalibrate(trained)
    as_trained = judge.judge(trained)
    networks.take("as_trained", configs, trained, healthy)
    ranked = network.rule.rank({name: stack[name] for name in network.weights})
    curves = density_curves(judge.on(plan.curve), stack, ranked, recipe.curve)

    tuning = FineTuner(network, recipe, data.train, augmenter, meter)
    slower = OptimizerSettings(rate * factor, momentum, decay, context.seeds)
    further = recipe.finetuned_curve
    finetuned = tuning.curves(judge.on(plan.finetuned), stack, ranked, further, slower)
    steps += tuning.prune(
        stack,
        ranked,
        left,
        slower,
        watch=learnt.watch(recipe.finetune_epochs, before=recipe.epochs) if learnt else None,
    )
    healthy = [
        before and after for before, after in zip(healthy, finite(network, stack), strict=True)
    ]
    judge.recalibrate(stack)
    pruned = judge.judge(stack)
    networks.take("pruned", configs, stack, healthy)
    meter.finish()
    seconds = (time.perf_counter() - began) / len(configs)
    results = []
    for k, config in enumerate(configs):
        state = _state(config, healthy[k], pruned[k], as_trained[k])
        diverged = state == "diverged"
        results.append(
            TrialResult(
                state=state,
                total=network.total,
                pruned=None if diverged else pruned[k],
                as_trained=None if diverged else as_trained[k],
                curve=() if diverged else curves[k],
                steps=steps,
                seconds=seconds,
                pack=len(configs),
                finetuned=() if diverged else finetuned[k],
                learning=_curve(learnt, k, config) if learnt else (),
            )
        )
    return results


def _curve(learnt: LearningCurves, k: int, config: TrialConfig) -> tuple[LearningPoint, ...]:
    seen = is_seen_in_training(config.method.name)
    return learnt.points(k, since=0 if seen else config.recipe.epochs)


def plan_of(recipe: SharedConfig, network: StackedArchitecture, data: Data) -> JudgingPlan:
    """Return the plan of the judging of networks of a recipe."""
    return judging_plan(
        recipe,
        PartSizes(len(data.train), len(data.validation), len(data.test)),
        is_mlp=network.layers is not None,
        has_statistics=needs_recalibration(network),
    )


def _left(configs: list[TrialConfig], density: Tensor) -> Tensor:
    """Return the densities to prune to: 1 where a method has brought its network there itself."""
    by_method = [takes_density(config.method.name) for config in configs]
    return torch.where(torch.tensor(by_method, device=density.device), 1.0, density)


def _state(
    config: TrialConfig, healthy: bool, pruned: Evaluation, as_trained: Evaluation
) -> TrialState:
    if not healthy:
        return "diverged"
    judged = pruned if config.track == "pruned" else as_trained
    return "complete" if judged.val_accuracy >= config.floor else "collapsed"
