"""Largest useful pack: as few networks as train fastest, as many as memory has room for.

A short probe times training steps of packs of growing size. It changes no result: on one kind of
CPU those do not depend on the company of a network.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from sweeper.training.cuda_graphs import WARM_UP, steps_on
from sweeper.training.datasets import Data
from sweeper.training.determinism import deterministic_numerics
from sweeper.training.loss_gradients import LossGradients
from sweeper.training.memory import needed
from sweeper.training.methods import TrainingContext
from sweeper.training.network_groups import network_groups
from sweeper.training.optimizers import OptimizerChoice
from sweeper.training.out_of_memory import free_memory, is_out_of_memory
from sweeper.training.stack import Stack
from sweeper.training.stacked_architecture import StackedArchitecture
from sweeper.training.training_loop import Stepper
from sweeper.types import TrialConfig

SIZES = {"cpu": tuple(2**n for n in range(7)), "cuda": tuple(2**n for n in range(13))}
"""Packs that are tried, as far as memory and time go."""
PROBE_SECONDS = 1.2
"""Duration of the probe at most, some steps to warm up apart."""
PROBE_SHARE, LEAST_SECONDS = 0.02, 0.1
"""Duration as a share of that of the training that is to come, and at the least."""
MIN_ROUNDS, MAX_ROUNDS = 3, 20
"""Turns of each pack: a larger pack is left out if there is no time for three."""
TURN_SHARE, MAX_STEPS = 1 / 60, 32
"""Duration of a turn as a share of the probe's, and its steps at most: of a small pack many, since
the one before it has emptied the caches."""
TIME_TOLERANCE = 1.03
"""Time for a step and network that the smallest pack may take, as a multiple of the least."""


@dataclass(frozen=True, slots=True)
class PackEstimate:
    """A size of packs, and its reasons."""

    pack: int
    seconds: float
    """Seconds of a step, for each network."""
    memory: int
    """Bytes of a network."""

    def __str__(self) -> str:
        whole = self.pack * self.memory / 1e6
        return (
            f"packs of {self.pack}: {1e3 * self.seconds:.2g} ms a step and network, {whole:.0f} MB"
        )


def choose(
    configs: Sequence[TrialConfig], data: Data, room: int, steps: float = math.inf
) -> PackEstimate:
    """Return the smallest pack that is about as fast as any that fits into `room` bytes.

    `configs` hold one trial of each arm. The first that has a penalty is timed, for a time that is
    short beside `steps` of training.
    """
    timed = next((config for config in configs if config.method.terms), configs[0])
    network = StackedArchitecture.of(timed.recipe, data)
    with deterministic_numerics(data.device, timed.recipe.precision):
        memory = needed(configs, data)
        # On a GPU all packs are in its memory at once while they are timed, 1 + 2 + ... networks.
        held = 1 if data.device.type == "cpu" else 2
        sizes = [
            size for size in SIZES[data.device.type] if size == 1 or held * size * memory <= room
        ]
        times = step_times(timed, network, data, sizes, steps)
    size = fastest(times)
    return PackEstimate(size, times[size], memory)


def fastest(times: dict[int, float]) -> int:
    """Return the smallest size whose time for each network is near the least one."""
    bound = TIME_TOLERANCE * min(times.values())
    return min(size for size, seconds in times.items() if seconds <= bound)


def step_times(
    config: TrialConfig,
    network: StackedArchitecture,
    data: Data,
    sizes: Sequence[int],
    steps: float = math.inf,
) -> dict[int, float]:
    """Return the seconds of a step for each network, by size.

    As many sizes as there is time for, and memory. Raises where there is none for the first.

    Packs take turns, and the least time of each counts: whatever else the machine does adds to it.
    """
    alone = network.init([config.init_seed], config.recipe, data)
    turns: list[_Turn] = []
    duration = PROBE_SECONDS
    for size in sizes:
        if turns and MIN_ROUNDS * (_turn_seconds(turns) + 2 * turns[-1].shortest) > duration:
            break
        try:
            stepper = _stepper(config, network, alone, data, size)
            turns.append(_Turn(stepper, config, data, size, TURN_SHARE * duration))
            if len(turns) == 1:
                work = PROBE_SHARE * steps * turns[0].shortest / size
                duration = min(PROBE_SECONDS, max(LEAST_SECONDS, work))
                turns[0].plan(TURN_SHARE * duration)
            continue
        except Exception as error:
            if not turns or not is_out_of_memory(error):
                raise
        free_memory()  # here, where nothing holds the error any more: its frames hold the pack
        break
    rounds = int(duration / _turn_seconds(turns)) if len(turns) > 1 else 0
    for _ in range(min(rounds, MAX_ROUNDS)):
        for turn in turns:
            turn.take()
    return {turn.size: turn.shortest / turn.size for turn in turns}


class _Turn:
    """A pack in training whose steps are timed, some at a time."""

    def __init__(
        self, stepper: Stepper, config: TrialConfig, data: Data, size: int, seconds: float
    ) -> None:
        """`seconds` is the duration that its turns should have."""
        self.size = size
        self._device = data.device
        examples, batch = len(data.train), config.recipe.batch_size
        rate = torch.full((size,), config.learning_rate, device=data.device)
        self._take = steps_on(stepper, data.train, batch, rate)
        self._index = torch.arange(batch, device=data.device) * (examples // batch)
        # The first ones compile, allocate and capture: their times tell nothing.
        for _ in range(1 if data.device.type == "cpu" else WARM_UP + 1):
            self._step()
        self.shortest = self._step()
        """Seconds of the shortest step."""
        self.plan(seconds)

    def plan(self, seconds: float) -> None:
        """Have turns take about so long from now on."""
        self._steps = max(1, min(MAX_STEPS, int(seconds / self.shortest)))

    @property
    def seconds(self) -> float:
        """Duration of the pack's next turn."""
        return self._steps * self.shortest

    def take(self) -> None:
        self.shortest = min(self.shortest, *(self._step() for _ in range(self._steps)))

    def _step(self) -> float:
        began = time.perf_counter()
        self._take(self._index, 1.0, 0)
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter() - began


def _turn_seconds(turns: list[_Turn]) -> float:
    return sum(turn.seconds for turn in turns)


def _stepper(
    config: TrialConfig, network: StackedArchitecture, alone: Stack, data: Data, size: int
) -> Stepper:
    stack = {name: value.repeat(size, *[1] * (value.ndim - 1)) for name, value in alone.items()}
    recipe, device = config.recipe, data.device
    choice = OptimizerChoice(
        recipe.optimizer,
        torch.full((size,), config.momentum, device=device),
        torch.full((size,), config.weight_decay, device=device),
    )
    seeds = (config.init_seed,) * size
    context = TrainingContext(
        seeds=seeds,
        order_seed=recipe.order_seed,
        density=torch.full((size,), config.density, dtype=torch.float64, device=device),
        steps=recipe.epochs * (len(data.train) // recipe.batch_size),
        loss=LossGradients.of_pack(network, stack, data.train, seeds, recipe.order_seed),
        optimizer=choice,
    )
    groups = network_groups([config] * size, device)
    return Stepper(network, stack, choice.make(), groups, context)
