"""A penalty bound to a module: values, ways, learning rates, schedules, precision, checkpoints."""

import copy
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.utils import prune
from torch.nn.utils.parametrizations import weight_norm

from support.plain_training import term
from sweeper import Penalty
from sweeper.config import derive_seed
from sweeper.config.registry import FORMULAS, load
from sweeper.errors import InputError, PluginError
from sweeper.regularizers import l1_prox, l_half_prox, marginal_entropy
from sweeper.training.penalties import Permutation
from sweeper.types import PenaltyConfig

STRENGTH, RATE = 2**-4, 2**-3
EVERY = [(name, way) for name, formula in FORMULAS.items() for way in formula.modes]


def small(dtype: torch.dtype = torch.float64) -> Any:
    """Return a convolution and a layer behind it, with the same weights at each call."""
    torch.manual_seed(3)
    layers = (nn.Conv2d(1, 3, 2), nn.ReLU(), nn.Flatten(), nn.Linear(12, 4))
    return nn.Sequential(*layers).to(dtype)


def weights(model: nn.Module) -> list[Tensor]:
    return [value.detach() for value in model.parameters() if value.ndim >= 2]


def backward(loss: Tensor) -> None:
    torch.autograd.backward(loss)


def batch(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(8, 1, 3, 3, generator=generator).to(dtype), torch.arange(8) % 4


# Values and gradients.


@pytest.mark.parametrize("name", [name for name, way in EVERY if way == "loss" and name != "none"])
def test_the_loss_is_the_formula_of_each_flattened_weight(name: str) -> None:
    # Oracle: the formula's own function, and its slope written out; 0 where a weight is 0.
    model = small()
    with torch.no_grad():
        weights(model)[1][1, 3:6] = 0
    config = term(name, "loss", STRENGTH)
    formula, letters = FORMULAS[name], dict(config.hyper)
    inner = {"strength": STRENGTH} if formula.strength_inside else {}
    factor = 1.0 if formula.strength_inside else STRENGTH
    matrices = [weight.flatten(1) for weight in weights(model)]
    loss = Penalty.of(model, (config,)).loss()
    values = [load(formula.value)(matrix, **letters, **inner) for matrix in matrices]
    assert loss.item() == pytest.approx(factor * sum(value.item() for value in values), rel=1e-12)
    backward(3 * loss)
    for parameter, matrix in zip((model[0].weight, model[3].weight), matrices, strict=True):
        assert isinstance(parameter, nn.Parameter)
        assert parameter.grad is not None
        slope = load(formula.shrinkage or "")(matrix, **letters, **inner)
        expected = 3 * factor * slope * matrix.sign()
        torch.testing.assert_close(parameter.grad.flatten(1), expected, rtol=1e-12, atol=1e-15)
    assert all(value.grad is None for value in model.parameters() if value.ndim < 2)


def test_a_shuffled_loss_is_the_formula_of_the_entries_in_a_fixed_order() -> None:
    # Oracle: the same order of entries, drawn once more.
    model = small()
    values = []
    for index, weight in enumerate(weights(model)):
        matrix = weight.flatten(1)[None]
        order = Permutation.draw(matrix, derive_seed(5, "shuffle", index))
        values.append(marginal_entropy(order.shuffle(matrix)).item())
    keys: dict[str, Any] = {"strength": 1.0, "apply": "loss", "shuffle": True}
    penalty = Penalty(model, "marginal_entropy", seed=5, **keys)
    assert penalty.loss().item() == pytest.approx(sum(values), rel=1e-12)
    assert Penalty(model, "marginal_entropy", seed=6, **keys).loss() != penalty.loss()


def test_in_float64_a_strength_has_all_its_digits() -> None:
    model = small()
    expected = 0.1 * sum(weight.abs().sum().item() for weight in weights(model))
    loss = Penalty(model, "l1", strength=0.1, apply="loss").loss()
    assert loss.item() == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize(("name", "way"), EVERY)
def test_each_way_acts_in_its_place_and_in_no_other(name: str, way: str) -> None:
    model = small()
    before = [weight.clone() for weight in weights(model)]
    penalty = Penalty.of(model, (term(name, way, STRENGTH),))
    loss = penalty.loss()
    assert loss.shape == ()
    assert bool(loss) == (way == "loss" and name != "none")
    assert loss.requires_grad == bool(loss)
    penalty.step(RATE)
    moved = any(not torch.equal(old, new) for old, new in zip(before, weights(model), strict=True))
    assert moved == (way != "loss")
    assert penalty.state_dict() == {"step": 1}


def test_no_terms_are_no_penalty() -> None:
    bare, model = nn.Sequential(nn.ReLU()), small()  # not even a weight is asked for
    for penalty in (Penalty.of(bare, ()), Penalty(model), Penalty(model, "none")):
        before = copy.deepcopy(model.state_dict())
        assert penalty.loss().item() == 0
        penalty.step(RATE)
        assert repr(penalty) == "Penalty(none; step 1)"
        torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)


