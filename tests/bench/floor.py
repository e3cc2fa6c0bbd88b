"""The floor: what the matrix products of a training step alone take, beside the step itself."""

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from handwritten import Step, weights_of
from sweeper.kernels import matmul as library
from sweeper.training import optimizers
from sweeper.training.cuda_graphs import steps_on
from sweeper.training.datasets import Data, DataSplit
from sweeper.training.methods import TrainingContext
from sweeper.training.network_groups import network_groups
from sweeper.training.stacked_architecture import StackedArchitecture
from sweeper.training.training_loop import Stepper
from sweeper.types import MethodConfig, PenaltyConfig, SharedConfig, TrialConfig

SQUARES = (1024, 2048)
PACKS = {"cpu": (1, 2, 4, 8, 16, 32), "cuda": (1, 4, 16, 64, 256)}
L1 = MethodConfig((PenaltyConfig("l1", "prox", 1e-4),))
Program = Callable[[], None]
K = TypeVar("K")


def flops(widths: Sequence[int], batch: int) -> int:
    """Return the operations of a step's matrix products for one network.

    2 x batch x weights forwards, as many for the gradients of the weights, and as many for the
    gradients of what each layer but the first takes in.

    >>> flops((784, 300, 100, 10), 128)
    144230400
    """
    weights = [inputs * outputs for inputs, outputs in itertools.pairwise(widths)]
    return 2 * batch * (sum(weights) + sum(weights) + sum(weights[1:]))


@dataclass(frozen=True)
class Packed:
    """A step of one size of pack, per network."""

    pack: int
    plain: float
    """Milliseconds of a step without penalty, the least of all rounds."""
    l1: float
    """The same with L1 as a proximal step."""
    products: float
    """The same for its matrix products alone."""
    rate: float
    """Operations a second of these products, the best way that there is."""


@dataclass(frozen=True)
class Floor:
    """Steps beside what limits them; rates are operations a second on one thread or GPU."""

    flops: int
    """Of a step, for one network."""
    square_rate: float
    """The best of large square products, by the best library that there is."""
    packs: tuple[Packed, ...]
    handwritten: float
    """Milliseconds of a step of the hand-written loop, with L1."""

    @property
    def milliseconds(self) -> float:
        """Of a step's products at the best rate of large square ones."""
        return 1e3 * self.flops / self.square_rate

    @property
    def best(self) -> Packed:
        """The size of pack whose step with L1 is the fastest."""
        return min(self.packs, key=lambda packed: packed.l1)


def measure(
    widths: Sequence[int],
    batch: int,
    packs: Sequence[int],
    rounds: int,
    device: str,
    precision: str = "float32",
) -> Floor:
    """Measure all in turns, so that each sees the same machine; the least time counts."""
    programs: dict[tuple[str, int], tuple[Program, int]] = {}
    for size in SQUARES:
        programs["square", size] = square(size, device), 1
        if faster(device):
            programs["faster square", size] = square(size, device, linear=True), 1
    programs["hand", 1] = by_hand(widths, batch, device), 1
    for pack in packs:
        programs["plain", pack] = step(MethodConfig(), pack, widths, batch, device, precision), pack
        programs["l1", pack] = step(L1, pack, widths, batch, device, precision), pack
        for way in modes(device):
            programs[way, pack] = products(pack, widths, batch, device, way), pack
    least = least_milliseconds(
        {key: program for key, (program, _) in programs.items()}, rounds, device
    )
    per = {key: least[key] / pack for key, (_, pack) in programs.items()}
    work = flops(widths, batch)
    found = []
    for pack in packs:
        fastest = min(per[way, pack] for way in modes(device))
        found.append(
            Packed(pack, per["plain", pack], per["l1", pack], fastest, 1e3 * work / fastest)
        )
    best = max(2e3 * size**3 / taken for (what, size), taken in least.items() if "square" in what)
    return Floor(work, best, tuple(found), least["hand", 1])


def least_milliseconds(programs: Mapping[K, Program], rounds: int, device: str) -> dict[K, float]:
    """Run all programs in turns; return the least time of each.

    Three times a turn: the first finds the caches as another one left them, which training never
    does.
    """
    least = dict.fromkeys(programs, float("inf"))
    for number in range(rounds + 2):
        for key, program in programs.items():
            taken = min(timed(program, device) for _ in range(3))
            if number > 1:
                least[key] = min(least[key], taken)
    return least


def timed(program: Program, device: str) -> float:
    """Return the milliseconds that a program takes, on a GPU by its own clock."""
    if device == "cpu":
        began = time.perf_counter()
        program()
        return 1e3 * (time.perf_counter() - began)
    torch.cuda.synchronize()
    clock: Any = torch.cuda.Event  # untyped
    began_at, ended_at = clock(enable_timing=True), clock(enable_timing=True)
    began_at.record()
    program()
    ended_at.record()
    torch.cuda.synchronize()
    return float(began_at.elapsed_time(ended_at))


