"""Python interface for notebooks: `run` a study file, read its `front`s.

Storage is a URL; unless given it is SWEEPER_STORAGE, or sweeper.db in the current folder.
"""

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from sweeper.errors import InputError, choices
from sweeper.settings import ARTIFACTS_VARIABLE, DEFAULT_STORAGE, STORAGE_VARIABLE, expand_home

if TYPE_CHECKING:
    from torch import nn

    from sweeper.analysis.confirmation import ConfirmedConfig
    from sweeper.config import Sweep
    from sweeper.operations.sweep_fronts import SweepFront, SweepFronts
    from sweeper.store import Store
    from sweeper.trainers.pack_size import PackSize
    from sweeper.types import Accuracy, SizeMeasure, SweepStatus, Track

_log = logging.getLogger("sweeper.launch")

Outcome = Literal["new", "resumed", "extended"]
On = Literal["local", "ray"]


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
) -> "SweepFronts":
    """Run a sweep to its end, or on from where it stopped; returns the front of every arm.

    The budget is exact: what is on record already is not run again. Worker processes are started
    here and ended here: one for each GPU, else for each core, unless `workers` says how many.
    Data, formulas and networks of your own are tried before anything is registered. Raises
    SpecError, InputError, DigestError, StorageError, TrainingError.
    """
    return launch(
        study,
        storage,
        workers=workers,
        device=device,
        pack=pack,
        data=data,
        extend=extend,
        on_start=on_start,
        on_status=on_status,
    )


def launch(
    study: "Sweep | str | Path",
    storage: str | None = None,
    *,
    on: On = "local",
    workers: int | None = None,
    cpus: float | None = None,
    gpus: float | None = None,
    address: str | None = None,
    device: str = "auto",
    pack: "PackSize" = "auto",
    data: str | Path | None = None,
    extend: bool = False,
    trials: str | Path | None = None,
    artifacts: str | None = None,
    on_start: "Callable[[Outcome, SweepStatus], None] | None" = None,
    on_status: "Callable[[SweepStatus], None] | None" = None,
    on_note: "Callable[[str], None] | None" = None,
    on_wait: "Callable[[str], None] | None" = None,
) -> "SweepFronts":
    """Run a sweep as `run` does, with workers on this machine or on a cluster of Ray.

    A worker takes `cpus` cores and `gpus` GPUs, numbers or fractions of one; there are as many as
    there is room for, unless `workers` says how many. `address` is that of a cluster, by which
    Ray is not started here. `on_note` is told in one line what the workers wait for, and what
    became of the examples of a dataset of your own; `on_wait` before that what is tried, if it
    takes long. `artifacts` is where the networks of a confirmation and the checkpoints of scripts
    are kept, a folder or a bucket; `trials` a folder for all files of scripts.
    """
    from sweeper import lifecycle
    from sweeper.config import Sweep
    from sweeper.operations.sweep_fronts import SweepFronts
    from sweeper.operations.try_out import try_out
    from sweeper.operations.worker_start import worker_starter
    from sweeper.trainers import pack_size

    pack = pack_size.parse_pack_size(pack)
    sweep = study if isinstance(study, Sweep) else Sweep.load(study)
    keeps = sweep.confirms is not None or sweep.script is not None
    artifacts = _absolute(artifacts) if keeps else None
    start = worker_starter(
        on,
        sweep=sweep,
        workers=workers,
        cpus=cpus,
        gpus=gpus,
        address=address,
        device=device,
        on_note=on_note,
    )
    place = sweep.name if isinstance(study, Sweep) else str(study)
    tried = try_out(sweep, place, folder=data, on_wait=on_wait or _ignore)
    sweep = tried.sweep
    for note in tried.data_notes:
        (on_note or _log.info)(f"{sweep.name}: dataset: {note}")
    store = _store(storage, on_note or _log.warning)
    try:
        most = store.most_workers
        if workers is not None and most is not None and workers > most:
            raise InputError(
                f"workers: SQLite is for at most {most}, got {workers}: use PostgreSQL for more"
            )
        store.upgrade()
        outcome: Outcome = lifecycle.register(store, sweep, extend=extend)
        status = store.status(sweep.name)
        if on_start:
            on_start(outcome, status)
        if not status.finished:
            start(
                sweep.name,
                store,
                pack=pack,
                folder=None if data is None else Path(data),
                trials=None if trials is None else expand_home(trials, "trials folder").absolute(),
                artifacts=artifacts,
                on_status=on_status or _ignore,
            )
        lifecycle.recover(store, sweep.name)  # a worker may have died with its last fact untold
        lifecycle.publish(store, sweep.name, force=True)
        return SweepFronts.of(store.records(sweep.name), sweep)
    finally:
        store.close()


def confirm(
    name: str,
    storage: str | None = None,
    *,
    seeds: int = 5,
    **options: Any,
) -> "list[ConfirmedConfig]":
    """Train the best configurations of a finished sweep again, with fresh seeds.

    Of each repeat of each arm the best on validation within each size of `targets.nonzero`. Goes
    on where it stopped; more seeds than before are added, and what a search chose that went on
    with further arms or repeats. `options` are those of `launch`. Raises InputError while the
    search is not finished, or if it went on with more trials since it was confirmed.
    """
    from sweeper.analysis.confirmation import (
        confirmation_sweep,
        confirmed_configs,
        continued_confirmation,
    )

    store = _store(storage, options.get("on_note") or _log.warning)
    try:
        store.check()
        searched = store.records(name)
        wanted = confirmation_sweep(
            store.sweep(name),
            store.status(name),
            searched,
            store.strength_ranges(name),
            seeds=seeds,
        )
        if wanted.name in store.names():
            wanted = continued_confirmation(store.sweep(wanted.name), wanted)
        launch(wanted, storage, extend=True, **options)
        return confirmed_configs(wanted, store.records(wanted.name), searched)
    finally:
        store.close()


