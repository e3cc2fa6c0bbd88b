"""Packs compute what a module does in plain PyTorch; what they cannot is refused by name."""

import dataclasses
import itertools

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from support import network_cases
from support.network_cases import HARMLESS, REFUSED
from support.packs import BUILT_IN, RECIPE, config, facts, small_images
from sweeper.config.registry import MODELS
from sweeper.errors import PluginError
from sweeper.training import datasets, models
from sweeper.training.datasets import Data
from sweeper.training.evaluation import quality
from sweeper.training.noise import Noise
from sweeper.training.pack import train_pack
from sweeper.training.plain_pytorch import compare_with_plain
from sweeper.training.stack import GradientBuffer
from sweeper.training.stacked_architecture import StackedArchitecture
from sweeper.training.stacked_module import StackedModule
from sweeper.types import SharedConfig, nothing

DEEP = {"resnet-20", "resnet-32", "vgg-16-bn"}
"""Networks in which each step multiplies the rounding of the one before: compared in float64."""


PACKS = {"vgg-16-bn": 2}
"""Largest pack of a network that takes seconds a step."""


@pytest.fixture(scope="module", name="digits")
def _digits() -> Data:
    return datasets.load("digits")


def recipe(model: str) -> SharedConfig:
    options, _ = BUILT_IN.get(model, ((), 0))
    return dataclasses.replace(RECIPE, model=model, model_options=options, curve=())


def data_for(model: str) -> Data:
    if model not in BUILT_IN:
        return datasets.load("digits")
    return small_images(side=BUILT_IN[model][1])


def test_every_network_of_the_registry_is_compared() -> None:
    assert BUILT_IN.keys() == MODELS.keys()


