"""Answers of the pages of sweeps: JSON, CSV, reports and assets, made once for all who look."""

import io
import json
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from optuna.storages import RDBStorage

from sweeper import lifecycle, plots
from sweeper.analysis import fronts
from sweeper.analysis.sweep_comparability import refuse_wrong_number
from sweeper.analysis.sweep_record import SweepRecord
from sweeper.config import Sweep, confirmation_name
from sweeper.dashboard.cache import Cache
from sweeper.dashboard.sweeps import fronts_json, status_json, trial_json
from sweeper.dashboard.sweeps.response_body import ResponseBody
from sweeper.dashboard.sweeps.study_ids import ids_of_studies, study_of
from sweeper.dashboard.sweeps.sweep_cache import SweepCache, SweepSnapshot
from sweeper.errors import UnknownSweepError, UnreadableError, choices
from sweeper.operations import export
from sweeper.operations.sweep_fronts import SweepFronts
from sweeper.reports import html_page
from sweeper.search.artifacts import NETWORK
from sweeper.search.note_texts import fronts_page, study_page
from sweeper.store import Store
from sweeper.trainers.trial_log import read_trial_log
from sweeper.types import Place, SizeMeasure, Slot, SweepStatus, Track

FRESH = 1.0
"""Seconds for which progress is not read again."""
MOST = 512
"""Answers that are stored."""
ROOM = 128 * 1024 * 1024
"""Bytes of them."""
RECORDS = 16
"""Sweeps of which fronts and problems are stored until there is a new trial."""
PLOTLY = "plotly.js"
SHARED_WITH_REPORTS = ("draw_figure.js", "theme.css", "sketch.css")


@dataclass(frozen=True, slots=True)
class PageSources:
    """Sources of the pages."""

    store: Store
    storage: RDBStorage
    """Optuna's view of the same database."""
    artifacts: str | None = None
    """Place of confirmed networks."""