def test_gradients_of_several_backward_passes_add_up() -> None:
    model, half = small(), small()
    backward(Penalty(model, "l1", strength=STRENGTH, apply="loss").loss())
    penalty = Penalty(half, "l1", strength=STRENGTH, apply="loss")
    for _ in range(2):
        backward(penalty.loss() / 2)
    for whole, part in zip(model.parameters(), half.parameters(), strict=True):
        torch.testing.assert_close(whole.grad, part.grad)


# Which weights.


def test_names_choose_weights_and_frozen_ones_are_left_alone_while_they_are() -> None:
    model = small()
    conv, linear = (weight.clone() for weight in weights(model))
    Penalty(model, "l1", strength=STRENGTH, names="3.*").step(RATE)
    torch.testing.assert_close(weights(model)[0], conv, rtol=0, atol=0)
    once = l1_prox(linear, step=RATE, strength=STRENGTH)
    torch.testing.assert_close(weights(model)[1], once)
    penalty = Penalty(model, "l1", strength=STRENGTH, names=["!0.weight"])
    model[3].requires_grad_(False)
    penalty.step(RATE)
    assert penalty.loss().item() == 0
    torch.testing.assert_close(weights(model)[1], once)
    model[3].requires_grad_(True)
    penalty.step(RATE)
    torch.testing.assert_close(weights(model)[1], l1_prox(once, step=RATE, strength=STRENGTH))


def test_tied_weights_are_moved_once_and_counted_once() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4)).double()
    model[2].weight = model[0].weight
    weight = weights(model)[0].clone()
    loss = Penalty(model, "l1", strength=1.0, apply="loss").loss()
    assert loss.item() == pytest.approx(weight.abs().sum().item())
    Penalty(model, "l1", strength=STRENGTH).step(RATE)
    expected = l1_prox(weight, step=RATE, strength=STRENGTH)
    torch.testing.assert_close(weights(model), [expected])


@pytest.mark.parametrize("way", ["decoupled", "shrink", "loss"])
def test_weights_are_moved_however_they_lie_in_memory(way: str) -> None:
    model, other = small(), small().to(memory_format=torch.channels_last)
    with torch.no_grad():  # transposed, and so no view as a matrix of its own
        other[3].weight.data = other[3].weight.data.t().contiguous().t()
    for network in (model, other):
        penalty = Penalty(network, "marginal_entropy", strength=STRENGTH, apply=way)
        backward(penalty.loss() + 0 * network[3].weight.sum())
        penalty.step(RATE)
    for left, right in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(left, right)
        torch.testing.assert_close(left.grad, right.grad)
    assert other[0].weight.is_contiguous(memory_format=torch.channels_last)


def test_weights_of_half_precision_are_moved_in_float32_and_rounded() -> None:
    model = small(torch.bfloat16)
    before = [weight.float() for weight in weights(model)]
    Penalty(model, "l_half", strength=STRENGTH).step(RATE)
    for old, new in zip(before, weights(model), strict=True):
        expected = l_half_prox(old.flatten(1)[None], step=RATE, strength=STRENGTH)
        torch.testing.assert_close(new, expected[0].view(new.shape).bfloat16(), rtol=0, atol=0)
    assert any((weight == 0).any() for weight in weights(model))
    loss = Penalty(model, "marginal_entropy", strength=STRENGTH, apply="loss").loss()
    assert loss.dtype == torch.float32
    backward(loss)
    assert model[3].weight.grad is not None
    assert model[3].weight.grad.dtype == torch.bfloat16


def test_a_module_may_move_after_its_penalty_was_bound() -> None:
    model = small(torch.float32)
    penalty = Penalty(model, "joint_entropy", strength=STRENGTH, shuffle=True)
    penalty.step(RATE)
    model.double()
    expected = copy.deepcopy(model)
    penalty.step(RATE)
    Penalty(expected, "joint_entropy", strength=STRENGTH, shuffle=True).step(RATE)
    torch.testing.assert_close(weights(model), weights(expected), rtol=1e-12, atol=0)


