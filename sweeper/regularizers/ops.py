"""Operations that all formulas share: their shapes, and the same bits for any pack and threads."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

from sweeper.errors import InputError

F = TypeVar("F", bound=Callable[..., Tensor])
FloatOrTensor = float | Tensor
"""A hyperparameter: a number, or one for each network, [pack]."""


def formula(function: F) -> F:
    """Have a formula R(W) take what it is meant for, and refuse all else in one line.

    That is one matrix [out, in], a stack [pack, out, in], or one kernel [out, in, height, width],
    as the matrix [out, in x height x width]; in floating-point numbers.
    """

    @wraps(function)
    def checked(weight: Tensor, **letters: Any) -> Tensor:
        if _is_kernel(function, weight):
            weight = weight.flatten(1)
        return function(weight, **letters)

    return cast(F, checked)


def operator(function: F) -> F:
    """Have a shrinkage or prox do as a `formula`; what it gives for a kernel has its shape."""

    @wraps(function)
    def checked(weight: Tensor, **letters: Any) -> Tensor:
        if not _is_kernel(function, weight):
            return function(weight, **letters)
        matrix = weight.flatten(1)
        return function(matrix, **letters).expand_as(matrix).reshape(weight.shape)

    return cast(F, checked)


def _is_kernel(function: Callable[..., Tensor], weight: Any) -> bool:
    """Tell a kernel from matrices. Raises InputError for what is neither; 0.2 us."""
    if isinstance(weight, Tensor) and weight.is_floating_point() and 2 <= weight.ndim <= 4:
        return weight.ndim == 4
    kind = type(weight).__name__
    got = f"{weight.dtype} {list(weight.shape)}" if isinstance(weight, Tensor) else kind
    text = "must be a tensor of floats, [out, in], [pack, out, in] or a kernel [out, in, height, "
    text += f"width], got {got}"
    if isinstance(weight, Tensor) and weight.ndim > 4:
        text += "; other kernels: weight.flatten(1)"
    raise InputError(f"{function.__name__}: weight: {text}")


def total(values: Tensor) -> Tensor:
    """Sum a stack of matrices, [pack, out, in] -> [pack].

    Rows first: a full reduction to one number is split among threads by PyTorch, so that its
    bits would depend on their number for a pack of one, and only there.

    >>> total(torch.ones(2, 3, 4))
    tensor([12., 12.])
    """
    return values.sum(-1).sum(-1)


def per_network(value: FloatOrTensor, like: Tensor) -> Tensor:
    """Shape a hyperparameter, [pack] or a number, so that it broadcasts over `like` [pack, ...]."""
    if not isinstance(value, Tensor):
        return like.new_full((), value)  # made where it is needed: nothing is sent to a device
    converted = value.to(like.dtype)
    return converted.view(-1, *[1] * (like.ndim - 1)) if converted.ndim else converted


def nonzero(values: Tensor) -> Tensor:
    """Return values >= 0 with 1 in place of 0: to divide by. For small tensors: `where` is slow."""
    return torch.where(values > 0, values, 1.0)


def shrink_towards_zero(weight: Tensor, amount: Tensor) -> Tensor:
    """Move every weight by `amount` >= 0 towards zero and stop there: exact zeros.

    Not differentiable. weight [pack, out, in], amount [pack, 1, 1] or one number.

    >>> shrink_towards_zero(torch.tensor([[[3.0, -0.5, -2.0]]]), torch.tensor(1.0))
    tensor([[[ 2.,  0., -1.]]])
    """
    return weight - torch.maximum(torch.minimum(weight, amount), -amount)


def shrink_in_place(weight: Tensor, amount: Tensor, threshold: Tensor | None = None) -> Tensor:
    """Move each weight by an `amount` of its own towards zero, and set all up to `threshold` to 0.

    Returns the moved weights; `amount` [pack, out, in] is overwritten; threshold [pack, 1, 1] or
    one number.
    """
    magnitudes = weight.abs()
    left = torch.sub(magnitudes, amount, out=amount).clamp_min_(0)
    if threshold is not None:
        left.masked_fill_(magnitudes <= threshold, 0.0)
    return left.copysign_(weight)
