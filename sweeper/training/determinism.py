"""Determinism: the threads and the matrix products that the bits of a result depend on."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch

from sweeper.errors import InputError


def check_precision(precision: str, device: torch.device) -> None:
    """Raise InputError, one line, where a device cannot multiply as the study file says."""
    if precision == "tf32" and device.type != "cuda":
        text = f"tf32 exists on NVIDIA GPUs only, this worker is on {device}"
        raise InputError(f"training.precision: {text}; allowed here: float32")


@contextmanager
def deterministic_numerics(device: torch.device, precision: str = "float32") -> Iterator[None]:
    """Hold what bits depend on, and put it back. Raises InputError as `check_precision`.

    One thread on a CPU, since several share out the sums of a product: eight gave other bits than
    one for LeNet-300-100, two for wider layers. Cores are used by as many processes; two threads
    took 2.5 ms a step and network where one took 2.2. On CUDA float32 means float32, and streams
    and graphs are those of this GPU: else they would be those of the first one.
    """
    check_precision(precision, device)
    threads = torch.get_num_threads()
    products = torch.backends.cuda.matmul
    convolutions: Any = torch.backends.cudnn.conv  # type: ignore[attr-defined]
    before = products.fp32_precision, convolutions.fp32_precision
    wanted = "tf32" if precision == "tf32" else "ieee"
    if device.type == "cpu":
        torch.set_num_threads(1)
    else:
        products.fp32_precision = convolutions.fp32_precision = wanted
    started: Any = torch.cuda.is_initialized  # untyped
    first = device.type == "cpu" or not started()
    try:
        with nullcontext() if first else torch.cuda.device(device):
            yield
    finally:
        torch.set_num_threads(threads)
        products.fp32_precision, convolutions.fp32_precision = before
