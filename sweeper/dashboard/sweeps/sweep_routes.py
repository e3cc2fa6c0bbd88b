"""The pages under /sweeps/, and the plain JSON that they are drawn from."""

import io
import json
import re
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, get_args

import bottle
from optuna.storages import RDBStorage

from sweeper import lifecycle, plots
from sweeper.analysis import fronts
from sweeper.analysis.sweep_record import SweepRecord
from sweeper.config import confirmation_name
from sweeper.dashboard.sweeps import fronts_json, status_json
from sweeper.dashboard.sweeps.response_cache import ResponseBody, ResponseCache
from sweeper.dashboard.sweeps.study_ids import studies_of
from sweeper.dashboard.sweeps.sweep_cache import SweepCache, SweepSnapshot
from sweeper.errors import SchemaError, StorageError, UnknownSweepError, UnreadableError, choices
from sweeper.operations import export
from sweeper.report import html_page
from sweeper.search.artifacts import NETWORK
from sweeper.store import Store
from sweeper.types import Track

ROOT = "/sweeps/"
FRESH = 1.0
"""Seconds for which progress is not read again."""
_KINDS = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml",
    "json": "application/json",
    "csv": "text/csv; charset=utf-8",
    "zip": "application/zip",
}
ASSETS = ("page.css", "common.js", "figures.js", "index.js", "sweep.js", "icon.svg")
PLOTLY = "plotly.js"
_NAME = "<name:re:[A-Za-z0-9][A-Za-z0-9._-]*>"


@dataclass(frozen=True, slots=True)
class PageSources:
    """Where the pages read from."""

    store: Store
    storage: RDBStorage
    """Optuna's view of the same database."""
    artifacts: str | None = None
    """Where confirmed networks are kept."""