class SweepPages:
    """Answers to all requests; raises UnknownSweepError, UnreadableError, StorageError."""

    def __init__(self, sources: PageSources) -> None:
        self._store, self._artifacts = sources.store, sources.artifacts
        self._storage = sources.storage
        self._sweeps = SweepCache(sources.store)
        self._records: Cache[str, SweepRecord] = Cache(most=RECORDS)
        self._answers: Cache[str, ResponseBody] = Cache(
            most=MOST, room=ROOM, size=lambda body: body.size
        )

    def index(self) -> ResponseBody:
        """Return all sweeps with their progress."""

        def content() -> bytes:
            rows, unreadable = [], []
            for name in self._store.names():
                try:
                    rows.append((self._store.sweep(name), self._store.status(name)))
                except UnreadableError:
                    unreadable.append(name)
                except UnknownSweepError:
                    continue  # deleted since
            return to_json({**status_json.index_payload(rows), "unreadable": unreadable})

        return self._recent("index", FRESH, content)

    def require(self, name: str) -> None:
        """Raise UnknownSweepError unless there is a sweep of that name."""
        if self._store.version(name) is None:
            self._store.sweep(name)

    def status(self, name: str) -> ResponseBody:
        """Return the progress of a sweep, its workers, and what forbids to rank its arms."""

        def content() -> bytes:
            snapshot, confirmation = self._sweeps.snapshot(name), self._sweeps.confirmation(name)
            status = self._store.status(name)
            record = self._record(snapshot, confirmation, status)
            payload = status_json.status_payload(record, status)
            finished = self._store.finished(confirmation_name(name)) if confirmation else None
            has_networks = confirmation is not None and self._artifacts is not None
            study = ids_of_studies(self._storage, {name}, self._store.patience).get(name)
            optuna = None if study is None else study_page(study)
            more = {"confirmed": finished, "networks": has_networks, "optuna": optuna}
            return to_json({**payload, **more})

        return self._recent(f"status {name}", FRESH, content)

    def fronts(self, name: str, track: Track | None, size: SizeMeasure) -> ResponseBody:
        """Return the fronts of a sweep as they are now, on its objective's track unless named."""
        snapshot = self._sweeps.snapshot(name)
        of_track = track or snapshot.sweep.sparsification.track
        return self._versioned(
            f"fronts {name} {of_track} {size}",
            snapshot.version,
            lambda: to_json(fronts_json.fronts_payload(self._record(snapshot), of_track, size)),
        )

    def learning(self, name: str) -> ResponseBody:
        """Return the learning curves of the networks on the fronts of a sweep."""
        snapshot = self._sweeps.snapshot(name)
        return self._versioned(
            f"learning {name}",
            snapshot.version,
            lambda: to_json(fronts_json.learning_payload(self._record(snapshot))),
        )

    def trial(self, name: str, place: Place) -> ResponseBody:
        """Return all that is known of a slot. Raises UnknownSweepError for one that is none."""

        def content() -> bytes:
            snapshot = self._sweeps.snapshot(name)
            history = self._store.slot_history(name, place)
            if history is None or place[0] not in snapshot.sweep.arms:
                raise UnknownSweepError(f"{name}: no such trial: {_wrong(snapshot.sweep, place)}")
            records = [one for one in snapshot.records if one.slot.place == place]
            sweep, study = snapshot.sweep, snapshot.sweep.study(*place[:2])
            search = self._store.sweep(sweep.confirms.of) if sweep.confirms else sweep
            log = None
            if sweep.script is not None:
                log = read_trial_log(Slot(name, *place, study), self._store.identity(name))
            studies = ids_of_studies(self._storage, {study}, self._store.patience)
            payload = trial_json.trial_payload(
                sweep,
                place,
                history,
                records,
                studies=studies,
                log=log,
                file=list(search.arms),
            )
            dropped = [str(trial) for trial in snapshot.dropped if trial.place == place]
            given = self._store.interventions.given([Slot(name, *place, study)])
            enqueued = [{"source": one.source, "names": [*one.params]} for one in given.values()]
            return to_json({**payload, "dropped": dropped, "enqueued": enqueued})

        return self._recent(f"trial {name} {place}", FRESH, content)

    def study(self, number: int) -> ResponseBody:
        """Return the sweep that a study of Optuna's is of; none for somebody else's."""
        study = study_of(self._storage, number, self._store.patience)
        sweep = None if study is None else self._sweep_of(study)
        page = fronts_page(sweep) if sweep else None
        return ResponseBody.of(
            to_json({"study": study, "sweep": sweep.name if sweep else None, "page": page})
        )

    def comparison(
        self, names: Sequence[str], arms: Sequence[str], track: Track | None, size: SizeMeasure
    ) -> ResponseBody:
        """Return the fronts of several sweeps in one figure. Raises InputError."""
        refuse_wrong_number(names)
        snapshots = [self._sweeps.snapshot(name) for name in names]

        def content() -> bytes:
            records = [self._record(snapshot) for snapshot in snapshots]
            compared = SweepFronts.compared(records, arms=arms, track=track, size=size)
            return to_json(fronts_json.comparison_payload(compared, size))

        return self._versioned(
            f"comparison {','.join(names)} {','.join(arms)} {track} {size}",
            f"{[snapshot.version for snapshot in snapshots]}",
            content,
        )

    def confirmed(self, name: str) -> ResponseBody:
        """Return the confirmed networks of a sweep. Raises UnknownSweepError without any."""
        snapshot, confirmation = self._sweeps.snapshot(name), self._confirmation(name)
        checks = self._store.reproducibility_checks(name)

        def content() -> bytes:
            result = self._record(snapshot, confirmation).confirmation
            if result is None:
                raise AssertionError("the record was made with one")
            return to_json(fronts_json.confirmed_payload(result))

        return self._versioned(
            f"confirmed {name}",
            f"{snapshot.version} {confirmation.version} {len(checks)}",
            content,
        )

    def report(self, name: str) -> ResponseBody:
        """Return the report of a sweep."""

        def content() -> bytes:
            record = lifecycle.load_record(
                self._store, name, artifacts=self._artifacts, may_come=True
            )
            return html_page.page(record).encode()

        return self._recent(f"report {name}", 10 * FRESH, content)

    def trials_table(self, name: str) -> ResponseBody:
        """Return every trial of a sweep as CSV."""
        return self._versioned(
            f"trials table {name}",
            self._sweeps.snapshot(name).version,
            lambda: export.facts_csv(
                self._store.dump(name).facts, self._store.interventions.dropped(name)
            ).encode(),
        )

    def fronts_table(self, name: str) -> ResponseBody:
        """Return the networks on the fronts as CSV."""
        snapshot = self._sweeps.snapshot(name)
        return self._versioned(
            f"fronts table {name}",
            snapshot.version,
            lambda: export.fronts_csv(
                fronts(snapshot.counted, snapshot.sweep), snapshot.sweep
            ).encode(),
        )

    def networks(self, name: str) -> bytes:
        """Return the stored confirmed networks, zipped. Raises UnknownSweepError."""
        confirmation = self._confirmation(name)
        if self._artifacts is None:
            raise UnknownSweepError("no networks: the dashboard was not told where they are kept")
        buffer = io.BytesIO()
        with (
            zipfile.ZipFile(buffer, "w") as archive,  # they are dense numbers: nothing to compress
            lifecycle.open_studies(self._store, confirmation.sweep) as studies,
        ):
            studies.artifacts.use(self._artifacts, may_come=True)
            for record in confirmation.records:
                file = studies.artifacts.load(record.slot.study, record.trial, NETWORK)
                if file and file.content is not None:
                    arm, repeat, number = record.slot.place
                    archive.writestr(f"{arm}/{repeat}-{number}{NETWORK}", file.content)
        return buffer.getvalue()

    def asset(self, name: str) -> ResponseBody:
        """Return a file of the pages."""

        def content() -> bytes:
            if name == PLOTLY:
                return plots.javascript()
            if name in SHARED_WITH_REPORTS:
                return plots.page_asset(name).encode()
            return files("sweeper.dashboard.sweeps").joinpath("assets", name).read_bytes()

        return self._versioned(f"asset {name}", "", content)

    def _recent(self, key: str, seconds: float, content: Callable[[], bytes]) -> ResponseBody:
        return self._answers.recent(key, seconds, lambda: ResponseBody.of(content()))

    def _versioned(self, key: str, version: str, content: Callable[[], bytes]) -> ResponseBody:
        return self._answers.versioned(key, version, lambda: ResponseBody.of(content()))

    def _record(
        self,
        snapshot: SweepSnapshot,
        confirmation: SweepSnapshot | None = None,
        status: SweepStatus | None = None,
    ) -> SweepRecord:
        """Return the record of a sweep: trials of its snapshot, and all else as of now.

        It is the same one while nothing is recorded, with all that was computed of it; its status
        is the only part that may be older than the call.
        """
        name = snapshot.sweep.name
        ranges = self._store.strength_ranges(name)  # recorded while there is no new trial
        checks = self._store.reproducibility_checks(name)

        def compute() -> SweepRecord:
            known = status or self._store.status(name)
            record = SweepRecord(
                snapshot.sweep, known, snapshot.records, ranges, checks
            ).with_dropped(snapshot.dropped)
            if confirmation is None:
                return record
            return record.with_confirmation(
                confirmation.sweep, confirmation.records, confirmation.dropped
            )

        of_confirmation = confirmation.version if confirmation else ""
        version = f"{snapshot.version} {of_confirmation} {len(checks)} {ranges}"
        return self._records.versioned(f"{name} {bool(confirmation)}", version, compute)

    def _sweep_of(self, study: str) -> Sweep | None:
        name = study.partition("/")[0]
        try:
            sweep = self._store.sweep(name)
            if study == name or study in sweep.studies():
                return sweep
            confirmation = self._store.sweep(confirmation_name(name))
        except (UnknownSweepError, UnreadableError):
            return None
        return sweep if study in {confirmation.name, *confirmation.studies()} else None

    def _confirmation(self, name: str) -> SweepSnapshot:
        confirmation = self._sweeps.confirmation(name)
        if confirmation is None:
            raise UnknownSweepError(f"{name}: nothing is confirmed yet: sweeper confirm {name}")
        return confirmation


def _wrong(sweep: Sweep, place: Place) -> str:
    """Return what is wrong with the place of a trial that a sweep has not."""
    arm, repeat, slot = place
    if arm not in sweep.arms:
        return f"arm: {choices(arm, sweep.arms)}"
    if repeat >= sweep.search.repeats and not sweep.confirms:
        return f"repeat: got {repeat}; allowed: 0 to {sweep.search.repeats - 1}"
    if sweep.confirms:
        return f"repeat {repeat}, slot {slot}"
    return f"slot: got {slot}; allowed: 0 to {sweep.search.trials - 1}"


def to_json(payload: Any) -> bytes:
    """Return plain values as JSON without blanks."""
    return json.dumps(payload, separators=(",", ":"), allow_nan=False).encode()
