"""Dynamic sparsity: masks beside plain loops of the papers' rules, packs, ends of ranges."""

import dataclasses
import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from support.double_training import (
    CONVNET,
    DENSITIES,
    PlainNetwork,
    Recipe,
    pack_trained,
)
from support.packs import RECIPE, config, facts, method, penalty, setting, stack_of
from sweeper.config import derive_seed
from sweeper.training import dynamic_sparsity
from sweeper.training.datasets import Data, load
from sweeper.training.dynamic_sparsity import (
    DynamicSparsity,
    RigL,
    Set,
    SparseMomentum,
    SparseTraining,
)
from sweeper.training.layer_densities import apportioned, erk, weight_counts
from sweeper.training.methods import TrainingStep
from sweeper.training.pack import train_pack
from sweeper.training.stack import Stack

NAMES = ("set", "rigl", "sparse_momentum")
EVERY, END = 0.125, 0.75  # of 24 steps: updates after 3, 6, 9, 12 and 15
FRACTIONS = (0.5, 0.25)
LENET = {"first": (300, 784), "second": (100, 300), "last": (10, 100)}
RESNET = {"stem": (16, 3, 3, 3), "inner": (64, 64, 3, 3), "short": (64, 32, 1, 1), "out": (10, 64)}


EQUAL = st.sampled_from([-1.0, -0.0, 0.0, 0.5, math.inf, -math.inf, math.nan])


@given(values=st.lists(EQUAL | st.floats(-1, 1, width=32), max_size=40), count=st.integers(0, 45))
def test_the_first_of_equal_values_are_chosen_and_nan_last(values: list[float], count: int) -> None:
    tensor = torch.tensor(values, dtype=torch.float32)
    # Oracle: a stable sort.
    expected = torch.zeros(len(values), dtype=torch.bool)
    expected[tensor.argsort(stable=True)[:count]] = True
    assert torch.equal(dynamic_sparsity._first(tensor, count), expected)


@pytest.fixture(scope="module")
def digits() -> Data:
    return load("digits")


Masks = dict[str, Tensor]


def watched(kind: type[DynamicSparsity], distribution: str) -> tuple[DynamicSparsity, list[Masks]]:
    """Return a method for two networks, and the masks after each of its steps."""
    seen: list[Masks] = []

    class Watched(kind):  # type: ignore[valid-type, misc]
        def after(self, weights: Stack, state: SparseTraining, step: TrainingStep) -> None:
            super().after(weights, state, step)
            seen.append({name: mask > 0 for name, mask in state.masks.items()})

    both = torch.ones(2)
    made: Any = Watched(torch.tensor(FRACTIONS), both * EVERY, both * END, distribution)
    return made, seen


def smallest(values: Tensor, count: int) -> list[int]:
    """Return the places of the smallest values by Python's own sort."""
    listed = values.flatten().tolist()
    return sorted(range(len(listed)), key=lambda i: listed[i])[:count]


def counts_by_bisection(shapes: dict[str, tuple[int, ...]], density: float) -> dict[str, int]:
    """Return how many weights Erdos-Renyi-Kernel leaves each layer: min(size, c x sides)."""
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    target = round(density * sum(sizes.values()))
    low, high = 0.0, 1e6
    for _ in range(200):
        middle = (low + high) / 2
        filled = sum(min(sizes[n], middle * sum(shapes[n])) for n in shapes)
        low, high = (middle, high) if filled < target else (low, middle)
    return rounded({n: min(sizes[n], low * sum(shapes[n])) for n in shapes}, target)


def rounded(parts: dict[str, float], target: int) -> dict[str, int]:
    """Return whole numbers of that sum, by largest remainders."""
    counts = {n: math.floor(part + 1e-6) for n, part in parts.items()}
    by_remainder = sorted(parts, key=lambda n: counts[n] - parts[n])
    for name in by_remainder[: target - sum(counts.values())]:
        counts[name] += 1
    return counts


