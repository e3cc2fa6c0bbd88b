"""Pruning in place: the masks of packs, and that they hold whatever trains the module on."""

import copy
import dataclasses
import gc
import io
import pickle
import warnings
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from support.plain_training import examples, network, recipe
from sweeper import Penalty, prune_
from sweeper.errors import InputError
from sweeper.modules import Masks
from sweeper.training.dead_biases import remove_dead_biases
from sweeper.training.stacked_architecture import StackedArchitecture
from sweeper.training.training_loop import apply_masks
from sweeper.types import PruneConfig

RULES: dict[str, tuple[PruneConfig, float]] = {
    "global": (PruneConfig(), 0.2),
    "per layer": (PruneConfig(scope="per_layer"), 0.2),
    "erk": (PruneConfig(scope="erk"), 0.2),
    "inputs": (PruneConfig(granularity="input"), 0.4),
    "outputs": (PruneConfig(scope="per_layer", granularity="output"), 0.3),
    "2:4": (PruneConfig(granularity="2:4"), 0.5),
    "named": (PruneConfig(names=("*", "!0.*")), 0.1),
    "dead biases": (PruneConfig(dead_biases=True), 0.02),
    "all": (PruneConfig(), 1.0),
}


def cut(model: nn.Module, rule: PruneConfig, density: float) -> Masks:
    return prune_(
        model,
        density,
        scope=rule.scope,
        granularity=rule.granularity,
        names=rule.names,
        dead_biases=rule.dead_biases,
        example=torch.zeros(1, 1, 8, 8) if rule.dead_biases else None,
    )


@pytest.mark.parametrize("label", RULES)
def test_masks_are_those_of_a_pack(label: str) -> None:
    # Oracle: what fine-tuning of packs does with the same initial network, and one beside it.
    rule, density = RULES[label]
    shared = dataclasses.replace(recipe(torch.float32), prune=rule)
    data = examples(torch.float32)
    packed = StackedArchitecture.of(shared, data)
    stack = packed.init((7, 8), shared, data)
    prunable = {name: stack[name] for name in packed.weights}
    ranked = packed.rule.rank(prunable)
    densities = torch.tensor([density, 0.5], dtype=torch.float64)
    expected = packed.rule.masks(prunable, ranked, densities)
    apply_masks(stack, expected)
    expected |= remove_dead_biases(packed, stack)

    torch.manual_seed(7)
    model = network((1, 8, 8), 10)
    state = cut(model, rule, density).state_dict()
    assert state.keys() == expected.keys()
    for name, mask in expected.items():
        assert torch.equal(state[name], mask[0]), name
    for name, value in model.named_parameters():
        assert torch.equal(value, stack[name][0]), name
    assert label == "all" or sum(int((~mask).sum()) for mask in state.values()) > 100


def small() -> Any:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 4))


BATCH = torch.randn(16, 6, generator=torch.Generator().manual_seed(1)), torch.arange(16) % 4


def loss_of(model: Any) -> Tensor:
    return cross_entropy(model(BATCH[0]), BATCH[1])


def backward(loss: Tensor) -> None:
    torch.autograd.backward(loss)


def assert_masked(model: Any, state: dict[str, Tensor]) -> None:
    for name, value in model.named_parameters():
        if name in state:
            assert not value[~state[name]].any(), name
            assert value[state[name]].all(), name


OPTIMIZERS: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "sgd": lambda p: torch.optim.SGD(p, 0.1, 0.9, weight_decay=0.01, nesterov=True),
    "adam": lambda p: torch.optim.Adam(p, 0.01, weight_decay=0.01),
    "adamw": lambda p: torch.optim.AdamW(p, 0.01, weight_decay=0.1, foreach=True),
    "rmsprop": lambda p: torch.optim.RMSprop(p, 0.01, momentum=0.9),
}


def fit(model: Any, optimizer: torch.optim.Optimizer, steps: int = 4) -> None:
    for _ in range(steps):
        optimizer.zero_grad()
        backward(loss_of(model))
        optimizer.step()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_masks_hold_with_moments_and_decay_from_before(name: str) -> None:
    model = small()
    optimizer = OPTIMIZERS[name](model.parameters())
    fit(model, optimizer)  # moments of all weights
    masks = prune_(model, 0.25)
    trained = copy.deepcopy(model.state_dict())
    fit(model, optimizer)
    assert_masked(model, masks.state_dict())
    assert not torch.equal(trained["0.weight"], model.state_dict()["0.weight"])


