"""Modules with statistics, noise and shared weights: the same bits in any pack, and judged so."""

import dataclasses

import pytest
import torch
from torch import Tensor, nn

from support.packs import BUILT_IN, RECIPE, config, facts, small_images
from sweeper.training import datasets, models
from sweeper.training.batch_statistics import needs_recalibration, recalibrate
from sweeper.training.datasets import Data
from sweeper.training.noise import Noise, generator_kept
from sweeper.training.pack import train_pack
from sweeper.training.stacked_architecture import StackedArchitecture
from sweeper.types import SharedConfig

KINDS = (
    "tied",
    "batch_norm",
    "functional_dropout",
    "attention",
    "recurrent_dropout",
    "residual",
    "conv1d",
    "embedded",
    "batch_norm_of_a_chain",
    "assigned_buffer",
    "counted",
    "spectral_norm",
)


LARGE, SLOW = "vgg-16-bn", pytest.mark.slow
"""Its networks take seconds each, one after the other: in packs of 1 and 3 alone."""
TRAINED_HERE = [name for name in BUILT_IN if name != LARGE]


@pytest.fixture(scope="module", name="digits")
def _digits() -> Data:
    data = datasets.load("digits")
    part = datasets.DataSplit(data.train.examples[:96], data.train.labels[:96])
    return dataclasses.replace(data, train=part)


def recipe(name: str) -> SharedConfig:
    model = f"support.network_cases:harmless_{name}"
    return dataclasses.replace(
        RECIPE, model=model, model_options=(), epochs=2, curve=(0.2, 0.9), finetuned_curve=(0.5,)
    )


def built_in(name: str) -> tuple[SharedConfig, Data]:
    """Return a recipe for a network of the registry, and images that it takes."""
    options, side = BUILT_IN[name]
    short = dataclasses.replace(
        recipe(name),
        model=name,
        model_options=options,
        epochs=1,
        batch_size=12,
        curve=(0.5,),
        finetuned_curve=(),
    )
    return short, small_images(24, side)


@pytest.mark.parametrize("name", [*KINDS, *TRAINED_HERE, pytest.param(LARGE, marks=SLOW)])
def test_packs_of_several_sizes_give_the_same_bits(name: str, digits: Data) -> None:
    known, data = built_in(name) if name in BUILT_IN else (recipe(name), digits)

    def train(numbers: tuple[int, ...]) -> dict[int, tuple[object, dict[str, Tensor]]]:
        networks: dict[int, dict[str, Tensor]] = {}
        results = train_pack(
            [config(k, recipe=known) for k in numbers],
            data,
            keep=lambda place, network: networks.update({place: dict(network)}),
        )
        numbered = enumerate(zip(numbers, facts(results), strict=True))
        return {number: (result, networks[place]) for place, (number, result) in numbered}

    state = torch.get_rng_state()
    whole: tuple[int, ...] = (3, 0, 1, 2, 4, 5, 6, 7)
    parts: tuple[tuple[int, ...], ...] = ((2, 0, 5), (5,))
    if name == LARGE:
        whole, parts = parts[0], parts[1:]
    together = train(whole)
    assert torch.equal(torch.get_rng_state(), state)  # noise is nobody else's
    torch.manual_seed(7)  # what was drawn before does not count
    for numbers in parts:
        for number, (result, network) in train(numbers).items():
            expected, same = together[number]
            assert result == expected
            assert network.keys() == same.keys()
            assert all(torch.equal(value, same[key]) for key, value in network.items())


def test_images_of_one_channel_lie_with_channels_last_too() -> None:
    # They may be said to lie in either way, and PyTorch takes its fast way for this one alone.
    known, data = built_in("lenet-5")
    network = StackedArchitecture.of(known, data)
    seen: list[tuple[int, ...]] = []
    first = next(iter(network.template.children()))
    first.register_forward_pre_hook(lambda _, images: seen.append(images[0].stride()))
    network.runner().logits(network.init((1,), known, data), data.test.examples)
    assert seen == [(16 * 16, 1, 16, 1)]


