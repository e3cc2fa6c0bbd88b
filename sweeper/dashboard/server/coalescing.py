"""Open pages of Optuna's dashboard ask the same again and again: those of a second share an answer.

An answer is made from a whole study, and from what all studies show. One process makes one at a
time, so ten viewers would wait for ten of the same.
"""

import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

FRESH = 1.0
"""Seconds since an answer was begun in which it is given to others."""
MOST = 64
"""Answers that are kept at the same time."""
_POLL = re.compile(r"/api/studies(/[0-9]+)?")
_READING = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True)
class _Whole:
    """A whole answer."""

    status: str
    headers: list[tuple[str, str]]
    body: bytes


@dataclass(frozen=True)
class _Entry:
    """An answer that is being made, or was made just now."""

    began: float
    answer: "Future[_Whole]" = field(default_factory=Future)


class CoalescingMiddleware:
    """A WSGI application that asks another once for what is asked for at the same time.

    What was begun before a change through this server was over is given to nobody after it.
    """

    def __init__(self, app: "WSGIApplication", clock: Callable[[], float] = time.monotonic) -> None:
        self._app, self._clock = app, clock
        self._guard = threading.Lock()
        self._entries: dict[tuple[str, str], _Entry] = {}

    def __call__(self, environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], environ.get("PATH_INFO", "")
        if method not in _READING:
            with self._changing():
                return self._app(environ, start)
        if method != "GET" or not _POLL.fullmatch(path):
            return self._app(environ, start)
        answer = self._shared((path, environ.get("QUERY_STRING", "")), environ)
        start(answer.status, list(answer.headers))
        return [answer.body]

    @contextmanager
    def _changing(self) -> Iterator[None]:
        # Before as well: an answer that is begun meanwhile may hold the one state or the other.
        self._forget()
        try:
            yield
        finally:
            self._forget()

    def _forget(self) -> None:
        with self._guard:
            self._entries.clear()

    def _shared(self, key: tuple[str, str], environ: "WSGIEnvironment") -> _Whole:
        with self._guard:
            now = self._clock()
            found = self._entries.get(key)
            if found is None or now - found.began >= FRESH:
                found, mine = _Entry(now), True
                self._keep(key, found, now)
            else:
                mine = False
        if mine:
            self._make(key, found, environ)
        return found.answer.result()

    def _keep(self, key: tuple[str, str], entry: _Entry, now: float) -> None:
        self._entries = {k: one for k, one in self._entries.items() if now - one.began < FRESH}
        if len(self._entries) >= MOST:
            self._entries.clear()
        self._entries[key] = entry

    def _make(self, key: tuple[str, str], entry: _Entry, environ: "WSGIEnvironment") -> None:
        try:
            answer = _whole(self._app, environ)
        except BaseException as error:
            self._drop(key, entry)
            entry.answer.set_exception(error)
            return
        if not answer.status.startswith("200"):
            self._drop(key, entry)
        entry.answer.set_result(answer)

    def _drop(self, key: tuple[str, str], entry: _Entry) -> None:
        with self._guard:
            if self._entries.get(key) is entry:
                del self._entries[key]


def _whole(app: "WSGIApplication", environ: "WSGIEnvironment") -> _Whole:
    started: list[tuple[str, list[tuple[str, str]]]] = []
    parts: list[bytes] = []

    def start(status: str, headers: list[tuple[str, str]], *_: Any) -> Any:
        started.append((status, headers))
        return parts.append

    body = app(environ, start)
    try:
        parts.extend(body)
    finally:
        if close := getattr(body, "close", None):
            close()
    status, headers = started[-1]
    return _Whole(status, headers, b"".join(parts))
