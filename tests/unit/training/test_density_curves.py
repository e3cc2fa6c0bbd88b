"""Density curves: sparse networks run through what is left of them, as if they were dense."""

import dataclasses
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from support.packs import RECIPE, config, facts, penalty, small_images
from sweeper.config.judging_plan import JudgedExamples, PartSizes, judging_plan
from sweeper.training import fine_tuning, pruning, sparse_inference
from sweeper.training.datasets import Data, DataSplit, load
from sweeper.training.density_curves import NETWORKS_AT_ONCE, density_curves
from sweeper.training.evaluation import Evaluator, sample
from sweeper.training.pack import train_pack
from sweeper.training.pruned_fit import fit_pruned
from sweeper.training.sparse_inference import SparseMLP
from sweeper.training.stack import Stack
from sweeper.training.stacked_architecture import StackedArchitecture
from sweeper.types import TrialConfig, nothing

DENSITIES = (0.9, 0.02, 0.1, 0.36, 0.35, 0.17, 0.18)


@pytest.fixture(scope="module")
def digits() -> Data:
    return load("digits")


def trained(network: StackedArchitecture, data: Data, pack: int) -> Stack:
    """Return networks that know some of the images, so that accuracies tell networks apart."""
    stack = network.init(range(pack), RECIPE, data)
    images = data.train.examples.flatten(1)
    means = torch.stack([images[data.train.labels == k].mean(0) for k in range(10)])
    stack["1.weight"][:, :10] = means
    stack["3.weight"][:, :10, :10] = torch.eye(10)
    stack["5.weight"][:, :10, :10] = torch.eye(10)
    for name, value in stack.items():
        noise = torch.randn(value.shape, generator=torch.Generator().manual_seed(len(name)))
        value.add_(0.05 * noise)
    return stack


def dense(network: StackedArchitecture, stack: Stack, k: int, density: float) -> Stack:
    """Return network k of a stack, pruned as a plain person would do it."""
    flat = torch.cat([stack[name][k].flatten().abs() for name in network.weights])
    keep = max(1, round(density * len(flat)))
    least = flat.sort(descending=True).values[keep - 1]
    return {
        name: torch.where(value[k].abs() >= least, value[k], 0.0)[None]
        if name in network.weights
        else value[k : k + 1]
        for name, value in stack.items()
    }


def test_a_curve_is_that_of_the_pruned_networks(digits: Data) -> None:
    # Oracle: every pruned network by itself, through matrix products.
    network = StackedArchitecture.of(RECIPE, digits)
    pack = NETWORKS_AT_ONCE + 2
    stack = trained(network, digits, pack)
    judge = Evaluator(network, digits, nothing)
    ranked = pruning.magnitudes({name: stack[name] for name in network.weights})
    found = density_curves(judge, stack, ranked, DENSITIES)
    seen = set()
    for k in range(pack):
        assert [point.density for point in found[k]] == list(DENSITIES)
        for point in found[k]:
            alone = dense(network, stack, k, point.density)
            val, test = judge.accuracies(alone)
            # The order of sums differs: an image between two classes may fall to either.
            assert abs(point.val_accuracy - val[0]) <= 1.5 / len(digits.validation)
            assert abs(point.test_accuracy - test[0]) <= 1.5 / len(digits.test)
            assert point.nonzero == sum(int(value.count_nonzero()) for value in alone.values())
            seen.add(point.test_accuracy)
    assert len(seen) > pack
    assert max(seen) > 0.5


def test_a_curve_has_the_same_bits_in_any_pack(digits: Data) -> None:
    recipe = dataclasses.replace(RECIPE, curve=DENSITIES)
    configs = [
        config(k, penalty("l1", "prox"), recipe=recipe) for k in range(2 * NETWORKS_AT_ONCE + 1)
    ]
    together = facts(train_pack(configs, digits))
    assert facts(train_pack(configs[::-1], digits)) == together[::-1]
    assert facts(train_pack(configs[3:5], digits)) == together[3:5]


def test_curves_of_other_networks_are_judged_whole() -> None:
    data = small_images(20)
    recipe = dataclasses.replace(RECIPE, model="lenet-5", model_options=(), dataset="mnist")
    network = StackedArchitecture.of(recipe, data)
    stack = network.init([0, 1], recipe, data)
    assert not sparse_inference.runs(network.layers, stack)
    ranked = pruning.magnitudes({name: stack[name] for name in network.weights})
    for row in density_curves(Evaluator(network, data, nothing), stack, ranked, (0.01, 1.0)):
        assert [point.nonzero for point in row] == sorted(point.nonzero for point in row)
        assert row[1].nonzero == sum(value[0].numel() for value in stack.values())


