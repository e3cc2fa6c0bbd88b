"""Names of devices: `auto`, `cpu`, `cuda`, `cuda:1`."""

import os
import re
import sys
from pathlib import Path

from sweeper.errors import InputError
from sweeper.trainers.provenance import cpu_name


def parse_device(name: str) -> str:
    """Return the name of a device if it is one, be it here or not. Raises InputError."""
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", name):
        raise InputError(
            f"no such device: got {name!r}; allowed: auto, cpu, cuda, cuda:0, cuda:1, "
            f"...{_hint(name)}"
        )
    return name


def choose_device(name: str, gpus: int, *, without_cuda: bool = False) -> str:
    """Return `cpu` or `cuda:N`, whichever `name` stands for among so many GPUs.

    Raises InputError with a list of the devices here.
    """
    cuda_devices = [f"cuda:{number}" for number in range(gpus)]
    if name in {"auto", "cuda"} and cuda_devices:
        return cuda_devices[0]
    if name == "auto":
        return "cpu"
    if name not in {"cpu", *cuda_devices}:
        here = ["auto", "cpu", *(["cuda"] if cuda_devices else []), *cuda_devices]
        reason = " (this torch is built without CUDA)" if without_cuda else ""
        raise InputError(
            f"no such device: got {name!r}; here: {', '.join(here)}{reason}{_hint(name)}"
        )
    return name


def resolve_device(name: str) -> str:
    """Return the device of this machine that `name` stands for. Loads torch; raises InputError."""
    import torch

    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return choose_device(name, gpus, without_cuda=torch.version.cuda is None)


def script_device(name: str, root: Path = Path("/")) -> str:
    """Return the device that a script is told: torch is not asked, which it may not use at all."""
    if name != "auto":
        return parse_device(name)
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in {"", "-1"}
    return "cuda" if any(root.glob("dev/nvidia[0-9]*")) and not hidden else "cpu"


def fallback_devices(device: str) -> list[str]:
    """Return the devices to try when one has too little memory: other GPUs, then the CPU."""
    import torch

    if device == "cpu":
        return []
    gpus = [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    return [*(gpu for gpu in gpus if gpu != device), "cpu"]


def activate(device: str) -> str:
    """Make a device ready for this process; return the name of its kind of processor.

    A CPU's with the instructions that PyTorch's kernels take on it: rented machines often give
    several generations one name, and other instructions round otherwise.
    """
    import torch

    if device == "cpu":
        return f"{cpu_name()}, {torch.backends.cpu.get_cpu_capability()}"
    torch.cuda.set_device(device)  # else libraries would take room on the first GPU
    return str(torch.cuda.get_device_name(device))


def takes_work(device: str) -> bool:
    """Return False for a GPU whose context is dead: some errors leave none that works any more."""
    torch = sys.modules.get("torch")  # without it nothing was trained with it
    if device == "cpu" or torch is None or not torch.cuda.is_initialized():
        return True
    try:
        torch.cuda.synchronize(device)
    except RuntimeError:
        return False
    return True


def _hint(name: str) -> str:
    near = re.fullmatch(r"(?:gpu|nvidia):?(\d*)|cuda(\d+)", name.lower())
    if near is None:
        return ""
    number = near[1] or near[2]
    return f"; did you mean {'cuda:' + number if number else 'cuda'!r}?"