@pytest.mark.parametrize(
    ("model", "seeds"),
    [
        *((f"support.network_cases:harmless_{name}", (5, 3, 4)) for name in HARMLESS),
        *((name, seeds) for name in BUILT_IN for seeds in ((3,), (5, 3, 4)[: PACKS.get(name)])),
    ],
)
def test_a_pack_computes_what_its_modules_do_in_plain_pytorch(
    model: str, seeds: tuple[int, ...]
) -> None:
    # Oracle: the module itself, torch.optim's SGD, loss.backward().
    data, known = data_for(model), recipe(model)
    dtype, size = (torch.float64, 6) if model in DEEP else (torch.float32, 16)
    images, labels = data.train.examples[:size].to(dtype), data.train.labels[:size]
    network = StackedArchitecture.of(known, data)
    stack = network.init(seeds, known, data)
    if model in DEEP:
        stack = {n: v.to(dtype) if v.is_floating_point() else v for n, v in stack.items()}
    runner = network.runner()
    gradients = {name: torch.full_like(stack[name], torch.nan) for name in network.parameters}
    noise = Noise(seeds, 0)
    before = runner.logits(stack, images).clone()
    for _ in range(2):  # steps
        sinks = [GradientBuffer(0, len(seeds), gradients, 0.0)]
        runner.backward(stack, images, labels, sinks, noise)
        noise.advance()
        for name, gradient in gradients.items():
            stack[name].sub_(gradient, alpha=0.2)
    after = runner.logits(stack, images).clone()
    assert torch.equal(runner.logits(stack, images), after)
    for k, seed in enumerate(seeds):
        module = models.build(model, known.model_options, data.shape, data.classes, seed=seed)
        if model in DEEP:
            module.to(dtype)
        optimizer = torch.optim.SGD(module.parameters(), lr=0.2)
        torch.testing.assert_close(before[k], module.eval()(images), rtol=1e-4, atol=1e-5)
        noise = Noise((seed,), 0)
        for _ in range(2):
            optimizer.zero_grad()
            noise.start(0, data.device)
            noise.advance()
            loss = functional.cross_entropy(module.train()(images), labels)
            torch.autograd.backward(loss)
            optimizer.step()
        torch.testing.assert_close(after[k], module.eval()(images), rtol=1e-4, atol=1e-5)
        plain = {**dict(module.named_parameters()), **dict(module.named_buffers())}
        assert plain.keys() >= stack.keys() >= dict(module.named_parameters()).keys()
        assert network.total == sum(value.numel() for value in module.parameters())
        for name, value in stack.items():
            expected = plain[name].detach()
            torch.testing.assert_close(value[k], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", HARMLESS)
def test_what_is_harmless_is_not_refused(name: str, digits: Data) -> None:
    notes = compare_with_plain(recipe(f"support.network_cases:harmless_{name}"), digits)
    said = [note.partition(": ")[2] for note in notes]
    odd = {
        "equal_for_every_seed": "initial weights are the same for every seed",
        "assigned": "GPUs run its networks one by one: RuntimeError: vmap",
        "recurrent": "GPUs run its networks one by one: ",
        "recurrent_dropout": "GPUs run its networks one by one: ",
    }
    assert len(said) == (name in odd)
    assert all(line.startswith(odd[name]) and "\n" not in line for line in said)


def test_a_batch_that_is_too_small_for_a_network_is_said_before_it_is_trained(digits: Data) -> None:
    known = recipe("support.network_cases:harmless_batch_norm_of_a_chain")
    with pytest.raises(PluginError, match="Expected more than 1 value per channel"):
        compare_with_plain(dataclasses.replace(known, batch_size=1), digits)


@pytest.mark.parametrize("model", ["convnet", "resnet-20"])
def test_rounding_that_a_deep_network_lets_grow_refuses_none(model: str) -> None:
    # As where pictures of one's own are given to a network of the registry.
    assert compare_with_plain(recipe(model), data_for(model)) == ()


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_pack_cannot_compute_is_refused_by_name(name: str, digits: Data) -> None:
    model, state = f"support.network_cases:refused_{name}", torch.get_rng_state()
    with pytest.raises(PluginError) as caught:
        compare_with_plain(recipe(model), digits)
    said = str(caught.value)
    reason = REFUSED[name][1]
    assert said.startswith(f"{model}: {reason}") or f": the network {reason}" in said
    assert "\n" not in said
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", ["always_noisy", "numpy_noise", "counting", "frozen", "unused"])
def test_training_itself_refuses_what_it_would_compute_wrongly(name: str, digits: Data) -> None:
    # As on a machine where the module is another version than the one that was tried.
    known = recipe(f"support.network_cases:refused_{name}")
    with pytest.raises(PluginError):
        train_pack([config(recipe=known), config(1, recipe=known)], digits)


def test_a_shared_matrix_is_counted_once_and_trains(digits: Data) -> None:
    known = recipe("support.network_cases:harmless_tied")
    alone = train_pack([config(1, recipe=known, density=1.0)], digits)
    (first, _) = train_pack([config(k, recipe=known, density=1.0) for k in (1, 2)], digits)
    assert facts([first]) == facts(alone)
    assert first.total == (64 + 1) * 32 + 32 * 32 + 2 * 32 + (32 + 1) * 10
    assert first.pruned is not None
    assert first.pruned.val_accuracy > 0.9
    assert first.pruned.weights == first.total - 3 * 32 - 10


def test_a_network_is_judged_in_its_evaluation_mode_and_trained_in_its_training_mode(
    digits: Data,
) -> None:
    class Modes(nn.Module):
        seen: list[bool] = []

        def __init__(self) -> None:
            super().__init__()
            self.out = nn.Linear(64, 10)

        def forward(self, images: Tensor) -> Tensor:
            self.seen.append(self.training)
            found: Tensor = self.out(images.flatten(1))
            return found

    module = Modes()
    network = StackedArchitecture(module, models.prunable(module), None, ("out.weight", "out.bias"))
    stack = {name: value.detach()[None].clone() for name, value in module.named_parameters()}
    runner = network.runner()
    assert isinstance(runner, StackedModule)
    into = {name: torch.zeros_like(value) for name, value in stack.items()}
    images, labels = digits.train.examples[:4], digits.train.labels[:4]
    quality(network, stack, digits.validation, nothing)
    runner.backward(stack, images, labels, [GradientBuffer(0, 1, into, 0.0)])
    quality(network, stack, digits.validation, nothing)
    # By some examples after the others where it is judged.
    assert [mode for mode, _ in itertools.groupby(Modes.seen)] == [False, True, False]


def test_every_case_is_a_factory_by_its_name() -> None:
    with pytest.raises(AttributeError):
        _ = network_cases.harmless_nothing