@settings(max_examples=60, deadline=None)
@given(
    widths=st.lists(st.integers(1, 9), min_size=2, max_size=4),
    images=st.integers(1, 40),
    density=st.floats(0.0, 1.0),
    seed=st.integers(0, 2**20),
)
def test_sparse_networks_give_the_labels_of_dense_ones(
    widths: list[int], images: int, density: float, seed: int
) -> None:
    # Oracle: nn.Sequential with zeros, in float64. Whole numbers leave nothing to rounding.
    drawn = torch.Generator().manual_seed(seed)

    def numbers(*shape: int) -> Tensor:
        kept = torch.rand(shape, generator=drawn) < density
        return (torch.randint(-3, 4, shape, generator=drawn) * kept).float()

    parts: list[nn.Module] = []
    stack: Stack = {}
    names = []
    for index, (inputs, outputs) in enumerate(pairwise(widths)):
        linear = nn.Linear(inputs, outputs)
        weight, bias = numbers(1, outputs, inputs), numbers(1, outputs)
        stack |= {f"{index}.weight": weight, f"{index}.bias": bias}
        names.append((f"{index}.weight", f"{index}.bias"))
        linear.weight.data, linear.bias.data = weight[0].double(), bias[0].double()
        parts += [linear, nn.ReLU()]
    shown = numbers(images, widths[0])
    net = SparseMLP.cut(tuple(names), stack, 0, [0.0] * len(names))
    assert net.nonzero == sum(int(value.count_nonzero()) for value in stack.values())
    guess = nn.Sequential(*parts[:-1])(shown.double()).argmax(1)
    assert net.right(sparse_inference.pixels_first(shown), guess.numpy()) == images
    others = (guess + 1).numpy()
    assert net.right(sparse_inference.pixels_first(shown), others) == 0


def test_a_threshold_keeps_what_is_as_large() -> None:
    stack = {"w": torch.tensor([[[0.5, -0.25, 0.25, 0.0, -1.0]]]), "b": torch.tensor([[0.0]])}
    layers = (("w", "b"),)
    nets = [SparseMLP.cut(layers, stack, 0, [least]) for least in (0.0, 0.25, 0.26, 2.0)]
    assert [net.nonzero for net in nets] == [4, 4, 2, 0]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_logits_that_are_not_finite_are_wrong(bad: float) -> None:
    stack = {"w": torch.ones(1, 2, 1), "b": torch.tensor([[0.0, bad]])}
    net = SparseMLP.cut((("w", "b"),), stack, 0, [0.0])
    for label in (0, 1):
        labels = torch.tensor([label]).numpy()
        assert net.right(sparse_inference.pixels_first(torch.ones(1, 1)), labels) == 0


FURTHER = (0.3, 0.05, 0.1)


def test_a_finetuned_point_is_the_trial_of_that_density(digits: Data) -> None:
    # Oracle: the same configuration with that density as its own.
    recipe = dataclasses.replace(RECIPE, curve=(), finetuned_curve=FURTHER)
    methods = (penalty("l1", "prox"), penalty("marginal_entropy", "shrink"), None)
    configs = [config(k, chosen, recipe=recipe) for k, chosen in enumerate(methods)]
    found = train_pack(configs, digits)
    for density in FURTHER:
        alone = train_pack([dataclasses.replace(c, density=density) for c in configs], digits)
        for one, other in zip(found, alone, strict=True):
            assert other.pruned is not None
            (point,) = (point for point in one.finetuned if point.density == density)
            assert (point.nonzero, point.val_accuracy, point.test_accuracy) == (
                other.pruned.nonzero,
                other.pruned.val_accuracy,
                other.pruned.test_accuracy,
            )
    plain = dataclasses.replace(recipe, finetuned_curve=())
    without = train_pack([dataclasses.replace(c, recipe=plain) for c in configs], digits)
    assert facts(without) == facts([dataclasses.replace(one, finetuned=()) for one in found])


