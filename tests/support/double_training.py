"""Training in float64, of a pack by its methods and of one network by plain PyTorch.

In float64 rounding does not decide which weights a method chooses: what a plain loop of a paper's
rule chooses is what the method must choose, at every step.
"""

import dataclasses
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from support.packs import RECIPE, small_images
from sweeper.training import models
from sweeper.training.datasets import Data, DataSplit
from sweeper.training.loss_gradients import LossGradients
from sweeper.training.methods import Method, TrainingContext
from sweeper.training.network_groups import NetworkGroup
from sweeper.training.optimizers import OptimizerChoice
from sweeper.training.stack import NetworkRange, Stack
from sweeper.training.stacked_architecture import StackedArchitecture
from sweeper.training.training_loop import Schedule, Stepper
from sweeper.types import SharedConfig

BATCH = 16
RATES, MOMENTA = (0.05, 0.1, 0.02), (0.9, 0.5, 0.8)
DECAYS, DENSITIES = (1e-3, 0.0, 1e-2), (0.1, 0.3, 0.2)
CONVNET = dataclasses.replace(RECIPE, model="convnet", model_options=(("widths", (4, 6)),))
Batch = tuple[Tensor, Tensor]


def in_double(data: Data) -> Data:
    """Return the data with examples in float64."""
    parts = (data.train, data.validation, data.test)
    train, validation, test = (DataSplit(p.examples.double(), p.labels) for p in parts)
    return dataclasses.replace(data, train=train, validation=validation, test=test)


def examples_for(shared: SharedConfig, digits: Data) -> Data:
    """Return digits, or noise for a network with max-pooling.

    Where pixels are equal it is by chance which of them is the largest, and has the gradient.
    """
    return digits if shared.model == "mlp" else small_images(400, side=8)


def stack_in_double(stack: Stack) -> Stack:
    return {n: v.double() if v.is_floating_point() else v for n, v in stack.items()}


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Settings of a run; those of network k have index k."""

    shared: SharedConfig = RECIPE
    optimizer: str = "sgd"
    steps: int = 24
    schedule: str = "cosine"

    def batch(self, data: Data, number: int) -> Batch:
        chosen = slice(BATCH * number, BATCH * (number + 1))
        return data.train.examples[chosen], data.train.labels[chosen]

    def assert_near(self, actual: Tensor, expected: Tensor) -> None:
        """Compare two parameters; constants of Adam are float32 in packs."""
        rtol, atol = (1e-7, 1e-9) if self.optimizer == "sgd" else (1e-3, 1e-5)
        torch.testing.assert_close(actual, expected, rtol=rtol, atol=atol)

    @property
    def phase(self) -> Schedule:
        return Schedule(1, BATCH, self.optimizer, self.schedule, 3)


def pack_trained(
    method: Method, recipe: Recipe, data: Data, pack: int = 2, density: Sequence[float] = DENSITIES
) -> tuple[StackedArchitecture, Stack]:
    """Return a pack after all steps; `method` acts on all its networks."""
    data = examples_for(recipe.shared, data)
    network = StackedArchitecture.of(recipe.shared, data)
    stack = stack_in_double(network.init(range(pack), recipe.shared, data))
    data = in_double(data)
    momentum, decay, rate = (
        torch.tensor(values[:pack], dtype=torch.float64) for values in (MOMENTA, DECAYS, RATES)
    )
    choice = OptimizerChoice(recipe.optimizer, momentum, decay)
    context = TrainingContext(
        seeds=tuple(range(pack)),
        order_seed=3,
        density=torch.tensor(density[:pack], dtype=torch.float64),
        steps=recipe.steps,
        loss=LossGradients.of_pack(network, stack, data.train, range(pack), 3),
        optimizer=choice,
    )
    groups = (NetworkGroup(NetworkRange(0, pack), method),)
    stepper = Stepper(network, stack, choice.make(), groups, context)
    for number in range(recipe.steps):
        images, labels = recipe.batch(data, number)
        factor = recipe.phase.factors(groups, number, recipe.steps)
        factor = factor if isinstance(factor, float) else factor.double()
        stepper.step(images, labels, rate=rate, factor=factor, number=number)
    stepper.finish()
    return network, stack


class PlainNetwork:
    """Network k of such a pack, as a module with an optimizer of PyTorch's own."""

    def __init__(self, recipe: Recipe, data: Data, k: int) -> None:
        shared = recipe.shared
        data = in_double(examples_for(shared, data))
        self.recipe, self.data, self.k = recipe, data, k
        self.module = models.build(
            shared.model, shared.model_options, data.shape, data.classes, seed=k
        ).double()
        self.module.train()
        self.weights: dict[str, nn.Parameter] = {
            name: value for name, value in self.module.named_parameters() if value.ndim >= 2
        }
        self.optimizer = self.fresh_optimizer(list(self.module.parameters()))

    def fresh_optimizer(self, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        rate, momentum, decay = RATES[self.k], MOMENTA[self.k], DECAYS[self.k]
        if self.recipe.optimizer == "sgd":
            return torch.optim.SGD(parameters, rate, momentum, weight_decay=decay)
        return torch.optim.Adam(parameters, rate, (momentum, 0.999), weight_decay=decay)

    def loss(self, examples: Tensor, labels: Tensor) -> Tensor:
        return nn.functional.cross_entropy(self.module(examples), labels)

    def gradients(self, number: int) -> dict[str, Tensor]:
        """Compute the gradients of a step, and return those of the weights."""
        self.optimizer.zero_grad()
        torch.autograd.backward(self.loss(*self.recipe.batch(self.data, number)))
        gradients = {}
        for name, weight in self.weights.items():
            assert weight.grad is not None
            gradients[name] = weight.grad
        return gradients

    def step(self, number: int, schedule_step: int | None = None) -> None:
        """Take the optimizer's step."""
        at = number if schedule_step is None else schedule_step
        for group in self.optimizer.param_groups:
            group["lr"] = RATES[self.k] * self.recipe.phase.factor(at, self.recipe.steps)
        self.optimizer.step()

    def momentum(self, name: str) -> Tensor:
        state = self.optimizer.state[self.weights[name]]
        mean: Tensor = state["momentum_buffer" if self.recipe.optimizer == "sgd" else "exp_avg"]
        return mean

    def moments(self, name: str) -> list[Tensor]:
        state = self.optimizer.state[self.weights[name]]
        return [value for key, value in state.items() if key != "step" and value is not None]

    def train(self, rule: Callable[[int], None]) -> None:
        """Take all steps; `rule` does what the paper says, from the gradients on."""
        for number in range(self.recipe.steps):
            rule(number)