class SweepPages:
    """Makes every answer; the routes are below."""

    def __init__(self, source: PageSources) -> None:
        self._store, self._artifacts = source.store, source.artifacts
        self._storage = source.storage
        self._reader, self._kept = SweepCache(source.store), ResponseCache()

    def index(self) -> ResponseBody:
        """Return all sweeps with their progress."""

        def make() -> bytes:
            rows, unreadable = [], []
            for name in self._store.names():
                try:
                    rows.append((self._store.sweep(name), self._store.status(name)))
                except UnreadableError:
                    unreadable.append(name)
                except UnknownSweepError:
                    continue  # deleted since
            return _json({**status_json.index_payload(rows), "unreadable": unreadable})

        return self._kept.recent("index", FRESH, make)

    def status(self, name: str) -> ResponseBody:
        """Return the progress of a sweep, who works on it, what forbids to rank its arms."""

        def make() -> bytes:
            known, again = self._reader.known(name), self._reader.confirmation(name)
            payload = status_json.status_payload(self._record(known, again))
            confirmation = confirmation_name(name)
            payload["confirmed"] = self._store.finished(confirmation) if again else None
            payload["networks"] = again is not None and self._artifacts is not None
            return _json(payload)

        return self._kept.recent(f"status {name}", FRESH, make)

    def fronts(self, name: str, track: Track | None, size: fronts_json.Size) -> ResponseBody:
        """Return the fronts of a sweep as they are now, on its objective's track unless named."""
        known = self._reader.known(name)
        track = track or known.sweep.sparsification.track
        studies = self._studies(known)
        return self._kept.get(
            f"fronts {name} {track} {size}",
            f"{known.version} {sorted(studies.items())}",
            lambda: _json(fronts_json.fronts_payload(self._record(known), track, size, studies)),
        )

    def confirmed(self, name: str) -> ResponseBody:
        """Return the confirmed networks of a sweep. Raises UnknownSweepError without any."""
        known, again = self._with_confirmation(name)
        studies, checks = self._studies(again), self._store.reproducibility_checks(name)

        def make() -> bytes:
            confirmation = self._record(known, again).confirmation
            if confirmation is None:
                raise AssertionError("the record was made with one")
            return _json(fronts_json.confirmed_payload(confirmation, studies))

        return self._kept.get(
            f"confirmed {name}",
            f"{known.version} {again.version} {len(checks)} {sorted(studies.items())}",
            make,
        )

    def report(self, name: str) -> ResponseBody:
        """Return the report of a sweep."""

        def make() -> bytes:
            record = lifecycle.load_record(
                self._store, name, artifacts=self._artifacts, may_come=True
            )
            return html_page.page(record).encode()

        return self._kept.recent(f"report {name}", 10 * FRESH, make)

    def facts(self, name: str) -> ResponseBody:
        """Return every trial of a sweep as CSV."""
        known = self._reader.known(name)
        return self._kept.get(
            f"facts {name}",
            known.version,
            lambda: export.facts_csv(self._store.dump(name).facts).encode(),
        )

    def front_table(self, name: str) -> ResponseBody:
        """Return the networks on the fronts as CSV."""
        known = self._reader.known(name)
        return self._kept.get(
            f"front table {name}",
            known.version,
            lambda: export.fronts_csv(fronts(known.facts, known.sweep)).encode(),
        )

    def networks(self, name: str) -> bytes:
        """Return the confirmed networks that are kept, zipped. Raises UnknownSweepError."""
        _, again = self._with_confirmation(name)
        if self._artifacts is None:
            raise UnknownSweepError("no networks: the dashboard was not told where they are kept")
        buffer = io.BytesIO()
        with (
            zipfile.ZipFile(buffer, "w") as packed,  # they are dense numbers: nothing to compress
            lifecycle.open_studies(self._store, again.sweep) as search,
        ):
            search.use_artifact_store(self._artifacts, may_come=True)
            for fact in again.facts:
                kept = search.load_artifact(fact.slot.study, fact.trial, NETWORK)
                if kept and kept.content is not None:
                    packed.writestr(
                        f"{fact.slot.arm}/{fact.slot.repeat}-{fact.slot.number}{NETWORK}",
                        kept.content,
                    )
        return buffer.getvalue()

    def asset(self, name: str) -> ResponseBody:
        """Return a file of the pages."""

        def make() -> bytes:
            if name == PLOTLY:
                return plots.javascript()
            return files("sweeper.dashboard.sweeps").joinpath("assets", name).read_bytes()

        return self._kept.get(f"asset {name}", "", make)

    def _studies(self, known: SweepSnapshot) -> dict[str, int]:
        return studies_of(self._storage, known, self._store.patience)

    def _record(self, known: SweepSnapshot, again: SweepSnapshot | None = None) -> SweepRecord:
        """Return the record of a sweep whose trials were read before, with all else as of now."""
        name = known.sweep.name
        record = SweepRecord(
            sweep=known.sweep,
            status=self._store.status(name),
            records=known.facts,
            ranges=self._store.strength_ranges(name),  # found while there is no new fact
            reproducibility_checks=self._store.reproducibility_checks(name),
        )
        return record.with_confirmation(again.sweep, again.facts) if again else record

    def _with_confirmation(self, name: str) -> tuple[SweepSnapshot, SweepSnapshot]:
        known, again = self._reader.known(name), self._reader.confirmation(name)
        if again is None:
            raise UnknownSweepError(f"{name}: nothing is confirmed yet: sweeper confirm {name}")
        return known, again


def is_sweep_path(path: str) -> bool:
    """Return whether a path is one of these pages'."""
    return path.startswith(ROOT) or path == ROOT.rstrip("/")


def sweep_pages(source: PageSources) -> bottle.Bottle:
    """Return the pages as a WSGI application; every route only reads."""
    made, app = SweepPages(source), bottle.Bottle()
    app.default_error_handler = _failed

    def route(path: str, answer: Callable[..., Any]) -> None:
        app.route(ROOT + path, ["GET"], _told(answer))

    route("", lambda: _send(made.asset("index.html"), "html"))
    app.route(ROOT.rstrip("/"), ["GET"], lambda: _moved(ROOT))
    route("index.json", lambda: _send(made.index(), "json"))
    route("_assets/<file>", lambda file: _asset(made, file))
    route(_NAME, lambda name: _moved(f"{ROOT}{name}/"))
    route(f"{_NAME}/", lambda name: _page(made, name))
    route(f"{_NAME}/status.json", lambda name: _send(made.status(name), "json"))
    route(f"{_NAME}/fronts.json", lambda name: _send(_fronts(made, name), "json"))
    route(f"{_NAME}/confirmed.json", lambda name: _send(made.confirmed(name), "json"))
    downloads: Mapping[str, Callable[[str], ResponseBody]] = {
        "report.html": made.report,
        "facts.csv": made.facts,
        "fronts.csv": made.front_table,
        "confirmed.csv": lambda name: made.facts(confirmation_name(name)),
    }
    for file, make in downloads.items():
        route(f"{_NAME}/{file}", lambda name, file=file, make=make: _file(make(name), name, file))
    route(f"{_NAME}/networks.zip", lambda name: _zip(made.networks(name), name))
    return app


