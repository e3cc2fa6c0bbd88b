"""Methods of arms in training: pruning schedules, gates, small networks, sums of penalties."""

import dataclasses
import itertools
import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from support.packs import RECIPE, config, facts, method, penalty, setting, small_images, stack_of
from sweeper.config import derive_seed
from sweeper.config.registry import METHODS
from sweeper.training import models, optimizers
from sweeper.training.datasets import Data, DataSplit, load
from sweeper.training.hard_concrete import BETA, GAMMA, SHIFT, ZETA, Gates, HardConcrete
from sweeper.training.methods import TrainingStep
from sweeper.training.network_groups import NetworkGroup, network_groups
from sweeper.training.pack import train_pack
from sweeper.training.penalties import Permutation, penalties
from sweeper.training.pruning_schedules import (
    CUTS,
    Cut,
    GradualMagnitude,
    IterativeMagnitude,
    Pruner,
    RandomPruning,
)
from sweeper.training.small_dense import SmallDense, widths
from sweeper.training.stack import NetworkRange
from sweeper.training.stacked_architecture import StackedArchitecture
from sweeper.training.training_loop import Stepper
from sweeper.types import MethodConfig, PenaltyConfig, TrialResult

LONG = dataclasses.replace(RECIPE, epochs=12, finetune_epochs=4)
WEIGHTS = 64 * 24 + 24 * 12 + 12 * 10


@pytest.fixture(scope="module")
def digits() -> Data:
    return load("digits")


# Pruning


