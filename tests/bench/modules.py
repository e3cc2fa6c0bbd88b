"""Steps and whole trials of convolutional networks, beside plain PyTorch; all in one run.

    python tests/bench/modules.py [--pack 2] [--rounds 6] [--trials 2] [--json] [--quick]
        [--precision bfloat16] [NAME ...]

Batches of 128 random images; ours in a pack on one thread, plain PyTorch as its tutorials have it
on one thread and on as many as it takes by itself. They take turns, and the least time of all
rounds counts: that of processors, since several workers use all cores of a machine. Its threads
wait in loops, so that it must have nothing else to do. A trial is two epochs of 8 steps, judging,
pruning to a tenth, another epoch and judging. Its data are few, so that what ours does for batch
norm, whose statistics are taken again before each judgement, weighs more than in a study. On two
cores it takes four minutes.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

import torch

import tutorial
from sweeper.training import optimizers
from sweeper.training.datasets import Data, DataSplit
from sweeper.training.determinism import deterministic_numerics
from sweeper.training.methods import TrainingContext
from sweeper.training.network_groups import network_groups
from sweeper.training.pack import train_pack
from sweeper.training.stacked_architecture import StackedArchitecture
from sweeper.training.training_loop import Stepper
from sweeper.types import MethodConfig, Options, SharedConfig, TrialConfig

BATCH, STEPS, DENSITY = 128, 8, 0.1
AS_IT_COMES = torch.get_num_threads()


@dataclass(frozen=True)
class Network:
    """A network by the name in tables."""

    model: str
    options: Options
    shape: tuple[int, int, int]


NETWORKS = {
    "LeNet-5": Network("lenet-5", (), (1, 28, 28)),
    "convnet": Network("convnet", (("widths", (32, 64, 128)),), (3, 32, 32)),
    "ResNet-20": Network("resnet-20", (), (3, 32, 32)),
}


@dataclass(frozen=True)
class Times:
    """Milliseconds of processors for a network: of a step, or of a trial."""

    ours: float
    plain: float
    """On one thread."""
    as_it_comes: float
    """On the threads that plain PyTorch takes by itself."""

    @property
    def ratios(self) -> tuple[float, float]:
        """Ours to plain PyTorch, on one thread and as it comes."""
        return self.ours / self.plain, self.ours / self.as_it_comes


@dataclass(frozen=True)
class Comparison:
    """A network beside itself in plain PyTorch."""

    name: str
    step: Times
    trial: Times
    difference: float
    """Norm of the difference of the first steps, as a share of a step's: rounding may turn another
    pixel into the largest one of a max-pool, and its gradient goes elsewhere then."""
    nonzero: tuple[int, int]
    """Of the first finished network: ours and that of plain PyTorch."""


def random_data(shape: tuple[int, ...], *, quick: bool) -> Data:
    """Return random images and labels of ten classes."""
    generator = torch.Generator().manual_seed(0)

    def part(count: int) -> DataSplit:
        images = torch.randn(count, *shape, generator=generator)
        return DataSplit(images, torch.randint(10, (count,), generator=generator))

    steps = 2 if quick else STEPS
    judged = part(100 if quick else 250)
    return Data("random", 10, part(steps * BATCH), judged, judged, "")


def configs(network: Network, pack: int, precision: str) -> list[TrialConfig]:
    """Return the configurations of a pack: they differ in their seeds."""
    recipe = SharedConfig(
        network.model,
        network.options,
        "random",
        BATCH,
        2,
        1,
        "sgd",
        "cosine",
        0,
        0,
        curve=(),
        precision=precision,
    )
    return [
        TrialConfig(recipe, k, 0.05, 0.9, 0.2, MethodConfig(), DENSITY, 0.0, "pruned")
        for k in range(pack)
    ]


class OurStep:
    """A pack in training."""

    def __init__(self, chosen: list[TrialConfig], data: Data) -> None:
        pack, recipe = len(chosen), chosen[0].recipe
        self.network = StackedArchitecture.of(recipe, data)
        self.stack = self.network.init(range(pack), recipe, data)
        density = torch.full((pack,), DENSITY, dtype=torch.float64)
        setting = TrainingContext(tuple(range(pack)), 0, density, 1000)
        optimizer = optimizers.make("sgd", torch.full((pack,), 0.9))
        groups = network_groups(chosen, data.device)
        self._stepper = Stepper(self.network, self.stack, optimizer, groups, setting)
        self._rate, self._number = torch.full((pack,), 0.05), 0

    def take(self, images: torch.Tensor, labels: torch.Tensor) -> None:
        """Take a step."""
        self._stepper.step(images, labels, rate=self._rate, factor=1.0, number=self._number)
        self._number += 1


@contextmanager
def threads(number: int) -> Iterator[None]:
    """Let PyTorch use so many threads within a `with` block."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def seconds(program: Callable[[], object]) -> float:
    start = time.process_time()
    program()
    return time.process_time() - start


