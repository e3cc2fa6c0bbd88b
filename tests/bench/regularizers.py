"""The cost of each penalty: a step with it against the same step without, in one run.

    python tests/bench/regularizers.py [--pack 16] [--rounds 30] [--threads 1] [--json]
        [--device cpu] [NAME ...]

One step at batch 128 of LeNet-300-100 on random images, each penalty in each of its ways and each
method. Steps with and without take turns, so that both see the same machine; the least time of all
rounds counts."""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from sweeper.config.registry import FORMULAS, METHODS
from sweeper.training.datasets import Data, DataSplit
from sweeper.training.determinism import deterministic_numerics
from sweeper.training.loss_gradients import LossGradients
from sweeper.training.methods import TrainingContext
from sweeper.training.network_groups import network_groups
from sweeper.training.optimizers import OptimizerChoice
from sweeper.training.stacked_architecture import StackedArchitecture
from sweeper.training.training_loop import Stepper
from sweeper.types import MethodConfig, PenaltyConfig, SharedConfig, TrialConfig

RECIPE = SharedConfig(
    model="lenet-300-100",
    model_options=(),
    dataset="mnist",
    batch_size=128,
    epochs=1,
    finetune_epochs=0,
    optimizer="sgd",
    schedule="constant",
    repeat=0,
    order_seed=0,
    curve=(),
)

NEEDS_POWER = frozenset(
    {
        "l_half",
        "smoothed_lp",
        "log_sum",
        "transformed_l1",
        "joint_entropy",
        "renyi_entropy",
        "conditional_entropy",
        "mutual_information",
        "local_entropy",
        "l1_joint_entropy",
        "difference_entropy",
    }
)
"""Formulas that need a log or a power for each weight."""
LIMITS = {False: 1.2, True: 1.6}
"""What a step may cost at most, as a multiple of the step without penalty."""


@dataclass(frozen=True)
class Measured:
    """One penalty in one way."""

    name: str
    way: str
    milliseconds: float
    """Of a step, for each network."""
    ratio: float
    """To the step without penalty, measured in turns with it."""
    limit: float | None
    """None for methods, which have noise or schedules of their own."""


def every(names: Sequence[str], shuffled: bool) -> dict[tuple[str, str], MethodConfig]:
    """Return each penalty in each of its ways and each method, of those names or all."""
    found: dict[tuple[str, str], MethodConfig] = {}
    for name, formula in FORMULAS.items():
        hyper = tuple((key, known.default) for key, known in formula.hyper.items())
        for way in formula.modes:
            if name != "none" and (not names or name in names):
                terms = (PenaltyConfig(name, way, 1e-4, hyper, shuffled),)
                found[name, way] = MethodConfig(terms)
    for name, entry in METHODS.items():
        if not names or name in names:
            hyper = tuple((key, known.default) for key, known in entry.hyper.items())
            found[name, ""] = MethodConfig((), name, 1e-4, hyper)
    return found


def stepper(method: MethodConfig, pack: int, network: StackedArchitecture, data: Data) -> Stepper:
    """Return a pack in training."""
    configs = [
        TrialConfig(RECIPE, k, 0.05, 0.9, 1.0, method, 0.05, 0.5, "pruned") for k in range(pack)
    ]
    device = data.device
    stack = network.init(range(pack), RECIPE, data)
    choice = OptimizerChoice("sgd", torch.full((pack,), 0.9, device=device))
    setting = TrainingContext(
        seeds=tuple(range(pack)),
        order_seed=0,
        density=torch.full((pack,), 0.05, dtype=torch.float64, device=device),
        steps=1000,
        loss=LossGradients.of_pack(network, stack, data.train, range(pack), 0),
        optimizer=choice,
    )
    return Stepper(network, stack, choice.make(), network_groups(configs, device), setting)


def measure(
    methods: dict[tuple[str, str], MethodConfig], pack: int, rounds: int, device: str
) -> list[Measured]:
    """Return each method's time of a step beside that of plain training."""
    images = torch.rand(RECIPE.batch_size, 1, 28, 28, device=device)
    labels = torch.randint(10, (RECIPE.batch_size,), device=device)
    part = DataSplit(images, labels)
    data = Data("random", 10, part, part, part, "")
    network = StackedArchitecture.of(RECIPE, data)
    plain = stepper(MethodConfig(), pack, network, data)
    rate = torch.full((pack,), 0.05, device=device)
    found = []
    for (name, way), method in methods.items():
        other = stepper(method, pack, network, data)
        times: dict[Stepper, list[float]] = {plain: [], other: []}
        for number in range(rounds + 2):
            for one, taken in times.items():
                start = time.perf_counter()
                one.step(images, labels, rate=rate, factor=1.0, number=number)
                if device != "cpu":
                    torch.cuda.synchronize()
                taken.append(time.perf_counter() - start)
        least = {one: min(taken[2:]) for one, taken in times.items()}
        limit = None if name in METHODS else LIMITS[name in NEEDS_POWER]
        ratio = least[other] / least[plain]
        found.append(Measured(name, way, 1e3 * least[other] / pack, ratio, limit))
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--pack", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--shuffle", action="store_true", help="measure the control instead")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with deterministic_numerics(torch.device(options.device)):
        found = measure(
            every(options.names, options.shuffle), options.pack, options.rounds, options.device
        )
    if options.json:
        print(json.dumps([one.__dict__ for one in found], indent=2))
        return
    print(f"{'penalty':<22}{'way':<11}{'ms/network':>10}{'ratio':>7}{'limit':>7}")
    for one in found:
        limit = "" if one.limit is None else f"{one.limit:.1f}"
        over = " over" if one.limit is not None and one.ratio > one.limit else ""
        print(
            f"{one.name:<22}{one.way:<11}{one.milliseconds:>10.2f}{one.ratio:>7.2f}{limit:>7}{over}"
        )


if __name__ == "__main__":
    main()