def test_a_graph_that_is_used_again_is_known_to_be_stale() -> None:
    model = small(torch.float32)
    loss = cross_entropy(model(batch(torch.float32)[0]), batch()[1])
    loss.backward(retain_graph=True)  # type: ignore[no-untyped-call]
    Penalty(model, "l1", strength=STRENGTH).step(RATE)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        backward(loss)


# Optimizers and learning rates.

OPTIMIZERS: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "sgd": lambda p: torch.optim.SGD(p, RATE, 0.9, nesterov=True),
    "adam": lambda p: torch.optim.Adam(p, RATE),
    "adamw": lambda p: torch.optim.AdamW(p, RATE),
    "rmsprop": lambda p: torch.optim.RMSprop(p, RATE),
    "adagrad": lambda p: torch.optim.Adagrad(p, RATE),
    "radam": lambda p: torch.optim.RAdam(p, RATE),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_it_acts_behind_any_optimizer_with_the_rates_of_its_groups(name: str) -> None:
    # Oracle: the optimizer alone, and the proximal operator with each group's rate behind it.
    model, alone = small(), small()
    optimizers = [
        OPTIMIZERS[name]([{"params": m[0].parameters()}, {"params": m[3].parameters(), "lr": 0.5}])
        for m in (model, alone)
    ]
    schedulers = [torch.optim.lr_scheduler.ExponentialLR(one, 0.5) for one in optimizers]
    penalty = Penalty(model, "l1", strength=STRENGTH, apply="prox")
    for number in range(3):
        for network, optimizer in zip((model, alone), optimizers, strict=True):
            optimizer.zero_grad()
            loss = cross_entropy(network(batch()[0]), batch()[1])
            backward(loss + penalty.loss() if network is model else loss)
            optimizer.step()
        penalty.step(optimizers[0])
        with torch.no_grad():
            for weight, rate in zip(weights(alone), (RATE, 0.5), strict=True):
                matrix = weight.flatten(1)
                step = rate * 0.5**number
                matrix.copy_(l1_prox(matrix, step=step, strength=STRENGTH))
        for scheduler in schedulers:
            scheduler.step()
    torch.testing.assert_close(model.state_dict(), alone.state_dict(), rtol=1e-9, atol=1e-12)


def test_a_rate_may_be_a_number_a_tensor_or_an_optimizer_whose_rate_is_one() -> None:
    moved = []
    for rate in (RATE, torch.tensor(RATE), torch.tensor([RATE], dtype=torch.float64), "optimizer"):
        model = small()
        given: Any = rate
        if rate == "optimizer":
            given = torch.optim.SGD(model.parameters(), torch.tensor(RATE))
        Penalty(model, "transformed_l1", strength=STRENGTH).step(given)
        moved.append(weights(model))
    for other in moved[1:]:
        torch.testing.assert_close(other, moved[0], rtol=0, atol=0)


def test_a_framework_may_call_it_by_a_hook_of_the_optimizer() -> None:
    model, by_hand = small(), small()
    for network in (model, by_hand):
        optimizer = torch.optim.SGD(network.parameters(), RATE)
        penalty = Penalty(network, "l1", strength=STRENGTH)
        if network is model:
            optimizer.register_step_post_hook(lambda it, *_, p=penalty: p.step(it))
        backward(cross_entropy(network(batch()[0]), batch()[1]))
        optimizer.step()
        if network is by_hand:
            penalty.step(optimizer)
    torch.testing.assert_close(model.state_dict(), by_hand.state_dict(), rtol=0, atol=0)


# Schedules.


def test_it_rests_and_rises_as_its_schedule_says_and_rests_afterwards() -> None:
    model = small()
    penalty = Penalty(
        model, "l1", strength=STRENGTH, apply="decoupled", during=(0.25, 0.75), ramp=0.5, steps=8
    )
    taken = []
    for _ in range(10):
        before = weights(model)[1].clone()
        penalty.step(RATE)
        taken.append((before - weights(model)[1]).abs().max().item() / (RATE * STRENGTH))
    assert taken == pytest.approx([0, 0, 0.5, 1, 1, 1, 0, 0, 0, 0])


