"""Routes of the pages of sweeps under /sweeps/: HTTP on top of `SweepPages`."""

import re
from collections.abc import Callable, Mapping
from typing import Any, get_args

import bottle

from sweeper.config import confirmation_name
from sweeper.dashboard.sweeps.refusal_page import refusal_page
from sweeper.dashboard.sweeps.response_body import ResponseBody
from sweeper.dashboard.sweeps.sweep_pages import (
    PLOTLY,
    SHARED_WITH_REPORTS,
    PageSources,
    SweepPages,
    to_json,
)
from sweeper.errors import (
    InputError,
    SchemaError,
    StorageError,
    UnknownSweepError,
    UnreadableError,
    choices,
)
from sweeper.types import Place, SizeMeasure, Track

ROOT = "/sweeps/"
_MEDIA_TYPES = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml",
    "json": "application/json",
    "csv": "text/csv; charset=utf-8",
    "zip": "application/zip",
}
ASSETS = frozenset(
    {
        "page.css",
        "common.js",
        "compare.js",
        "fronts.js",
        "index.js",
        "optuna_page.css",
        "optuna_page.js",
        "plotly_loader.js",
        "read_only.css",
        "sweep.js",
        "trial.js",
        "icon.svg",
        PLOTLY,
        *SHARED_WITH_REPORTS,
    }
)
_GZIP = re.compile(r"\bgzip\b(?!\s*;\s*q=0(\.0*)?\s*(,|$))")
_PLACE = "<arm:re:[A-Za-z0-9][A-Za-z0-9._-]*>/<repeat:re:[0-9]{1,9}>/<slot:re:[0-9]{1,9}>"
_NAME = "<name:re:[A-Za-z0-9][A-Za-z0-9._-]*>"


def is_sweep_path(path: str) -> bool:
    """Tell if a path belongs to these pages."""
    return path.startswith(ROOT) or path in {"", "/", ROOT.rstrip("/")}


def sweep_app(sources: PageSources) -> bottle.Bottle:
    """Return the pages as a WSGI application; every route only reads."""
    pages, app = SweepPages(sources), bottle.Bottle()
    app.default_error_handler = refuse_unrouted

    def route(path: str, answer: Callable[..., Any]) -> None:
        app.route(ROOT + path, ["GET"], _with_errors(answer))

    route("", lambda: _send(pages.asset("index.html"), "html"))
    app.route(ROOT.rstrip("/"), ["GET"], lambda: _redirect(ROOT))
    # Not for good, as a browser would remember: another program may listen there tomorrow.
    app.route("/", ["GET"], lambda: _redirect(ROOT, status=302))
    route("index.json", lambda: _send(pages.index(), "json"))
    # Names of sweeps begin with a letter or a digit: none is in the way.
    route("_compare", lambda: _send(pages.asset("compare.html"), "html"))
    route("_compare.json", lambda: _send(_comparison(pages), "json"))
    route("_study/<study:re:[0-9]{1,9}>.json", lambda study: _send(pages.study(int(study)), "json"))
    route("_assets/<file>", lambda file: _asset(pages, file))
    route(_NAME, lambda name: _redirect(f"{ROOT}{name}/"))
    route(f"{_NAME}/", lambda name: _page(pages, name))
    route(f"{_NAME}/status.json", lambda name: _send(pages.status(name), "json"))
    route(f"{_NAME}/fronts.json", lambda name: _send(_fronts(pages, name), "json"))
    route(f"{_NAME}/confirmed.json", lambda name: _send(pages.confirmed(name), "json"))
    route(f"{_NAME}/learning.json", lambda name: _send(pages.learning(name), "json"))
    for kind, full_name in (("", str), ("/confirmed", confirmation_name)):

        def trial(name: str, arm: str, repeat: str, slot: str, full: Any = full_name) -> Any:
            return _trial_page(pages, full(name), (arm, int(repeat), int(slot)))

        def facts(name: str, arm: str, repeat: str, slot: str, full: Any = full_name) -> Any:
            return _send(pages.trial(full(name), (arm, int(repeat), int(slot))), "json")

        route(f"{_NAME}{kind}/{_PLACE}.json", facts)
        route(f"{_NAME}{kind}/{_PLACE}", trial)
    downloads: Mapping[str, Callable[[str], ResponseBody]] = {
        "report.html": pages.report,
        "facts.csv": pages.trials_table,
        "fronts.csv": pages.fronts_table,
        "confirmed.csv": lambda name: pages.trials_table(confirmation_name(name)),
    }
    for file, body in downloads.items():
        route(f"{_NAME}/{file}", lambda name, file=file, body=body: _file(body(name), name, file))
    route(f"{_NAME}/networks.zip", lambda name: _zip(pages.networks(name), name))
    return app


def _fronts(pages: SweepPages, name: str) -> ResponseBody:
    return pages.fronts(name, *_track_and_size())


def _comparison(pages: SweepPages) -> ResponseBody:
    track, size = _track_and_size()
    return pages.comparison(_listed("sweeps"), _listed("arms"), track, size)


