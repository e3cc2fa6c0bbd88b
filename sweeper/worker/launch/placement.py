"""Placement of workers on a machine: of packs by device, of scripts by what a trial takes."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from sweeper.config import Sweep
from sweeper.errors import InputError
from sweeper.trainers.devices import choose_device, parse_device
from sweeper.worker.launch.machine import Machine, WorkerResources, memory_text

VISIBLE = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True, slots=True)
class WorkerPlace:
    """Place of one worker: its device, and what is set in its environment."""

    device: str
    variables: Mapping[str, str] = field(default_factory=dict)


def worker_places(
    sweep: Sweep,
    machine: Machine,
    device: str = "auto",
    workers: int | None = None,
    *,
    cpus: float | None = None,
    gpus: float | None = None,
) -> tuple[WorkerPlace, ...]:
    """Return the place of each worker of a sweep on a machine. Raises InputError.

    A worker takes `cpus` and `gpus`; that of a script what its file says, unless told otherwise.
    """
    if sweep.script is None:
        devices = machine.shared(device, workers, cpus=cpus, gpus=gpus)
        return tuple(map(WorkerPlace, devices))
    share = worker_share(sweep, cpus=cpus, gpus=gpus)
    return script_places(machine, share, device, workers, most=sweep.trials)


def worker_share(
    sweep: Sweep, *, cpus: float | None = None, gpus: float | None = None
) -> WorkerResources:
    """Return what a worker takes: that of a script what its file says, unless told otherwise.

    Raises InputError for numbers that cannot be.
    """
    if sweep.script is None:
        return WorkerResources.of_packs(cpus, gpus)
    resources = sweep.resources
    return WorkerResources(
        resources.cpus if cpus is None else cpus,
        resources.gpus if gpus is None else gpus,
        resources.memory,
    )


def worker_variables(sweep: Sweep, share: WorkerResources) -> dict[str, str]:
    """Return what is set in the environment of a worker: that of a script has threads as cores.

    One without GPUs sees none. Which ones it has otherwise, whoever places it says.
    """
    return {} if sweep.script is None else _variables(share)


def _variables(share: WorkerResources) -> dict[str, str]:
    threads = str(max(1, math.floor(share.cpus + 1e-9)))
    variables = {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
    return variables if share.gpus else {**variables, VISIBLE: ""}


def script_places(
    machine: Machine,
    share: WorkerResources,
    device: str = "auto",
    workers: int | None = None,
    *,
    most: int,
) -> tuple[WorkerPlace, ...]:
    """Return the place of each worker, of which one takes `share`. Raises InputError.

    There are as many as there is room for, and at most `most`, unless told otherwise: more than
    there is room for share their GPUs.
    """
    if workers is not None and workers < 1:
        raise InputError(f"workers: must be >= 1, got {workers}")
    share, machine = _on_device(machine, share, device)
    room = share.fits(machine.cores, machine.gpus, machine.memory)
    if not room:
        raise InputError(f"resources: a trial needs {missing(machine, share)}")
    variables = _variables(share)
    count = workers or max(1, min(room, most))
    if not share.gpus:
        return (WorkerPlace("cpu", variables),) * count
    groups = _gpu_groups(machine, share)
    return tuple(
        WorkerPlace("cuda", {**variables, VISIBLE: groups[number % len(groups)]})
        for number in range(count)
    )


def idle_gpus(machine: Machine, share: WorkerResources) -> str:
    """Return that a machine has GPUs and a trial asks for none, in a line; empty if not so."""
    if share.gpus or not machine.gpus:
        return ""
    number = "its GPU" if machine.gpus == 1 else f"its {machine.gpus} GPUs"
    text = f"a trial sees no GPU, {number} would be idle here: say gpus: 1, or a fraction"
    return f"resources.gpus: {text}"


def missing(machine: Machine, share: WorkerResources) -> str:
    """Return what a machine has too little of, such as `2 GPUs, this machine has none`."""
    parts = []
    if not WorkerResources(share.cpus).fits(machine.cores, 0):
        parts.append(f"{share.cpus:g} CPUs, this machine has {machine.cores}")
    if share.gpus and not replace(share, cpus=1.0, memory=None).fits(1, machine.gpus):
        word = "GPU" if share.gpus == 1 else "GPUs"
        parts.append(f"{share.gpus:g} {word}, this machine has {machine.gpus or 'none'}")
    if share.memory and machine.memory is not None and machine.memory < share.memory:
        left = memory_text(machine.memory).removesuffix(" of memory")
        parts.append(f"{memory_text(share.memory)}, {left} are left on this machine")
    return "; ".join(parts)


def _on_device(
    machine: Machine, share: WorkerResources, device: str
) -> tuple[WorkerResources, Machine]:
    """Return the share and the machine as a device leaves them. Raises InputError."""
    parse_device(device)
    if device == "auto":
        return share, machine
    if device == "cpu":
        if share.gpus:
            raise InputError(f"gpus: {share.gpus:g} do not go together with device cpu")
        return share, machine
    if not share.gpus:
        share = replace(share, gpus=1.0)  # who names one wants one
    if device == "cuda":
        return share, machine
    number = int(choose_device(device, machine.gpus).partition(":")[2])
    if share.gpus > 1:
        raise InputError(f"gpus: {share.gpus:g} do not go together with device {device}")
    return share, replace(machine, gpus=1, visible=(_names(machine)[number],))


def _gpu_groups(machine: Machine, share: WorkerResources) -> list[str]:
    """Return the GPUs that a worker sees, of each group of them; in turns where several share one.

    As CUDA_VISIBLE_DEVICES names them: the first worker on each GPU comes before any second one.
    """
    names, each = _names(machine), max(1, round(share.gpus))
    starts = range(0, len(names) - each + 1, each)
    return [",".join(names[start : start + each]) for start in starts]


def _names(machine: Machine) -> tuple[str, ...]:
    return machine.visible or tuple(map(str, range(machine.gpus)))
