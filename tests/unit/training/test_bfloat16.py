"""Training in bfloat16: near float32, the same bits in any pack, refused where it is emulated."""

import dataclasses
from collections.abc import Mapping, Sequence

import pytest
import torch
from torch import Tensor, nn

from support.packs import RECIPE, config, facts, penalty, small_images
from sweeper.errors import InputError, PluginError
from sweeper.kernels import bfloat16
from sweeper.training import determinism
from sweeper.training.datasets import Data, load
from sweeper.training.determinism import deterministic_numerics
from sweeper.training.pack import train_pack
from sweeper.training.plain_pytorch import compare_with_plain
from sweeper.training.stack import GradientBuffer, Stack
from sweeper.training.stacked_architecture import StackedArchitecture
from sweeper.training.stacked_mlp import StackedMLP
from sweeper.types import SharedConfig, TrialConfig

WIDE = (("widths", (160, 110)),)
"""Products of both kinds at batch 128 on 8 x 8 images: large ones, and the small last one."""
ROUNDING = 0.1
"""Of a gradient, as a share of its norm: numbers are rounded by 2^-9 of themselves a few times, and
gradients of 128 random examples nearly cancel in their mean, rounding does not."""


@pytest.fixture(autouse=True)
def multiplies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this processor pass for one that multiplies bfloat16; others emulate it."""
    monkeypatch.setattr(determinism, "multiplies_bfloat16", lambda: True)


@pytest.fixture(scope="module", name="digits")
def _digits() -> Data:
    return load("digits")


def recipe(model: str = "mlp", **changes: object) -> SharedConfig:
    base = dataclasses.replace(RECIPE, precision="bfloat16", batch_size=128, epochs=2, curve=())
    options = WIDE if model == "mlp" else ()
    return dataclasses.replace(base, model=model, model_options=options, **changes)  # type: ignore[arg-type]


def gradients(
    network: StackedArchitecture, stack: Stack, data: Data, keep: float, *, training: bool
) -> Stack:
    start = float("nan") if keep == 0 else 0.01
    into = {name: torch.full_like(stack[name], start) for name in network.parameters}
    pack = len(next(iter(stack.values())))
    examples, labels = data.train.examples[:128], data.train.labels[:128]
    sinks = [GradientBuffer(0, pack, into, keep)]
    network.runner(training=training).backward(dict(stack), examples, labels, sinks)
    return into


@pytest.mark.parametrize("keep", [0.0, 0.9])
@pytest.mark.parametrize("model", ["mlp", "lenet-5"])
def test_gradients_are_those_of_float32_but_for_rounding(model: str, keep: float) -> None:
    # Oracle: the same in float32, which is held to autograd.
    data = small_images(128, side=16)
    known = recipe(model)
    network = StackedArchitecture.of(known, data)
    stack = network.init((1, 2), known, data)
    rough, exact = (
        gradients(network, stack, data, keep, training=training) for training in (True, False)
    )
    for name, value in exact.items():
        difference = (rough[name] - value).norm()
        assert rough[name].dtype == torch.float32
        assert 0 < difference < ROUNDING * value.norm(), name


def test_a_gpu_has_the_gradients_of_a_cpu_but_for_rounding(
    digits: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = StackedArchitecture.of(recipe(), digits)
    stack = network.init((1, 2, 3), recipe(), digits)
    alone = gradients(network, stack, digits, 0.9, training=True)
    monkeypatch.setattr(StackedMLP, "_runs_together", lambda self, examples: True)
    together = gradients(network, stack, digits, 0.9, training=True)
    for name, value in alone.items():
        assert 0 < (together[name] - value).norm() < ROUNDING * value.norm(), name


@pytest.mark.parametrize("model", ["mlp", "lenet-5"])
def test_gradients_have_the_same_bits_at_any_place_of_a_pack(model: str) -> None:
    data, known = small_images(128, side=16), recipe(model)
    network = StackedArchitecture.of(known, data)
    stack = network.init(range(5), known, data)
    whole = gradients(network, stack, data, 0.9, training=True)
    for chosen in ([4], [2, 0]):
        part = {name: value[chosen].clone() for name, value in stack.items()}
        for name, value in gradients(network, part, data, 0.9, training=True).items():
            assert torch.equal(value, whole[name][chosen]), (chosen, name)


def test_trials_have_the_same_bits_in_any_pack_and_are_judged_in_float32(digits: Data) -> None:
    methods = (penalty("l1", "prox", 1e-4), penalty("marginal_entropy", "shrink"))
    configs = [
        config(k, method, recipe=recipe(epochs=5), density=0.5) for k, method in enumerate(methods)
    ]
    kept: dict[int, Mapping[str, Tensor]] = {}
    together = train_pack(configs, digits, keep=lambda k, values: kept.update({k: values}))
    alone = [train_pack([each], digits)[0] for each in configs]
    assert facts(together) == facts(alone)
    assert facts(train_pack([in_float32(configs[0])], digits)) != facts(alone[:1])
    network = StackedArchitecture.of(in_float32(configs[0]).recipe, digits)
    stack = {name: torch.stack([kept[k][name] for k in (0, 1)]) for name in kept[0]}
    logits = network.runner().logits(stack, digits.validation.examples)
    share = (logits.argmax(-1) == digits.validation.labels).double().mean(1)
    assert [result.pruned and result.pruned.val_accuracy for result in together] == share.tolist()
    assert min(share) > 0.5


def in_float32(chosen: TrialConfig) -> TrialConfig:
    return dataclasses.replace(
        chosen, recipe=dataclasses.replace(chosen.recipe, precision="float32")
    )


def test_what_a_processor_emulates_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(determinism, "multiplies_bfloat16", lambda: False)
    text = "training.precision: bfloat16 is emulated on this worker's cpu: it needs AVX-512 BF16"
    with (
        pytest.raises(InputError, match=text),
        deterministic_numerics(torch.device("cpu"), "bfloat16"),
    ):
        pass


class OnlyFloat32(nn.Module):
    def __init__(self, classes: int) -> None:
        super().__init__()
        self.layer = nn.Linear(64, classes)

    def forward(self, examples: Tensor) -> Tensor:
        outputs: Tensor = self.layer(examples.flatten(1))
        return outputs.masked_scatter(torch.zeros(1, dtype=torch.bool), torch.zeros(1))


def only_float32(shape: Sequence[int], classes: int) -> nn.Module:
    return OnlyFloat32(classes)


def test_a_module_that_cannot_be_trained_so_is_refused_before(digits: Data) -> None:
    known = dataclasses.replace(recipe(), model=f"{__name__}:only_float32", model_options=())
    text = "cannot be trained in bfloat16: RuntimeError: .*; allowed: float32"
    with pytest.raises(PluginError, match=text):
        compare_with_plain(known, digits)
    assert compare_with_plain(dataclasses.replace(known, precision="float32"), digits) == ()


@pytest.mark.parametrize("keep", [0.0, 0.9])
@pytest.mark.parametrize("view", [False, True])
def test_gradients_are_taken_in_as_pytorch_adds_them(keep: float, view: bool) -> None:
    # Oracle: PyTorch's sum of float32 and bfloat16; what is there is not read if nothing stays.
    gradient = torch.tensor([[1.0, -2.5, 0.0, 1e-39, float("inf"), float("nan")]] * 3).bfloat16()
    into = torch.full((3, 6), 0.3) if keep else torch.full((3, 6), float("nan"))
    if view:
        gradient, into = gradient.T, into.T
    wanted = into * keep + gradient if keep else gradient.float()
    bfloat16.take_(into, gradient, keep)
    torch.testing.assert_close(into, wanted, rtol=1e-6, atol=0, equal_nan=True)
