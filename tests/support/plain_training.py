"""The same small training by a pack of the service and by a loop of anybody's, for comparison.

All numbers of a configuration are float32 numbers, which packs hold them as: so that nothing but
rounding parts the two.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from functools import cache

import torch
from torch import Tensor, nn

from sweeper import Penalty, prune_
from sweeper.config.registry import FORMULAS
from sweeper.training.datasets import Data, DataSplit, load
from sweeper.training.determinism import deterministic_numerics
from sweeper.training.pack import train_pack
from sweeper.training.training_loop import Schedule
from sweeper.types import MethodConfig, PenaltyConfig, SharedConfig, Track, TrialConfig

RATES = {"sgd": 2**-4, "adamw": 2**-9}
SLOWER, MOMENTUM, DECAY = 2**-2, 0.875, 2**-10
EXAMPLES, BATCH, EPOCHS = 256, 32, 2
STEPS = EPOCHS * (EXAMPLES // BATCH)
SEED, ORDER_SEED = 5, 11
Network = dict[str, Tensor]


def network(shape: tuple[int, ...], classes: int) -> nn.Module:
    """Return a network of a convolution and two layers behind it."""
    channels, height, width = shape
    flat = 4 * (height - 2) * (width - 2)
    return nn.Sequential(
        nn.Conv2d(channels, 4, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(flat, 16),
        nn.ReLU(),
        nn.Linear(16, classes),
    )


def network_in_double(shape: tuple[int, ...], classes: int) -> nn.Module:
    """Return the same, its initial weights to the last bit, in float64."""
    return network(shape, classes).double()


FACTORIES = {torch.float32: network, torch.float64: network_in_double}


def recipe(dtype: torch.dtype, optimizer: str = "sgd") -> SharedConfig:
    """Return the recipe of both trainings."""
    return SharedConfig(
        model=f"{__name__}:{FACTORIES[dtype].__name__}",
        model_options=(),
        dataset="digits",
        batch_size=BATCH,
        epochs=EPOCHS,
        finetune_epochs=1,
        optimizer=optimizer,
        schedule="constant",
        repeat=0,
        order_seed=ORDER_SEED,
        curve=(),
    )


def in_single(number: float) -> float:
    """Return the float32 number next to it."""
    return torch.tensor(number).item()


@cache
def examples(dtype: torch.dtype) -> Data:
    """Return some digits as images, in one of the two precisions."""
    data = load("digits")
    part = data.train
    images = part.examples[:EXAMPLES].view(-1, 1, 8, 8).to(dtype)
    small = DataSplit(images, part.labels[:EXAMPLES])
    return dataclasses.replace(data, train=small, validation=small, test=small)


def term(
    name: str, way: str, strength: float, *, shuffled: bool = False, ramp: float = 0.0,
    during: tuple[float, float] = (0.0, 1.0),
) -> PenaltyConfig:  # fmt: skip
    """Return one penalty with the usual values of its keys, as float32 has them."""
    hyper = tuple(
        (key, in_single(known.default) if isinstance(known.default, float) else known.default)
        for key, known in FORMULAS[name].hyper.items()
    )
    return PenaltyConfig(name, way, strength, hyper, shuffled, during, ramp)


def by_packs(
    arms: Sequence[tuple[PenaltyConfig, ...]],
    dtype: torch.dtype,
    density: float,
    optimizer: str = "sgd",
) -> list[dict[Track, Network]]:
    """Return the networks of each arm, as trained and pruned, of one pack of all of them."""
    configs = [
        TrialConfig(
            recipe=recipe(dtype, optimizer),
            init_seed=SEED,
            learning_rate=RATES[optimizer],
            momentum=MOMENTUM,
            finetune_learning_rate_factor=SLOWER,
            method=MethodConfig(terms),
            density=density,
            floor=0.0,
            track=track,
            weight_decay=DECAY,
        )
        for terms in arms
        for track in ("as_trained", "pruned")
    ]
    networks: dict[int, Network] = {}

    def keep(place: int, tensors: Mapping[str, Tensor]) -> None:
        networks[place] = dict(tensors)

    train_pack(configs, examples(dtype), keep=keep)
    return [
        {"as_trained": networks[2 * k], "pruned": networks[2 * k + 1]} for k in range(len(arms))
    ]


class PlainLoop:
    """A training loop in plain PyTorch, with this library's penalty in it."""

    def __init__(
        self, terms: tuple[PenaltyConfig, ...], dtype: torch.dtype, optimizer: str = "sgd"
    ) -> None:
        self.data, self.optimizer = examples(dtype).train, optimizer
        torch.manual_seed(SEED)
        self.model = FACTORIES[dtype]((1, 8, 8), 10)
        self.penalty = Penalty.of(self.model, terms, steps=STEPS, seed=ORDER_SEED)

    def fit(self, epochs: int, rate: float, order_seed: int, penalty: Penalty) -> None:
        """Train on, with a fresh optimizer."""
        order = Schedule(epochs, BATCH, self.optimizer, "constant", order_seed)
        optimizer = self._optimizer(rate)
        for batch in order.batches(self.data):
            optimizer.zero_grad()
            logits = self.model(self.data.examples[batch])
            loss = nn.functional.cross_entropy(logits, self.data.labels[batch]) + penalty.loss()
            torch.autograd.backward(loss)
            optimizer.step()
            penalty.step(optimizer)

    def run(self, density: float) -> dict[Track, Network]:
        """Train with the penalty, prune, and train on without it, more slowly."""
        with deterministic_numerics(torch.device("cpu")):  # one thread, as packs have
            rate = RATES[self.optimizer]
            self.fit(EPOCHS, rate, ORDER_SEED, self.penalty)
            as_trained = self.network()
            prune_(self.model, density)
            self.fit(1, rate * SLOWER, ORDER_SEED + 1, Penalty.of(self.model, ()))
            return {"as_trained": as_trained, "pruned": self.network()}

    def network(self) -> Network:
        return {name: value.detach().clone() for name, value in self.model.named_parameters()}

    def _optimizer(self, rate: float) -> torch.optim.Optimizer:
        parameters = self.model.parameters()
        if self.optimizer == "sgd":
            return torch.optim.SGD(parameters, rate, MOMENTUM, weight_decay=DECAY)
        return torch.optim.AdamW(parameters, rate, (MOMENTUM, 0.999), weight_decay=DECAY)