def _fronts(made: SweepPages, name: str) -> ResponseBody:
    query = bottle.request.query
    track = query.get("track")
    if track is not None:
        track = _one_of("track", track, get_args(Track))
    size = _one_of("size", query.get("size", "nonzero"), get_args(fronts_json.Size))
    return made.fronts(name, track, size)


def _page(made: SweepPages, name: str) -> Any:
    try:
        made.status(name)
    except UnknownSweepError:  # the page says so, to people
        bottle.response.status = 404
    return _send(made.asset("sweep.html"), "html")


def _asset(made: SweepPages, file: str) -> Any:
    if file not in {*ASSETS, PLOTLY}:
        raise UnknownSweepError("there is no such file")
    return _send(made.asset(file), file.rpartition(".")[2])


def _file(body: ResponseBody, name: str, file: str) -> Any:
    bottle.response.set_header("Content-Disposition", f'attachment; filename="{name}-{file}"')
    return _send(body, file.rpartition(".")[2])


def _zip(content: bytes, name: str) -> bytes:
    bottle.response.content_type = _KINDS["zip"]
    bottle.response.set_header("Content-Disposition", f'attachment; filename="{name}-networks.zip"')
    return content


def _send(body: ResponseBody, kind: str) -> bytes:
    """Answer with a body, packed if the browser can, or with 304 if it has it already."""
    request, response = bottle.request, bottle.response
    response.content_type = _KINDS[kind]
    response.set_header("ETag", body.tag)
    response.set_header("Vary", "Accept-Encoding, Cookie, Authorization")
    known = request.get_header("If-None-Match", "")
    if known.strip() == "*" or body.tag in re.findall(r'"[^"]*"', known):
        response.status = 304
        return b""
    accepted = request.get_header("Accept-Encoding", "")
    if body.packed is not None and re.search(r"\bgzip\b(?!\s*;\s*q=0(\.0*)?\s*(,|$))", accepted):
        response.set_header("Content-Encoding", "gzip")
        return body.packed
    return body.plain


def _moved(to: str) -> bytes:
    query = bottle.request.query_string
    bottle.response.status = 301
    bottle.response.set_header("Location", f"{to}?{query}" if query else to)
    return b""


def _told(answer: Callable[..., Any]) -> Callable[..., Any]:
    """Turn what may be wrong into a status and one line."""

    def answered(**parts: str) -> Any:
        try:
            return answer(**parts)
        except UnknownSweepError as error:
            return _refused(404, str(error))
        except _UnknownValue as error:
            return _refused(400, str(error))
        except UnreadableError as error:
            return _refused(503, str(error))
        except SchemaError:
            return _refused(
                503, "no tables of this version are here: sweeper db upgrade makes them"
            )
        except StorageError:
            # Not its text: it may name hosts and files.
            return _refused(503, "the database does not answer at the moment")

    return answered


class _UnknownValue(Exception):
    """A value in a query that is none of those allowed."""


def _one_of(key: str, value: str, allowed: tuple[Any, ...]) -> Any:
    if value not in allowed:
        raise _UnknownValue(f"{key}: {choices(value, allowed)}")
    return value


def _refused(status: int, reason: str) -> bytes:
    bottle.response.status = status
    bottle.response.content_type = _KINDS["json"]
    return _json({"reason": reason})


def _failed(error: bottle.HTTPError) -> bytes:
    """Answer what no route takes, in one line as well."""
    reason = {404: "there is no such page", 405: "this only reads: GET"}.get(
        error.status_code, "this went wrong here; the server's log has more"
    )
    return _refused(error.status_code, reason)


def _json(payload: Any) -> bytes:
    return json.dumps(payload, separators=(",", ":"), allow_nan=False).encode()
