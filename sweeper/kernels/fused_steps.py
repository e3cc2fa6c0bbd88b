"""Fused optimizer steps for GPUs: SGD and Adam with linear penalties, one pass each, by Triton.

With L1 as a proximal step SGD reads and writes the weights 8 times over in PyTorch and 3 times so,
Adam 25 times and 7. Where Triton is not installed or does not compile, PyTorch does it.

Shapes as in `optimizer_steps`: flat, [pack, n], contiguous; what is for each network is [pack].
"""

import logging
from functools import cache
from typing import Any

import torch
from torch import Tensor

from sweeper.kernels.penalty_columns import COLUMNS, PROX_CONSTANT

_log = logging.getLogger("sweeper.worker")
BLOCK = 1024
"""Weights of a network that one program of a GPU takes."""
OPTIONS = {"enable_fp_fusion": False}
"""Memory is what a step waits for: so each operation may be rounded by itself, as NumPy does it."""


def usable(weight: Tensor) -> bool:
    """Return whether the kernels run where a tensor lies: tried once for each GPU."""
    suits = weight.is_cuda and weight.dtype == torch.float32 and weight.is_contiguous()
    return suits and _compiles(weight.device)


def sgd_(
    weight: Tensor,
    buffer: Tensor,
    rate: Tensor,
    lines: Tensor,
    outside: Tensor | None,
    *,
    in_loss: bool,
) -> None:
    """Take a step of SGD in place, as `optimizer_steps.sgd_`; lines [pack, 8].

    Without `in_loss` no network has a penalty in the loss, and the buffers stay as they are.
    """
    from sweeper.kernels import triton_steps

    kernel: Any = triton_steps.sgd  # untyped
    kernel[_grid(weight)](
        weight,
        buffer,
        rate,
        lines,
        weight if outside is None else outside,
        weight.shape[1],
        in_loss=in_loss,
        cut=outside is not None,
        block=BLOCK,
        **OPTIONS,
    )


def adam_(
    weight: Tensor,
    gradient: Tensor,
    first: Tensor,
    second: Tensor,
    columns: Tensor,
    lines: Tensor,
    outside: Tensor | None,
    beta2: float,
    eps: float,
) -> None:
    """Take a step of Adam in place, as `optimizer_steps.adam_`; the gradient stays as it is.

    `columns` [pack, 5]: rate, what decoupled decay leaves, 1 - beta1, `scale` and `root`.
    """
    from sweeper.kernels import triton_steps

    kernel: Any = triton_steps.adam  # untyped
    kernel[_grid(weight)](
        weight,
        gradient,
        first,
        second,
        columns,
        lines,
        weight if outside is None else outside,
        weight.shape[1],
        beta2,
        eps,
        cut=outside is not None,
        block=BLOCK,
        **OPTIONS,
    )


def _grid(weight: Tensor) -> tuple[int, int]:
    pack, size = weight.shape
    return -(-size // BLOCK), pack


@cache
def _compiles(device: torch.device) -> bool:
    """Return whether a step with a known result has it; elsewhere PyTorch takes the steps."""
    try:
        right = _is_right(device)
    except Exception as error:  # no Triton, no C compiler, a driver that it does not know
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
    else:
        reason = "" if right else "its step of SGD with L1 is another one"
    if reason:
        _log.warning("steps on %s are not fused, Triton cannot be used: %s", device, reason)
    return not reason


def _is_right(device: torch.device) -> bool:
    """Return whether a step from 1 and 0.01 with L1 ends where it should."""
    weight = torch.tensor([[1.0, 0.01]], device=device)
    buffer = torch.zeros_like(weight)
    lines = torch.zeros(1, 2 * len(COLUMNS), device=device)
    lines[0, PROX_CONSTANT] = 0.5
    sgd_(weight, buffer, torch.full((1,), 0.5, device=device), lines, None, in_loss=False)
    return weight.tolist() == [[0.75, 0.0]]