@pytest.mark.parametrize("name", [n for n, e in METHODS.items() if e.takes_density])
def test_a_method_that_takes_the_density_ends_there_by_itself(digits: Data, name: str) -> None:
    (result,) = train_pack([config(1, method(name), density=0.1, recipe=LONG)], digits)
    trained, pruned = result.as_trained, result.pruned
    assert trained is not None
    assert pruned is not None
    if name == "small_dense":
        # No more than asked for, and no fewer than the next width would have.
        assert 0.05 * WEIGHTS < trained.weights <= 0.1 * WEIGHTS
        assert trained.biases < 24
    else:
        assert trained.weights == round(0.1 * WEIGHTS)
        assert trained.biases == 24 + 12 + 10
    # The pruned track trains on, and cuts nothing more.
    assert (pruned.weights, pruned.biases) == (trained.weights, trained.biases)
    assert result.steps == 16 * (1137 // 32)


def test_pruning_by_magnitude_beats_pruning_at_random(digits: Data) -> None:
    names = ["one_shot_magnitude", "iterative_magnitude", "gradual_magnitude", "random_pruning"]
    pack = [config(1, method(name), density=0.05, recipe=LONG, floor=0.0) for name in names]
    *better, random = (reached(result) for result in train_pack(pack, digits))
    assert min(better) > random + 0.1


def reached(result: TrialResult) -> float:
    assert result.pruned is not None
    return result.pruned.val_accuracy


class Watched(Pruner):
    """A pruner of given cuts."""

    def __init__(self, cuts: dict[int, list[Cut]]) -> None:
        self.cuts = cuts

    def schedule(self, network: int, density: float, steps: int) -> list[Cut]:
        return self.cuts[network]


def test_a_cut_takes_the_smallest_of_all_layers_and_they_stay_0() -> None:
    # Oracle: sorting by hand, one network at a time.
    weights = {"a": stack_of(2, 4, 5), "b": stack_of(2, 3, 4, seed=1)}
    before = {name: weight.clone() for name, weight in weights.items()}
    pruner = Watched({0: [Cut(0, 0.5)], 1: [Cut(2, 0.25)]})
    state = pruner.start(weights, {}, setting(2))
    assert torch.equal(weights["a"][1], before["a"][1])
    flat = torch.cat([value[0].flatten() for value in before.values()])
    least = flat.abs().sort(descending=True).values[15]
    for name, weight in weights.items():
        assert torch.equal(
            weight[0], torch.where(before[name][0].abs() >= least, before[name][0], 0)
        )
    for step in range(3):
        for weight in weights.values():
            weight.add_(0.01)
        pruner.after(weights, state, TrainingStep(step, torch.ones(2)))
        kept = [sum(int(w[k].count_nonzero()) for w in weights.values()) for k in (0, 1)]
        assert kept == [16, 32 if step < 1 else 8]


def test_what_a_penalty_holds_at_0_may_come_back_until_the_last_cut() -> None:
    # Two of five weights are not 0, as a proximal step may leave them.
    weight = torch.arange(1.0, 21.0).view(1, 4, 5)
    weight[weight <= 12] = 0
    weights = {"a": weight}
    pruner = Watched({0: [Cut(0, 1.0), Cut(1, 0.5), Cut(2, 0.3), Cut(3, 0.1)]})
    state = pruner.start(weights, {}, setting(1))

    def after(step: int) -> int:
        """All unmasked weights move; return how many are not 0 then."""
        weight.add_(torch.linspace(0.01, 0.02, 20).view(1, 4, 5))
        pruner.after(weights, state, TrainingStep(step, torch.ones(1)))
        return int(weight.count_nonzero())

    assert state.masks is not None
    assert bool(state.masks["a"].all())  # 8 of 20 are left, the schedule allows for 20
    assert after(0) == 10  # what came back is ranked with the rest: half of all stay
    weight[weight < 15] = 0
    assert after(1) == 6
    assert after(2) == 2
    assert after(3) == 2


def test_schedules_are_those_of_the_papers() -> None:
    gradual = GradualMagnitude(torch.tensor([0.2]), torch.tensor([0.8])).schedule(0, 0.1, 1000)
    assert (gradual[0].steps, gradual[-1]) == (200, Cut(800, 0.1))
    assert len(gradual) == CUTS + 1
    # Zhu and Gupta 2017, equation 1: s_t = s_f (1 - (1 - (t - t_0) / (n dt))^3), s_0 = 0.
    for cut in gradual:
        done = (cut.steps - 200) / 600
        assert 1 - cut.density == pytest.approx(0.9 * (1 - (1 - done) ** 3), abs=1e-2)
    rounds = IterativeMagnitude(torch.tensor([0.0]), torch.tensor([1.0]), 5).schedule(0, 0.1, 100)
    assert [cut.steps for cut in rounds] == [0, 25, 50, 75, 100]
    shares = [b.density / a.density for a, b in itertools.pairwise(rounds)]
    assert shares == pytest.approx([0.1**0.2] * 4)
    assert rounds[-1].density == pytest.approx(0.1)


@pytest.mark.parametrize("at", [0.0, 0.5, 1.0])
def test_a_single_cut_may_come_at_any_time(digits: Data, at: float) -> None:
    recipe = dataclasses.replace(RECIPE, epochs=1)
    (result,) = train_pack([config(1, method("one_shot_magnitude", at=at), recipe=recipe)], digits)
    assert result.as_trained is not None
    assert result.as_trained.weights == round(config(1).density * WEIGHTS)


def test_random_pruning_does_not_look_at_the_weights(digits: Data) -> None:
    network = StackedArchitecture.of(RECIPE, digits)
    for seed in range(3):
        stack = network.init([seed], RECIPE, digits)
        weights = {name: stack[name] for name in network.weights}
        made = any_method("random_pruning")
        assert isinstance(made, RandomPruning)
        scores = made.scores(weights, dataclasses.replace(setting(1), seeds=(seed,)))
        for name, weight in weights.items():
            both = torch.stack([scores[name].flatten(), weight.flatten()])
            assert abs(torch.corrcoef(both)[0, 1]) < 5 / math.sqrt(weight.numel())


# Small dense networks


@given(st.integers(1, 800), st.lists(st.integers(1, 300), min_size=1, max_size=3), st.floats(0, 1))
def test_a_small_network_is_the_widest_that_fits(
    inputs: int, hidden: list[int], density: float
) -> None:
    full = (inputs, *hidden, 10)

    def count(sizes: tuple[int, ...]) -> int:
        return sum(a * b for a, b in itertools.pairwise(sizes))

    limit = round(density * count(full))
    found = widths(full, limit)
    assert (found[0], found[-1], len(found)) == (inputs, 10, len(full))
    assert all(1 <= small <= large for small, large in zip(found, full, strict=True))
    narrowest = (inputs, *[1] * len(hidden), 10)
    assert count(found) <= max(limit, count(narrowest))
    if limit >= count(full):
        assert found == full


def test_a_small_dense_network_is_trained_as_one_of_that_width(digits: Data) -> None:
    # Oracle: a network of that width of its own, its weights those of the large one's corner.
    recipe = dataclasses.replace(RECIPE, model_options=(("widths", (20, 10)),))
    network = StackedArchitecture.of(recipe, digits)
    large = network.init([5], recipe, digits)
    small_recipe = dataclasses.replace(recipe, model_options=(("widths", (10, 5)),))
    small = StackedArchitecture.of(small_recipe, digits)
    sizes = (64, 10, 5, 10)
    density = (64 * 10 + 10 * 5 + 5 * 10) / (64 * 20 + 20 * 10 + 10 * 10)
    stepper = Stepper(
        network,
        large,
        optimizers.make("sgd", torch.tensor([0.9])),
        (NetworkGroup(NetworkRange(0, 1), SmallDense()),),
        setting(1, density=density),
    )
    cut = {}
    for layer, (weight, bias) in enumerate(network.layers or ()):
        cut[weight] = large[weight][:, : sizes[layer + 1], : sizes[layer]].clone()
        cut[bias] = large[bias][:, : sizes[layer + 1]].clone()
        # The initial range of a layer follows from its own inputs.
        bound = 1 / math.sqrt(sizes[layer])
        assert cut[weight].abs().max() <= bound * (1 + 1e-6)
        assert cut[weight].abs().max() > 0.9 * bound
    alone = Stepper(small, cut, optimizers.make("sgd", torch.tensor([0.9])))
    images, labels = digits.train.examples[:32], digits.train.labels[:32]
    for number in range(20):
        for one in (stepper, alone):
            one.step(images, labels, rate=torch.tensor([0.1]), factor=1.0, number=number)
    for layer, (weight, bias) in enumerate(network.layers or ()):
        corner = large[weight][:, : sizes[layer + 1], : sizes[layer]]
        torch.testing.assert_close(corner, cut[weight], rtol=1e-4, atol=1e-6)
        assert int(large[weight].count_nonzero()) == int(cut[weight].count_nonzero())
        assert int(large[bias].count_nonzero()) == int(cut[bias].count_nonzero())


# Gates


def gates(per: str, strength: float = 0.01, pack: int = 2) -> HardConcrete:
    full = torch.full((pack,), strength)
    return HardConcrete(full, torch.full((pack,), 0.7), torch.full((pack,), 0.1), per)


@pytest.mark.parametrize("per", ["weight", "input"])
def test_gradients_through_gates_are_those_of_autograd(per: str) -> None:
    # Oracle: autograd of the paper's formulas with the same noise, and of strength x the sum of
    # P(gate > 0) over all weights.
    weight = stack_of(2, 4, 5)
    made = gates(per)
    state: Gates = made.start({"a": weight}, {}, setting(2))
    state.log_alpha["a"].add_(stack_of(*state.log_alpha["a"].shape, seed=4))
    generator = torch.Generator()
    generator.set_state(state.generator.get_state())
    made.draw_noise(state)
    inside = made.forward({"a": weight}, state)["a"]
    upstream = stack_of(2, 4, 5, seed=9)
    gradient = upstream.clone()
    made.vjp({"a": weight}, {"a": gradient}, state)

    leaf = weight.clone().requires_grad_()
    alpha = state.log_alpha["a"].clone().requires_grad_()
    u = torch.rand(alpha.shape[1:], generator=generator)
    s = torch.sigmoid((torch.log(u) - torch.log(1 - u) + alpha) / BETA)
    gated = leaf * (s * (ZETA - GAMMA) + GAMMA).clamp(0, 1)
    penalty = 0.01 * torch.sigmoid(alpha - BETA * math.log(-GAMMA / ZETA)).expand_as(leaf).sum()
    torch.autograd.backward((gated * upstream).sum() + penalty)
    assert leaf.grad is not None
    assert alpha.grad is not None
    torch.testing.assert_close(inside, gated.detach())
    torch.testing.assert_close(gradient, leaf.grad)
    torch.testing.assert_close(state.gradient["a"], alpha.grad)
    assert pytest.approx(BETA * math.log(-GAMMA / ZETA)) == SHIFT


@pytest.mark.parametrize("per", ["weight", "input"])
def test_the_finished_network_has_the_deterministic_gates(per: str) -> None:
    weight = torch.ones(2, 3, 4)
    made = gates(per)
    state = made.start({"a": weight}, {}, setting(2))
    state.log_alpha["a"][0] = -3.0  # sigmoid 0.047, stretched below 0
    state.log_alpha["a"][1] = 0.5
    made.finish({"a": weight}, state)
    assert not weight[0].any()
    torch.testing.assert_close(weight[1], torch.full((3, 4), 1.2 / (1 + math.exp(-0.5)) - 0.1))


@pytest.mark.parametrize("per", ["weight", "input"])
def test_gates_make_networks_sparser_the_stronger_they_are(digits: Data, per: str) -> None:
    strengths = (0.0, 3e-4, 3e-3)
    pack = [
        config(1, method("l0_hard_concrete", s, per=per, gate_rate=0.1), recipe=LONG, floor=0.0)
        for s in strengths
    ]
    found = [result.as_trained for result in train_pack(pack, digits)]
    sizes = [judged.weights for judged in found if judged]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[2] < 0.5 * sizes[0]
    assert found[1] is not None
    assert found[1].val_accuracy > 0.8


# Penalties


def acted(chosen: list[MethodConfig], weight: Tensor, rate: float = 0.1) -> Tensor:
    """Return the weights after one `after` step of the penalties."""
    acting = penalties([one.terms for one in chosen], weight.device)
    moved = {"a": weight.clone()}
    state = acting.start(moved, setting(len(chosen)))
    acting.after(moved, state, torch.full((len(chosen),), rate))
    return moved["a"]


def test_a_sum_of_proximal_terms_is_the_operator_of_the_sum() -> None:
    # Oracle: no point nearby has a lower 1/2 |u - v|^2 + t (a |u|_1 + b sum |u_g| + c |u|^2).
    l1, group, l2, rate = 0.8, 0.5, 0.7, 0.3
    terms = (
        PenaltyConfig("l2", "prox", l2),
        PenaltyConfig("group_lasso", "prox", group, (("by", "input"),)),
        PenaltyConfig("l1", "prox", l1),
    )
    v = stack_of(1, 4, 6)
    found = acted([MethodConfig(terms)], v, rate)

    def cost(u: Tensor) -> float:
        groups = math.sqrt(4) * u.norm(dim=-2).sum()
        penalty = l1 * u.abs().sum() + group * groups + l2 * u.square().sum()
        return float(0.5 * (u - v).square().sum() + rate * penalty)

    least = cost(found.double())
    v = v.double()
    generator = torch.Generator().manual_seed(2)
    for scale in (1e-3, 1e-2, 0.1):
        for _ in range(200):
            noise = torch.randn(1, 4, 6, generator=generator, dtype=torch.float64)
            assert cost(found.double() + scale * noise) > least
            assert cost(found.double() * (1 + scale * noise)) >= least - 1e-6
    assert (found == 0).any()
    assert found.any()


def test_a_sum_adds_its_terms_and_each_has_its_own_strength() -> None:
    weight = stack_of(1, 4, 6)
    terms = (
        PenaltyConfig("hoyer_square", "decoupled", 0.5),
        PenaltyConfig("log_sum", "decoupled", 0.25),
    )
    first, then = (MethodConfig((term,)) for term in terms)
    # decoupled terms act one after the other, each where the one before left the weights
    one_by_one = acted([then], acted([first], weight))
    torch.testing.assert_close(acted([MethodConfig(terms)], weight), one_by_one)
    assert not torch.allclose(acted([first], weight), one_by_one, atol=1e-4)


def test_terms_of_the_loss_add_up_in_the_gradient() -> None:
    weight = stack_of(1, 4, 6)
    terms = PenaltyConfig("hoyer", "loss", 0.5), PenaltyConfig("log_sum", "loss", 0.25)
    both = MethodConfig((*terms, PenaltyConfig("group_lasso", "prox", 1.0)))
    apart = [gradient_of([MethodConfig((term,))], weight) for term in terms]
    torch.testing.assert_close(gradient_of([both], weight), apart[0] + apart[1])


@pytest.mark.parametrize("way", ["loss", "decoupled", "shrink"])
def test_the_control_is_the_penalty_in_another_order_of_the_entries(way: str) -> None:
    # Oracle: shuffle, apply the penalty as usual, put back.
    weight = stack_of(2, 6, 5)
    order = Permutation.draw(weight, derive_seed(3, "shuffle", 0))  # 3 is the seed of `setting`
    assert not torch.equal(order.shuffle(weight), weight)
    assert torch.equal(order.restore(order.shuffle(weight), weight), weight)
    plain = [penalty("marginal_entropy", way, 0.5)] * 2
    control = [penalty("marginal_entropy", way, 0.5, shuffled=True)] * 2
    if way == "loss":
        found = gradient_of(control, weight)
        wanted = order.restore(gradient_of(plain, order.shuffle(weight)), weight)
        other = gradient_of(plain, weight)
    else:
        found = acted(control, weight)
        wanted = order.restore(acted(plain, order.shuffle(weight)), weight)
        other = acted(plain, weight)
    torch.testing.assert_close(found, wanted)
    assert not torch.allclose(found, other, atol=1e-4)


def gradient_of(chosen: list[MethodConfig], weight: Tensor) -> Tensor:
    acting = penalties([one.terms for one in chosen], weight.device)
    gradients = {"a": torch.zeros_like(weight)}
    state = acting.start({"a": weight}, setting(len(chosen)))
    acting.add_gradients({"a": weight}, gradients, state)
    return gradients["a"]


def test_the_control_has_one_order_for_all_steps_and_trials_of_a_repeat(digits: Data) -> None:
    control = penalty("marginal_entropy", "shrink", 3e-3, shuffled=True)
    first, again = (
        penalties([control.terms], digits.device).start({"a": torch.ones(1, 6, 5)}, setting(1))
        for _ in range(2)
    )
    orders = [state.blocks[0].order for state in (first, again)]
    assert orders[0] is not None
    assert orders[1] is not None
    assert torch.equal(orders[0].there, orders[1].there)
    other = Permutation.draw(torch.ones(1, 6, 5), derive_seed(4, "shuffle", 0))
    assert not torch.equal(other.there, orders[0].there)


@pytest.mark.parametrize(
    ("name", "equal"),
    [
        ("marginal_entropy", True),
        ("l1_marginal_entropy", True),
        ("group_lasso", True),
        ("conditional_entropy", True),
        ("joint_entropy", True),
        ("local_entropy", False),
    ],
)
def test_permuted_pixels_change_nothing_but_for_neighbours(name: str, equal: bool) -> None:
    # protocol: a fully connected network does not know where a pixel lies, so that this is no
    # control. Trained on permuted images from permuted first weights it is the same network.
    way = "prox" if name == "group_lasso" else "shrink"
    data = small_images(64, side=8)
    order = torch.randperm(64, generator=torch.Generator().manual_seed(1))
    recipe = dataclasses.replace(RECIPE, epochs=1)
    network = StackedArchitecture.of(recipe, data)
    first = network.weights[0]
    ends = []
    for permuted in (False, True):
        stack = network.init([0], recipe, data)
        images = data.train.examples
        if permuted:
            stack[first] = stack[first][:, :, order].contiguous()
            images = images.flatten(1)[:, order].view_as(images)
        groups = network_groups([config(0, penalty(name, way, 3e-3))], data.device)
        stepper = Stepper(
            network,
            stack,
            optimizers.make("sgd", torch.tensor([0.9])),
            groups,
            setting(1),
        )
        for number in range(30):
            stepper.step(
                images, data.train.labels, rate=torch.tensor([0.05]), factor=1.0, number=number
            )
        end = stack[first]
        if permuted:
            end = end[:, :, order.argsort()]
        ends.append(end)
    # Sums in another order: close, not equal in the last bits.
    assert torch.allclose(ends[0], ends[1], rtol=1e-3, atol=1e-4) == equal


def test_mixed_packs_leave_every_network_as_it_is_alone(digits: Data) -> None:
    recipe = dataclasses.replace(RECIPE, epochs=2)
    pack = [
        config(0, method("l0_hard_concrete", 1e-3), recipe=recipe),
        config(1, penalty("l1", "prox", 3e-3), recipe=recipe),
        config(2, method("l0_hard_concrete", 1e-4, per="input"), recipe=recipe),
        config(3, method("gradual_magnitude"), recipe=recipe),
        config(4, method("l0_hard_concrete", 1e-2), recipe=recipe),
    ]
    together = facts(train_pack(pack, digits))
    for k, one in enumerate(pack):
        assert facts(train_pack([one], digits)) == [together[k]]


def test_a_strength_beyond_all_reason_diverges_and_says_so(digits: Data) -> None:
    chosen = [penalty("l2", "loss", 1e30), penalty("hoyer_square", "loss", 1e38)]
    for result in train_pack([config(1, one) for one in chosen], digits):
        assert result.state == "diverged"


def test_counts_are_those_of_the_exported_network(digits: Data) -> None:
    # Oracle: torch.count_nonzero on a plain module that holds the very weights.
    network = StackedArchitecture.of(RECIPE, digits)
    stack = network.init([3], RECIPE, digits)
    stepper = Stepper(
        network,
        stack,
        optimizers.make("sgd", torch.tensor([0.9])),
        network_groups([config(0, penalty("l1", "prox", 0.02))], digits.device),
        setting(1),
    )
    part: DataSplit = digits.train
    for number in range(60):
        chosen = slice(16 * number, 16 * number + 16)
        stepper.step(
            part.examples[chosen],
            part.labels[chosen],
            rate=torch.tensor([0.1]),
            factor=1.0,
            number=number,
        )
    module = models.build("mlp", RECIPE.model_options, digits.shape, 10, seed=0)
    module.load_state_dict({name: value[0] for name, value in stack.items()})
    counted = sum(int(torch.count_nonzero(p)) for p in module.state_dict().values())
    from sweeper.training.parameter_counts import layer_counts

    (layers,) = layer_counts(network, stack)
    assert sum(layer.weights + layer.biases for layer in layers) == counted
    assert counted < (64 + 1) * 24 + (24 + 1) * 12 + (12 + 1) * 10


def any_method(name: str) -> Any:
    (group,) = network_groups([config(0, method(name, 1e-3))], torch.device("cpu"))
    return group.method


@pytest.mark.parametrize("name", METHODS)
def test_every_method_of_the_registry_takes_the_letters_that_it_names(name: str) -> None:
    assert any_method(name) is not None
