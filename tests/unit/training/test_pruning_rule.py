"""Pruning rules: which weights go first, against plain definitions, in any pack."""

import dataclasses
import math
from functools import partial

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor, nn

from support.packs import RECIPE, config, facts, method, penalty
from sweeper.errors import PluginError
from sweeper.training import layer_densities, models, pruning
from sweeper.training.datasets import Data, load
from sweeper.training.methods import TrainingContext
from sweeper.training.pack import train_pack
from sweeper.training.pruning_rule import PruningRule
from sweeper.training.pruning_schedules import IterativeMagnitude, Pruner, PruningState
from sweeper.training.stack import Stack
from sweeper.types import PruneConfig, PruningScope, SharedConfig

SHAPES = {"conv": (6, 4, 3, 3), "first": (8, 10), "last": (3, 8)}
GRANULARITIES = ("weight", "input", "output")
SCOPES: tuple[PruningScope, ...] = ("global", "per_layer", "erk")


@pytest.fixture(scope="module")
def digits() -> Data:
    return load("digits")


def stacked(pack: int = 3, zeros: float = 0.2) -> Stack:
    """Return weights of a pack, some of them 0."""
    generator = torch.Generator().manual_seed(1)

    def drawn(*shape: int) -> Tensor:
        values = torch.randn(pack, *shape, generator=generator)
        return values * (torch.rand(values.shape, generator=generator) >= zeros)

    return {name: drawn(*shape) for name, shape in SHAPES.items()}


def unit_of(weight: Tensor, granularity: str) -> Tensor:
    """Return for each weight the number of its unit, in a plain loop over the units."""
    units = torch.arange(weight.numel()).view(weight.shape)
    if granularity == "output":
        units = torch.arange(len(weight)).view(-1, *[1] * (weight.ndim - 1)).expand_as(weight)
    if granularity == "input":
        units = torch.arange(weight.shape[1]).view(1, -1, *[1] * (weight.ndim - 2))
        units = units.expand_as(weight)
    return units


def by_definition(weights: Stack, rule: PruneConfig, density: float) -> dict[str, Tensor]:
    """Add whole units, the largest first, until the density of their group is reached."""
    scored: list[tuple[float, str, int, int]] = []
    for name, (weight,) in weights.items():
        units = unit_of(weight, rule.granularity)
        for unit in range(int(units.max()) + 1):
            values = weight[units == unit]
            scored.append((float(values.norm()) / len(values) ** 0.5, name, unit, len(values)))
    scored.sort(reverse=True)
    densities = dict.fromkeys(SHAPES, density)
    if rule.scope == "erk":
        densities = layer_densities.erk(SHAPES, density)
    groups = [[*SHAPES]] if rule.scope == "global" else [[name] for name in SHAPES]
    masks = {name: torch.zeros(shape, dtype=torch.bool) for name, shape in SHAPES.items()}
    for group in groups:
        most = max(1, round(densities[group[0]] * sum(math.prod(SHAPES[name]) for name in group)))
        for _, name, unit, size in scored:
            if name in group and most > 0:
                masks[name] |= unit_of(weights[name][0], rule.granularity) == unit
                most -= size
    return {name: mask & (weights[name][0] != 0) for name, mask in masks.items()}


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("granularity", GRANULARITIES)
def test_what_stays_is_the_largest_of_its_group(granularity: str, scope: PruningScope) -> None:
    # Oracle: units sorted by their norm / sqrt(size) in a plain list.
    weights = stacked()
    rule = PruningRule(PruneConfig((), scope, granularity), SHAPES)
    ranked = rule.rank(weights)
    for density in (0.001, 0.1, 0.45, 1.0):
        masks = rule.masks(weights, ranked, torch.full((3,), density, dtype=torch.float64))
        for k in range(3):
            network = {name: weight[k : k + 1] for name, weight in weights.items()}
            expected = by_definition(network, rule.config, density)
            # As a scheduled cut finds it, with the weights as matrices.
            flat = {name: weight.flatten(2) for name, weight in network.items()}
            cut = rule.network_masks(flat, density)
            for name in SHAPES:
                assert torch.equal(masks[name][k], expected[name]), (density, k, name)
                assert torch.equal(cut[name][0].view_as(expected[name]), expected[name])


def test_the_usual_rule_has_the_bits_of_magnitude_pruning() -> None:
    weights = stacked()
    rule = PruningRule(PruneConfig(), SHAPES)
    ranked = rule.rank(weights)
    assert torch.equal(ranked, pruning.magnitudes(weights))
    density = torch.tensor([0.1, 0.2, 0.9], dtype=torch.float64)
    expected = pruning.magnitude_mask(weights, pruning.thresholds(ranked, density))
    masks = rule.masks(weights, ranked, density)
    assert all(torch.equal(masks[name], expected[name]) for name in SHAPES)


