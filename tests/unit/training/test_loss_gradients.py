"""Loss gradients outside of the steps of training, and schedules that differ within a pack."""

import dataclasses
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from support.double_training import CONVNET, in_double, stack_in_double
from support.packs import RECIPE
from sweeper.training import models
from sweeper.training.datasets import Data, load
from sweeper.training.determinism import deterministic_numerics
from sweeper.training.loss_gradients import LossGradients
from sweeper.training.methods import Method, TrainingContext
from sweeper.training.network_groups import NetworkGroup
from sweeper.training.stack import NetworkRange, Stack
from sweeper.training.stacked_architecture import StackedArchitecture
from sweeper.training.training_loop import Schedule, fit
from sweeper.types import SharedConfig, nothing

DROPOUT = dataclasses.replace(RECIPE, model_options=(("dropout", 0.3), ("widths", (24, 12))))
RECIPES = pytest.mark.parametrize("recipe", [RECIPE, CONVNET], ids=["mlp", "convnet"])


@pytest.fixture(scope="module")
def digits() -> Data:
    return load("digits")


def gradients_of(
    recipe: SharedConfig, data: Data, seeds: Sequence[int], *, double: bool = True
) -> tuple[StackedArchitecture, Stack, LossGradients]:
    network = StackedArchitecture.of(recipe, data)
    stack = network.init(seeds, recipe, data)
    if double:
        stack, data = stack_in_double(stack), in_double(data)
    return network, stack, LossGradients.of_pack(network, stack, data.train, seeds, 3)


def module_of(recipe: SharedConfig, data: Data, seed: int) -> nn.Module:
    options = recipe.model_options
    return models.build(recipe.model, options, data.shape, data.classes, seed=seed).double().train()


@RECIPES
def test_gradients_are_those_of_the_very_module(digits: Data, recipe: SharedConfig) -> None:
    # Oracle: autograd on the module, in training mode.
    data = in_double(digits)
    network, _, loss = gradients_of(recipe, digits, (0, 5))
    index = loss.examples(40, "test")
    assert len({*index.tolist()}) == 40
    assert torch.equal(index, loss.examples(40, "test"))
    for part in (loss, loss.of(NetworkRange(1, 2))):
        given = part.at(index)
        for k, seed in enumerate(part.seeds):
            module = module_of(recipe, data, seed)
            guess = module(data.train.examples[index])
            torch.autograd.backward(nn.functional.cross_entropy(guess, data.train.labels[index]))
            for name in network.weights:
                wanted = module.get_parameter(name).grad
                assert wanted is not None
                torch.testing.assert_close(given[name][k], wanted.view(len(wanted), -1))


@RECIPES
def test_gradients_at_other_weights_are_those_of_a_module_with_them(
    digits: Data, recipe: SharedConfig
) -> None:
    data = in_double(digits)
    network, stack, loss = gradients_of(recipe, digits, (0,))
    index = loss.examples(20, "test")
    other = {n: 0.5 * stack[n].reshape(1, len(stack[n][0]), -1) for n in network.weights}
    given = loss.at(index, other)
    module = module_of(recipe, data, 0)
    for name in network.weights:
        module.get_parameter(name).data.mul_(0.5)
    guess = module(data.train.examples[index])
    torch.autograd.backward(nn.functional.cross_entropy(guess, data.train.labels[index]))
    for name in network.weights:
        wanted = module.get_parameter(name).grad
        assert wanted is not None
        torch.testing.assert_close(given[name][0], wanted.view(len(wanted), -1))


@RECIPES
def test_a_product_with_the_hessian_is_that_of_pytorch(digits: Data, recipe: SharedConfig) -> None:
    # Oracle: torch.autograd.functional.vhp on the module's loss; the Hessian is symmetric.
    data = in_double(digits)
    network, _, loss = gradients_of(recipe, digits, (2,))
    index = loss.examples(30, "test")
    module = module_of(recipe, data, 2)
    shapes = [module.get_parameter(name).shape for name in network.weights]
    generator = torch.Generator().manual_seed(1)
    along = [torch.randn(s, generator=generator, dtype=torch.float64) for s in shapes]
    direction = {n: v.view(1, len(v), -1) for n, v in zip(network.weights, along, strict=True)}
    given = loss.hessian_product(index, direction)

    def value(*weights: Tensor) -> Tensor:
        values = dict(zip(network.weights, weights, strict=True))
        guess = functional_call(module, values, (data.train.examples[index],))
        return nn.functional.cross_entropy(guess, data.train.labels[index])

    at = tuple(module.get_parameter(name).detach() for name in network.weights)
    _, wanted = torch.autograd.functional.vhp(value, at, tuple(along))  # type: ignore[no-untyped-call]
    for name, product in zip(network.weights, wanted, strict=True):
        assert product.abs().max() > 1e-6
        torch.testing.assert_close(given[name][0], product.reshape(len(product), -1))


