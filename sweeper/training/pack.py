"""Train a pack: configurations in, results out. No environment, no database, no Optuna."""

import time
from collections.abc import Sequence
from dataclasses import replace

import torch

from sweeper.training.checkpoint import Keep
from sweeper.training.cut_networks import CutNetwork, cut_networks
from sweeper.training.datasets import Data
from sweeper.training.determinism import deterministic_numerics
from sweeper.training.fine_tuning import FineTuner
from sweeper.training.network_groups import parts_to_train, static_part
from sweeper.training.pack_setup import PackSetup
from sweeper.training.stacked_architecture import StackedArchitecture
from sweeper.training.trained_networks import train_together
from sweeper.types import (
    Evaluation,
    Tick,
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
            pack = PackSetup.of(configs, stacked, network, data, within, keep)
            placed |= _results(pack, learning=learning)
    return [placed[k] for k in range(len(configs))]


def _results(pack: PackSetup, *, learning: bool) -> dict[int, TrialResult]:
    """Train, cut and judge; return the results by the places of the networks."""
    began = time.perf_counter()
    settings = pack.settings()
    trained = train_together(pack, settings, learning=learning)
    factor = pack.tensor(lambda config: config.finetune_learning_rate_factor)
    slower = replace(settings, rate=settings.rate * factor)
    tuning = FineTuner(pack.network, pack.recipe, pack.data.train, pack.augmenter, pack.meter)
    finetuned = tuning.curves(
        pack.judge.on(pack.plan.finetuned),
        trained.stack,
        trained.ranked,
        pack.recipe.finetuned_curve,
        slower,
    )
    cut = cut_networks(pack, trained, tuning, slower, learning=learning)
    pack.meter.finish()
    seconds = (time.perf_counter() - began) / pack.count
    results: dict[int, TrialResult] = {}
    for place, networks in enumerate(pack.trainings):
        states = [
            _state(pack.configs[k], trained.healthy[place], cut[k], trained.as_trained[place])
            for k in networks
        ]
        # What a training has once stands with the first of its networks that did not diverge.
        first = next((n for n, state in enumerate(states) if state != "diverged"), 0)
        # Its learning curve stands with the first that went through all of it.
        whole = next((n for n, k in enumerate(networks) if trained.is_whole(k)), 0)
        for number, (k, state) in enumerate(zip(networks, states, strict=True)):
            diverged = state == "diverged"
            has_shared = number == first and not diverged
            seen = trained.learning[place] if number == whole else ()
            results[k] = TrialResult(
                state=state,
                total=pack.network.total,
                pruned=None if diverged else cut[k].judged,
                as_trained=trained.as_trained[place] if has_shared else None,
                curve=trained.curves[place] if has_shared else (),
                steps=trained.forks[k].step + cut[k].steps,
                seconds=seconds,
                pack=len(pack.trainings),
                finetuned=finetuned[place] if has_shared else (),
                learning=seen + cut[k].learning,
            )
    return results


def _state(
    config: TrialConfig, trained: bool, cut: CutNetwork, as_trained: Evaluation
) -> TrialState:
    if not (trained and cut.healthy):
        return "diverged"
    judged = cut.judged if config.track == "pruned" else as_trained
    return "complete" if judged.val_accuracy >= config.floor else "collapsed"