def test_a_training_goes_on_from_a_checkpoint_as_it_would_have() -> None:
    def start() -> tuple[Any, ...]:
        model = small()
        penalty = Penalty(
            model,
            sum={
                "hoyer_square": {"strength": STRENGTH, "apply": "loss", "ramp": 1.0},
                "marginal_entropy": {"strength": STRENGTH, "shuffle": True, "during": (0.5, 1.0)},
            },
            steps=8,
            seed=5,
        )
        return model, torch.optim.Adam(model.parameters(), 1e-2), penalty

    def take(state: tuple[Any, ...], steps: int) -> None:
        model, optimizer, penalty = state
        for _ in range(steps):
            optimizer.zero_grad()
            backward(cross_entropy(model(batch()[0]), batch()[1]) + penalty.loss())
            optimizer.step()
            penalty.step(optimizer)

    whole, first = start(), start()
    take(whole, 8)
    take(first, 5)
    saved = copy.deepcopy([part.state_dict() for part in first])
    later = start()
    for part, state in zip(later, saved, strict=True):
        part.load_state_dict(state)
    take(later, 3)
    torch.testing.assert_close(whole[0].state_dict(), later[0].state_dict(), rtol=0, atol=0)


# Mixed precision and compiled modules.


def test_autocast_and_a_scaler_change_nothing_of_the_penalty() -> None:
    model = small(torch.float32)
    optimizer = torch.optim.SGD(model.parameters(), RATE)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    penalty = Penalty(
        model,
        sum={"joint_entropy": {"strength": STRENGTH, "apply": "loss"}, "l1": {"strength": 0.25}},
    )
    expected = copy.deepcopy(model)
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(batch(torch.float32)[0])
        loss = cross_entropy(logits, batch()[1])
        added = penalty.loss()
        backward(scaler.scale(loss + added))
    assert logits.dtype == torch.bfloat16
    assert added.dtype == torch.float32
    # Oracle: the gradients of both parts, each by itself, and the proximal operator behind them.
    with torch.autocast("cpu", torch.bfloat16):
        backward(cross_entropy(expected(batch(torch.float32)[0]), batch()[1]))
    backward(Penalty(expected, "joint_entropy", strength=STRENGTH, apply="loss").loss())
    with torch.no_grad():
        for value in expected.parameters():
            assert value.grad is not None
            value.sub_(value.grad, alpha=RATE)
    scaler.step(optimizer)
    scaler.update()
    with torch.autocast("cpu", torch.bfloat16):
        penalty.step(optimizer)
    Penalty(expected, "l1", strength=0.25).step(RATE)
    torch.testing.assert_close(weights(model), weights(expected), rtol=1e-5, atol=1e-7)
    assert any((weight == 0).any() for weight in weights(model))


@pytest.mark.parametrize("what", ["whole", "part", "parallel"])
def test_a_compiled_or_wrapped_module_has_the_names_and_the_training_of_its_own(what: str) -> None:
    model, plain = small(), small()
    wrapped: nn.Module = model
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch's own, about what it compiles
        if what == "whole":
            wrapped = torch.compile(model, backend="eager")  # type: ignore[assignment]
        elif what == "part":
            model[3] = torch.compile(model[3], backend="eager")
        else:
            wrapped = nn.DataParallel(model)
        for network in (wrapped, plain):
            optimizer = torch.optim.SGD(network.parameters(), RATE)
            penalty = Penalty(network, "l1_joint_entropy", strength=STRENGTH, names="3.weight")
            for _ in range(2):
                optimizer.zero_grad()
                backward(cross_entropy(network(batch()[0]), batch()[1]) + penalty.loss())
                optimizer.step()
                penalty.step(optimizer)
    torch.testing.assert_close(weights(model), weights(plain))
    assert not torch.equal(weights(model)[1], weights(small())[1])


# A formula of a user's own.


def roots(weight: Tensor, *, eps: Any = 0.25) -> Tensor:
    """Return the sum of sqrt(|w| + eps)."""
    return (weight.abs() + torch.as_tensor(eps).reshape(-1, 1, 1)).sqrt().sum(-1).sum(-1)


def of_products(weight: Tensor) -> Tensor:
    """Return the sum of squared products of rows, which autocast would compute in bfloat16."""
    return (weight @ weight.mT).square().sum(-1).sum(-1)


def test_autocast_does_not_reach_into_a_formula() -> None:
    losses, moved = [], []
    for enabled in (False, True):
        model = small(torch.float32)
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            losses.append(Penalty(model, f"{__name__}:of_products", strength=1.0).loss())
            later = Penalty(model, f"{__name__}:of_products", strength=1.0, apply="decoupled")
            later.step(RATE)
        moved.append(weights(model))
    assert losses[0] == losses[1]
    torch.testing.assert_close(moved[0], moved[1], rtol=0, atol=0)


