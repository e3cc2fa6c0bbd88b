"""Shapes that formulas take: a matrix, a stack, a kernel, and one error line for all else."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from support.formula_cases import matrices
from sweeper import regularizers
from sweeper.config.registry import FORMULAS, load
from sweeper.errors import InputError

STEP = {"step": 0.125, "strength": 0.25}


def functions() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield every function of the registry, its kind, and its letters."""
    for formula in FORMULAS.values():
        hyper = {key: known.default for key, known in formula.hyper.items()}
        inner = {"strength": 0.25} if formula.strength_inside else {}
        yield formula.value, "value", {**hyper, **inner}
        if formula.shrinkage:
            yield formula.shrinkage, "slope", {**hyper, **inner}
        if formula.prox:
            yield formula.prox, "prox", {**hyper, **STEP}


EVERY = [*functions()]
EACH = pytest.mark.parametrize(
    ("path", "kind", "letters"), EVERY, ids=[path.rpartition(":")[2] for path, _, _ in EVERY]
)


def test_every_public_function_is_one_of_the_registry() -> None:
    assert {path.rpartition(":")[2] for path, _, _ in functions()} == {*regularizers.__all__}


@EACH
def test_a_kernel_is_the_matrix_of_its_flattened_inputs(
    path: str, kind: str, letters: dict[str, Any]
) -> None:
    function = load(path)
    kernel = matrices(pack=1, shape=(6, 2 * 3 * 4))[0].view(6, 2, 3, 4)
    for weight in (kernel, kernel.to(memory_format=torch.channels_last)):
        of_kernel: Tensor = function(weight, **letters)
        of_matrix: Tensor = function(weight.flatten(1), **letters)
        if kind == "value":
            assert of_kernel.shape == ()
            torch.testing.assert_close(of_kernel, of_matrix, rtol=0, atol=0)
        else:
            assert of_kernel.shape == kernel.shape
            expected = of_matrix.expand(6, 24).reshape(kernel.shape)
            torch.testing.assert_close(of_kernel, expected, rtol=0, atol=0)


@EACH
def test_one_matrix_is_a_stack_of_one(path: str, kind: str, letters: dict[str, Any]) -> None:
    function, weight = load(path), matrices(pack=1)
    alone, stacked = function(weight[0], **letters), function(weight, **letters)
    shape = (1,) if kind == "value" else weight.shape
    torch.testing.assert_close(alone.expand(shape[1:]), stacked.expand(shape)[0])


REFUSED: dict[str, tuple[Any, str]] = {
    "a number": (torch.tensor(1.0), r"got torch.float32 \[\]"),
    "a bias": (torch.ones(3), r"got torch.float32 \[3\]"),
    "whole numbers": (torch.ones(3, 4, dtype=torch.int64), r"got torch.int64 \[3, 4\]"),
    "complex numbers": (torch.ones(3, 4, dtype=torch.complex64), r"got torch.complex64 \[3, 4\]"),
    "a stack of kernels": (
        torch.ones(2, 3, 4, 5, 5),
        r"\[2, 3, 4, 5, 5\]; other kernels: weight\.",
    ),
    "an array": (np.ones((3, 4)), "got ndarray"),
    "a list": ([[1.0, 2.0]], "got list"),
}


@EACH
def test_any_other_weight_is_one_error_line(path: str, kind: str, letters: dict[str, Any]) -> None:
    name = path.rpartition(":")[2]
    for weight, text in REFUSED.values():
        line = f"^{name}: weight: must be a tensor of floats, .*{text}"
        with pytest.raises(InputError, match=line) as refused:
            load(path)(weight, **letters)
        assert "\n" not in str(refused.value)


def test_gradients_go_through_a_kernel() -> None:
    kernel = torch.randn(4, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    torch.autograd.backward(regularizers.marginal_entropy(kernel))
    matrix = kernel.detach().flatten(1).requires_grad_()
    torch.autograd.backward(regularizers.marginal_entropy(matrix))
    assert kernel.grad is not None
    assert matrix.grad is not None
    torch.testing.assert_close(kernel.grad.flatten(1), matrix.grad)
