"""Names of trials as people write them: `arm/repeat/slot`, or a number of Optuna's."""

import math

from sweeper.config import Sweep
from sweeper.errors import InputError, choices, shown
from sweeper.store import NamedTrial, Store
from sweeper.types import Place


def named_trial(
    store: Store,
    sweep: Sweep,
    text: str,
    *,
    arm: str | None = None,
    repeat: int | None = None,
    density: float | None = None,
) -> NamedTrial:
    """Return the trial that a text names, with all of its networks or those of one density.

    A number is one of Optuna's study of an arm and repeat, which need not be said where there is
    one alone. Raises InputError.
    """
    place = _place(sweep, text) if "/" in text else _numbered(store, sweep, text, arm, repeat)
    return NamedTrial(place, None if density is None else _of_density(sweep, density))


def _place(sweep: Sweep, text: str) -> Place:
    parts = text.split("/")
    if len(parts) != 3 or not all(part.isdecimal() for part in parts[1:]):
        raise InputError(f"--trial: must be arm/repeat/slot, such as l1/0/17, got {shown(text)}")
    arm, repeat, slot = _known(sweep, parts[0]), int(parts[1]), int(parts[2])
    if (repeat, slot) not in sweep.slots(arm):
        raise InputError(f"--trial: {sweep.name} has no slot {slot} of {arm}, repeat {repeat}")
    return arm, repeat, slot


def _numbered(store: Store, sweep: Sweep, text: str, arm: str | None, repeat: int | None) -> Place:
    if not text.isdecimal():
        raise InputError(
            "--trial: must be arm/repeat/slot, such as l1/0/17, or a number with --arm, "
            f"got {shown(text)}"
        )
    if arm is None and len(sweep.arms) > 1:
        raise InputError(f"--trial {text}: say of which --arm: {', '.join(sweep.arms)}")
    arm = _known(sweep, next(iter(sweep.arms)) if arm is None else arm)
    repeats = sweep.search.repeats
    if repeat is None and repeats > 1 and not sweep.confirms:
        raise InputError(f"--trial {text}: say of which --repeat: 0 to {repeats - 1}")
    if repeat is not None and not 0 <= repeat < repeats:
        raise InputError(f"--repeat: must be 0 to {repeats - 1}, got {repeat}")
    study = sweep.study(arm, repeat or 0)
    place = store.interventions.place_of(sweep.name, study, int(text))
    if place is None:
        raise InputError(f"--trial: trial {text} of {study} is not on record")
    return place[:3]


def _known(sweep: Sweep, arm: str) -> str:
    if arm not in sweep.arms:
        raise InputError(f"{sweep.name}: no such arm: {choices(arm, sweep.arms)}")
    return arm


def _of_density(sweep: Sweep, density: float) -> tuple[int, ...]:
    """Return the numbers of the networks of a rung, one for each seed."""
    if sweep.rungs == 1:
        raise InputError("--density: is for ladders: a trial of this sweep has one density")
    densities = sweep.sparsification.densities
    for rung, of_rung in enumerate(densities):
        if math.isclose(of_rung, density, rel_tol=1e-3):
            return tuple(seed * sweep.rungs + rung for seed in range(sweep.seeds))
    allowed = ", ".join(f"{of_rung:.4g}" for of_rung in densities)
    raise InputError(f"--density: must be one of {allowed}, got {density:g}")