def faster(device: str) -> bool:
    """Tell whether this processor has products that beat PyTorch's own."""
    return device == "cpu" and library.faster()


def modes(device: str) -> tuple[str, ...]:
    """Return how products may be taken: all networks at once, or one after the other.

    `wide`: at once, and that of the first layer, which sees the same examples for all networks,
    as one.
    """
    return ("stacked", "wide", "single", *(["faster"] if faster(device) else []))


def square(size: int, device: str, *, linear: bool = False) -> Program:
    """Return a product of two square matrices."""
    left, right, out = (torch.rand(size, size, device=device) for _ in range(3))
    return partial(_multiply, [(left, right, out)], _faster if linear else torch.mm)


def products(pack: int, widths: Sequence[int], batch: int, device: str, way: str) -> Program:
    """Return the matrix products of a step."""
    calls = []
    for layer, (inputs, outputs) in enumerate(itertools.pairwise(widths)):
        weight = torch.rand(pack, outputs, inputs, device=device)
        gradient = torch.empty_like(weight)
        hidden = torch.rand(pack if layer else 1, batch, inputs, device=device)
        hidden = hidden.expand(pack, batch, inputs)
        delta = torch.rand(pack, batch, outputs, device=device)
        if way == "wide" and not layer:
            wide = torch.empty(batch, pack * outputs, device=device)
            calls.append((hidden[0], weight.flatten(0, 1).T, wide))
        else:
            calls.append((hidden, weight.transpose(1, 2), torch.empty_like(delta)))
        calls.append((delta.transpose(1, 2), hidden, gradient))
        if layer:
            calls.append((delta, weight, torch.empty(pack, batch, inputs, device=device)))
    if way in {"stacked", "wide"}:
        return partial(_multiply, calls, _torch)
    alone = [(a[k], b[k], out[k]) for k in range(pack) for a, b, out in calls]
    return partial(_multiply, alone, torch.mm if way == "single" else _faster)


def step(
    method: MethodConfig,
    pack: int,
    widths: Sequence[int],
    batch: int,
    device: str,
    precision: str = "float32",
) -> Program:
    """Return a step of a pack with one method."""
    return mixed_step([method] * pack, widths, batch, device, precision=precision)


def mixed_step(
    methods: Sequence[MethodConfig],
    widths: Sequence[int],
    batch: int,
    device: str,
    optimizer: str = "sgd",
    precision: str = "float32",
) -> Program:
    """Return a step of a pack with a method for each network, equal ones being neighbours."""
    pack = len(methods)
    side = round(widths[0] ** 0.5)
    images = torch.rand(batch, 1, side, side, device=device)
    part = DataSplit(images, torch.randint(widths[-1], (batch,), device=device))
    data = Data("random", widths[-1], part, part, part, "")
    recipe = SharedConfig(
        "lenet-300-100",
        (),
        "mnist",
        batch,
        1,
        0,
        "sgd",
        "constant",
        0,
        0,
        curve=(),
        precision=precision,
    )
    network = StackedArchitecture.of(recipe, data)
    stack = network.init(range(pack), recipe, data)
    configs = [
        TrialConfig(recipe, k, 0.05, 0.9, 1.0, method, 0.05, 0.5, "pruned")
        for k, method in enumerate(methods)
    ]
    density = torch.full((pack,), 0.05, dtype=torch.float64, device=device)
    setting = TrainingContext(tuple(range(pack)), 0, density, 100_000)
    taking = optimizers.make(optimizer, torch.full((pack,), 0.9, device=device))
    stepper = Stepper(network, stack, taking, network_groups(configs, data.device), setting)
    rate = torch.full((pack,), 0.05, device=device)
    numbers = itertools.count()
    if device == "cpu":
        return lambda: stepper.step(
            images, part.labels, rate=rate, factor=1.0, number=next(numbers)
        )
    take, index = steps_on(stepper, part, batch, rate), torch.arange(batch, device=device)
    return lambda: take(index, 1.0, next(numbers))


def by_hand(widths: Sequence[int], batch: int, device: str) -> Program:
    """Return a step of the hand-written loop."""
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(widths):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    model = nn.Sequential(*layers[:-1]).to(device)
    assert len(weights_of(model)) == len(widths) - 1
    taking = Step(model, 0.05, 0.9)
    images = torch.rand(batch, widths[0], device=device)
    labels = torch.randint(widths[-1], (batch,), device=device)
    return lambda: taking.take(images, labels, 0.05, 5e-6)


def _faster(left: Tensor, right: Tensor, out: Tensor) -> None:
    library.linear(left, right.T)


def _torch(left: Tensor, right: Tensor, out: Tensor) -> None:
    (torch.mm if left.ndim == 2 else torch.bmm)(left, right, out=out)


def _multiply(calls: Sequence[tuple[Tensor, Tensor, Tensor]], multiply: Any) -> None:
    for left, right, out in calls:
        multiply(left, right, out=out)