def test_of_consecutive_inputs_the_largest_stay() -> None:
    # Oracle: each group of four by itself, sorted.
    weights = stacked(zeros=0.0)
    rule = PruningRule(PruneConfig(granularity="2:4"), SHAPES)
    for density, stay in ((0.25, 1), (0.5, 2), (1.0, 4)):
        each = torch.full((3,), density, dtype=torch.float64)
        masks = rule.masks(weights, rule.rank(weights), each)
        for name, weight in weights.items():
            rows = weight.movedim(2, -1).reshape(-1, weight.shape[2])
            stays = masks[name].movedim(2, -1).reshape(rows.shape)
            for row, mask in zip(rows, stays, strict=True):
                for start in range(0, len(row), 4):
                    group, kept = row[start : start + 4].abs(), mask[start : start + 4]
                    assert int(kept.sum()) == min(stay, len(group))
                    assert set(group[kept].tolist()) == set(group.sort().values[-stay:].tolist())
        flat = {name: weight[:1].flatten(2) for name, weight in weights.items()}
        cut = rule.network_masks(flat, density)
        assert all(torch.equal(cut[n].view_as(masks[n][:1]), masks[n][:1]) for n in SHAPES)


def test_ties_and_zeros_do_not_depend_on_their_order() -> None:
    equal = {"w": torch.ones(1, 4, 8)}
    equal["w"][0, 0, :4] = 0
    for granularity, left in (("weight", 28), ("output", 24), ("2:4", 28)):
        rule = PruningRule(PruneConfig(granularity=granularity), {"w": (4, 8)})
        half = torch.tensor([0.5], dtype=torch.float64)
        (mask,) = rule.masks(equal, rule.rank(equal), half)["w"]
        assert int(mask.sum()) == left, granularity
        assert int(rule.network_masks(equal, 0.5)["w"].sum()) == left
    early = PruningRule(PruneConfig(granularity="2:4"), {"w": (4, 8)})
    assert early.network_masks(equal, 0.5, zeros=True)["w"].sum() == 32


RULES = [
    PruneConfig(("!5*",)),
    PruneConfig(scope="per_layer"),
    PruneConfig(("1*", "3*"), "erk"),
    PruneConfig(granularity="input"),
    PruneConfig(("!5*",), "per_layer", "output"),
    PruneConfig(granularity="1:2"),
]


def recipe_of(rule: PruneConfig, **changes: object) -> SharedConfig:
    curve = (0.5,) if rule.pattern else (0.05, 0.3, 0.9)
    return dataclasses.replace(RECIPE, prune=rule, curve=curve, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_a_pruned_network_is_as_dense_as_it_is_said_and_has_its_bits_in_any_pack(
    rule: PruneConfig, digits: Data
) -> None:
    # Oracle: counts of the layers, and the same configurations in other company.
    recipe = recipe_of(rule)
    density = 0.5 if rule.pattern else 0.3
    configs = [
        config(0, recipe=recipe, density=density),
        config(1, penalty("l1", "prox"), recipe=recipe, density=density),
        config(2, method("gradual_magnitude"), recipe=recipe, density=density),
        config(3, method("random_pruning"), recipe=recipe, density=density),
    ]
    together = facts(train_pack(configs, digits))
    assert facts(train_pack(configs[::-1], digits)) == together[::-1]
    assert facts(train_pack(configs[2:3], digits)) == together[2:3]
    largest = {"weight": 0, "input": 64, "output": 64, "1:2": 0}[rule.granularity]
    for result in together:
        assert result.pruned is not None
        layers = {layer.name: layer for layer in result.pruned.layers}
        cut = [layer for layer in layers.values() if not (rule.names and layer.name == "5")]
        left, of = (sum(getattr(x, key) for x in cut) for key in ("weights", "total_weights"))
        if rule.granularity in ("weight", "1:2"):
            assert left <= round(density * of) + largest + 2
        assert left >= 0.9 * min(density * of, left + largest)
        if rule.names:
            assert layers["5"].weights == layers["5"].total_weights
        if rule.scope == "per_layer" and rule.granularity == "weight":
            assert all(abs(x.weights / x.total_weights - density) < 0.01 for x in cut)
        sizes = [point.nonzero for point in result.curve]
        assert sizes == sorted(sizes)


def test_a_curve_counts_the_networks_that_the_rule_gives(digits: Data) -> None:
    # Oracle: counts of masks by `masks`, where the curve goes through sparse inference.
    for rule in RULES:
        recipe = recipe_of(rule, finetune_epochs=0)
        if rule.pattern is None:
            recipe = dataclasses.replace(recipe, curve=(0.3,))
        density = recipe.curve[0]
        (result,) = train_pack([config(1, recipe=recipe, density=density)], digits)
        assert result.pruned is not None
        assert result.pruned.nonzero == result.curve[0].nonzero


def test_penalties_act_on_what_is_pruned_alone(digits: Data) -> None:
    recipe = recipe_of(PruneConfig(("!5*",)), finetune_epochs=0)
    strong = config(0, penalty("l1", "prox", 1.0), recipe=recipe, track="as_trained")
    (result,) = train_pack([strong], digits)
    assert result.as_trained is not None
    assert [layer.weights for layer in result.as_trained.layers] == [0, 0, 120]


def test_patterns_that_do_not_fit_a_network_are_refused_by_name() -> None:
    module = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))
    assert models.prunable(module, ["*.weight", "!1*"]) == ("0.weight",)
    with pytest.raises(PluginError, match=r"sparsification\.prune\.0: matches no weight .*0\.bias"):
        models.prunable(module, ["0.bias"])
    with pytest.raises(PluginError, match=r"sparsification\.prune: leaves no weight to prune"):
        models.prunable(module, ["!*"])


