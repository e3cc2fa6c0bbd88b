"""Coalesced polls of Optuna's dashboard: pages that ask the same within a second share an answer.

An answer is made from a whole study, and from what all studies show. One process makes one at a
time, so ten viewers would wait for ten of the same.
"""

import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sweeper.dashboard.cache import Cache

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

FRESH = 1.0
"""Seconds since an answer was begun in which it is given to others."""
MOST = 64
"""Answers that are stored at the same time."""
ROOM = 64 * 1024 * 1024
"""Bytes of them."""
_POLL = re.compile(r"/api/studies(/[0-9]+)?")
_READING = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True)
class _Answer:
    """A whole answer."""

    status: str
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def is_ok(self) -> bool:
        return self.status.startswith("200")

    @property
    def size(self) -> int:
        return len(self.body)


class CoalescingMiddleware:
    """WSGI middleware: of polls at the same time one is passed on, and all get its answer.

    No answer that was begun before a change through this server was over is given after it.
    """

    def __init__(self, app: "WSGIApplication", clock: Callable[[], float] = time.monotonic) -> None:
        self._app = app
        self.answers: Cache[tuple[str, str], _Answer] = Cache(
            most=MOST,
            room=ROOM,
            size=lambda answer: answer.size,
            storable=lambda answer: answer.is_ok,
            overlap=True,
            clock=clock,
        )

    def __call__(self, environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], environ.get("PATH_INFO", "")
        if method not in _READING:
            with self._changing():
                return self._app(environ, start)
        if method != "GET" or not _POLL.fullmatch(path):
            return self._app(environ, start)
        key = path, environ.get("QUERY_STRING", "")
        answer = self.answers.recent(key, FRESH, lambda: _whole(self._app, environ))
        start(answer.status, list(answer.headers))
        return [answer.body]

    @contextmanager
    def _changing(self) -> Iterator[None]:
        # Before as well: an answer that is begun meanwhile may hold the one state or the other.
        self.answers.clear()
        try:
            yield
        finally:
            self.answers.clear()


def _whole(app: "WSGIApplication", environ: "WSGIEnvironment") -> _Answer:
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
    return _Answer(status, headers, b"".join(parts))
