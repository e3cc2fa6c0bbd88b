"""Pruned training: networks go through the weights that are left, as if they were dense."""

import dataclasses
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor, nn

from support.packs import RECIPE, config, facts
from sweeper.kernels import sparse_products
from sweeper.training import optimizers, sparse_fine_tuning
from sweeper.training.augmentation import Augmenter
from sweeper.training.datasets import Data, DataSplit
from sweeper.training.dead_biases import remove_dead_biases
from sweeper.training.determinism import deterministic_numerics
from sweeper.training.losses import Loss
from sweeper.training.pack import train_pack
from sweeper.training.pruned_fit import fit_pruned
from sweeper.training.sparse_fine_tuning import SparseFineTuning
from sweeper.training.stack import Stack, unflagged_runs
from sweeper.training.stacked_architecture import StackedArchitecture
from sweeper.training.teacher import Teacher
from sweeper.training.training_loop import Schedule, apply_masks, fit
from sweeper.types import LossConfig, PruneConfig, TeacherConfig, nothing

PIXELS, CLASSES = (1, 3, 4), 4
MODEL = dataclasses.replace(RECIPE, model_options=(("widths", (9, 7)),))
DENSITIES = (0.02, 0.1, 0.2, 1.0)
BATCHES = (1, 5, 16, 40, 64, 100, 128, 150)
"""Within vectors and over them, within blocks of examples and over them."""


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def data_of(labels: Tensor) -> Data:
    part = DataSplit(drawn(len(labels), *PIXELS), labels)
    return Data("small", CLASSES, part, part, part, hash="")


CLASSIFIED = data_of(torch.randint(CLASSES, (230,), generator=torch.Generator().manual_seed(1)))
MEASURED = data_of(drawn(230, CLASSES, seed=2))
TEACHER = Teacher(
    TeacherConfig("t:t", 0.4, 2.0), nn.Sequential(nn.Flatten(), nn.Linear(12, CLASSES)), ""
)


def squares(outputs: Tensor, labels: Tensor) -> Tensor:
    return (outputs - nn.functional.one_hot(labels, CLASSES)).square().sum(1)


