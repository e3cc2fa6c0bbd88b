"""Pack size: the number of trials that a worker trains together, as told or as measured."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sweeper.config import Sweep
from sweeper.config.domains import Auto
from sweeper.config.penalty import midpoint
from sweeper.errors import InputError
from sweeper.settings import SHARED_BY_VARIABLE
from sweeper.trainers import cgroups
from sweeper.types import Scalar, TrialConfig

if TYPE_CHECKING:
    from sweeper.training.largest_pack import PackEstimate

PackSize = int | Literal["auto"]
"""`auto`: as many as are trained fastest and fit into memory."""
DEFAULT = 16
"""Size for `auto` where nothing can be measured: a training function of a test's own."""
"""Workers of this machine that share a device and its memory; their launcher knows how many."""
SHARE = 0.8
"""Share of its part of the memory that a worker plans with."""
RESERVE = 2**30
"""Bytes of a GPU that are left to each worker's libraries, which take them out of sight."""
UNKNOWN_MEMORY = 2**32
"""Bytes to plan with where the system does not tell."""
TYPICAL_STRENGTH = 1e-6
"""Strength in place of one whose range is not known yet: a step takes as long with any."""


def parse_pack_size(pack: object) -> PackSize:
    """Return a size of packs, given as a number or text. Raises InputError."""
    if pack == "auto":
        return "auto"
    if isinstance(pack, str) and pack.isdecimal():
        pack = int(pack)
    if not isinstance(pack, int) or isinstance(pack, bool) or pack < 1:
        raise InputError(f"pack: must be auto or a whole number >= 1, got {pack!r}")
    return pack


def measure(sweep: Sweep, data: Any, device: str) -> "PackEstimate":
    """Measure the best size of packs of a sweep. Takes a second or two at most; loads torch."""
    from sweeper.training import largest_pack

    steps = sweep.trials * sweep.steps_in_all
    return largest_pack.choose(examples(sweep), data, memory_budget(device), steps)


def examples(sweep: Sweep) -> list[TrialConfig]:
    """Return one trial of each arm, with values from the middle of its domains."""
    trials = []
    for arm in sweep.arms:
        params: dict[str, Scalar] = {
            key: TYPICAL_STRENGTH if isinstance(domain, Auto) else midpoint(domain)
            for key, domain in sweep.domains(arm).items()
        }
        trials.append(sweep.config(arm, 0, 0, params))
    return trials


def memory_budget(device: str, root: Path = cgroups.ROOT) -> int:
    """Return the bytes that packs of this worker may take on its device. Raises InputError."""
    workers = _workers_on_device()
    if device == "cpu":
        left = cgroups.memory(root)
        return int(SHARE * (UNKNOWN_MEMORY if left is None else left) / workers)
    import torch

    # Of what is free the others may have taken their part already, or not yet.
    free, total = torch.cuda.mem_get_info(device)
    return max(0, int(SHARE * min(free, total / workers)) - RESERVE)


def _workers_on_device() -> int:
    text = os.environ.get(SHARED_BY_VARIABLE) or "1"
    if not text.isdecimal() or int(text) < 1:
        raise InputError(f"{SHARED_BY_VARIABLE}: must be a whole number >= 1, got {text!r}")
    return int(text)