def one_number(weight: Tensor) -> Tensor:
    return weight.sum()


def test_a_formula_of_ones_own_is_named_as_in_a_study_file() -> None:
    model = small()
    expected = sum(roots(weight.flatten(1), eps=0.5).item() for weight in weights(model))
    penalty = Penalty(model, f"{__name__}:roots", strength=1.0, eps=0.5)
    assert penalty.loss().item() == pytest.approx(expected)
    backward(penalty.loss())
    assert model[3].weight.grad is not None
    Penalty(model, f"{__name__}:roots", strength=STRENGTH, apply="shrink").step(RATE)
    with pytest.raises(PluginError, match=r"one_number: must return \[pack\], here \[2\], return"):
        Penalty(model, f"{__name__}:one_number", strength=1.0)


# What is wrong is one line.

WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "formula": (
        {"penalty": "marginal_entrpy", "strength": 1.0},
        "penalty: no such formula: got 'marginal_entrpy'; .*did you mean 'marginal_entropy'",
    ),
    "way": (
        {"penalty": "l_half", "strength": 1.0, "apply": "loss"},
        "apply: l_half cannot be applied as loss: its gradient is infinite",
    ),
    "near way": ({"penalty": "l1", "strength": 1.0, "apply": "los"}, "did you mean 'loss'"),
    "key": (
        {"penalty": "l1_marginal_entropy", "strength": 1.0, "mx": 1.0},
        "mx: unknown key: got 'mx'; allowed: apply, during, mix, .*did you mean 'mix'",
    ),
    "key of an arm": (
        {"penalty": "l1", "strength": 1.0, "method": "rigl"},
        "method: unknown key: got 'method'; allowed: apply, during",
    ),
    "range": ({"penalty": "log_sum", "strength": 1.0, "eps": 2.0}, "eps: must lie in .*, got 2"),
    "choice": ({"penalty": "group_lasso", "strength": 1.0, "by": "row"}, "by: must be one of"),
    "no strength": ({"penalty": "l1"}, "strength: required: a number$"),
    "negative": ({"penalty": "l1", "strength": -1.0}, "strength: must be >= 0, got -1"),
    "not a number": ({"penalty": "l1", "strength": float("nan")}, "strength: must be a "),
    "a word": ({"penalty": "l1", "strength": "auto"}, "strength: must be a number, got 'auto'"),
    "a domain": (
        {"penalty": "l1", "strength": {"uniform": [0, 1]}},
        "strength: must be a number, got {'uniform'",
    ),
    "a searched key": (
        {"penalty": "log_sum", "strength": 1.0, "eps": {"uniform": [0.1, 0.2]}},
        "eps: must be one value, nothing is searched here, got",
    ),
    "a window": (
        {"penalty": "l1", "strength": 1.0, "during": (0.5, 0.5), "steps": 9},
        r"during: must begin before it ends, got \[0.5, 0.5\]",
    ),
    "an empty window": (
        {"penalty": "l1", "strength": 1.0, "during": (0.5, 0.6), "steps": 3},
        r"during: holds none of the 3 training steps, got \[0.5, 0.6\]",
    ),
    "no steps": (
        {"penalty": "l1", "strength": 1.0, "ramp": 0.5},
        "steps: required with during or ramp",
    ),
    "steps": ({"penalty": "l1", "strength": 1.0, "steps": 0}, "steps: must be .*>= 1, got 0"),
    "both": (
        {"penalty": "l1", "strength": 1.0, "sum": {n: {"strength": 1.0} for n in ("l1", "l2")}},
        "sum: an arm has either a penalty or a sum of several",
    ),
    "a sum of prox": (
        {"sum": {n: {"strength": 1.0, "apply": "prox"} for n in ("mcp", "scad")}},
        "sum: mcp, scad cannot all be prox",
    ),
    "a term": (
        {"sum": {"hoyer": {"strength": 1.0}, "log_sum": {"strength": 1.0, "epps": 1.0}}},
        "sum.log_sum.epps: unknown key: .*did you mean 'eps'",
    ),
    "a term without strength": (
        {"sum": {"l1": {"strength": 1.0}, "log_sum": {}}},
        "sum.log_sum.strength: required: a number",
    ),
    "names": (
        {"penalty": "l1", "strength": 1.0, "names": ["3.*", "cnv*"]},
        "names.1: matches no weight of two or more dimensions: got 'cnv",
    ),
    "no name left": (
        {"penalty": "l1", "strength": 1.0, "names": ["!*"]},
        "names: leaves no weight",
    ),
    "no list of names": (
        {"penalty": "l1", "strength": 1.0, "names": 3},
        "names: must be patterns such as .*, got 3",
    ),
    "no pattern": ({"penalty": "l1", "strength": 1.0, "names": [3]}, "names: must be patterns"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_one_line_with_its_key(what: str) -> None:
    keys, text = WRONG[what]
    with pytest.raises(InputError, match=f"^Penalty: .*{text}") as refused:
        Penalty(small(), **keys)
    assert "\n" not in str(refused.value)


def computed() -> nn.Module:
    layer: nn.Module = weight_norm(nn.Linear(3, 2))
    return layer


def pruned_by_torch() -> nn.Module:
    layer = nn.Linear(3, 2)
    prune.l1_unstructured(layer, "weight", 0.5)  # type: ignore[no-untyped-call]
    return layer


def whole() -> nn.Module:
    layer = nn.Linear(3, 2)
    layer.weight = nn.Parameter(torch.ones(2, 3, dtype=torch.int8), requires_grad=False)
    return layer


def lazy() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return nn.LazyLinear(3)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: "lenet", "model: must be a torch.nn.Module, got str"),
        (nn.ReLU, "model: has no weight of two or more dimensions"),
        (computed, "parametrizations.weight.original0: a weight is computed from it"),
        (pruned_by_torch, "weight_orig: a weight is computed from it by torch.nn.utils"),
        (lazy, "weight: has no shape before the first examples"),
        (whole, "weight: must be of floating-point numbers, got torch.int8"),
    ],
)
def test_a_module_that_has_no_weights_of_its_own_is_refused(
    make: Callable[[], Any], text: str
) -> None:
    with pytest.raises(InputError, match=f"^Penalty: .*{text}") as refused:
        Penalty(make(), "l1", strength=1.0)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("rate", [-1.0, float("nan"), float("inf"), True, "0.1", None, [0.1]])
