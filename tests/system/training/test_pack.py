"""Training packs: same bits in any company, torch.optim as oracle, honest counts."""

import dataclasses
import itertools
import math
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from support.packs import RECIPE, config, every_method, facts, penalty, small_images
from sweeper.errors import Interrupted
from sweeper.training import models
from sweeper.training.datasets import Data, load
from sweeper.training.determinism import deterministic_numerics
from sweeper.training.methods import TrainingContext
from sweeper.training.network_groups import network_groups
from sweeper.training.pack import train_pack
from sweeper.training.parameter_counts import constant_inputs, effective
from sweeper.training.stack import GradientBuffer
from sweeper.training.stacked_architecture import StackedArchitecture
from sweeper.training.training_loop import Schedule, fit
from sweeper.types import nothing


@pytest.fixture(scope="module")
def digits() -> Data:
    return load("digits")


def test_result_has_the_same_bits_in_packs_of_1_3_and_16_in_any_order(digits: Data) -> None:
    methods = every_method()
    count = len(methods)
    assert count > 60
    recipe = dataclasses.replace(RECIPE, epochs=1, curve=())
    configs = [config(k, methods[k], recipe=recipe) for k in range(count)]
    together = facts(train_pack(configs, digits))
    order = list(range(count))
    for size in (1, 3, 16):
        # Neighbours of all kinds, and every method alone, with two others and with fifteen.
        for begin in range(0, count, size):
            chosen = order[begin : begin + size][::-1]
            found = facts(train_pack([configs[k] for k in chosen], digits))
            assert found == [together[k] for k in chosen], [methods[k] for k in chosen]


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_result_has_the_same_bits_with_one_thread_and_two(digits: Data, optimizer: str) -> None:
    recipe = dataclasses.replace(RECIPE, optimizer=optimizer, epochs=1)
    configs = [config(k, m, recipe=recipe) for k, m in enumerate(every_method())]
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(facts(train_pack(configs, digits)))
    finally:
        torch.set_num_threads(before)
    assert found[0] == found[1]


@pytest.mark.parametrize(("widths", "batch"), [((64,), 128), ((300, 100), 128), ((3,), 8)])
def test_gradients_have_the_same_bits_in_any_pack_and_threads(
    widths: tuple[int, ...], batch: int
) -> None:
    # Gradients, not facts: accuracies on few images hide the last bits.
    data = small_images(batch)
    recipe = dataclasses.replace(RECIPE, model_options=(("widths", widths),))
    network = StackedArchitecture.of(recipe, data)
    stack = network.init(range(16), recipe, data)

    def gradients(chosen: list[int], threads: int) -> dict[str, Tensor]:
        torch.set_num_threads(threads)
        part = {name: value[chosen].clone() for name, value in stack.items()}
        kept = {name: torch.full_like(value, 0.01) for name, value in part.items()}
        sinks = [GradientBuffer(0, len(chosen), kept, 0.9)]
        with deterministic_numerics(data.device):
            network.runner().backward(part, data.train.examples, data.train.labels, sinks)
        return kept

    before = torch.get_num_threads()
    try:
        together = gradients(list(range(16)), 1)
        for chosen, threads in (([0], 1), ([9], 8), ([4, 9, 2], 1), (list(range(16)), 8)):
            for name, found in gradients(chosen, threads).items():
                assert torch.equal(found, together[name][chosen]), (chosen, threads, name)
    finally:
        torch.set_num_threads(before)


def test_a_convolutional_network_has_the_same_bits_in_any_pack_and_threads() -> None:
    data = small_images()
    recipe = dataclasses.replace(
        RECIPE, model="lenet-5", model_options=(), dataset="mnist", epochs=1, batch_size=16
    )
    configs = [config(k, every_method()[k], recipe=recipe, floor=0.0) for k in (0, 1, 60)]
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        together = facts(train_pack(configs, data))
        assert torch.get_num_threads() == 2
        torch.set_num_threads(1)
        assert facts(train_pack(configs[2:], data)) == together[2:]
    finally:
        torch.set_num_threads(before)


def test_one_diverged_network_leaves_the_others_alone(digits: Data) -> None:
    good = config(1)
    wild = config(2, learning_rate=1e30)
    alone = facts(train_pack([good], digits))
    with_wild = train_pack([wild, good], digits)
    assert with_wild[0].state == "diverged"
    assert with_wild[0].pruned is None
    assert with_wild[0].curve == ()
    assert facts(with_wild[1:]) == alone


def test_a_network_under_the_floor_has_collapsed_and_keeps_its_counts(digits: Data) -> None:
    (result,) = train_pack([config(floor=0.999)], digits)
    assert result.state == "collapsed"
    assert result.pruned is not None
    assert result.pruned.nonzero > 0