@given(
    rows=st.lists(st.lists(st.floats(width=32), min_size=7, max_size=7), min_size=1, max_size=3),
    ties=st.integers(0, 6),
    k=st.lists(st.integers(1, 7), min_size=3, max_size=3),
)
@example(rows=[[0.0, -0.0, 1e-45, math.inf, math.nan, 1e-38, -1e-45]], ties=0, k=[3, 1, 1])
def test_the_kth_largest_magnitude_bit_by_bit_is_that_of_pytorch(
    rows: list[list[float]], ties: int, k: list[int]
) -> None:
    # Oracle: torch.kthvalue, which puts NaN last.
    magnitudes = torch.tensor(rows).abs()
    magnitudes[:, :ties] = magnitudes[:, -1:]
    expected = [row.kthvalue(8 - n).values for row, n in zip(magnitudes, k, strict=False)]
    largest = pruning.kth_largest(magnitudes, torch.tensor(k[: len(rows)]))
    assert torch.equal(largest.view(torch.int32), torch.stack(expected).view(torch.int32))


def test_masks_of_a_pack_at_once_are_those_of_each_network() -> None:
    weights, densities = stacked(4, zeros=0.5), (1e-3, 0.3, 0.7, 1.0)
    weights["first"][1] = weights["first"][1].round()  # ties
    for zeros in ((False,) * 4, (True, False, True, False)):
        together = pruning.masks_at_densities(weights, densities, zeros)
        for k, (density, lets_in) in enumerate(zip(densities, zeros, strict=True)):
            network = {name: weight[k : k + 1] for name, weight in weights.items()}
            alone = pruning.mask_at_density(network, density, zeros=lets_in)
            for name, mask in alone.items():
                assert torch.equal(together[name][k : k + 1], mask), (name, density)


@pytest.mark.parametrize("name", ["one_shot_magnitude", "iterative_magnitude", "gradual_magnitude"])
def test_cuts_of_a_pack_at_once_train_the_networks_of_cuts_one_by_one(
    digits: Data, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Oracle: the way of a CPU, bit for bit; some cuts are those of a part of the networks.
    hypers: list[dict[str, float]] = [{"at": 0.3}, {"at": 0.3}, {"at": 0.8}]
    if name != "one_shot_magnitude":
        hypers = [{"begin": b, "end": e} for b, e in ((0.0, 0.5), (0.25, 0.75), (0.25, 0.5))]
    chosen = [penalty("l1", "prox", 0.02), *(method(name, **hyper) for hyper in hypers)]
    pack = [config(k, one, density=0.05 + 0.1 * k) for k, one in enumerate(chosen)]
    before, cuts = facts(train_pack(pack, digits)), list[int]()
    real = Pruner._cut_at_once

    def at_once(weights: Stack, state: PruningState, steps: int, cut: list[int]) -> None:
        cuts.append(len(cut))
        real(weights, state, steps, cut)

    monkeypatch.setattr(Pruner, "_cut_at_once", staticmethod(at_once))
    monkeypatch.setattr(Pruner, "_cuts_at_once", lambda *_: True)
    assert facts(train_pack(pack, digits)) == before
    assert len(set(cuts)) > 1


def test_weights_at_0_may_come_back_until_the_last_cut_of_their_network() -> None:
    # With fewer weights than the density lets stay: the mask of a last cut has no zeros in it.
    pruner = IterativeMagnitude(torch.zeros(3), torch.tensor([0.5, 1.0, 1.0]), rounds=2)
    context = TrainingContext((0, 1, 2), 0, torch.tensor([0.6, 0.6, 0.9]), steps=10)
    masks = []
    for act in (pruner._cut, partial(pruner._cut_at_once, cut=[0, 1])):
        weights = {"w": stacked(zeros=0.9)["first"]}
        cuts = [{0: 0.8, 5: 0.6}, {5: 0.6, 10: 0.5}, {3: 0.9}]
        state = PruningState(cuts, context, {"w": torch.ones_like(weights["w"])})
        act(weights, state, steps=5)
        assert state.masks is not None
        masks.append(state.masks["w"])
        assert [bool(mask.all()) for mask in masks[-1]] == [False, True, True]
    assert torch.equal(*masks)
