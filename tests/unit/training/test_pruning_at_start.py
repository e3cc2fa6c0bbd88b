"""Pruning at the start: masks beside plain loops, and packs."""

import dataclasses

import pytest
import torch
from torch import Tensor

from support.double_training import (
    CONVNET,
    DENSITIES,
    PlainNetwork,
    Recipe,
    pack_trained,
)
from support.packs import RECIPE, config, facts, method, setting, stack_of
from sweeper.config import derive_seed
from sweeper.training import pruning
from sweeper.training.datasets import Data, load
from sweeper.training.pack import train_pack
from sweeper.training.pruning_at_start import Grasp, PruningAtStart, Snip

EXAMPLES = 50
KINDS = pytest.mark.parametrize("kind", [Snip, Grasp])


@pytest.fixture(scope="module")
def digits() -> Data:
    return load("digits")


class PlainPruned(PlainNetwork):
    """One network whose mask is chosen by the paper's formula, on the same examples."""

    def __init__(self, kind: type[PruningAtStart], recipe: Recipe, data: Data, k: int) -> None:
        super().__init__(recipe, data, k)
        generator = torch.Generator().manual_seed(derive_seed(3, "pruning_at_start"))
        index = torch.randperm(len(self.data.train), generator=generator)[:EXAMPLES]
        weights = list(self.weights.values())
        train = self.data.train
        loss = self.loss(train.examples[index], train.labels[index])
        gradients = torch.autograd.grad(loss, weights, create_graph=True)
        if kind is Snip:
            scores = [(w * g).detach().abs() for w, g in zip(weights, gradients, strict=True)]
        else:
            # H g is the gradient of g' times g held constant; the smallest of -w (H g) stay.
            along = torch.stack([(g * g.detach()).sum() for g in gradients]).sum()
            products = torch.autograd.grad(along, weights)
            scores = [(w * p).detach() for w, p in zip(weights, products, strict=True)]
        listed = torch.cat([score.flatten() for score in scores])
        keep = round(DENSITIES[k] * len(listed))
        least = listed.sort(descending=True).values[keep - 1]
        self.masks = [score >= least for score in scores]
        self._apply()

    def rule(self, number: int) -> None:
        self.gradients(number)
        self.step(number)
        self._apply()

    def _apply(self) -> None:
        for weight, mask in zip(self.weights.values(), self.masks, strict=True):
            weight.data *= mask


@KINDS
@pytest.mark.parametrize(
    "recipe", [Recipe(steps=4), Recipe(CONVNET, "adam", 4)], ids=["mlp", "convnet"]
)
def test_masks_are_those_of_the_papers_formulas(
    digits: Data, kind: type[PruningAtStart], recipe: Recipe
) -> None:
    # Oracle: autograd and torch.optim on one network.
    network, stack = pack_trained(kind(EXAMPLES), recipe, digits)
    for k in range(2):
        plain = PlainPruned(kind, recipe, digits, k)
        plain.train(plain.rule)
        for name, value in plain.module.named_parameters():
            recipe.assert_near(stack[name][k], value.detach())
            if name in network.weights:
                assert torch.equal(stack[name][k] != 0, value.detach() != 0)
        count = sum(int(stack[name][k].count_nonzero()) for name in network.weights)
        assert count == round(
            DENSITIES[k] * sum(stack[name][k].numel() for name in network.weights)
        )


@pytest.mark.parametrize("density", [0.001, 0.3, 0.95, 1.0])
def test_the_number_of_largest_scores_is_exact_though_many_are_equal(density: float) -> None:
    scores = {"a": stack_of(1, 5, 8), "b": torch.zeros(1, 6, 10)}
    masks = pruning.largest(scores, density)
    chosen = torch.cat([mask.flatten() for mask in masks.values()])
    assert int(chosen.sum()) == max(1, round(density * 100))
    flat = torch.cat([score.flatten() for score in scores.values()])
    outside: Tensor = flat[~chosen]
    assert not len(outside) or flat[chosen].min() >= outside.max()


@pytest.mark.parametrize("name", ["snip", "grasp"])
def test_networks_have_the_same_bits_in_any_pack(digits: Data, name: str) -> None:
    recipe = dataclasses.replace(RECIPE, epochs=1, curve=())
    pack = [config(k, method(name, examples=128), recipe=recipe) for k in range(3)]
    pack += [config(4, recipe=recipe)]
    together = facts(train_pack(pack, digits))
    assert facts(train_pack(pack[1:2], digits)) == together[1:2]
    assert facts(train_pack([pack[3], pack[2]], digits)) == [together[3], together[2]]


@KINDS
def test_without_the_loss_there_is_nothing_to_choose_by(kind: type[PruningAtStart]) -> None:
    with pytest.raises(ValueError, match="needs the loss"):
        kind(EXAMPLES).start({"a": stack_of(1, 2, 3)}, {}, setting(1))
