"""Kernels for GPUs, run by Triton's interpreter on the CPU: their text is the same."""

import importlib
import logging
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy
import pytest
import torch
from torch import Tensor

from sweeper.kernels import fused_steps, optimizer_steps
from sweeper.kernels.optimizer_steps import AdamBeta, LinearPenalties
from sweeper.types import ApplyMode

triton: Any = pytest.importorskip("triton", reason="PyTorch for CPUs comes without Triton")
KERNELS = "sweeper.kernels.triton_steps"
GIVEN: list[dict[ApplyMode, tuple[float, float]]] = [
    {},
    {"loss": (0.3, 0.1)},
    {"decoupled": (0.3, 0.2)},
    {"shrink": (0.4, 0.3)},
    {"prox": (0.5, 0.2)},
    {"loss": (0.3, 0.0), "decoupled": (0.1, 0.1), "shrink": (0.2, 0.1), "prox": (0.1, 0.2)},
]
PACK, SIZE = 3, 1100  # more than a block, and not a multiple of it


@pytest.fixture(autouse=True)
def interpreted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have the kernels interpreted, and compiled again by whoever comes later."""
    monkeypatch.delitem(sys.modules, KERNELS, raising=False)
    with triton.knobs.runtime.scope():
        triton.knobs.runtime.interpret = True
        importlib.import_module(KERNELS)
    fused_steps._compiles.cache_clear()
    yield
    fused_steps._compiles.cache_clear()


def lines_of(given: dict[ApplyMode, tuple[float, float]]) -> LinearPenalties:
    """Return penalties, of another strength for each network."""
    lines = LinearPenalties.none(PACK)
    for mode, (constant, factor) in given.items():
        share = torch.arange(PACK) / 2
        lines = lines.plus(mode, constant * share, factor * share)
    return lines


def state(count: int) -> list[Tensor]:
    """Return weights, some of them 0, and what optimizers keep of them."""
    values = torch.randn(count, PACK, SIZE, generator=torch.Generator().manual_seed(1))
    values[0, :, :50] = 0
    return [*values.unbind(0)]


@pytest.mark.parametrize("given", GIVEN)
def test_a_fused_step_of_sgd_is_the_compiled_one(
    given: dict[ApplyMode, tuple[float, float]],
) -> None:
    # Oracle: the loops of the CPU.
    weight, buffer = state(2)
    rate, lines = torch.tensor([0.1, 0.2, 0.3]), lines_of(given)
    expected, moments = weight.clone(), buffer.clone()
    optimizer_steps.sgd_(expected, moments, rate, lines)
    fused_steps.sgd_(weight, buffer, rate, lines.values, None, in_loss="loss" in given)
    torch.testing.assert_close(weight, expected, rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(buffer, moments, rtol=1e-6, atol=1e-7)
    assert torch.equal(weight == 0, expected == 0)


def test_a_fused_step_of_sgd_holds_pruned_weights_at_0() -> None:
    weight, buffer = state(2)
    outside = torch.rand(PACK, SIZE, generator=torch.Generator().manual_seed(2)) < 0.5
    rate, lines = torch.tensor([0.1, 0.2, 0.3]), lines_of({"loss": (0.0, 0.1)})
    expected, moments = weight.clone(), buffer.clone()
    optimizer_steps.sgd_(expected, moments, rate, lines, outside)
    fused_steps.sgd_(weight, buffer, rate, lines.values, outside, in_loss=True)
    torch.testing.assert_close(weight, expected, rtol=1e-6, atol=1e-7)
    assert not weight[outside].any()


@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize("given", GIVEN)
def test_a_fused_step_of_adam_is_the_compiled_one(
    given: dict[ApplyMode, tuple[float, float]], cut: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Oracle: the loops of the CPU; through `optimizer_steps`, which says what lies in which column.
    weight, gradient, first, second = state(4)
    second.abs_()
    outside = torch.rand(PACK, SIZE, generator=torch.Generator().manual_seed(2)) < 0.5
    rate, lines = torch.tensor([0.1, 0.2, 0.3]), lines_of(given)
    keep, root = torch.tensor([1.0, 0.9, 0.8]), torch.tensor([0.1, 0.2, 1.0])
    momentum = torch.tensor([0.9, 0.5, 0.0])
    beta = AdamBeta(momentum, 0.999, 1e-8, rate / (1 - momentum), root)
    rest = rate, keep, beta, lines, outside if cut else None
    expected = [value.clone() for value in (weight, first, second)]
    optimizer_steps.adam_(expected[0], gradient.clone(), (expected[1], expected[2]), *rest)
    monkeypatch.setattr(optimizer_steps, "fused_steps", always())
    other = [value.as_subclass(Elsewhere) for value in (weight, gradient)]
    optimizer_steps.adam_(other[0], other[1], (first, second), *rest)
    for value, wanted in zip((weight, first, second), expected, strict=True):
        torch.testing.assert_close(value, wanted, rtol=1e-5, atol=1e-6)
    assert torch.equal(weight == 0, expected[0] == 0)


class Elsewhere(Tensor):
    """A tensor that says that it lies on a GPU."""

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return torch.device("cuda")


def always() -> SimpleNamespace:
    """Return fused steps that take tensors for what they are."""

    def adam_(*given: Any) -> None:
        plain: Any = [g.as_subclass(Tensor) if isinstance(g, Tensor) else g for g in given]
        fused_steps.adam_(*plain)

    return SimpleNamespace(usable=lambda weight: True, adam_=adam_)


@pytest.mark.parametrize(
    ("name", "options", "scalars"),
    [
        ("sgd", {"in_loss": True, "cut": True}, {"size": "i32"}),
        ("sgd", {"in_loss": False, "cut": False, "size": 1}, {}),
        ("adam", {"cut": True}, {"size": "i32", "beta2": "fp32", "eps": "fp32"}),
    ],
)
def test_kernels_compile_to_the_program_of_a_gpu(
    name: str, options: dict[str, int], scalars: dict[str, str], tmp_path: Path
) -> None:
    # For the H200, by Triton's own assembler: no GPU is needed for it.
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    sys.modules.pop(KERNELS)
    kernel = getattr(importlib.import_module(KERNELS), name)
    constants = {**options, "block": fused_steps.BLOCK}
    types = {**dict.fromkeys(constants, "constexpr"), **scalars, "outside": "*i1"}
    signature = {argument: types.get(argument, "*fp32") for argument in kernel.arg_names}
    with triton.knobs.cache.scope():
        triton.knobs.cache.dir = str(tmp_path)
        source = ASTSource(kernel, signature, constexprs=constants)
        target = GPUTarget("cuda", 90, 32)
        made = triton.compile(source, target=target, options=fused_steps.OPTIONS)
    assert made.asm["cubin"]
    assert "fma." not in made.asm["ptx"]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_diverged_weight_stays_seen_in_a_fused_step(value: float) -> None:
    for given in GIVEN[1:]:
        weight, buffer = torch.full((PACK, 2), value), torch.zeros(PACK, 2)
        rate, lines = torch.tensor([0.1, 0.2, 0.3]), lines_of(given)
        with numpy.errstate(invalid="ignore"):  # the interpreter computes with NumPy
            fused_steps.sgd_(weight, buffer, rate, lines.values, None, in_loss="loss" in given)
        assert not weight.isfinite().any(), given


def test_kernels_that_compute_something_else_or_fail_are_not_taken(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cpu = torch.device("cpu")
    assert fused_steps._compiles(cpu)
    assert not fused_steps.usable(torch.zeros(2, 2))  # a CPU has loops
    with caplog.at_level(logging.WARNING, "sweeper.worker"):
        for step, said in (
            (lambda *tensors, **options: None, "its step of SGD with L1 is another one"),
            (no_compiler, "RuntimeError: Failed to find C compiler"),
        ):
            fused_steps._compiles.cache_clear()
            monkeypatch.setattr(fused_steps, "sgd_", step)
            assert not fused_steps._compiles(cpu)
            assert said in caplog.messages[-1]
            assert not fused_steps._compiles(cpu)
        assert len(caplog.messages) == 2  # said once each


def no_compiler(*tensors: object, **options: object) -> None:
    raise RuntimeError("Failed to find C compiler. Please specify via CC environment variable.")