def test_noise_is_a_networks_own_and_another_one_at_each_step_and_phase() -> None:
    noise = Noise((1, 2, 1), order_seed=0)
    first = [noise.seed(k) for k in range(3)]
    assert first[0] == first[2] != first[1]
    drawn = set(first)
    for _ in range(1000):
        noise.advance()
        drawn |= {noise.seed(0), noise.seed(1)}
    assert len(drawn) == 2002
    assert all(0 <= seed < 2**32 for seed in drawn)
    assert Noise((1,), order_seed=1).seed(0) not in drawn


def test_the_generator_is_left_as_it_was() -> None:
    state = torch.get_rng_state()
    with generator_kept(torch.device("cpu")):
        Noise((1,), 0).start(0, torch.device("cpu"))
        torch.rand(3)
    assert torch.equal(torch.get_rng_state(), state)


def test_dropout_acts_in_training_alone(digits: Data) -> None:
    # Oracle: the same network without dropout, whose weights are the same.
    known = recipe("functional_dropout")
    network = StackedArchitecture.of(known, digits)
    assert network.draws
    stack = network.init((1, 2), known, digits)
    runner = network.runner()
    logits = runner.logits(stack, digits.test.examples)
    assert torch.equal(runner.logits(stack, digits.test.examples), logits)
    for k, seed in enumerate((1, 2)):
        module = models.build(known.model, (), digits.shape, digits.classes, seed=seed)
        hidden = torch.relu(module.inner(digits.test.examples.flatten(1)))  # type: ignore[operator]
        torch.testing.assert_close(logits[k], module.out(hidden))  # type: ignore[operator]


def test_statistics_are_taken_again_from_training_examples(digits: Data) -> None:
    # Oracle: a batch norm of PyTorch's that averages, on the hidden values of the network.
    known = recipe("batch_norm_of_a_chain")
    network = StackedArchitecture.of(known, digits)
    assert needs_recalibration(network)
    stack = network.init((1, 2), known, digits)
    stack["1.weight"][1] *= 3  # as pruning would change them
    before = {name: stack[name].clone() for name in network.parameters}
    recalibrate(network, stack, digits.train, examples=50)
    index = torch.arange(50) * len(digits.train) // 50
    for k in range(2):
        flat = digits.train.examples[index].flatten(1)
        hidden = flat @ stack["1.weight"][k].T + stack["1.bias"][k]
        oracle = nn.BatchNorm1d(32, momentum=None)
        oracle(hidden)
        torch.testing.assert_close(stack["2.running_mean"][k], oracle.running_mean)
        torch.testing.assert_close(stack["2.running_var"][k], oracle.running_var)
        assert stack["2.num_batches_tracked"][k] == 1
    assert all(torch.equal(stack[name], value) for name, value in before.items())
    assert not network.template.training
    assert network.template.get_submodule("2").momentum == 0.1


def test_networks_without_statistics_stay_as_they_are(digits: Data) -> None:
    for name in ("tied", "assigned_buffer"):
        known = recipe(name)
        network = StackedArchitecture.of(known, digits)
        assert not needs_recalibration(network)
        stack = network.init((1,), known, digits)
        before = {key: value.clone() for key, value in stack.items()}
        recalibrate(network, stack, digits.train)
        assert all(torch.equal(stack[key], value) for key, value in before.items())


def test_buffers_are_counted_nowhere(digits: Data) -> None:
    known = recipe("batch_norm")
    (result,) = train_pack([config(1, recipe=known, density=1.0)], digits)
    module = models.build(known.model, (), digits.shape, digits.classes, seed=1)
    assert result.total == sum(value.numel() for value in module.parameters())
    assert result.pruned is not None
    assert result.pruned.nonzero <= result.total
    assert {layer.name for layer in result.pruned.layers} == {"0", "1", "4"}
