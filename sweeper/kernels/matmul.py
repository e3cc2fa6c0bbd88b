"""Products of two matrices, by the library that is the faster one on this kind of processor.

PyTorch multiplies float32 matrices with MKL on x86, which leaves AMD processors with AVX-512 at
half of their rate. It carries oneDNN too, which does not: on one thread of a Zen 5, 128 x 784 times
784 x 300 ran at 221 GFLOP/s instead of 104, and 1,024 x 1,024 at 245 instead of 109. Which one is
taken depends on the kind of processor alone, never on a measurement, so that bits repeat.

Of itself MKL rounds by where an operand lies in memory: of a network in a pack other than of the
same one alone, where its layers' sizes are no multiples of 16. `STRICT` ends that; it costs nothing
on large products and a quarter of the time of the smallest (128 x 100 times 100 x 10). Even so the
smallest are left to it, since starting oneDNN takes 12 us: the three products of LeNet's last layer
at batch 128 took 21 us by MKL instead of 42.
"""

import os
from functools import cache
from typing import Any

import torch
from torch import Tensor

from sweeper.kernels.processor import vendor

SMALL = 1_000_000
"""Multiplications in a product up to which MKL takes no longer: by size alone, so that bits
repeat."""
# Read by MKL at the first product of this process.
os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")


@cache
def faster() -> bool:
    """Tell whether `linear` beats PyTorch's own products on this processor."""
    wide = torch.backends.cpu.get_cpu_capability().startswith("AVX512")
    with_mkl: Any = torch.backends.mkl.is_available  # untyped
    return wide and with_mkl() and vendor() == "AuthenticAMD" and _there()


def serves(value: Tensor) -> bool:
    """Tell whether a matrix should be multiplied here: float32 on such a processor."""
    return value.device.type == "cpu" and value.dtype == torch.float32 and faster()


def linear(left: Tensor, right: Tensor, bias: Tensor | None = None, then: str = "none") -> Tensor:
    """Return left x right^T + bias, [m, n] from [m, k] and [n, k]; `then` may be "relu"."""
    if left.dtype == torch.float32 and is_small(len(left), right):
        product = left @ right.T if bias is None else torch.addmm(bias, left, right.T)
        return product.clamp_min_(0) if then == "relu" else product
    return _by_onednn(left, right, bias, then)


def is_small(rows: int, matrix: Tensor) -> bool:
    """Tell whether a product of so many rows with a matrix is left to MKL, in float32."""
    return rows * matrix.numel() <= SMALL


def outer(left: Tensor, right: Tensor, out: Tensor | None = None) -> Tensor:
    """Return left^T x right, [m, n] from [k, m] and [k, n]: the gradient of a matrix.

    `out` is taken in bfloat16 alone.
    """
    if left.dtype == torch.float32:
        return linear(left.T, right.T)
    # PyTorch takes oneDNN for it, and copies neither side first.
    return torch.mm(left.T, right, out=out)


def _by_onednn(left: Tensor, right: Tensor, bias: Tensor | None, then: str) -> Tensor:
    # What torch.compile makes of a linear layer; PyTorch has no other name for it.
    product: Tensor = torch.ops.mkldnn._linear_pointwise.default(left, right, bias, then, [], "")
    return product


def _there() -> bool:
    """Tell whether this PyTorch has it, and it does what is said above."""
    left, right = torch.eye(2), torch.tensor([[1.0, -2.0], [3.0, 4.0], [-5.0, 6.0]])
    try:
        product: Any = _by_onednn(left, right, torch.tensor([1.0, 0.0, 0.0]), "relu")
    except (AttributeError, RuntimeError):
        return False
    wanted = torch.tensor([[2.0, 3.0, 0.0], [0.0, 4.0, 6.0]])
    return torch.equal(product, wanted)
