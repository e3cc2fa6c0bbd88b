"""Factorized weights beside plain autograd on the factors, and what they are for."""

import dataclasses

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from support.double_training import (
    CONVNET,
    PlainNetwork,
    Recipe,
    pack_trained,
)
from support.packs import RECIPE, config, facts, method, setting, stack_of
from sweeper.config import derive_seed
from sweeper.training.datasets import Data, load
from sweeper.training.pack import train_pack
from sweeper.training.weight_factorization import ZERO, Factorized, initial_factors

STRENGTHS = (0.5, 0.125)


@pytest.fixture(scope="module")
def digits() -> Data:
    return load("digits")


class PlainFactors(PlainNetwork):
    """One network whose weights are products of leaves."""

    def __init__(self, depth: int, recipe: Recipe, data: Data, k: int) -> None:
        super().__init__(recipe, data, k)
        generator = torch.Generator().manual_seed(derive_seed(k, "factors"))
        self.factors = {
            name: [
                nn.Parameter(factor.view_as(weight))
                for factor in initial_factors(
                    weight.detach().view(len(weight), -1), depth, generator
                )
            ]
            for name, weight in self.weights.items()
        }
        parameters = dict(self.module.named_parameters())
        leaves = [leaf for many in self.factors.values() for leaf in many]
        others = [value for name, value in parameters.items() if name not in self.weights]
        self.optimizer = self.fresh_optimizer([*leaves, *others])

    def products(self) -> dict[str, Tensor]:
        return {name: torch.stack(list(many)).prod(0) for name, many in self.factors.items()}

    def rule(self, number: int) -> None:
        self.optimizer.zero_grad()
        examples, labels = self.recipe.batch(self.data, number)
        guess = functional_call(self.module, self.products(), (examples,))
        squares = torch.stack([f.square().sum() for many in self.factors.values() for f in many])
        loss = nn.functional.cross_entropy(guess, labels) + STRENGTHS[self.k] / 2 * squares.sum()
        torch.autograd.backward(loss)
        self.step(number)


@pytest.mark.parametrize(
    ("depth", "recipe"),
    [(2, Recipe()), (3, Recipe(optimizer="adam")), (4, Recipe()), (2, Recipe(CONVNET))],
)
def test_factors_are_those_of_autograd(digits: Data, depth: int, recipe: Recipe) -> None:
    # Oracle: torch.optim on all factors, decay as a term of the loss.
    _, stack = pack_trained(Factorized(torch.tensor(STRENGTHS), depth), recipe, digits)
    for k in range(2):
        plain = PlainFactors(depth, recipe, digits, k)
        before = plain.products()
        plain.train(plain.rule)
        products = plain.products()
        for name, value in plain.module.named_parameters():
            wanted = products.get(name, value).detach()
            wanted = wanted.masked_fill(wanted.abs() < ZERO, 0) if name in products else wanted
            recipe.assert_near(stack[name][k], wanted)
            if name in products:
                assert not torch.allclose(wanted, before[name].detach(), rtol=0.1)


@pytest.mark.parametrize("depth", [2, 3, 4])
@pytest.mark.parametrize("deviation", [0.5, 0.05, 0.01, 1e-4])
def test_the_first_products_look_like_the_weights(depth: int, deviation: float) -> None:
    weight = deviation * stack_of(1, 200, 300)[0]
    generator = torch.Generator().manual_seed(0)
    factors = initial_factors(weight, depth, generator)
    product = torch.stack(factors).prod(0)
    assert torch.equal(product.sign(), weight.sign())
    assert float(product.std()) == pytest.approx(deviation, rel=1e-2)
    scale = deviation ** (1 / depth)
    for factor in factors:
        # A factor of 0 would stay 0, large ones have large gradients.
        assert 0.05 * scale < factor.abs().min() < factor.abs().max() < 2.2 * scale
        assert float(factor.std()) == pytest.approx(scale, rel=0.2)
        assert abs(float(factor.sign().mean())) < 0.02


def test_decay_on_factors_makes_exact_zeros(digits: Data) -> None:
    recipe = dataclasses.replace(RECIPE, epochs=6, curve=(), schedule="constant")
    pack = [
        config(1, method("factorized", s), recipe=recipe, floor=0.0, density=1.0)
        for s in (0.0, 0.02, 0.06)
    ]
    ends = [result.as_trained for result in train_pack(pack, digits)]
    sizes = [end.weights for end in ends if end]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[2] < 0.7 * sizes[0]


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_networks_have_the_same_bits_in_any_pack(digits: Data, optimizer: str) -> None:
    recipe = dataclasses.replace(RECIPE, epochs=1, curve=(), optimizer=optimizer)
    pack = [
        config(k, method("factorized", 1e-3 * (k + 1)), recipe=recipe, weight_decay=1e-3)
        for k in range(3)
    ]
    pack += [config(4, method("factorized", 1e-3, depth=3), recipe=recipe, weight_decay=1e-3)]
    together = facts(train_pack(pack, digits))
    assert facts(train_pack(pack[1:2], digits)) == together[1:2]
    assert facts(train_pack([pack[3], pack[2]], digits)) == [together[3], together[2]]


def test_without_an_optimizer_there_are_no_further_factors() -> None:
    with pytest.raises(ValueError, match="need an optimizer"):
        Factorized(torch.tensor([0.1]), 2).start({"a": stack_of(1, 2, 3)}, {}, setting(1))
