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
    """Resources that one worker takes: processor cores, GPUs, and memory in bytes."""

    cpus: float = 1.0
    gpus: float = 0.0
    """A fraction of one, or a whole number of them."""
    memory: int | None = None
    """None: no matter how much."""

    def __post_init__(self) -> None:
        if not 0 < self.cpus < math.inf:
            raise InputError(f"cpus: must be > 0, got {self.cpus:g}")
        is_whole = self.gpus > 1 and float(self.gpus).is_integer()
        if not (0 <= self.gpus <= 1 or is_whole):
            text = "must be 0, a fraction of one or a whole number"
            raise InputError(f"gpus: {text}, got {self.gpus:g}")

    @classmethod
    def of_packs(cls, cpus: float | None, gpus: float | None) -> "WorkerResources":
        """Return those of a worker that trains packs, on one GPU at most. Raises InputError."""
        if gpus is not None and not 0 <= gpus <= 1:
            raise InputError(f"gpus: must be from 0 to 1, a worker uses one, got {gpus:g}")
        return cls(1.0 if cpus is None else cpus, gpus or 0.0)

    def __str__(self) -> str:
        return amounts(self.cpus, self.gpus, self.memory)

    @property
    def of_a_gpu(self) -> int:
        """Workers that share one GPU."""
        return _floor(1 / self.gpus) if self.gpus else 0

    def fits(self, cpus: float, gpus: float, memory: float | None = None) -> int:
        """Return the workers that so much has room for; of one GPU each has its part at most."""
        rooms = [_floor(cpus / self.cpus)]
        if self.gpus > 1:
            rooms.append(_floor(gpus / self.gpus))
        elif self.gpus:
            rooms.append(_floor(gpus) * self.of_a_gpu)
        if self.memory and memory is not None:
            rooms.append(_floor(memory / self.memory))
        return min(rooms)


@dataclass(frozen=True, slots=True)
class Machine:
    """Processor cores, GPUs and free memory of one machine."""

    cores: int
    gpus: int
    memory: int | None = None
    """Bytes that are left; None where the system does not tell."""
    visible: tuple[str, ...] = ()
    """GPUs as CUDA_VISIBLE_DEVICES names them; empty: by their numbers."""

    @classmethod
    def here(cls) -> "Machine":
        """Return this machine; no GPUs where torch is built without CUDA."""
        visible = visible_gpus() if _torch_knows_gpus() else ()
        return cls(cores(), len(visible), cgroups.memory(), visible)

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
        share = WorkerResources.of_packs(cpus, gpus)
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


def amounts(cpus: float, gpus: float, memory: float | None = None) -> str:
    """Return amounts as people write them.

    >>> amounts(2, 0), amounts(1, 0.5, 16 * 2**30)
    ('2 CPUs', '1 CPU, 0.5 GPUs and 16 GiB of memory')
    """
    parts = [
        f"{number:g} {word}{'' if number == 1 else 's'}"
        for number, word in ((cpus, "CPU"), (gpus, "GPU"))
        if number or word == "CPU"
    ]
    if memory is not None:
        parts.append(memory_text(memory))
    *first, last = parts
    return f"{', '.join(first)} and {last}" if first else last


def memory_text(size: float) -> str:
    """Return bytes of memory as people write them.

    >>> memory_text(512 * 2**20), memory_text(2.25 * 2**30)
    ('512 MiB of memory', '2.25 GiB of memory')
    """
    unit, scale = ("GiB", 2**30) if size >= 2**30 else ("MiB", 2**20)
    return f"{size / scale:.4g} {unit} of memory"


def _floor(number: float) -> int:
    return math.floor(number + 1e-9)  # 0.3 / 0.1 is a little less than 3


def cores(root: Path = cgroups.ROOT) -> int:
    """Return the number of processor cores that this process may use, a quota rounded up."""
    allowed = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        allowed = len(os.sched_getaffinity(0))
    quota = cgroups.processors(root)
    return allowed if quota is None else max(1, min(allowed, math.ceil(quota)))


def visible_gpus(
    root: Path = cgroups.ROOT, environment: Mapping[str, str] = os.environ
) -> tuple[str, ...]:
    """Return the NVIDIA GPUs that torch would find, as the driver's files tell, by their names.

    CUDA_VISIBLE_DEVICES is read as CUDA reads it: up to the first entry that names none, and as
    if nothing stood there if one is named twice.
    """
    count = len(list(root.glob("dev/nvidia[0-9]*")))
    count = count or len(list(root.glob("proc/driver/nvidia/gpus/*")))
    chosen = environment.get("CUDA_VISIBLE_DEVICES")
    if chosen is None:
        return tuple(map(str, range(count)))
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
        return ()
    there = takewhile(lambda entry: isinstance(entry, str) or entry < count, named)
    return tuple(map(str, there))[:count]


def _torch_knows_gpus() -> bool:
    """Return True if torch is built with CUDA: importing it to ask takes seconds."""
    torch = find_spec("torch")
    library = "lib/libtorch_cuda.so"
    return bool(torch and torch.origin and (Path(torch.origin).parent / library).exists())
