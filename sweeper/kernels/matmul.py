"""Products of two matrices, by the library that is the faster one on this kind of processor.

PyTorch multiplies float32 matrices with MKL on x86, which leaves AMD processors with AVX-512 at
half of their rate. It carries oneDNN too, which does not: on one thread of a Zen 5, 128 x 784 times
784 x 300 ran at 221 GFLOP/s instead of 104, and 1,024 x 1,024 at 245 instead of 109. Which one is
taken depends on the kind of processor alone, never on a measurement, so that bits repeat.

Of itself MKL rounds by where an operand lies in memory: of a network in a pack other than of the
same one alone, where its layers' sizes are no multiples of 16. `STRICT` ends that; it costs nothing
on large products and a quarter of the time of the smallest (128 x 100 times 100 x 10).
"""

import os
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

_CPUINFO = Path("/proc/cpuinfo")
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
    # What torch.compile makes of a linear layer; PyTorch has no other name for it.
    product: Tensor = torch.ops.mkldnn._linear_pointwise.default(left, right, bias, then, [], "")
    return product


def vendor(cpuinfo: Path = _CPUINFO) -> str:
    """Return the maker of the processor as Linux writes it; elsewhere ''."""
    try:
        lines = cpuinfo.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("vendor_id"))
    return next(names, "")


def _there() -> bool:
    """Tell whether this PyTorch has it, and it does what is said above."""
    left, right = torch.eye(2), torch.tensor([[1.0, -2.0], [3.0, 4.0], [-5.0, 6.0]])
    try:
        product: Any = linear(left, right, torch.tensor([1.0, 0.0, 0.0]), "relu")
    except (AttributeError, RuntimeError):
        return False
    wanted = torch.tensor([[2.0, 3.0, 0.0], [0.0, 4.0, 6.0]])
    return torch.equal(product, wanted)
