"""How many trials a worker trains together: what it was told, or what it finds out by a probe."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sweeper.config import Sweep
from sweeper.config.domains import Auto
from sweeper.config.penalty import midpoint
from sweeper.errors import InputError
from sweeper.settings import SHARED_BY_VARIABLE
from sweeper.types import Scalar, TrialConfig
from sweeper.worker import cgroups

if TYPE_CHECKING:
    from sweeper.training.largest_pack import PackEstimate

PackSize = int | Literal["auto"]
"""`auto`: as many as are trained fastest and fit into memory."""
USUAL = 16
"""What `auto` means where nothing can be measured: a training function of a test's own."""
"""Workers of this machine that share a device and its memory; their launcher knows how many."""
SHARE = 0.8
"""Of its part of the memory that a worker plans with."""
RESERVE = 2**30
"""Bytes of a GPU that are left to each worker's libraries, which take them out of sight."""
UNKNOWN = 2**32
"""Bytes to plan with where the system does not tell."""
FAINT = 1e-6
"""A strength that stands for one whose range is not found yet: a step takes as long with any."""


def parse_pack_size(pack: object) -> PackSize:
    """Return a size of packs, given as a number or text. Raises InputError."""
    if pack == "auto":
        return "auto"
    if isinstance(pack, str) and pack.isdecimal():
        pack = int(pack)
    if not isinstance(pack, int) or isinstance(pack, bool) or pack < 1:
        raise InputError(f"pack: must be auto or a whole number >= 1, got {pack!r}")
    return pack


def find(sweep: Sweep, data: Any, device: str) -> "PackEstimate":
    """Measure how large packs of a sweep should be. Takes a second or two; loads torch."""
    from sweeper.training import largest_pack

    return largest_pack.choose(examples(sweep), data, memory_budget(device))


def examples(sweep: Sweep) -> list[TrialConfig]:
    """Return one trial of each arm, with values from the middle of what is searched."""
    found = []
    for arm in sweep.arms:
        params: dict[str, Scalar] = {
            key: FAINT if isinstance(domain, Auto) else midpoint(domain)
            for key, domain in sweep.domains(arm).items()
        }
        found.append(sweep.config(arm, 0, 0, params))
    return found


def memory_budget(device: str, root: Path = cgroups.ROOT) -> int:
    """Return the bytes that packs of this worker may take on its device. Raises InputError."""
    workers = _sharing()
    if device == "cpu":
        left = cgroups.memory(root)
        return int(SHARE * (UNKNOWN if left is None else left) / workers)
    import torch

    # Of what is free the others may have taken their part already, or not yet.
    free, whole = torch.cuda.mem_get_info(device)
    return max(0, int(SHARE * min(free, whole / workers)) - RESERVE)


def _sharing() -> int:
    text = os.environ.get(SHARED_BY_VARIABLE) or "1"
    if not text.isdecimal() or int(text) < 1:
        raise InputError(f"{SHARED_BY_VARIABLE}: must be a whole number >= 1, got {text!r}")
    return int(text)
