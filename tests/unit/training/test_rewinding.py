"""Rewinding beside a plain loop, and cuts by curvature beside one."""

import copy
import dataclasses
from typing import Any

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
from support.packs import RECIPE, config, facts, method
from sweeper.config import derive_seed
from sweeper.training.datasets import Data, load
from sweeper.training.pack import train_pack
from sweeper.training.pruning_schedules import OneShotMagnitude
from sweeper.training.rewinding import Rewinding, Rounds

EXAMPLES = 12


@pytest.fixture(scope="module")
def digits() -> Data:
    return load("digits")


class PlainPruned(PlainNetwork):
    """One network with a mask."""

    def __init__(self, recipe: Recipe, data: Data, k: int) -> None:
        super().__init__(recipe, data, k)
        self.masks = {name: torch.ones_like(weight) > 0 for name, weight in self.weights.items()}

    def cut(self, scores: dict[str, Tensor], density: float) -> None:
        """Leave the weights of the largest scores."""
        listed = torch.cat([score.flatten() for score in scores.values()])
        least = listed.sort(descending=True).values[round(density * len(listed)) - 1]
        self.masks = {name: score >= least for name, score in scores.items()}

    def magnitudes(self) -> dict[str, Tensor]:
        return {name: weight.detach().abs() for name, weight in self.weights.items()}

    def apply(self) -> None:
        for name, weight in self.weights.items():
            weight.data *= self.masks[name]


class PlainRewound(PlainPruned):
    """Rounds of 9.6, 7.2 and 7.2 steps of 24: cuts after 9 and 16, back to step 2."""

    saved: Any = None

    def rule(self, number: int) -> None:
        begun = 16 if number >= 16 else 9 if number >= 9 else None
        place = number if begun is None else 2 + number - begun
        self.gradients(number)
        self.step(number, int(place / 9.6 * 24))
        self.apply()
        if number + 1 == 2:
            state = self.module.state_dict(), self.optimizer.state_dict()
            self.saved = copy.deepcopy(state)
        if number + 1 in {9, 16}:
            done = {9: 1, 16: 2}[number + 1]
            self.cut(self.magnitudes(), DENSITIES[self.k] ** (done / 2))
            if self.rewinds:
                parameters, optimizer = copy.deepcopy(self.saved)
                with torch.no_grad():  # statistics of batch norm go on
                    for name, value in self.module.named_parameters():
                        value.copy_(parameters[name])
                self.optimizer.load_state_dict(optimizer)
            self.apply()

    rewinds = True


@pytest.mark.parametrize("rewind", ["weights", "learning_rate"])
@pytest.mark.parametrize(
    "recipe", [Recipe(), Recipe(optimizer="adam"), Recipe(CONVNET, schedule="linear")]
)
def test_rewinding_is_that_of_a_plain_loop(digits: Data, rewind: str, recipe: Recipe) -> None:
    # Oracle: the paper's rule on one network, with autograd, torch.optim and state_dict.
    _, stack = pack_trained(Rewinding(torch.tensor([0.25, 0.25]), 2, rewind), recipe, digits)
    for k in range(2):
        plain = PlainRewound(recipe, digits, k)
        plain.rewinds = rewind == "weights"
        plain.train(plain.rule)
        for name, value in plain.module.named_parameters():
            assert torch.equal(stack[name][k] != 0, value.detach() != 0)
            recipe.assert_near(stack[name][k], value.detach())


@pytest.mark.parametrize("steps", [1, 7, 100, 7800])
@pytest.mark.parametrize("to", [0.0, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("rounds", [1, 3, 8])
def test_rounds_go_through_the_schedule_and_fill_the_training(
    steps: int, to: float, rounds: int
) -> None:
    made = Rounds.of(steps, to, rounds)
    assert made.length * (1 + rounds * (1 - to)) == pytest.approx(steps)
    assert list(made.cuts) == sorted(made.cuts)
    assert made.rewound_to <= made.cuts[0] <= made.cuts[-1] <= steps
    places = [made.schedule_step(number, steps) for number in range(steps)]
    assert 0 <= min(places) <= max(places) < steps
    assert places[0] == 0
    if steps >= 100:
        gap = 2 * steps / made.length  # of one step of a round, on the whole schedule
        for cut in made.cuts:
            assert places[cut - 1] >= steps - gap - 1
            assert places[cut] == pytest.approx(to * steps, abs=gap)
        assert places[-1] >= steps - gap - 1


def test_networks_rewound_to_other_places_have_the_same_bits_in_any_pack(digits: Data) -> None:
    recipe = dataclasses.replace(RECIPE, epochs=1, curve=(), optimizer="adam")
    pack = [config(k, method("rewinding", to=0.3 * k), recipe=recipe) for k in range(3)]
    pack += [config(4, recipe=recipe)]
    together = facts(train_pack(pack, digits))
    assert facts(train_pack(pack[1:2], digits)) == together[1:2]
    assert facts(train_pack([pack[3], pack[2]], digits)) == [together[3], together[2]]


class PlainDamaged(PlainPruned):
    """Cut by h w^2 / 2 after 12 of 24 steps."""

    def rule(self, number: int) -> None:
        self.gradients(number)
        self.step(number)
        if number + 1 == 12:
            self.cut(self.saliencies(), DENSITIES[self.k])
        self.apply()

    def saliencies(self) -> dict[str, Tensor]:
        generator = torch.Generator().manual_seed(derive_seed(3, "curvature"))
        train, weights = self.data.train, self.weights
        index = torch.randperm(len(train), generator=generator)[:EXAMPLES].tolist()
        curvature = {name: torch.zeros_like(weight) for name, weight in weights.items()}
        self.module.eval()
        for i in index:
            loss = self.loss(train.examples[i : i + 1], train.labels[i : i + 1])
            gradients = torch.autograd.grad(loss, list(weights.values()))
            for name, gradient in zip(weights, gradients, strict=True):
                curvature[name] += gradient**2 / len(index)
        self.module.train()
        return {name: curvature[name] * w.detach() ** 2 / 2 for name, w in weights.items()}


@pytest.mark.parametrize("recipe", [Recipe(), Recipe(CONVNET)])
def test_a_cut_by_curvature_is_that_of_a_plain_loop(digits: Data, recipe: Recipe) -> None:
    # Oracle: gradients of single examples by autograd, one after the other.
    made = OneShotMagnitude(torch.tensor([0.5, 0.5]), "obd", EXAMPLES)
    _, stack = pack_trained(made, recipe, digits)
    _, other = pack_trained(OneShotMagnitude(torch.tensor([0.5, 0.5])), recipe, digits)
    for k in range(2):
        plain = PlainDamaged(recipe, digits, k)
        plain.train(plain.rule)
        differ = 0
        for name, value in plain.module.named_parameters():
            assert torch.equal(stack[name][k] != 0, value.detach() != 0)
            recipe.assert_near(stack[name][k], value.detach())
            differ += int(((stack[name][k] != 0) != (other[name][k] != 0)).sum())
        assert differ > 20  # from a cut by magnitude
