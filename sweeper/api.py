"""What the commands do, for notebooks: `run` a study file, read its `front`s.

Storage is a URL; unless given it is SWEEPER_STORAGE, or sweeper.db in the current folder.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from sweeper.errors import InputError, choices

if TYPE_CHECKING:
    from sweeper.fronts import Front
    from sweeper.results import Accuracy, SweepStatus, Track
    from sweeper.spec import Sweep
    from sweeper.store import Store
    from sweeper.worker.capacity import PackSize

DEFAULT_STORAGE = "sqlite:///sweeper.db"
STORAGE_VARIABLE = "SWEEPER_STORAGE"

Outcome = Literal["new", "resumed", "extended"]


def run(
    study: "Sweep | str | Path",
    storage: str | None = None,
    *,
    workers: int | None = None,
    device: str = "auto",
    pack: "PackSize" = "auto",
    data: str | Path | None = None,
    extend: bool = False,
    on_start: "Callable[[Outcome, SweepStatus], None] | None" = None,
    on_status: "Callable[[SweepStatus], None] | None" = None,
) -> "dict[str, Front]":
    """Run a sweep to its end, or on from where it stopped; returns the front of every arm.

    The budget is exact: what is on record already is not run again. Worker processes are started
    here and ended here: one for each GPU, else for each core, unless `workers` says how many.
    Formulas of your own are tried before anything is registered. Raises SpecError, InputError,
    DigestError, StorageError, TrainingError.
    """
    from sweeper import service
    from sweeper.checking import try_formulas
    from sweeper.fronts import fronts
    from sweeper.launch.machine import Machine
    from sweeper.spec import Sweep
    from sweeper.worker import capacity

    pack = capacity.checked(pack)
    devices = Machine.here().devices(device, workers)

    sweep = study if isinstance(study, Sweep) else Sweep.load(study)
    try_formulas(sweep, sweep.name if isinstance(study, Sweep) else str(study))
    store = _store(storage)
    try:
        store.upgrade()
        outcome: Outcome = service.register(store, sweep, extend=extend)
        status = store.status(sweep.name)
        if on_start:
            on_start(outcome, status)
        if not status.finished:
            from sweeper.launch.local import run_workers

            run_workers(
                sweep.name,
                store,
                devices=devices,
                pack=pack,
                folder=None if data is None else Path(data),
                logs=logs_folder(sweep.name),
                on_status=on_status or _ignore,
            )
        service.mend(store, sweep.name)  # a worker may have died with its last fact untold
        service.publish(store, sweep.name, force=True)
        return fronts(store.results(sweep.name), sweep)
    finally:
        store.close()


def front(
    name: str,
    arm: str = "",
    storage: str | None = None,
    *,
    track: "Track | None" = None,
    by: "Accuracy | None" = None,
) -> "Front":
    """Return the front of one arm of a sweep, or of all its arms together if none is named.

    `track` and `by` are what the study file says unless given. Raises UnknownSweepError.
    """
    from sweeper.fronts import Front, selection

    store = _store(storage)
    try:
        store.check()
        sweep = store.sweep(name)
        if arm and arm not in sweep.arms:
            raise InputError(f"{name}: no such arm: {choices(arm, sweep.arms)}")
        chosen = by or selection(sweep)[0]
        show: Accuracy = "val_accuracy" if chosen == "test_accuracy" else "test_accuracy"
        track = track or sweep.sparsification.track
        return Front.of(store.results(name), track=track, by=chosen, show=show, arm=arm)
    finally:
        store.close()


def logs_folder(name: str) -> Path:
    """Return where the workers of a sweep write their logs."""
    return Path("sweeps") / name / "logs"


def _store(storage: str | None) -> "Store":
    from sweeper.store import Store

    return Store(storage or os.environ.get(STORAGE_VARIABLE) or DEFAULT_STORAGE)


def _ignore(status: "SweepStatus") -> None:
    pass