class PlainSparse(PlainNetwork):
    """One network, trained by a rule that is written down once more."""

    def __init__(self, name: str, recipe: Recipe, data: Data, k: int, distribution: str) -> None:
        super().__init__(recipe, data, k)
        self.name, self.seen = name, list[Masks]()
        shapes = {name: tuple(weight.shape) for name, weight in self.weights.items()}
        counts = counts_by_bisection(shapes, DENSITIES[k])
        if distribution == "uniform":
            parts = {name: math.prod(shape) * DENSITIES[k] for name, shape in shapes.items()}
            counts = rounded(parts, round(sum(parts.values())))
        self.generator = torch.Generator().manual_seed(derive_seed(k, "dynamic_sparsity"))
        self.masks: Masks = {}
        for key, weight in self.weights.items():
            mask = torch.zeros(weight.numel(), dtype=torch.bool)
            mask[torch.randperm(weight.numel(), generator=self.generator)[: counts[key]]] = True
            self.masks[key] = mask.view_as(weight)
            weight.data *= self.masks[key]

    def rule(self, number: int) -> None:
        gradients = self.gradients(number)
        dense = {key: gradient.clone() for key, gradient in gradients.items()}
        if self.name != "sparse_momentum":
            for key, gradient in gradients.items():
                gradient.mul_(self.masks[key])
        self.step(number)
        for key, weight in self.weights.items():
            weight.data *= self.masks[key]
        if number + 1 in {3, 6, 9, 12, 15}:
            self.update(number + 1, dense)
        self.seen.append({key: mask.clone() for key, mask in self.masks.items()})

    def update(self, done: int, dense: dict[str, Tensor]) -> None:
        fraction = FRACTIONS[self.k]
        if self.name != "set":
            fraction *= 0.5 * (1 + math.cos(math.pi * done / (END * 24)))
        drop = {key: int(fraction * int(mask.sum())) for key, mask in self.masks.items()}
        grow = dict(drop)
        if self.name == "sparse_momentum":
            means = {
                key: float(self.momentum(key)[m].abs().mean()) for key, m in self.masks.items()
            }
            room = {
                key: int((~m & (self.momentum(key) != 0)).sum()) + drop[key]
                for key, m in self.masks.items()
            }
            grow = apportioned(sum(drop.values()), means, room)
            for key, mean in means.items():  # within one of the paper's share
                share = sum(drop.values()) * mean / sum(means.values())
                assert abs(grow[key] - share) < 1 or any(grow[n] == room[n] for n in room)
        for key, weight in self.weights.items():
            mask = self.masks[key]
            alive = mask.clone().flatten()
            alive[smallest(weight.abs().masked_fill(~mask, math.inf), drop[key])] = False
            if self.name == "set":
                score = torch.rand(weight.view(len(weight), -1).shape, generator=self.generator)
                # Those without gradient are not drawn; what was dropped stays in their place.
                trains, held = dense[key].flatten() != 0, mask.flatten()
                score = score.flatten() + 2.0 * trains + 1.0 * (held & ~trains)
            elif self.name == "rigl":
                score = dense[key].abs().flatten()
            else:
                score = self.momentum(key).abs().flatten()
                score[(score == 0) & ~mask.flatten()] = -1
            grown = smallest(-score.masked_fill(alive, -math.inf), grow[key])
            now = alive.clone()
            now[grown] = True
            fresh = (now & ~mask.flatten()).view_as(weight)
            weight.data *= now.view_as(weight)
            weight.data[fresh] = 0
            if self.name == "set":
                rate = self.optimizer.param_groups[0]["lr"]
                weight.data[fresh] = -rate * dense[key][fresh]
            if self.name != "sparse_momentum":
                for moment in self.moments(key):
                    moment[fresh] = 0
                    moment.mul_(now.view_as(weight))
            self.masks[key] = now.view_as(weight)


def with_noise(data: Data) -> Data:
    """Return noisy digits: gradients of pixels that are always dark are equal but for rounding."""
    part = data.train
    noise = torch.randn(part.examples.shape, generator=torch.Generator().manual_seed(0))
    noisy = dataclasses.replace(part, examples=part.examples + 0.1 * noise)
    return dataclasses.replace(data, train=noisy)