def test_a_learning_rate_is_a_number_or_an_optimizer(rate: Any) -> None:
    for penalty in (Penalty(small(), "l1", strength=1.0), Penalty(small())):
        with pytest.raises(InputError, match="step: learning_rate: must be a number >= 0 or an op"):
            penalty.step(rate)
        assert penalty.state_dict() == {"step": 0}


def test_a_weight_that_the_optimizer_does_not_train_is_refused_by_name() -> None:
    model = small()
    optimizer = torch.optim.SGD(model[0].parameters(), RATE)
    with pytest.raises(InputError, match=r"the optimizer does not train 3\.weight; allowed: names"):
        Penalty(model, "l1", strength=1.0).step(optimizer)
    Penalty(model, "l1", strength=1.0, names="0.*").step(optimizer)


def test_a_rate_at_which_a_prox_is_none_is_refused() -> None:
    penalty = Penalty(small(), "scad", strength=1.0, a=2.5)
    penalty.step(1.0)
    with pytest.raises(InputError, match=r"a: must be > 2.6 as prox \(the learning rate is 1.6\)"):
        penalty.step(1.6)


def test_a_loss_that_was_not_asked_for_is_an_error_and_not_a_dense_network() -> None:
    penalty = Penalty(small(), "l1", strength=1.0, apply="loss", during=(0.5, 1.0), steps=4)
    penalty.step(RATE)  # it rests
    penalty.step(RATE)
    with pytest.raises(InputError, match="l1 acts as loss, and loss\\(\\) was not called"):
        penalty.step(RATE)
    penalty.loss()
    penalty.step(RATE)
    with pytest.raises(InputError, match="load_state_dict: must be what state_dict"):
        penalty.load_state_dict({"step": -1})


def test_terms_of_an_arm_are_the_penalty_with_the_same_keys() -> None:
    left, right = small(), small()
    terms = (PenaltyConfig("l1_marginal_entropy", "shrink", STRENGTH, (("mix", 0.25),)),)
    Penalty.of(left, terms).step(RATE)
    Penalty(right, "l1_marginal_entropy", strength=STRENGTH, apply="shrink", mix=0.25).step(RATE)
    torch.testing.assert_close(weights(left), weights(right), rtol=0, atol=0)
    assert marginal_entropy(weights(left)[1]) != marginal_entropy(weights(small())[1])
