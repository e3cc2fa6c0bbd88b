"""What is done for a sweep by whoever is alive: registering, mending, publishing, deleting."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from typing import Literal
from uuid import uuid4

from sweeper.analysis import fronts, strength_range
from sweeper.analysis.conclusion import ConfirmationResult
from sweeper.config import SUFFIX, Sweep
from sweeper.errors import InputError, UnknownSweepError
from sweeper.search import StudyOwner, SweepStudies
from sweeper.store import Dump, Store
from sweeper.types import TrialRecord

LEAVING_SECONDS = 15.0
"""How long `delete` waits for workers that were told to stop."""


def register(
    store: Store, sweep: Sweep, *, extend: bool = False
) -> Literal["new", "resumed", "extended"]:
    """Bring schema, sweep and studies into the storage; again after a crash in between.

    Raises InputError where Optuna holds a study that is not the sweep's under one of its names.
    """
    store.upgrade()
    # Another study file is refused before any study is touched.
    if store.would_register(sweep, extend=extend) == "extended":
        # Of an extension the studies come first, for workers may be waiting for its slots; else
        # the sweep does, so that no study is without one.
        with open_studies(store, sweep) as search:
            search.create()
            return store.register(sweep, extend=extend)
    _refuse_others(store, sweep)
    outcome = store.register(sweep, extend=extend)
    with open_studies(store, sweep) as search:
        search.create()
    return outcome


def _refuse_others(store: Store, sweep: Sweep) -> None:
    """Raise InputError if Optuna holds others' studies under the names of a sweep."""
    registered = sweep.name in store.names()
    owner = _owner(store, sweep.name) if registered else StudyOwner(sweep.name, uuid4().hex)
    try:
        with _searching_as(owner, store, sweep) as search:
            search.refuse_others()
    except InputError:
        if registered or sweep.name not in store.names():
            raise
        _refuse_others(store, sweep)  # registered in this moment: the studies may be its own


def restore(
    store: Store, dump: Dump, on_study: Callable[[str], None] = lambda study: None
) -> tuple[int, int]:
    """Bring a dumped sweep into the storage, as `restore_all` does."""
    return restore_all(store, [dump], on_study)[0]


def restore_all(
    store: Store, dumps: Sequence[Dump], on_study: Callable[[str], None] = lambda study: None
) -> list[tuple[int, int]]:
    """Bring dumped sweeps into the storage; again after a crash, it goes on where that was.

    One transaction has all of them in our tables, or none. Returns of each how many facts are new
    here, and how many there are. Raises DigestError if another sweep has its name, InputError if a
    slot has another result here, or Optuna another's study.
    """
    store.upgrade()
    for dump in dumps:
        _refuse_others(store, dump.sweep)
    new = store.load(dumps)
    return [
        (count, _recreate(store, dump, on_study)) for count, dump in zip(new, dumps, strict=True)
    ]


def _recreate(store: Store, dump: Dump, on_study: Callable[[str], None]) -> int:
    """Give a loaded sweep its studies, then its state; return how many facts it has."""
    sweep = dump.sweep
    found = strength_range.ranges(store.strength_ranges(sweep.name))
    facts = store.records(sweep.name)
    with open_studies(store, sweep.with_ranges(found)) as search:
        search.create()
        for study in sweep.studies():
            on_study(study)
            search.recreate(study, [fact for fact in facts if fact.slot.study == study])
    store.finish_restore(dump)
    return len(facts)


@contextmanager
def open_studies(store: Store, sweep: Sweep) -> Iterator[SweepStudies]:
    """Search a registered sweep in a `with` block; connections are closed at its end.

    Raises UnknownSweepError.
    """
    with _searching_as(_owner(store, sweep.name), store, sweep) as search:
        yield search


@contextmanager
def _searching_as(owner: StudyOwner, store: Store, sweep: Sweep) -> Iterator[SweepStudies]:
    search = SweepStudies(
        store.url, sweep, owner, engine_options=store.engine_options, patience=store.patience
    )
    try:
        yield search
    finally:
        search.close()


def _owner(store: Store, name: str) -> StudyOwner:
    return StudyOwner(name, store.identity(name))


