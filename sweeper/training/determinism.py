"""Determinism: the threads and the matrix products that the bits of a result depend on."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from sweeper.errors import InputError
from sweeper.kernels.processor import BFLOAT16_NEEDS, multiplies_bfloat16


def check_precision(precision: str, device: torch.device) -> None:
    """Raise InputError, one line, where a device cannot multiply as the study file says."""
    text = ""
    if precision == "tf32" and device.type != "cuda":
        text = f"tf32 exists on NVIDIA GPUs only, this worker is on {device}"
    if precision == "bfloat16" and not _multiplies_bfloat16(device):
        text = f"bfloat16 is emulated on this worker's {device.type}: {BFLOAT16_NEEDS}"
    if text:
        raise InputError(f"training.precision: {text}; allowed here: float32")


def _multiplies_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        supported: Any = torch.cuda.is_bf16_supported  # untyped
        return bool(supported(including_emulation=False))
    return device.type == "cpu" and multiplies_bfloat16()


@contextmanager
def deterministic_numerics(device: torch.device, precision: str = "float32") -> Iterator[None]:
    """Hold what bits depend on, and put it back. Raises InputError as `check_precision`.

    One thread on a CPU, since several share out the sums of a product: eight gave other bits than
    one for LeNet-300-100, two for wider layers. Cores are used by as many processes; two threads
    took 2.5 ms a step and network where one took 2.2. On CUDA float32 means float32, cuDNN takes no
    algorithm whose sums come in any order or that was the fastest at the moment, and streams and
    graphs are those of this GPU: else they would be those of the first one.
    """
    check_precision(precision, device)
    threads = torch.get_num_threads()
    before = _CudaSettings.now()
    if device.type == "cpu":
        torch.set_num_threads(1)
    else:
        wanted = "tf32" if precision == "tf32" else "ieee"
        _CudaSettings(
            wanted, wanted, wanted, reduces=False, deterministic=True, benchmark=False
        ).set()
    started: Any = torch.cuda.is_initialized  # untyped
    first = device.type == "cpu" or not started()
    try:
        with nullcontext() if first else torch.cuda.device(device):
            yield
    finally:
        torch.set_num_threads(threads)
        if device.type != "cpu":
            before.set()


@dataclass(frozen=True, slots=True)
class _CudaSettings:
    """Settings of PyTorch's that bits on a GPU depend on."""

    products: str
    convolutions: str
    recurrent: str
    reduces: bool
    """Whether parts of a sum of bfloat16 may be rounded to it."""
    deterministic: bool
    benchmark: bool

    @classmethod
    def now(cls) -> "_CudaSettings":
        """Return those that hold."""
        cudnn: Any = torch.backends.cudnn  # untyped
        return cls(
            torch.backends.cuda.matmul.fp32_precision,
            cudnn.conv.fp32_precision,
            cudnn.rnn.fp32_precision,
            torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction,
            cudnn.deterministic,
            cudnn.benchmark,
        )

    def set(self) -> None:
        """Have them hold from now on."""
        cudnn: Any = torch.backends.cudnn
        products = torch.backends.cuda.matmul
        products.fp32_precision = self.products
        products.allow_bf16_reduced_precision_reduction = self.reduces
        # The older switch too: where they say different things `cudnn.flags` raises.
        cudnn.allow_tf32 = "tf32" in {self.convolutions, self.recurrent}
        cudnn.conv.fp32_precision, cudnn.rnn.fp32_precision = self.convolutions, self.recurrent
        cudnn.deterministic, cudnn.benchmark = self.deterministic, self.benchmark
