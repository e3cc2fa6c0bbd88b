"""Lifecycle of a sweep: register, restore, recover, publish, delete.

Each step may be taken by whoever is alive, and again after a crash in between.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Literal
from uuid import uuid4

from sweeper.analysis import strength_range
from sweeper.analysis.best_configs import warm_start_configs
from sweeper.analysis.sweep_record import SweepRecord
from sweeper.config import Sweep
from sweeper.errors import InputError, UnknownSweepError
from sweeper.search import StudyOwner, SweepStudies
from sweeper.search.artifacts import NETWORK
from sweeper.store import Dump, Searches, Store
from sweeper.types import Scalar

LEAVING_SECONDS = 15.0
"""Seconds for which `delete` waits for workers that were told to stop."""


def register(
    store: Store, sweep: Sweep, *, extend: bool = False
) -> Literal["new", "resumed", "extended"]:
    """Bring schema, sweep and studies into the storage; again after a crash in between.

    Raises InputError where Optuna holds a study that is not the sweep's under one of its names.
    """
    store.upgrade()
    # Another study file is refused before any study is touched.
    outcome = store.would_register(sweep, extend=extend)
    first = {} if outcome == "resumed" else _tried_first(store, sweep, is_new=outcome == "new")
    if outcome == "extended":
        # Of an extension the studies come first, for workers may be waiting for its slots; else
        # the sweep does, so that no study is without one.
        with open_studies(store, sweep) as search:
            search.create()
            return store.register(sweep, extend=extend, first=first)
    _refuse_others(store, sweep)
    outcome = store.register(sweep, extend=extend, first=first)
    with open_studies(store, sweep) as search:
        search.create()
    return outcome


def _tried_first(store: Store, sweep: Sweep, *, is_new: bool) -> Searches:
    """Return what a warm start has the arms and repeats that are new try first.

    It is resolved once: further repeats of an arm begin as the first did, whatever became of the
    old sweep. Raises InputError where that is not there, or has nothing for an arm.
    """
    start = sweep.warm_start
    if start is None:
        return {}
    before = () if is_new else store.interventions.enqueued(sweep.name)
    given = [config for config in before if config.source == start.mark]
    old_arms = () if is_new else store.sweep(sweep.name).arms
    configs: dict[str, list[dict[str, Scalar]]] = {
        arm: [dict(config.params) for config in given if (config.arm, config.repeat) == (arm, 0)]
        for arm in old_arms
    }
    if new_arms := [arm for arm in sweep.arms if arm not in old_arms]:
        try:
            old = store.sweep_record(start.source)
        except UnknownSweepError as error:
            raise InputError(f"{sweep.name}: warm_start.from: {error}") from None
        configs |= warm_start_configs(sweep, old, new_arms)
    begun = {(config.arm, config.repeat) for config in given}
    places = [(arm, repeat) for arm in configs for repeat in range(sweep.search.repeats)]
    return {place: configs[place[0]] for place in places if place not in begun}


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

    One transaction has all of them in our tables, or none. Returns of each how many records are new
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
    """Give a loaded sweep its studies, then its state; return how many records it has."""
    sweep = dump.sweep
    ranges = strength_range.ranges(store.strength_ranges(sweep.name))
    records = store.records(sweep.name)
    with open_studies(store, sweep.with_ranges(ranges)) as search:
        search.create()
        search.give(store.interventions.enqueued(sweep.name))
        for study in sweep.studies():
            on_study(study)
            search.recreate(study, [record for record in records if record.slot.study == study])
        on_study(sweep.name)
        dropped = store.interventions.dropped(sweep.name)
        search.pool(sweep.with_ranges(ranges), records, dropped)
    store.finish_restore(dump)
    return len(records)


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
        with open_studies(store, sweep) as opened:
            return recover(store, name, opened)
    freed = store.reap(name)
    unreported = store.unreported(name)
    if unreported:
        search.tell([(record.slot.study, record.trial, record.result) for record in unreported])
        store.mark_reported(list(dict.fromkeys(record.slot for record in unreported)))
    for study, (arm, repeats) in sweep.studies().items():
        # The order matters. A trial is created before its slot is linked to it: once it was seen
        # running, its slot is linked, or still unlinked (None), or it was given up. A whole pack
        # is linked at once: while its slots wait for that, none of their study is mended.
        if running := search.running(study):
            used = store.trials_in_use(name, arm, repeats)
            search.fail(study, set(running) - used if used is not None else ())
    return freed


def load_record(
    store: Store, name: str, *, artifacts: str | None = None, may_come: bool = False
) -> SweepRecord:
    """Return the record of a sweep with that of its confirmation, as of one moment.

    With some networks of the confirmation, if they are kept at `artifacts`; a folder that
    `may_come` later need not be there. Raises UnknownSweepError.
    """
    record = store.sweep_record(name)
    confirmation = record.confirmation
    if confirmation is None or artifacts is None:
        return record
    with open_studies(store, confirmation.sweep) as search:
        search.artifacts.use(artifacts, may_come=may_come)
        networks = {
            arm: search.artifacts.load(pictured.slot.study, pictured.trial, NETWORK)
            for arm, pictured in confirmation.pictured_records().items()
        }
    return record.with_networks(
        {
            arm: network.content
            for arm, network in networks.items()
            if network and network.content is not None
        }
    )


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
        with open_studies(store, sweep) as opened:
            return publish(store, name, every=every, force=force, search=opened)
    if not store.try_throttle(name, "publish", 0.0 if force else every):
        return False
    if sweep.confirms is None:
        _publish_search(store, search, store.sweep_record(name))
        return True
    # Read once: the study of a search and that of its confirmation show both.
    record = store.sweep_record(sweep.confirms.of)
    _publish_confirmation(store, search, record)
    if store.try_throttle(record.sweep.name, "publish", 0.0 if force else every):
        with suppress(UnknownSweepError):  # the search's own study was deleted in the dashboard
            _publish_search(store, search, record)
    return True


def _publish_search(store: Store, search: SweepStudies, record: SweepRecord) -> None:
    """Bring the networks of a search into its own study, with the figures and the note."""
    from sweeper.reports import optuna_note

    sweep, confirmation = record.sweep, record.confirmation
    owner = _owner(store, sweep.name)
    search.pool(record.ranged_sweep, record.all_records, record.dropped, owner)
    studies = search.ids([sweep.name, *sweep.studies()], owner)
    if confirmation:
        studies |= _study_ids(store, search, confirmation.sweep.name)
    note = optuna_note.note(record, studies=studies)
    search.publish(optuna_note.figures(record), note, owner)


def _publish_confirmation(store: Store, search: SweepStudies, record: SweepRecord) -> None:
    """Bring the networks of a confirmation into its own study, with the figure and the note."""
    from sweeper.reports import optuna_note

    confirmation = record.confirmation
    if confirmation is None:
        return  # deleted since
    sweep = confirmation.sweep
    owner = _owner(store, sweep.name)
    search.pool(sweep, confirmation.all_records, confirmation.dropped, owner)
    studies = search.ids([sweep.name, *sweep.studies()], owner)
    studies |= _study_ids(store, search, record.sweep.name)
    figures: optuna_note.Figures = {
        optuna_note.CONFIRMED: optuna_note.confirmed_figure(confirmation)
    }
    search.publish(figures, optuna_note.confirmed_note(confirmation, studies=studies), owner)


def _study_ids(store: Store, search: SweepStudies, name: str) -> dict[str, int]:
    """Return the id of another sweep's own study, by its name; empty if it was deleted since."""
    with suppress(UnknownSweepError):
        return search.ids([name], _owner(store, name))
    return {}


def delete(store: Store, name: str) -> tuple[str, ...]:
    """Delete a sweep: its studies first, so that a crash in between can be mended by deleting.

    Its confirmation goes before it, which says nothing without it. Returns the names of Optuna's
    studies that stay, for they are others'.
    """
    sweep = store.sweep(name)
    others: tuple[str, ...] = ()
    if sweep.confirmation_name in store.names():
        others = _delete(store, store.sweep(sweep.confirmation_name))
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
