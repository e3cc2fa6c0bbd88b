"""Machine resources for workers: processor cores and GPUs, counted without loading torch."""

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import takewhile
from pathlib import Path

from sweeper.errors import InputError
from sweeper.trainers import cgroups
from sweeper.trainers.devices import parse_device

MAX_CPU_WORKERS = 8
"""Workers on processor cores unless told otherwise: SQLite is for a handful."""


@dataclass(frozen=True, slots=True)
class WorkerResources:
    """Resources that one worker takes: processor cores and GPUs, numbers or fractions of one."""

    cpus: float = 1.0
    gpus: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.cpus < math.inf:
            raise InputError(f"cpus: must be > 0, got {self.cpus:g}")
        if not 0 <= self.gpus <= 1:
            raise InputError(f"gpus: must be from 0 to 1, a worker uses one, got {self.gpus:g}")

    def __str__(self) -> str:
        return amounts(self.cpus, self.gpus)

    @property
    def of_a_gpu(self) -> int:
        """Workers that share one GPU."""
        return _floor(1 / self.gpus) if self.gpus else 0

    def fits(self, cpus: float, gpus: float) -> int:
        """Return the workers that so much has room for; each is on one GPU, or on none."""
        room = _floor(cpus / self.cpus)
        return min(room, _floor(gpus) * self.of_a_gpu) if self.gpus else room


@dataclass(frozen=True, slots=True)
class Machine:
    """Processor cores and GPUs of one machine."""

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
        each = [parse_device(device)]
        if workers is not None and workers < 1:
            raise InputError(f"workers: must be >= 1, got {workers}")
        if device in {"auto", "cuda"} and self.gpus:
            each = [f"cuda:{number}" for number in range(self.gpus)]
        usual = len(each) if each[0].startswith("cuda") else min(MAX_CPU_WORKERS, self.cores)
        return tuple(each[number % len(each)] for number in range(workers or usual))

    def shared(
        self,
        device: str,
        workers: int | None = None,
        *,
        cpus: float | None = None,
        gpus: float | None = None,
    ) -> tuple[str, ...]:
        """Return the device of each worker, of which one takes so much. Raises InputError.

        There are as many as there is room for, unless told otherwise.
        """
        share = WorkerResources(1.0 if cpus is None else cpus, gpus or 0.0)
        if gpus is not None and device != "auto" and bool(gpus) != device.startswith("cuda"):
            raise InputError(f"gpus: {gpus:g} do not go together with device {device}")
        if gpus and not self.gpus:
            raise InputError(f"gpus: there are none on this machine, got {gpus:g}")
        if cpus is not None and not share.fits(self.cores, self.gpus):
            raise InputError(
                f"a worker takes {share}, this machine has {amounts(self.cores, self.gpus)}"
            )
        if gpus is not None and device == "auto":
            device = "cuda" if gpus else "cpu"
        each = self.devices(device, workers)  # as many as usual, be it one for each GPU
        if workers is not None or (cpus is None and gpus is None):
            return each
        on_gpus = each[0].startswith("cuda")
        most = len(each) * (share.of_a_gpu or 1) if on_gpus else MAX_CPU_WORKERS
        room = share.fits(self.cores, self.gpus) if cpus or not on_gpus else most
        return tuple(each[number % len(each)] for number in range(min(most, room)))


def amounts(cpus: float, gpus: float) -> str:
    """Return `2 CPUs` or `1 CPU and 0.5 GPUs`."""
    parts = [
        f"{number:g} {word}{'' if number == 1 else 's'}"
        for number, word in ((cpus, "CPU"), (gpus, "GPU"))
        if number or word == "CPU"
    ]
    return " and ".join(parts)


def _floor(number: float) -> int:
    return math.floor(number + 1e-9)  # 0.3 / 0.1 is a little less than 3


def cores(root: Path = cgroups.ROOT) -> int:
    """Return the number of processor cores that this process may use, a quota rounded up."""
    allowed = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        allowed = len(os.sched_getaffinity(0))
    quota = cgroups.processors(root)
    return allowed if quota is None else max(1, min(allowed, math.ceil(quota)))


def gpus(root: Path = cgroups.ROOT, environment: Mapping[str, str] = os.environ) -> int:
    """Return the number of NVIDIA GPUs that torch would find, as the driver's files tell.

    CUDA_VISIBLE_DEVICES is read as CUDA reads it: up to the first entry that names none, and as
    if nothing stood there if one is named twice.
    """
    count = len(list(root.glob("dev/nvidia[0-9]*")))
    count = count or len(list(root.glob("proc/driver/nvidia/gpus/*")))
    chosen = environment.get("CUDA_VISIBLE_DEVICES")
    if chosen is None:
        return count
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
    there = takewhile(lambda entry: isinstance(entry, str) or entry < count, named)
    return min(len(list(there)), count)


def _torch_knows_gpus() -> bool:
    """Return True if torch is built with CUDA: importing it to ask takes seconds."""
    torch = find_spec("torch")
    library = "lib/libtorch_cuda.so"
    return bool(torch and torch.origin and (Path(torch.origin).parent / library).exists())