def test_training_learns(digits: Data) -> None:
    recipe = dataclasses.replace(RECIPE, epochs=10)
    (result,) = train_pack([config(1, density=1.0, recipe=recipe)], digits)
    assert result.as_trained is not None
    assert result.as_trained.test_accuracy > 0.9
    assert result.steps == (10 + 1) * (1137 // 32)


def _factor(schedule: str, step: int, steps: int) -> float:
    if schedule == "cosine":
        return (1 + math.cos(math.pi * step / steps)) / 2
    return 1 - step / steps if schedule == "linear" else 1.0


def test_loss_way_adds_the_gradient_of_the_penalty(digits: Data) -> None:
    # Oracle: autograd of cross-entropy + strength x sum |w| on a plain module, one SGD step.
    recipe = dataclasses.replace(RECIPE, schedule="constant", batch_size=1000, epochs=1)
    network = StackedArchitecture.of(recipe, digits)
    stack = network.init([3], recipe, digits)
    groups = network_groups([config(method=penalty("l1", "loss", 0.01))], digits.device)
    plan = Schedule(1, 1000, "sgd", "constant", order_seed=5)
    fit(
        network,
        stack,
        digits.train,
        plan,
        rate=torch.tensor([0.1]),
        momentum=torch.tensor([0.0]),
        groups=groups,
        context=TrainingContext((3,), 5, torch.tensor([1.0]), 1),
        seeds=(3,),
        tick=nothing,
    )
    module = models.build("mlp", RECIPE.model_options, digits.shape, 10, seed=3)
    (index,) = list(plan.batches(digits.train))
    guess = module(digits.train.examples[index])
    loss = nn.functional.cross_entropy(guess, digits.train.labels[index])
    for name in network.weights:
        loss = loss + 0.01 * module.get_parameter(name).abs().sum()
    torch.autograd.backward(loss)
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None
        torch.testing.assert_close(stack[name][0], parameter.detach() - 0.1 * parameter.grad)


@pytest.mark.parametrize("way", ["prox", "shrink"])
def test_l1_as_prox_and_as_shrink_are_the_same_and_make_exact_zeros(digits: Data, way: str) -> None:
    (prox,) = train_pack([config(1, penalty("l1", "prox", 0.01))], digits)
    (result,) = train_pack([config(1, penalty("l1", way, 0.01))], digits)
    assert result.as_trained is not None
    assert prox.as_trained is not None
    assert result.as_trained.nonzero == prox.as_trained.nonzero < 0.95 * result.total


def test_decoupled_and_loss_are_the_same_without_momentum(digits: Data) -> None:
    found = [
        train_pack([config(1, penalty("l2", way, 0.01), momentum=0.0)], digits)[0]
        for way in ("loss", "decoupled")
    ]
    # decoupled takes its gradient after the step, loss before: close, not equal.
    assert found[0].as_trained is not None
    assert found[1].as_trained is not None
    assert abs(found[0].as_trained.val_accuracy - found[1].as_trained.val_accuracy) < 0.05
    assert facts(found[:1]) != facts(train_pack([config(1, momentum=0.0)], digits))


def test_pruned_track_keeps_the_wanted_number_of_weights_and_all_counts_agree(
    digits: Data,
) -> None:
    (result,) = train_pack([config(3, density=0.1)], digits)
    judged = result.pruned
    assert judged is not None
    total_weights = sum(layer.total_weights for layer in judged.layers)
    assert judged.weights == round(0.1 * total_weights)
    assert judged.nonzero == judged.weights + judged.biases
    assert judged.weights == sum(layer.weights for layer in judged.layers)
    assert judged.biases == sum(layer.biases for layer in judged.layers)
    assert result.total == sum(layer.total_weights + layer.total_biases for layer in judged.layers)
    assert judged.effective is not None
    assert judged.effective <= judged.nonzero
    assert [point.density for point in result.curve] == list(RECIPE.curve)
    assert [p.nonzero for p in result.curve] == sorted(p.nonzero for p in result.curve)


def test_curve_at_full_density_is_the_network_as_trained(digits: Data) -> None:
    recipe = dataclasses.replace(RECIPE, curve=(1.0,))
    (result,) = train_pack([config(recipe=recipe)], digits)
    (point,), judged = result.curve, result.as_trained
    assert judged is not None
    assert (point.nonzero, point.val_accuracy, point.test_accuracy) == (
        judged.nonzero,
        judged.val_accuracy,
        judged.test_accuracy,
    )


def two_kinds_of_layers(shape: tuple[int, int, int], classes: int) -> nn.Module:
    """A network in which one layer has two vectors, and a linear layer is not a plain one."""

    class Halved(nn.Linear):
        def forward(self, images: Tensor) -> Tensor:
            return super().forward(images) / 2

    return nn.Sequential(nn.Flatten(), Halved(64, 6), nn.LayerNorm(6), nn.Linear(6, classes))


def test_every_parameter_of_a_network_of_ones_own_is_counted(digits: Data) -> None:
    recipe = dataclasses.replace(
        RECIPE, model=f"{__name__}:two_kinds_of_layers", model_options=(), epochs=1
    )
    assert StackedArchitecture.of(recipe, digits).layers is None
    (result,) = train_pack([config(recipe=recipe, density=1.0, floor=0.0)], digits)
    assert result.as_trained is not None
    counted = sum(one.total_weights + one.total_biases for one in result.as_trained.layers)
    assert counted == result.total == 64 * 6 + 6 + 12 + 6 * 10 + 10
    assert result.as_trained.nonzero > result.total - 6  # a shift of 0 or two at the most


def test_tick_ends_the_training(digits: Data) -> None:
    calls = 0

    def tick(share: float | None = None) -> None:
        nonlocal calls
        calls += 1
        if calls == 5:
            raise Interrupted("asked to stop")

    with pytest.raises(Interrupted):
        train_pack([config()], digits, tick=tick)
    assert calls == 5


def test_a_pack_of_mixed_recipes_is_refused(digits: Data) -> None:
    other = config(recipe=dataclasses.replace(RECIPE, repeat=1))
    with pytest.raises(ValueError, match="one and the same recipe"):
        train_pack([config(), other], digits)
    with pytest.raises(ValueError, match="recipe"):
        train_pack([], digits)


def test_pruning_never_revives_zeros_and_keeps_the_largest(digits: Data) -> None:
    network = StackedArchitecture.of(RECIPE, digits)
    stack = network.init([0, 1], RECIPE, digits)
    for name in network.weights:
        stack[name][1].mul_(stack[name][1].abs() > 0.2)
    prunable = {name: stack[name] for name in network.weights}
    rule = network.rule
    found = rule.masks(prunable, rule.rank(prunable), torch.tensor([0.25, 1.0]))
    flat = torch.cat([stack[name][0].flatten().abs() for name in network.weights])
    kept = torch.cat([found[name][0].flatten() for name in network.weights])
    # Oracle: the definition, by a full sort.
    assert flat[kept].min() >= flat[~kept].max()
    assert kept.sum() == round(0.25 * flat.numel())
    for name in network.weights:
        assert torch.equal(found[name][1], stack[name][1] != 0)


def _chain(
    widths: Sequence[int], inputs: int, seed: int
) -> tuple[StackedArchitecture, dict[str, Tensor]]:
    module = models.mlp((1, 1, inputs), 3, widths=tuple(widths))
    layers = tuple((f"{k}.weight", f"{k}.bias") for k in range(1, 2 * len(widths) + 2, 2))
    names = tuple(name for name, _ in module.named_parameters())
    network = StackedArchitecture(module, models.prunable(module), layers, names)
    generator = torch.Generator().manual_seed(seed)
    stack = {}
    for name, value in module.named_parameters():
        drawn = torch.randn(1, *value.shape, generator=generator)
        keep = torch.rand(drawn.shape, generator=generator) < 0.25
        stack[name] = torch.where(keep, drawn, 0)
    return network, stack


@pytest.mark.parametrize("seed", range(8))
def test_effective_network_is_smaller_and_computes_the_same(seed: int) -> None:
    # Oracle: the definition. A weight is idle if removing it, with what it adds on
    # constant paths folded forward, changes no output; here found by building that network.
    network, stack = _chain((6, 5), 8, seed)
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(50, 1, 1, 8, generator=generator)
    images[:, :, :, 2] = 0.5
    images[:, :, :, 5] = 0.0
    constant, level = constant_inputs(images)
    assert constant.tolist() == [False, False, True, False, False, True, False, False]
    (count,) = effective(network, stack, constant, level)
    smaller = _removed_one_by_one(network, stack, images)
    plain = sum(int(value.count_nonzero()) for value in stack.values())
    assert count is not None
    assert count <= plain
    assert count == smaller


def _removed_one_by_one(
    network: StackedArchitecture, stack: dict[str, Tensor], images: Tensor
) -> int:
    """Fold and remove by unit, in passes until nothing changes; check the outputs each time."""
    assert network.layers is not None
    before = network.runner().logits(stack, images).clone()
    layers = [[stack[w][0].clone(), stack[b][0].clone()] for w, b in network.layers]
    values = images.flatten(1)
    fixed = [(values == values[0]).all(0)]
    levels = [values[0]]
    for weight, bias in layers:
        for unit in fixed[-1].nonzero().flatten().tolist():
            bias.add_(weight[:, unit] * levels[-1][unit])
            weight[:, unit] = 0
        fixed.append((weight == 0).all(1))
        levels.append(bias.clamp_min(0))
    changed = True
    while changed:
        changed = False
        for (weight, bias), (following, _) in itertools.pairwise(layers):
            for unit in range(weight.shape[0]):
                if not following[:, unit].any() and (weight[unit].any() or bias[unit]):
                    weight[unit], bias[unit], changed = 0, 0, True
    after = {
        name: value[None]
        for (w, b), (weight, bias) in zip(network.layers, layers, strict=True)
        for name, value in ((w, weight), (b, bias))
    }
    torch.testing.assert_close(network.runner().logits(after, images), before)
    return sum(int(value.count_nonzero()) for value in after.values())