def in_turns(
    ours: Callable[[], object], plain: Callable[[], object], pack: int, rounds: int
) -> Times:
    """Return the least times of programs that take turns; `ours` is for a whole pack."""
    least = [float("inf")] * 3
    for _ in range(rounds):
        with deterministic_numerics(torch.device("cpu")):
            least[0] = min(least[0], seconds(ours) / pack)
        for place, number in ((1, 1), (2, AS_IT_COMES)):
            with threads(number):
                least[place] = min(least[place], seconds(plain))
    return Times(*(1e3 * value for value in least))


def _norm(values: Iterable[torch.Tensor]) -> float:
    return float(torch.cat([value.flatten() for value in values]).norm())


def compare(
    name: str, pack: int, rounds: int, trials: int, precision: str, *, quick: bool
) -> Comparison:
    """Measure a network."""
    network = NETWORKS[name]
    data, chosen = random_data(network.shape, quick=quick), configs(network, pack, precision)
    images, labels = data.train.examples[:BATCH], data.train.labels[:BATCH]
    mine = OurStep(chosen, data)
    plain = tutorial.TutorialStep(tutorial.build(chosen[0], data).train(), 0.05, 0.9, 10**9)
    start = {key: value.detach().clone() for key, value in plain.model.named_parameters()}
    with deterministic_numerics(torch.device("cpu")):  # one step: rounding grows with further ones
        mine.take(images, labels)
        plain.take(images, labels)
    moved = {key: value.detach() - start[key] for key, value in plain.model.named_parameters()}
    apart = [mine.stack[key][0] - start[key] - value for key, value in moved.items()]
    difference = _norm(apart) / _norm(moved.values())
    step = in_turns(
        lambda: mine.take(images, labels), lambda: plain.take(images, labels), pack, rounds
    )
    finished: dict[str, int] = {}

    def our_trial() -> None:
        pruned = train_pack(chosen, data)[0].pruned
        finished["ours"] = pruned.nonzero if pruned else 0

    def plain_trial() -> None:
        finished["plain"] = tutorial.trial(chosen[0], data).nonzero

    whole = in_turns(our_trial, plain_trial, pack, trials)
    return Comparison(name, step, whole, difference, (finished["ours"], finished["plain"]))


def row(what: str, times: Times) -> str:
    alone, free = times.ratios
    return (
        f"{what:<18}{times.ours:>10.1f}{times.plain:>10.1f}{alone:>8.2f}"
        f"{times.as_it_comes:>14.1f}{free:>8.2f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NETWORKS))
    parser.add_argument("--pack", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=6, help="of a step each")
    parser.add_argument("--trials", type=int, default=2, help="rounds of a whole trial each")
    parser.add_argument(
        "--precision", choices=("float32", "bfloat16"), default="float32", help="of our products"
    )
    parser.add_argument("--quick", action="store_true", help="a look: a round each, less data")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if unknown := sorted(set(options.names) - NETWORKS.keys()):
        parser.error(f"no such network: {unknown[0]}; allowed: {', '.join(NETWORKS)}")
    rounds, trials = (1, 1) if options.quick else (options.rounds, options.trials)
    measured = []
    if not options.json:
        print(
            f"ms of processors for a network; plain PyTorch takes {AS_IT_COMES} threads by itself"
        )
        print(f"{'':<18}{'ours':>10}{'plain':>10}{'ratio':>8}{'as it comes':>14}{'ratio':>8}")
    for name in options.names or NETWORKS:
        comparison = compare(
            name, options.pack, rounds, trials, options.precision, quick=options.quick
        )
        measured.append(asdict(comparison))
        if not options.json:
            print(row(f"{name}, step", comparison.step))
            print(row(f"{name}, trial", comparison.trial), flush=True)
    if options.json:
        print(json.dumps(measured, indent=2))


if __name__ == "__main__":
    main()