def recover(store: Store, name: str, search: SweepStudies | None = None) -> int:
    """Free the slots of dead workers, tell what they recorded, fail what they left running.

    Returns how many slots were freed. Never touches what a living worker holds.
    """
    sweep = store.sweep(name)
    if search is None:
        with open_studies(store, sweep) as own:
            return recover(store, name, own)
    freed = store.reap(name)
    untold = store.unreported(name)
    for fact in untold:
        search.tell(fact.slot.study, fact.trial, fact.result)
    if untold:
        store.mark_reported([fact.slot for fact in untold])
    for study, (arm, repeats) in sweep.studies().items():
        # The order matters. A trial is created before its slot is linked to it: once it was seen
        # running, its slot is linked, or still unlinked (None), or it was given up. A whole pack
        # is linked at once: while its slots wait for that, none of their study is mended.
        if running := search.running(study):
            used = store.trials_in_use(name, arm, repeats)
            for trial in set(running) - used if used is not None else ():
                search.fail(study, trial)
    return freed


def publish(
    store: Store,
    name: str,
    *,
    every: float = 10.0,
    force: bool = False,
    search: SweepStudies | None = None,
) -> bool:
    """Renew the figures and the note in the study of the sweep; at most one caller per `every`.

    A confirmation renews those of its search too, which show what was confirmed.
    """
    sweep = store.sweep(name)
    if search is None:
        with open_studies(store, sweep) as own:
            return publish(store, name, every=every, force=force, search=own)
    # Facts are read once, though the study of a search and that of its confirmation show both.
    results = cache(store.records)
    if not store.try_throttle(name, "publish", 0.0 if force else every):
        return False
    _show(store, sweep, search, results)
    confirms = sweep.confirms
    if confirms and store.try_throttle(confirms.of, "publish", 0.0 if force else every):
        with suppress(UnknownSweepError):  # the search's own study was deleted in the dashboard
            _show(store, store.sweep(confirms.of), search, results)
    return True


def _show(
    store: Store,
    sweep: Sweep,
    search: SweepStudies,
    results: Callable[[str], Sequence[TrialRecord]],
) -> None:
    """Write the figures and the note of a sweep into its own study."""
    from sweeper.report import optuna_note

    owner = _owner(store, sweep.name)
    other = sweep.confirms.of if sweep.confirms else sweep.name + SUFFIX
    studies = search.ids([sweep.name, *sweep.studies()], owner)
    with suppress(UnknownSweepError):  # not registered, or deleted since
        studies |= search.ids([other], _owner(store, other))
    if sweep.confirms:
        again = _confirmation(store, store.sweep(sweep.confirms.of), sweep, results)
        figures: optuna_note.Figures = {optuna_note.CONFIRMED: optuna_note.confirmed_figure(again)}
        note = optuna_note.confirmed_note(again, studies=studies)
    else:
        further = None
        if other in store.names():
            with suppress(UnknownSweepError):  # deleted since
                further = _confirmation(store, sweep, store.sweep(other), results)
        facts, ranges = results(sweep.name), store.strength_ranges(sweep.name)
        found, status = fronts(facts, sweep), store.status(sweep.name)
        figures = optuna_note.figures(facts, found, sweep, further)
        note = optuna_note.note(sweep, status, found, ranges, studies=studies, again=further)
    search.publish(figures, note, owner)


def _confirmation(
    store: Store, search: Sweep, sweep: Sweep, results: Callable[[str], Sequence[TrialRecord]]
) -> ConfirmationResult:
    checks = store.reproducibility_checks(search.name)
    return ConfirmationResult.of(search, results(search.name), checks, sweep, results(sweep.name))


def delete(store: Store, name: str) -> tuple[str, ...]:
    """Delete a sweep: its studies first, so that a crash in between can be mended by deleting.

    Its confirmation goes before it, which says nothing without it. Returns the names of Optuna's
    studies that stay, for they are others'.
    """
    sweep = store.sweep(name)
    others: tuple[str, ...] = ()
    if name + SUFFIX in store.names():
        others = _delete(store, store.sweep(name + SUFFIX))
    others += _delete(store, sweep)
    if sweep.confirms:
        with suppress(UnknownSweepError):
            publish(store, sweep.confirms.of, force=True)  # which shows it no longer
    return others


def _delete(store: Store, sweep: Sweep) -> tuple[str, ...]:
    name = sweep.name
    store.stop(name)
    until = time.monotonic() + LEAVING_SECONDS
    while any(worker.alive for worker in store.status(name).workers) and time.monotonic() < until:
        time.sleep(0.2)
        store.reap(name)
    with open_studies(store, sweep) as search:
        others = search.delete()
        store.delete(name)
        search.delete()  # what a worker has made that began in this moment
    return others