def test_masks_hold_under_autocast_with_a_scaler_and_a_penalty() -> None:
    model = small()
    masks = prune_(model, 0.25)
    optimizer = torch.optim.SGD(model.parameters(), 0.1, 0.9)
    penalty = Penalty(model, "l1_marginal_entropy", strength=1e-3, apply="decoupled")
    scaler = torch.amp.GradScaler("cpu")
    for _ in range(3):
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            loss = loss_of(model)
        backward(scaler.scale(loss))
        scaler.step(optimizer)
        scaler.update()
        penalty.step(optimizer)
    assert_masked(model, masks.state_dict())


@pytest.mark.parametrize("before", [True, False])
def test_masks_hold_in_a_compiled_module(before: bool) -> None:
    model = small()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch's own, about what it compiles
        compiled: Any = torch.compile(model, backend="aot_eager")
        masks = prune_(compiled if before else model, 0.25)
        fit(compiled, torch.optim.Adam(compiled.parameters(), 0.01))
    assert set(masks.state_dict()) == {"0.weight", "2.weight"}
    assert_masked(model, masks.state_dict())


def test_a_clipped_norm_does_not_count_what_is_cut() -> None:
    model = small()
    masks = prune_(model, 0.25)
    backward(loss_of(model))
    for name, value in model.named_parameters():
        if name in masks.state_dict():
            assert not value.grad[~masks.state_dict()[name]].any()
            assert value.grad.any()


def test_a_step_of_another_module_leaves_it_alone() -> None:
    model, other = small(), small()
    prune_(model, 0.25)
    with torch.no_grad():
        model[0].weight.fill_(1.0)  # as a checkpoint that is loaded does
    fit(other, torch.optim.SGD(other.parameters(), 0.1))
    assert other[0].weight.all()
    assert model[0].weight.all()
    fit(model, torch.optim.SGD(model[2].parameters(), 0.1))
    assert int(model[0].weight.count_nonzero()) + int(model[2].weight.count_nonzero()) == 30


def test_weights_that_are_loaded_are_cut_by_apply() -> None:
    model, dense = small(), small()
    masks = prune_(model, 0.25)
    model.load_state_dict(dense.state_dict())
    with torch.no_grad():
        model[0].weight[~masks.state_dict()["0.weight"]] = float("nan")
    masks.apply_()
    assert_masked(model, masks.state_dict())
    assert model.state_dict().keys() == dense.state_dict().keys()


def test_pruned_again_it_has_the_new_masks_and_zeros_stay() -> None:
    model = small()
    first = prune_(model, 0.5)
    second = prune_(model, 0.25)
    for name, mask in second.state_dict().items():
        assert not (mask & ~first.state_dict()[name]).any()
    first.apply_()
    first.remove()  # what is replaced does nothing
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    fit(model, optimizer)
    assert_masked(model, second.state_dict())
    third = prune_(model, 1.0)
    for name, mask in third.state_dict().items():
        assert torch.equal(mask, second.state_dict()[name])


def test_masks_that_let_more_stay_replace_those_of_a_module_wholly() -> None:
    model = small()
    wider = prune_(small(), 0.75).state_dict()
    prune_(model, 0.25)
    Masks(model, wider)
    fit(model, torch.optim.SGD(model.parameters(), 0.1), steps=1)
    stay = sum(int(value.count_nonzero()) for value in model.parameters() if value.ndim == 2)
    assert 30 < stay <= 90  # dead units have no gradient


def test_removed_masks_let_weights_be_trained_again() -> None:
    model = small()
    masks = prune_(model, 0.25)
    masks.remove()
    fit(model, torch.optim.SGD(model.parameters(), 0.1))
    masks.apply_()
    assert int(model[2].weight.count_nonzero()) > 30


def test_frozen_weights_are_cut_unless_names_leave_them_out() -> None:
    model = small()
    model[0].requires_grad_(False)
    frozen = model[0].weight.clone()
    prune_(model, 0.25, names="!0.*")
    assert torch.equal(model[0].weight, frozen)
    masks = prune_(model, 0.25)
    assert not torch.equal(model[0].weight, frozen)
    fit(model, torch.optim.SGD([*model[2].parameters()], 0.1))
    assert_masked(model, masks.state_dict())


