"""Products by the faster library: the same numbers, the same bits in any pack."""

import dataclasses
from functools import partial

import pytest
import torch
from torch import Tensor

from support.packs import RECIPE, config, every_method, facts, small_images
from sweeper.kernels import matmul
from sweeper.training.datasets import Data, load
from sweeper.training.pack import train_pack
from sweeper.training.stack import GradientBuffer
from sweeper.training.stacked_architecture import StackedArchitecture
from sweeper.types import SharedConfig

needs_onednn = pytest.mark.skipif(
    not matmul._there(), reason="this PyTorch has no oneDNN on this processor"
)


@pytest.fixture(scope="module")
def digits() -> Data:
    return load("digits")


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the faster library whatever the processor."""
    monkeypatch.setattr(matmul, "faster", lambda: True)


def drawn(*shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(shape, generator=generator)


@needs_onednn
@pytest.mark.parametrize(("m", "k", "n"), [(128, 784, 300), (1, 1, 1), (10, 128, 100), (7, 3, 5)])
@pytest.mark.parametrize("then", ["none", "relu"])
def test_a_product_is_that_of_float64(m: int, k: int, n: int, then: str) -> None:
    # Oracle: float64. Views that lie the other way round in memory too.
    for left in (drawn(m, k), drawn(k, m).T):
        for right in (drawn(n, k), drawn(k, n).T):
            for bias in (None, drawn(n)):
                wanted = left.double() @ right.double().T + (0 if bias is None else bias.double())
                if then == "relu":
                    wanted = wanted.clamp_min(0)
                for product in (matmul.linear, matmul._by_onednn):
                    result = product(left, right, bias, then)
                    torch.testing.assert_close(result.double(), wanted, rtol=1e-4, atol=1e-4)


@needs_onednn
@pytest.mark.parametrize("widths", [(300, 100), (12,), ()])
def test_networks_one_by_one_have_the_gradients_of_the_stack(
    widths: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Oracle: the stacked way, which is held to autograd.
    data = small_images(128)
    network = StackedArchitecture.of(_recipe(widths), data)
    stack = network.init(range(4), _recipe(widths), data)
    found = []
    for flag in (True, False):
        monkeypatch.setattr(matmul, "faster", partial(bool, flag))
        runner = network.runner()
        kept = {name: torch.full_like(value, 0.01) for name, value in stack.items()}
        fresh = {name: torch.full_like(value[:1], float("nan")) for name, value in stack.items()}
        sinks = [
            GradientBuffer(0, 3, {name: value[:3] for name, value in kept.items()}, 0.9),
            GradientBuffer(3, 4, fresh, 0.0),
        ]
        runner.backward(stack, data.train.examples, data.train.labels, sinks)
        logits = runner.logits(stack, data.train.examples).clone()
        found.append({**{f"{n} kept": v[:3] for n, v in kept.items()}, **fresh, "logits": logits})
    for name, value in found[0].items():
        torch.testing.assert_close(value, found[1][name], rtol=1e-4, atol=1e-6)
    assert not torch.equal(found[0]["logits"], torch.zeros_like(found[0]["logits"]))


@needs_onednn
@pytest.mark.parametrize(("widths", "batch"), [((300, 100), 128), ((64,), 128), ((3,), 8)])
def test_gradients_have_the_same_bits_at_any_place_of_a_pack(
    fast: None, widths: tuple[int, ...], batch: int
) -> None:
    data = small_images(batch)
    network = StackedArchitecture.of(_recipe(widths), data)
    stack = network.init(range(16), _recipe(widths), data)

    def gradients(chosen: list[int]) -> dict[str, Tensor]:
        part = {name: value[chosen].clone() for name, value in stack.items()}
        kept = {name: torch.full_like(value, 0.01) for name, value in part.items()}
        images, labels = data.train.examples, data.train.labels
        network.runner().backward(part, images, labels, [GradientBuffer(0, len(chosen), kept, 0.9)])
        return kept

    together = gradients(list(range(16)))
    for chosen in ([0], [9], [4, 9, 2], [15, 0]):
        for name, found in gradients(chosen).items():
            assert torch.equal(found, together[name][chosen]), (chosen, name)


@needs_onednn
def test_whole_trials_have_the_same_bits_in_any_pack(fast: None, digits: Data) -> None:
    methods = every_method()[::7]
    configs = [config(k, one) for k, one in enumerate(methods)]
    together = facts(train_pack(configs, digits))
    assert facts(train_pack(configs[::-1], digits)) == together[::-1]
    for k in (0, 3):
        assert facts(train_pack(configs[k : k + 1], digits)) == together[k : k + 1]


def test_small_products_are_left_to_mkl(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []
    monkeypatch.setattr(matmul, "_by_onednn", lambda left, *rest: taken.append(len(left)))
    matmul.linear(drawn(128, 100), drawn(10, 100))
    matmul.linear(drawn(127, 784), drawn(300, 784))
    matmul.linear(drawn(2, 8).bfloat16(), drawn(8, 8).bfloat16())
    assert taken == [127, 2]


def test_only_float32_on_a_cpu_is_served(fast: None) -> None:
    assert matmul.serves(torch.ones(1))
    assert not matmul.serves(torch.ones(1, dtype=torch.float64))
    assert not matmul.serves(torch.ones(1, device="meta"))


def _recipe(widths: tuple[int, ...]) -> SharedConfig:
    return dataclasses.replace(RECIPE, model_options=(("widths", widths),))
