"""Coalesced polls of Optuna's dashboard: pages that ask the same within a second share an answer.

An answer is made from a whole study, and from what all studies show. One process makes one at a
time, so ten viewers would wait for ten of the same. What took long is given for longer: of the
10,000 networks of a sweep a poll takes 0.5 to 1 s of a processor, and the importance of parameters
7 s, which a page asks for again as trials come.
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
"""Seconds since an answer was begun in which it is given to others, at least."""
SHARE = 10.0
"""How often as long as it took it is given, if that is more: a tenth of the time goes into it."""
LONGEST = 60.0
"""Seconds in which it is given, at most."""
MOST = 64
"""Answers that are stored at the same time."""
ROOM = 64 * 1024 * 1024
"""Bytes of them."""
_POLL = re.compile(r"/api/studies(/[0-9]+(/param_importances)?)?")
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
        self._app, self._clock = app, clock
        self._seconds: dict[str, float] = {}
        """What the last answer of a path took."""
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
        fresh = max(FRESH, min(SHARE * self._seconds.get(path, 0.0), LONGEST))
        answer = self.answers.recent(key, fresh, lambda: self._timed(environ))
        start(answer.status, list(answer.headers))
        return [answer.body]

    def _timed(self, environ: "WSGIEnvironment") -> _Answer:
        began = self._clock()
        answer = _whole(self._app, environ)
        path = environ["PATH_INFO"]
        if answer.is_ok and (path in self._seconds or len(self._seconds) < MOST):
            self._seconds[path] = self._clock() - began
        return answer

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
