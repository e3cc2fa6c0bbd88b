"""Run of a study: registered, worked off by workers that are watched, put in order at its end."""

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from sweeper import lifecycle
from sweeper.analysis.confirmation import (
    ConfirmedConfig,
    confirmation_sweep,
    confirmed_configs,
    continued_confirmation,
)
from sweeper.config import Sweep
from sweeper.config.study_changes import StudyChange, changes_of_mapping
from sweeper.errors import InputError
from sweeper.kernels.jit_cache import any_kept
from sweeper.operations.progress_lines import trial_bar
from sweeper.operations.reachability import unreachable
from sweeper.operations.sweep_fronts import SweepFronts
from sweeper.operations.trial_mirrors import mirror_names, mirrored
from sweeper.operations.try_out import try_out
from sweeper.operations.worker_start import worker_starter
from sweeper.retry import SERVICE, RetryPolicy, throttled_notice
from sweeper.search.artifacts import artifact_store
from sweeper.settings import DEFAULT_STORAGE, STORAGE_VARIABLE, dashboard_url, expand_home
from sweeper.store import Store
from sweeper.trainers.pack_size import PackSize, parse_pack_size
from sweeper.types import SweepStatus
from sweeper.worker import webhook
from sweeper.worker.time_budget import budget_end

_log = logging.getLogger("sweeper.launch")

Study = Sweep | Mapping[str, Any] | str | Path
"""A study: checked already, as the keys of a study file, or the path of one."""
Outcome = Literal["new", "resumed", "extended"]
On = Literal["local", "ray"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """Where a study runs, and who is told what of it. Each is told of by `sweeper.launch`."""

    on: On = "local"
    workers: int | None = None
    cpus: float | None = None
    gpus: float | None = None
    address: str | None = None
    device: str = "auto"
    pack: PackSize = "auto"
    data: str | Path | None = None
    extend: bool = False
    changes: Mapping[str, Any] | Sequence[StudyChange] = ()
    trials: str | Path | None = None
    artifacts: str | None = None
    progress: bool | None = None
    until: datetime | str | None = None
    mirrors: Sequence[str] | None = None
    on_start: Callable[[Outcome, SweepStatus], None] | None = None
    on_status: Callable[[SweepStatus], None] | None = None
    on_note: Callable[[str], None] | None = None
    on_wait: Callable[[str], None] | None = None


def run_study(study: Study, storage: str | None, options: RunOptions) -> SweepFronts:
    """Run a study to its end, or on from where it stopped, and return its fronts.

    Raises SpecError, InputError, DigestError, StorageError, TrainingError.
    """
    pack, until = parse_pack_size(options.pack), budget_end(options.until)
    mirrors = mirror_names(options.mirrors)
    webhook.webhook_url()  # a mistake in it is told now, not at the end
    dashboard_url()
    sweep, place = _checked(study, options.changes)
    keeps = sweep.confirms is not None or sweep.script is not None
    artifacts = _absolute(options.artifacts) if keeps else None
    trials = options.trials
    start = worker_starter(
        options.on,
        sweep=sweep,
        workers=options.workers,
        cpus=options.cpus,
        gpus=options.gpus,
        address=options.address,
        device=options.device,
        on_note=options.on_note,
    )
    wanted = False if options.on_status else options.progress
    with ExitStack() as stack:
        show = stack.enter_context(trial_bar(sweep.name, wanted))
        on_wait = options.on_wait or show.tell
        show.tell("trying out what the study names")
        tried = try_out(sweep, place, folder=options.data, on_wait=on_wait)
        sweep = tried.sweep
        for note in tried.data_notes:
            (options.on_note or _log.info)(f"{sweep.name}: dataset: {note}")
        for line in () if sweep.confirms else unreachable(sweep, tried.network):
            (options.on_note or _log.warning)(f"warning: {line}")
        store = stack.enter_context(opened(storage, options.on_note))
        most = store.most_workers
        if options.workers is not None and most is not None and options.workers > most:
            raise InputError(
                f"workers: SQLite is for at most {most}, got {options.workers}: use PostgreSQL "
                "for more"
            )
        store.upgrade()
        outcome: Outcome = lifecycle.register(store, sweep, extend=options.extend)
        status = store.status(sweep.name)
        if options.on_start:
            options.on_start(outcome, status)
        show(status)
        if mirrors:
            tell = options.on_note or _log.warning
            stack.enter_context(mirrored(store, sweep, mirrors, tell))
        stack.callback(
            webhook.tell_end, store, sweep.name, options.on_note, anew=not status.finished
        )
        if not status.finished:
            if sweep.script is None and not any_kept():
                line = "loops are compiled first, once on a machine: some ten seconds"
                on_wait(f"{sweep.name}: {line}")
            start(
                sweep.name,
                store,
                pack=pack,
                folder=None if options.data is None else Path(options.data),
                trials=None if trials is None else expand_home(trials, "trials folder").absolute(),
                artifacts=artifacts,
                until=until,
                on_status=options.on_status or show,
            )
        show.tell("putting what it brought in order")
        lifecycle.recover(store, sweep.name)  # a worker may have died with its last fact untold
        lifecycle.publish(store, sweep.name, force=True)
        fronts = SweepFronts.of(store.interventions.counted_records(sweep.name), sweep)
        show(store.status(sweep.name))
        return fronts


def confirm_sweep(
    name: str, storage: str | None, seeds: int, options: RunOptions
) -> list[ConfirmedConfig]:
    """Train the best configurations of a finished sweep again, as `sweeper.confirm` says."""
    with opened(storage, options.on_note) as store:
        store.check()
        searched = store.interventions.counted_records(name)
        wanted = confirmation_sweep(
            store.sweep(name),
            store.status(name),
            searched,
            store.strength_ranges(name),
            seeds=seeds,
        )
        if wanted.name in store.names():
            wanted = continued_confirmation(store.sweep(wanted.name), wanted)
        run_study(wanted, storage, replace(options, extend=True))
        return confirmed_configs(wanted, store.interventions.counted_records(wanted.name), searched)


@contextmanager
def opened(
    storage: str | None, on_note: Callable[[str], None] | None = None, *, waits: bool = True
) -> Iterator[Store]:
    """Open a storage in a `with` block: of a URL, else SWEEPER_STORAGE, else sweeper.db here.

    With `waits` one that is away is waited for as by a worker, which is noted.
    """
    notice = throttled_notice(on_note or _log.warning)
    url = storage or os.environ.get(STORAGE_VARIABLE) or DEFAULT_STORAGE
    store = Store(url, patience=RetryPolicy(SERVICE, notice) if waits else None)
    try:
        yield store
    finally:
        store.close()


def _checked(study: Study, changes: Mapping[str, Any] | Sequence[StudyChange]) -> tuple[Sweep, str]:
    """Return a study as a sweep, and the place that its errors name. Raises SpecError."""
    parsed = changes_of_mapping(changes) if isinstance(changes, Mapping) else tuple(changes)
    if isinstance(study, Sweep):
        if parsed:
            text = "are for a study file or a dict; a Sweep is checked already"
            raise InputError(f"changes: {text}, got {study.name}")
        return study, study.name
    if isinstance(study, Mapping):
        sweep = Sweep.of_mapping(study, parsed)
        return sweep, sweep.name
    return Sweep.load(study, parsed), str(study)


def _absolute(place: str | None) -> str | None:
    """Return the place of artifacts as every process may open it. Raises InputError."""
    if place is None:
        return None
    artifact_store(place, writes=True)  # a mistake is told here, not by a worker
    return place if "://" in place else str(Path(place).absolute())