def test_a_training_goes_on_from_a_checkpoint_with_its_masks() -> None:
    model = small()
    masks = prune_(model, 0.25)
    file = io.BytesIO()
    torch.save({"model": model.state_dict(), "masks": masks.state_dict()}, file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    later = small()
    later.load_state_dict(saved["model"])
    again = Masks(later, saved["masks"])
    assert repr(again) == repr(masks) == "Masks(30 of 120 stay)"
    for network_ in (model, later):
        fit(network_, torch.optim.Adam(network_.parameters(), 0.01))
    torch.testing.assert_close(model.state_dict(), later.state_dict(), rtol=0, atol=0)
    assert_masked(later, saved["masks"])


def test_a_copy_has_no_masks_and_a_module_that_is_gone_leaves_none() -> None:
    model = small()
    masks = prune_(model, 0.25)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        fit(other, torch.optim.SGD(other.parameters(), 0.1))
        assert int(other[2].weight.count_nonzero()) > 30
    gone = weakref.ref(model)
    del model, other
    gc.collect()
    assert gone() is None
    masks.apply_()
    masks.remove()


def test_biases_of_dead_units_go_and_stay_0() -> None:
    model = small()
    with torch.no_grad():
        model[2].weight[:, 3] = 0
    masks = prune_(model, 1.0, dead_biases=True)
    assert model[0].bias[3] == 0
    fit(model, torch.optim.SGD(model.parameters(), 0.1))
    assert model[0].bias[3] == 0
    assert int(model[0].bias.count_nonzero()) == 11
    assert_masked(model, masks.state_dict())


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "none": ({}, "density: required: kept weights / all weights"),
    "zero": ({"density": 0.0}, "density: must be > 0, got 0"),
    "more": ({"density": 5}, "density: must be <= 1, got 5"),
    "a word": ({"density": "5%"}, "density: must be a number, got '5%'"),
    "scope": ({"density": 0.1, "scope": "globl"}, "scope: must be 'global', 'per_layer' or 'erk'"),
    "granularity": ({"density": 0.1, "granularity": "row"}, "granularity: must be weight, input"),
    "4:4": ({"granularity": "4:4"}, "granularity: must be .*N:M with N < M"),
    "2:4": ({"density": 0.1, "granularity": "2:4"}, "density: must be 0.5 for granularity 2:4"),
    "2:4 erk": ({"granularity": "2:4", "scope": "erk"}, "scope: every layer has the same density"),
    "names": ({"density": 0.1, "names": "conv*"}, "names.0: matches no weight of two or more"),
    "example": (
        {"density": 0.1, "dead_biases": True, "example": [1.0]},
        r"example: must be a tensor \[n, ...\] of inputs, got \[1.0\]",
    ),
    "truth": ({"density": 0.1, "dead_biases": "yes"}, "dead_biases: must be true or false"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_one_line_and_cuts_nothing(what: str) -> None:
    keys, text = WRONG[what]
    model = small()
    with pytest.raises(InputError, match=f"^prune_: {text}") as refused:
        prune_(model, **keys)
    assert "\n" not in str(refused.value)
    torch.testing.assert_close(model.state_dict(), small().state_dict(), rtol=0, atol=0)


def test_dead_biases_that_cannot_be_known_are_refused_before_anything_is_cut() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4), nn.Linear(4, 2))
    for example, text in (
        (None, "example: required with dead_biases for such a module"),
        (torch.zeros(1, 4), "dead_biases: the module cannot be followed: its layer 1 is a LayerN"),
    ):
        with pytest.raises(InputError, match=f"^prune_: {text}"):
            prune_(model, 0.1, dead_biases=True, example=example)
    assert all(value.all() for value in model.parameters() if value.ndim > 1)


def test_masks_of_another_module_are_refused() -> None:
    state = prune_(small(), 0.25).state_dict()
    with pytest.raises(InputError, match=r"^Masks: no such parameter: got '0\.weight'; allowed"):
        Masks(nn.Linear(2, 2), state)
    with pytest.raises(InputError, match=r"0.weight: must be torch.bool \[5, 6\], got torch"):
        Masks(nn.Sequential(nn.Linear(6, 5)), {"0.weight": state["0.weight"]})