def test_densities_of_one_network_are_finetuned_as_one_pack(
    digits: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []

    def seen(*arguments: Any, **options: Any) -> int:
        sizes.append(len(options["rate"]))
        return fit_pruned(*arguments, **options)

    monkeypatch.setattr(fine_tuning, "fit_pruned", seen)
    recipe = dataclasses.replace(RECIPE, curve=(), finetuned_curve=FURTHER)
    train_pack([config(recipe=recipe)], digits)
    assert sizes == [len(FURTHER), 1]
    sizes.clear()
    train_pack([config(k, recipe=recipe) for k in range(fine_tuning.MIN_PACK + 1)], digits)
    assert sizes == [fine_tuning.MIN_PACK + 1] * (len(FURTHER) + 1)


def test_a_network_that_diverges_in_one_finetuning_keeps_the_others(digits: Data) -> None:
    recipe = dataclasses.replace(RECIPE, curve=(), finetuned_curve=(0.3, 0.002))
    # Two weights that are left do no harm; many diverge.
    (wild,) = train_pack(
        [config(recipe=recipe, density=0.002, finetune_learning_rate_factor=1e4)], digits
    )
    assert wild.state != "diverged"
    accuracies = {point.density: point.val_accuracy for point in wild.finetuned}
    assert accuracies[0.3] == 0.0
    assert accuracies[0.002] > 0.0


def test_a_sample_gives_every_class_its_share_evenly_spaced() -> None:
    # Oracle: the k-th of m examples is the one at k x n / m, of all sorted by class.
    labels = torch.tensor([0, 1] * 10 + [2] * 20)
    part = DataSplit(torch.arange(40.0)[:, None], labels)
    chosen = sample(part, 10)
    assert chosen is not None
    # In the order of the part every fourth would be of class 0 alone, in the first half.
    assert labels[chosen].bincount().tolist() == [3, 2, 5]
    order = sorted(range(40), key=lambda k: int(labels[k]))
    assert chosen.tolist() == sorted(order[k * 40 // 10] for k in range(10))
    assert sample(part, 40) is None


@pytest.mark.parametrize("model", ["mlp", "lenet-5"])
def test_a_curve_on_some_examples_is_the_one_of_a_dataset_of_these(
    digits: Data, model: str
) -> None:
    # Oracle: the same networks on a dataset that has these examples alone.
    if model == "mlp":
        recipe, data = RECIPE, digits
    else:
        recipe = dataclasses.replace(RECIPE, model=model, model_options=(), dataset="mnist")
        data = small_images(250)
    network = StackedArchitecture.of(recipe, data)
    stack = network.init(range(NETWORKS_AT_ONCE + 1), recipe, data)
    ranked = pruning.magnitudes({name: stack[name] for name in network.weights})
    judge = Evaluator(network, data, nothing).on(JudgedExamples(130, 120))
    assert judge.validation is not None
    assert judge.test is not None
    few = dataclasses.replace(
        data,
        validation=DataSplit(*(x[judge.validation] for x in tensors(data.validation))),
        test=DataSplit(*(x[judge.test] for x in tensors(data.test))),
    )
    alone = Evaluator(network, few, nothing)
    densities = (0.02, 0.9)
    rows = density_curves(judge, stack, ranked, densities)
    assert {(p.val_examples, p.test_examples) for row in rows for p in row} == {(130, 120)}
    plain = [
        tuple(dataclasses.replace(p, val_examples=0, test_examples=0) for p in row) for row in rows
    ]
    assert plain == density_curves(alone, stack, ranked, densities)


def tensors(part: DataSplit) -> tuple[Tensor, Tensor]:
    return part.examples, part.labels


def short_lenet_5() -> tuple[list[TrialConfig], Data]:
    """Return configurations whose judging is cut to a fifth, and their data."""
    part, judged = small_images(1280), small_images(300)
    data = dataclasses.replace(part, validation=judged.validation, test=judged.test)
    recipe = dataclasses.replace(
        RECIPE,
        model="lenet-5",
        model_options=(),
        dataset="mnist",
        batch_size=64,
        epochs=1,
        finetuned_curve=(0.3,),
    )
    return [config(k, recipe=recipe, floor=0.0) for k in range(3)], data


def test_judging_moves_the_share_of_a_pack_by_what_it_costs() -> None:
    configs, data = short_lenet_5()
    shares: list[float] = []

    def tick(share: float | None = None, /) -> None:
        assert share is not None
        shares.append(share)

    (alone,) = train_pack(configs[1:2], data, tick=tick)
    recipe = configs[0].recipe
    plan = judging_plan(recipe, PartSizes(1280, 300, 300), is_mlp=False)
    assert (shares[0], shares[-1]) == (0.0, 1.0)
    moved = [after - before for before, after in pairwise(shares)]
    assert min(moved) > 0
    step = 3 * 64 / plan.passes
    in_steps = [one for one in moved if one == pytest.approx(step)]
    # An epoch, one of fine-tuning, and one at the further density; a piece of judging is less.
    assert len(in_steps) == 3 * 20
    assert sum(in_steps) == pytest.approx(plan.training_passes / plan.passes)
    judging = 2 * 600 + 3 * 500 + 600
    assert plan.judging_passes == judging
    looks = 2 * 250
    assert sum(moved) - sum(in_steps) == pytest.approx((judging + looks) / plan.passes)
    # Some examples for the points of curves, all for those that pay for it by their fine-tuning.
    assert {point.val_examples for point in alone.curve} == {250}
    assert {point.val_examples for point in alone.finetuned} == {0}
    together = train_pack(configs, data)
    assert facts(together[1:2]) == facts([alone])


def test_a_meter_of_a_pack_comes_to_the_same_shares(digits: Data) -> None:
    # Sparse points are judged some networks after the others, further densities in larger packs.
    recipe = dataclasses.replace(RECIPE, finetuned_curve=FURTHER)
    for size in (1, NETWORKS_AT_ONCE + 2):
        told: list[float] = []

        def tick(share: float | None = None, /, told: list[float] = told) -> None:
            assert share is not None
            told.append(share)

        configs = [config(k, recipe=recipe) for k in range(size)]
        train_pack(configs, digits, tick=tick)
        assert told == sorted(told)
        # Before the last piece of judging.
        plan = judging_plan(recipe, PartSizes(1137, 300, 360), is_mlp=True)
        saved = sum(plan.saved(each.density) for each in configs) / size
        assert saved > 0
        assert told[-2] == pytest.approx(1 - 360 / (plan.passes - saved))