def _track_and_size() -> tuple[Track | None, SizeMeasure]:
    query = bottle.request.query
    track = query.get("track")
    if track is not None:
        track = _checked("track", track, get_args(Track))
    return track, _checked("size", query.get("size", "nonzero"), get_args(SizeMeasure))


def _listed(key: str) -> list[str]:
    """Return the values of a query, such as `?sweeps=a,b` or `?sweeps=a&sweeps=b`."""
    given = ",".join(bottle.request.query.getall(key))
    return [value for value in given.split(",") if value]


def _page(pages: SweepPages, name: str) -> Any:
    return _for_people(pages, "sweep.html", lambda: pages.require(name))


def _trial_page(pages: SweepPages, name: str, place: Place) -> Any:
    return _for_people(pages, "trial.html", lambda: pages.trial(name, place))


def _for_people(pages: SweepPages, asset: str, check: Callable[[], object]) -> bytes:
    """Answer with a page in any case: it says what is wrong, and goes on when that ends."""
    page = pages.asset(asset)
    try:
        check()
    except UnknownSweepError:
        bottle.response.status = 404
    except StorageError:
        bottle.response.status = 503
    else:
        return _send(page, "html")
    bottle.response.content_type = _MEDIA_TYPES["html"]
    return page.plain  # without a tag: to the same page a browser would get an empty answer


def _asset(pages: SweepPages, file: str) -> Any:
    if file not in ASSETS:
        raise UnknownSweepError("there is no such file")
    return _send(pages.asset(file), file.rpartition(".")[2])


def _file(body: ResponseBody, name: str, file: str) -> Any:
    bottle.response.set_header("Content-Disposition", f'attachment; filename="{name}-{file}"')
    return _send(body, file.rpartition(".")[2])


def _zip(content: bytes, name: str) -> bytes:
    bottle.response.content_type = _MEDIA_TYPES["zip"]
    bottle.response.set_header("Content-Disposition", f'attachment; filename="{name}-networks.zip"')
    return content


def _send(body: ResponseBody, suffix: str) -> bytes:
    """Answer with a body, compressed if the browser can, or with 304 if it has it already."""
    request, response = bottle.request, bottle.response
    response.content_type = _MEDIA_TYPES[suffix]
    response.set_header("ETag", body.tag)
    response.set_header("Vary", "Accept-Encoding, Cookie, Authorization")
    tags = request.get_header("If-None-Match", "")
    if tags.strip() == "*" or body.tag in re.findall(r'"[^"]*"', tags):
        response.status = 304
        return b""
    accepted = request.get_header("Accept-Encoding", "")
    if body.compressed is not None and re.search(
        r"\bgzip\b(?!\s*;\s*q=0(\.0*)?\s*(,|$))", accepted
    ):
        response.set_header("Content-Encoding", "gzip")
        return body.compressed
    return body.plain


def _redirect(location: str, status: int = 301) -> bytes:
    query = bottle.request.query_string
    bottle.response.status = status
    bottle.response.set_header("Location", f"{location}?{query}" if query else location)
    return b""


def _with_errors(answer: Callable[..., Any]) -> Callable[..., Any]:
    """Turn errors into a status and one line."""

    def answer_or_refuse(**parts: str) -> Any:
        try:
            return answer(**parts)
        except UnknownSweepError as error:
            return _refuse(404, str(error))
        except (_UnknownValue, InputError) as error:
            return _refuse(400, str(error))
        except UnreadableError as error:
            return _refuse(503, str(error))
        except SchemaError:
            return _refuse(503, "no tables of this version are here: sweeper db upgrade makes them")
        except StorageError:
            # Not its text: it may name hosts and files.
            return _refuse(503, "the database does not answer at the moment")

    return answer_or_refuse


class _UnknownValue(Exception):
    """A value in a query that is none of those allowed."""


def _checked(key: str, value: str, allowed: tuple[Any, ...]) -> Any:
    if value not in allowed:
        raise _UnknownValue(f"{key}: {choices(value, allowed)}")
    return value


def _refuse(status: int, reason: str) -> bytes:
    """Answer with a reason: a page to who asks for one, else JSON, of one shape everywhere."""
    bottle.response.status = status
    if _asks_for_a_page():
        bottle.response.content_type = _MEDIA_TYPES["html"]
        return refusal_page(status, reason)
    bottle.response.content_type = _MEDIA_TYPES["json"]
    return to_json({"reason": reason})


def _asks_for_a_page() -> bool:
    last = bottle.request.path.rpartition("/")[2]
    return "." not in last and "text/html" in bottle.request.get_header("Accept", "")


def refuse_unrouted(error: bottle.HTTPError) -> bytes:
    """Answer a request that no route takes, in one line as well."""
    reason = {404: "there is no such page", 405: "this only reads: GET"}.get(
        error.status_code, "this went wrong here; the server's log has more"
    )
    return _refuse(error.status_code, reason)