@pytest.mark.parametrize("recipe", [DROPOUT, CONVNET], ids=["dropout", "convnet"])
def test_bits_are_those_of_any_pack_and_nothing_changes(digits: Data, recipe: SharedConfig) -> None:
    seeds = (4, 1, 2)
    network, stack, loss = gradients_of(recipe, digits, seeds, double=False)
    before = {name: value.clone() for name, value in stack.items()}
    index, random = loss.examples(32, "test"), torch.get_rng_state()
    with deterministic_numerics(digits.device):
        together = loss.at(index)
        direction = {name: value.sign() for name, value in together.items()}
        products = loss.hessian_product(index, direction)
        for k, seed in enumerate(seeds):
            _, _, alone = gradients_of(recipe, digits, (seed,), double=False)
            ways = {name: value[k : k + 1] for name, value in direction.items()}
            for many, single in (
                (together, alone.at(index)),
                (products, alone.hessian_product(index, ways)),
            ):
                for name in network.weights:
                    assert torch.equal(many[name][k], single[name][0])
    assert all(torch.equal(value, before[name]) for name, value in stack.items())
    assert torch.equal(torch.get_rng_state(), random)
    assert not network.template.training


class Late(Method):
    """The learning rate of another step, for each network another one."""

    def schedule_step(self, number: int, steps: int) -> Sequence[int]:
        return [number // 2, steps - 1 - number]


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_learning_rates_that_differ_within_a_pack_leave_bits_as_they_are(
    digits: Data, optimizer: str
) -> None:
    recipe = dataclasses.replace(RECIPE, optimizer=optimizer)
    network = StackedArchitecture.of(recipe, digits)
    phase = Schedule(1, 32, optimizer, "cosine", 7)

    def ends(seeds: Sequence[int], groups: Sequence[NetworkGroup]) -> Stack:
        stack = network.init(seeds, recipe, digits)
        pack = len(seeds)
        rate = torch.tensor([0.01 * (1 + seed) for seed in seeds])
        density = torch.ones(pack, dtype=torch.float64)
        with deterministic_numerics(digits.device):
            fit(
                network,
                stack,
                digits.train,
                phase,
                rate=rate,
                momentum=torch.full((pack,), 0.9),
                groups=groups,
                context=TrainingContext(tuple(seeds), 7, density, phase.steps(1137)),
                seeds=seeds,
                tick=nothing,
            )
        return stack

    late, plain = NetworkGroup(NetworkRange(0, 2), Late()), NetworkGroup(NetworkRange(2, 3))
    mixed = ends((0, 1, 2), (late, plain))
    usual = ends((2,), (NetworkGroup(NetworkRange(0, 1)),))
    pair = ends((0, 1), (late,))
    for name, value in mixed.items():
        assert torch.equal(value[2], usual[name][0])
        assert torch.equal(value[:2], pair[name])
    changed = ends((0,), (NetworkGroup(NetworkRange(0, 1)),))
    assert not all(torch.equal(value[0], mixed[name][0]) for name, value in changed.items())


@RECIPES
def test_squares_are_the_mean_of_those_of_each_example(digits: Data, recipe: SharedConfig) -> None:
    # Oracle: autograd, one example after the other, on the module in evaluation mode.
    data = in_double(digits)
    network, _, loss = gradients_of(recipe, digits, (0, 5))
    index = loss.examples(12, "test")
    given = loss.of(NetworkRange(1, 2)).squares(index)
    module = module_of(recipe, data, 5).eval()
    summed = {
        name: torch.zeros_like(module.get_parameter(name).detach()) for name in network.weights
    }
    for i in index.tolist():
        module.zero_grad()
        guess = module(data.train.examples[i : i + 1])
        torch.autograd.backward(nn.functional.cross_entropy(guess, data.train.labels[i : i + 1]))
        for name, total in summed.items():
            gradient = module.get_parameter(name).grad
            assert gradient is not None
            total.add_(gradient**2)
    for name, total in summed.items():
        torch.testing.assert_close(given[name][0], (total / 12).view(len(total), -1))