@pytest.fixture(autouse=True)
def of_a_user(monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = ModuleType("a_loss_of_ours")
    module.squares = squares
    monkeypatch.setitem(sys.modules, "a_loss_of_ours", module)


@pytest.fixture(autouse=True)
def traces_that_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have moments forgotten that are large, and often."""
    for module in (optimizers, sparse_fine_tuning):
        monkeypatch.setattr(module, "FORGET_EVERY", 8)
        monkeypatch.setattr(module, "TRACE", 1e-3)


LOSSES = {
    "cross-entropy": (Loss(LossConfig()), CLASSIFIED),
    "smoothed": (Loss(LossConfig("cross_entropy", 0.2)), CLASSIFIED),
    "squared": (Loss(LossConfig("mse")), MEASURED),
    "binary": (Loss(LossConfig("binary_cross_entropy")), CLASSIFIED),
    "of a user": (Loss(LossConfig("a_loss_of_ours:squares")), CLASSIFIED),
    "with a teacher": (Loss(LossConfig(), TEACHER), CLASSIFIED),
}


def pruned(
    data: Data, prune: PruneConfig, loss: Loss = LOSSES["smoothed"][0]
) -> tuple[StackedArchitecture, Stack, Stack]:
    """Return networks cut to DENSITIES, with units that nothing leads into or on from; masks."""
    recipe = dataclasses.replace(MODEL, prune=prune)
    network = dataclasses.replace(StackedArchitecture.of(recipe, data), loss=loss)
    stack = network.init(range(len(DENSITIES)), recipe, data)
    for k, (name, _) in enumerate(network.layers or ()):
        stack[name][:, 3] = 0  # a unit whose bias alone acts
        if k:
            stack[name][:, :, 5] = 0  # one that nothing leads on from, yet, where all are trained
    weights = {name: stack[name] for name in network.weights}
    density = torch.tensor(DENSITIES, dtype=torch.float64)
    masks = network.rule.masks(weights, network.rule.rank(weights), density)
    apply_masks(stack, masks)
    return network, stack, masks | remove_dead_biases(network, stack)


def fine_tuned(
    run: Callable[..., int],
    network: StackedArchitecture,
    stack: Stack,
    masks: Stack,
    data: Data,
    optimizer: str = "sgd",
    batch: int = 23,
    some: slice = slice(None),
    **options: Any,
) -> Stack:
    """Return some of the networks after two epochs of ten steps."""
    copied = {name: value[some].clone() for name, value in stack.items()}
    pack = len(DENSITIES)
    with deterministic_numerics(torch.device("cpu")):  # as all training has it
        steps = run(
            network,
            copied,
            data.train,
            Schedule(2, batch, optimizer, "cosine", 5),
            rate=torch.linspace(0.02, 0.05, pack)[some] * (1 if optimizer == "sgd" else 0.1),
            momentum=torch.tensor([0.9, 0.0, 0.5, 0.9])[some],
            decay=torch.tensor([0.0, 0.01, 0.02, 0.01])[some],
            masks={name: mask[some] for name, mask in masks.items()},
            seeds=range(pack)[some],
            **{"tick": nothing, **options},
        )
    assert steps == 2 * (230 // batch)
    return copied


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_networks_are_those_of_dense_training(optimizer: str, loss: str) -> None:
    # Oracle: the masked training of `fit`, dense products over all weights.
    kind, data = LOSSES[loss]
    for prune in (PruneConfig(), PruneConfig(("!5.weight",), dead_biases=True)):
        network, stack, masks = pruned(data, prune, kind)
        dense = fine_tuned(fit, network, stack, masks, data, optimizer)
        sparse = fine_tuned(fit_pruned, network, stack, masks, data, optimizer)
        for name, value in dense.items():
            torch.testing.assert_close(sparse[name], value, rtol=2e-4, atol=2e-5, msg=name)
            assert not torch.equal(value, stack[name])
            if name in masks:
                assert not sparse[name][~masks[name]].any()
        # The dense network of the pack goes the old way.
        last = fine_tuned(fit, network, stack, masks, data, optimizer, some=slice(3, 4))
        assert all(torch.equal(sparse[name][3:], last[name]) for name in sparse)


@pytest.mark.parametrize("loss", ["smoothed", "with a teacher"])
def test_bits_are_the_same_in_any_pack_and_for_any_steps_at_once(
    loss: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, data = LOSSES[loss]
    network, stack, masks = pruned(data, PruneConfig(), kind)
    for optimizer in ("sgd", "adam"):
        monkeypatch.setattr(sparse_fine_tuning, "WORK_AT_ONCE", 1 << 28)
        together = fine_tuned(fit_pruned, network, stack, masks, data, optimizer)
        monkeypatch.setattr(sparse_fine_tuning, "WORK_AT_ONCE", 1)
        for k in range(len(DENSITIES)):
            some = slice(k, k + 1)
            alone = fine_tuned(fit_pruned, network, stack, masks, data, optimizer, some=some)
            assert all(torch.equal(alone[name], together[name][some]) for name in alone)


@pytest.mark.parametrize("loss", ["smoothed", "squared"])
def test_augmented_examples_are_those_of_dense_training(loss: str) -> None:
    kind, data = LOSSES[loss]
    network, stack, masks = pruned(data, PruneConfig(), kind)
    recipe = dataclasses.replace(MODEL, augment=("shift(1)", "flip"))
    augmenter = Augmenter.of(recipe, data)
    dense, sparse = (
        fine_tuned(run, network, stack, masks, data, augmenter=augmenter)
        for run in (fit, fit_pruned)
    )
    plain = fine_tuned(fit, network, stack, masks, data)
    for name, value in dense.items():
        torch.testing.assert_close(sparse[name], value, rtol=2e-4, atol=2e-5)
        assert not torch.allclose(value, plain[name], rtol=1e-2)


def test_there_is_a_tick_before_each_step_and_a_look_after_each_epoch() -> None:
    data = CLASSIFIED
    network, stack, masks = pruned(data, PruneConfig())
    facts_of: dict[str, list[Any]] = {}
    for run in (fit, fit_pruned):
        told = facts_of.setdefault(run.__name__, [])

        def watch(epoch: int, networks: Callable[[], Stack], told: list[Any] = told) -> None:
            told.append((epoch, {name: value.clone() for name, value in networks().items()}))

        def tick(told: list[Any] = told) -> None:
            told.append("step")

        last = fine_tuned(run, network, stack, masks, data, tick=tick, watch=watch)
        assert all(torch.equal(last[name], told[-1][1][name]) for name in last)
    assert len(facts_of["fit"]) == 20 + 2
    for dense, sparse in zip(*facts_of.values(), strict=True):
        if dense == "step":
            assert sparse == "step"
        else:
            assert sparse[0] == dense[0]
            torch.testing.assert_close(sparse[1], dense[1], rtol=2e-4, atol=2e-5)


def test_a_tick_that_raises_ends_the_training() -> None:
    network, stack, masks = pruned(CLASSIFIED, PruneConfig())
    ticks: list[int] = []

    def tick() -> None:
        ticks.append(0)
        if len(ticks) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fine_tuned(fit_pruned, network, stack, masks, CLASSIFIED, tick=tick)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_network_that_diverges_is_seen_to_and_harms_no_other(bad: float) -> None:
    network, stack, masks = pruned(CLASSIFIED, PruneConfig())
    sound = fine_tuned(fit_pruned, network, stack, masks, CLASSIFIED)
    stack["5.bias"][1, 2] = bad
    sick = fine_tuned(fit_pruned, network, stack, masks, CLASSIFIED)
    assert not sick["5.bias"][1].isfinite().all()
    for name, value in sick.items():
        for k in (0, 2, 3):
            assert torch.equal(value[k], sound[name][k])


def test_the_way_of_a_network_is_a_matter_of_its_count_of_weights(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network, stack, masks = pruned(CLASSIFIED, PruneConfig())
    layers, total = network.layers, sum(stack[name][0].numel() for name in network.weights)
    assert sparse_fine_tuning.trains(layers, stack, masks, 23) == [True, True, True, False]
    counts = sum(masks[name].flatten(1).sum(1) for name in network.weights)
    assert isinstance(counts, Tensor)
    monkeypatch.setattr(sparse_fine_tuning, "MAX_DENSITY", int(counts[1]) / total)
    assert sparse_fine_tuning.trains(layers, stack, masks, 23) == [True, True, False, False]
    monkeypatch.setattr(sparse_fine_tuning, "MAX_DENSITY_LARGE_BATCH", int(counts[0]) / total)
    assert sparse_fine_tuning.trains(layers, stack, masks, 256) == [True, True, False, False]
    assert sparse_fine_tuning.trains(layers, stack, masks, 257) == [True, False, False, False]
    # A layer that is not pruned has all of its weights.
    behind = {name: mask for name, mask in masks.items() if name != "3.weight"}
    assert not any(sparse_fine_tuning.trains(layers, stack, behind, 23))
    assert not any(sparse_fine_tuning.trains(None, stack, masks, 23))
    doubled = {name: value.double() for name, value in stack.items()}
    assert not any(sparse_fine_tuning.trains(layers, doubled, masks, 23))


def test_packs_of_trials_take_it(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []
    begin = SparseFineTuning.of

    def seen(*arguments: Any) -> Any:
        taken.append(arguments[3])
        return begin(*arguments)

    monkeypatch.setattr(SparseFineTuning, "of", seen)
    recipe = dataclasses.replace(MODEL, batch_size=23, epochs=1, curve=(), finetuned_curve=(0.03,))
    configs = [config(k, recipe=recipe, floor=0.0, density=(0.1, 0.9)[k]) for k in range(2)]
    together = facts(train_pack(configs, CLASSIFIED))
    assert taken == [[0, 1], [0]]
    assert [facts(train_pack([each], CLASSIFIED))[0] for each in configs] == together


@settings(max_examples=40, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 9), st.integers(1, 11), st.sampled_from(BATCHES)),
    density=st.floats(0.0, 1.0),
    seed=st.integers(0, 2**20),
)
def test_products_are_those_of_matrices_with_zeros(
    shape: tuple[int, int, int], density: float, seed: int
) -> None:
    # Oracle: NumPy. Whole numbers leave nothing to rounding.
    random = np.random.default_rng(seed)
    outputs, inputs, batch = shape

    def numbers(*sizes: int) -> Any:
        return random.integers(-3, 4, sizes).astype(np.float32)

    mask: NDArray[Any] = np.asarray(random.random((outputs, inputs)) < density)
    weight, examples, back = (
        numbers(outputs, inputs),
        numbers(inputs, batch),
        numbers(outputs, batch),
    )
    sums, gradient = numbers(outputs, batch), np.full(int(mask.sum()), np.nan, np.float32)
    inputs_of = mask.nonzero()[1].astype(np.int32)
    starts = np.cumsum([0, *mask.sum(1)])
    wanted = sums + (weight * mask) @ examples
    sparse_products.add_product(weight[mask], inputs_of, starts, examples, sums)
    assert (sums == wanted).all()
    sparse_products.entry_gradients(gradient, inputs_of, starts, examples, back)
    assert (gradient == (back @ examples.T)[mask]).all()
    index, pixels = random.integers(0, outputs, batch), np.nonzero(mask.any(0))[0]
    into = np.empty((len(pixels), batch), np.float32)
    sparse_products.gather_columns(weight, index, pixels, into)
    assert (into == weight[index][:, pixels].T).all()


def test_runs_are_the_networks_between_those_that_are_flagged() -> None:
    runs = unflagged_runs([False, False, True, False, True, True])
    assert [(some.start, some.stop) for some in runs] == [(0, 2), (3, 4)]
    assert unflagged_runs([True]) == []