@pytest.mark.parametrize(
    ("name", "kind"), [("set", Set), ("rigl", RigL), ("sparse_momentum", SparseMomentum)]
)
@pytest.mark.parametrize(
    ("recipe", "distribution"),
    [
        (Recipe(), "erk"),
        (Recipe(optimizer="adam"), "uniform"),
        (Recipe(CONVNET), "erk"),
    ],
    ids=["sgd", "adam", "convnet"],
)
def test_masks_are_those_of_a_plain_loop_at_every_step(
    digits: Data, name: str, kind: type[DynamicSparsity], recipe: Recipe, distribution: str
) -> None:
    # Oracle: the paper's rule on one network, with autograd and torch.optim.
    data = with_noise(digits) if name == "rigl" else digits
    made, seen = watched(kind, distribution)
    _, stack = pack_trained(made, recipe, data)
    for k in range(2):
        plain = PlainSparse(name, recipe, data, k, distribution)
        plain.train(plain.rule)
        changes = 0
        for number, (masks, expected) in enumerate(zip(seen, plain.seen, strict=True)):
            for key, mask in expected.items():
                assert torch.equal(masks[key][k], mask.view(len(mask), -1)), (number, key)
                changes += int((mask != plain.seen[0][key]).sum())
        assert changes > 100
        for key, value in plain.module.named_parameters():
            recipe.assert_near(stack[key][k], value.detach())


@pytest.mark.parametrize("shapes", [LENET, RESNET])
@pytest.mark.parametrize("density", [0.002, 0.05, 0.3, 0.9, 1.0])
def test_erk_is_the_paper_s(shapes: dict[str, tuple[int, ...]], density: float) -> None:
    # Oracle: the factor by bisection.
    counts = weight_counts(shapes, density, "erk")
    assert counts == counts_by_bisection(shapes, density)
    assert sum(counts.values()) == round(density * sum(map(math.prod, shapes.values())))
    assert all(value <= 1 for value in erk(shapes, density).values())


def test_weights_without_momentum_do_not_come() -> None:
    # The last layer has nearly all momentum, but half of its units are dead.
    weights = {"first": stack_of(1, 20, 30), "last": stack_of(1, 10, 20, seed=1)}
    moments = {"first": 1e-3 * stack_of(1, 20, 30, seed=2), "last": stack_of(1, 10, 20, seed=3)}
    moments["last"][:, :, 10:] = 0
    context = dataclasses.replace(setting(1, 10, 0.3), moments=(moments,))
    ones = torch.ones(1)
    made = SparseMomentum(0.5 * ones, 0.2 * ones, ones, "uniform")
    state = made.start(weights, {}, context)
    before = {name: mask > 0 for name, mask in state.masks.items()}
    made.after(weights, state, TrainingStep(1, ones))
    come = {name: (mask > 0) & ~before[name] for name, mask in state.masks.items()}
    assert int(come["last"].sum()) > 20
    for name, places in come.items():
        assert bool((moments[name][places] != 0).all())
    assert sum(int(mask.sum()) for mask in state.masks.values()) == 240


@pytest.mark.parametrize("name", NAMES)
def test_networks_have_the_same_bits_in_any_pack(digits: Data, name: str) -> None:
    recipe = dataclasses.replace(RECIPE, epochs=1, curve=())
    pack = [
        config(k, method(name, every=0.1 * (k + 1), fraction=0.5), recipe=recipe) for k in range(3)
    ]
    pack += [config(4, penalty("l1", "prox"), recipe=recipe)]
    together = facts(train_pack(pack, digits))
    assert facts(train_pack(pack[1:2], digits)) == together[1:2]
    assert facts(train_pack([pack[3], pack[2]], digits)) == [together[3], together[2]]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("hyper", [{"fraction": 1.0, "every": 0.001, "end": 1.0}, {"end": 0.0}])
def test_the_ends_of_the_ranges_train(digits: Data, name: str, hyper: dict[str, float]) -> None:
    recipe = dataclasses.replace(RECIPE, epochs=1, curve=())
    pack = [
        config(k, method(name, **hyper), recipe=recipe, density=d, floor=0.0)
        for k, d in enumerate((0.002, 0.1, 1.0))
    ]
    for result in train_pack(pack, digits):
        assert result.state == "complete"


def test_a_network_that_diverges_is_no_error(digits: Data) -> None:
    recipe = dataclasses.replace(RECIPE, epochs=1, curve=())
    wild = [config(2, method(name), recipe=recipe, learning_rate=1e30) for name in NAMES]
    assert {result.state for result in train_pack(wild, digits)} == {"diverged"}