def _absolute(place: str | None) -> str | None:
    """Return the place of artifacts as every process may open it. Raises InputError."""
    if place is None:
        return None
    from sweeper.search.artifacts import artifact_store

    artifact_store(place, writes=True)  # a mistake is told here, not by a worker
    return place if "://" in place else str(Path(place).absolute())


def front(
    name: str,
    arm: str = "",
    storage: str | None = None,
    *,
    track: "Track | None" = None,
    by: "Accuracy | None" = None,
) -> "SweepFront":
    """Return the front of one arm of a sweep, or of all its arms together if none is named.

    `track` and `by` are what the study file says unless given. Raises UnknownSweepError, and
    InputError for another arm, track or accuracy.
    """
    from sweeper.operations.sweep_fronts import SweepFront
    from sweeper.types import Accuracy, Track

    for key, value, allowed in (("track", track, Track), ("by", by, Accuracy)):
        if value is not None and value not in get_args(allowed):
            raise InputError(f"{key}: {choices(value, get_args(allowed))}")
    with _open(storage) as store:
        return SweepFront.of_record(store.sweep_record(name), arm, track=track, by=by)


def compare(
    *names: str,
    arms: Sequence[str] = (),
    storage: str | None = None,
    track: "Track | None" = None,
    size: "SizeMeasure" = "nonzero",
) -> "SweepFronts":
    """Return the fronts of several sweeps, of all arms or of those named, for one figure.

    Arms are called `sweep/arm`. One that is named in `arms` is taken of every sweep that has it, or
    of one as `sweep/arm`. What is unequal between the sweeps stands in `.notes`; sweeps of other
    data, another measure or other selection are refused. Raises UnknownSweepError, InputError.
    """
    from sweeper.operations.sweep_fronts import SweepFronts
    from sweeper.types import SizeMeasure, Track

    for key, value, allowed in (("track", track, Track), ("size", size, SizeMeasure)):
        if value is not None and value not in get_args(allowed):
            raise InputError(f"{key}: {choices(value, get_args(allowed))}")
    with _open(storage) as store:
        records = [store.sweep_record(name) for name in names]
    return SweepFronts.compared(records, arms=arms, track=track, size=size)


def load_network(
    place: str | Path,
    storage: str | None = None,
    *,
    arm: str = "",
    at: int | None = None,
    trial: str | None = None,
    artifacts: str | None = None,
    data: str | Path | None = None,
    normalise: bool = False,
    trust: bool = False,
) -> "nn.Module":
    """Return a trained network as a module in evaluation mode, on the CPU.

    Of a .safetensors file that `sweeper network` or a worker wrote; or, by the name of a sweep, the
    best of its confirmed networks that `artifacts` holds, as `sweeper network` chooses it: of an
    arm, within `at` nonzero parameters, or that of a trial, STUDY#NUMBER. With `normalise` its
    first layer standardises, so that it takes raw examples [batch, *shape] of any number type.
    `data` is the folder of datasets, which old results need for that.

    A file may be anybody's: it names the code that builds a network which is not built in, and
    `trust` lets that code be called. Raises InputError, UnknownSweepError, PluginError.

    >>> network = load_network("net.safetensors", normalise=True)  # doctest: +SKIP
    >>> network(torch.tensor(picture)[None, None]).argmax(1)  # doctest: +SKIP
    """
    from sweeper.operations.loaded_network import module_of_file, module_of_sweep

    if Path(place).suffix == ".safetensors":
        if arm or trial or at is not None:
            raise InputError(f"{place}: is one network: it goes together with no arm, at or trial")
        return module_of_file(Path(place), normalise=normalise, trust=trust)
    if isinstance(place, Path) or Path(place).suffix in {".pt2", ".onnx"}:
        others = "torch.export.load reads a .pt2 file, onnxruntime an .onnx file"
        raise InputError(f"{place}: must be the name of a sweep or a .safetensors file; {others}")
    with _open(storage) as store:
        return module_of_sweep(
            store,
            place,
            artifacts or os.environ.get(ARTIFACTS_VARIABLE) or None,
            arm=arm,
            at=at,
            trial=trial,
            folder=None if data is None else Path(data),
            normalise=normalise,
        )


def _store(storage: str | None, on_note: "Callable[[str], None] | None" = None) -> "Store":
    """Open a storage; with `on_note`, one that is away is waited for as by a worker."""
    from sweeper.retry import SERVICE, RetryPolicy, throttled_notice
    from sweeper.store import Store

    patience = RetryPolicy(SERVICE, throttled_notice(on_note)) if on_note else None
    url = storage or os.environ.get(STORAGE_VARIABLE) or DEFAULT_STORAGE
    return Store(url, patience=patience)


@contextmanager
def _open(storage: str | None) -> "Iterator[Store]":
    """Open a storage whose tables are there. Raises StorageError."""
    store = _store(storage)
    try:
        store.check()
        yield store
    finally:
        store.close()


def _ignore(told: object) -> None:
    pass
