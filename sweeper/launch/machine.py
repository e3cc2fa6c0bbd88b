"""What a machine has for workers: processor cores and GPUs, found without loading torch."""

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import takewhile
from pathlib import Path

from sweeper.errors import InputError
from sweeper.worker import limits
from sweeper.worker.devices import checked

MOST = 8
"""Workers on processor cores unless told otherwise: SQLite is for a handful."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What there is to work with."""

    cores: int
    gpus: int

    @classmethod
    def here(cls) -> "Machine":
        """Return this machine; no GPUs where torch is built without CUDA."""
        return cls(cores(), gpus() if _torch_knows_gpus() else 0)

    def devices(self, device: str, workers: int | None = None) -> tuple[str, ...]:
        """Return the device of each worker. Raises InputError for a wrong name or number.

        `auto` and `cuda` stand for all GPUs, in turns. Unless told otherwise there is one worker
        for each of them, or one for each core. Whether a device that is named is there at all
        only torch can tell, which the worker asks.
        """
        each = [checked(device)]
        if workers is not None and workers < 1:
            raise InputError(f"workers: must be >= 1, got {workers}")
        if device in {"auto", "cuda"} and self.gpus:
            each = [f"cuda:{number}" for number in range(self.gpus)]
        usual = len(each) if each[0].startswith("cuda") else min(MOST, self.cores)
        return tuple(each[number % len(each)] for number in range(workers or usual))


def cores(root: Path = limits.ROOT) -> int:
    """Return the number of processor cores that this process may use, a quota rounded up."""
    allowed = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        allowed = len(os.sched_getaffinity(0))
    quota = limits.processors(root)
    return allowed if quota is None else max(1, min(allowed, math.ceil(quota)))


def gpus(root: Path = limits.ROOT, environment: Mapping[str, str] = os.environ) -> int:
    """Return how many NVIDIA GPUs torch would find, as the driver's files tell.

    CUDA_VISIBLE_DEVICES is read as CUDA reads it: up to the first entry that names none, and as
    if nothing stood there if one is named twice.
    """
    found = len(list(root.glob("dev/nvidia[0-9]*")))
    found = found or len(list(root.glob("proc/driver/nvidia/gpus/*")))
    chosen = environment.get("CUDA_VISIBLE_DEVICES")
    if chosen is None:
        return found
    words = [word.strip() for word in chosen.split(",")]
    by_name = words[0].startswith(("GPU-", "MIG-"))
    named: list[str | int] = []
    for word in words:
        # All are names of one kind, or all are numbers, whatever stands behind these.
        match = re.match(f"{words[0][:4]}.*" if by_name else r"\d+", word)
        if match is None:
            break
        named.append(match[0] if by_name else int(match[0]))
    if len(set(named)) < len(named):
        return 0
    there = takewhile(lambda entry: isinstance(entry, str) or entry < found, named)
    return min(len(list(there)), found)


def _torch_knows_gpus() -> bool:
    """Tell whether torch is built with CUDA: importing it to ask takes seconds."""
    torch = find_spec("torch")
    library = "lib/libtorch_cuda.so"
    return bool(torch and torch.origin and (Path(torch.origin).parent / library).exists())
