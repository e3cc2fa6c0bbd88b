"""Telemetry of the server: its parts report here, and metrics and log receive it.

The parts know one `Telemetry`: requests, retries, reaped slots, a database that is away or back.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from sweeper.dashboard.server.access_log import AccessLog
from sweeper.dashboard.server.metrics import Metrics, route_class
from sweeper.errors import SchemaError, StorageError

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

T = TypeVar("T")

WHO = "sweeper.who"
"""Key of a WSGI environment: who asks, by the access control.

token, session: by the one or the other; open: whoever it is, it needs none; refused: not let in.
"""


class Telemetry:
    """Receiver of events. Cheap, may be called by any thread, and never raises."""

    def __init__(self, metrics: Metrics, log: AccessLog) -> None:
        self._metrics, self._log = metrics, log
        self._guard = threading.Lock()
        self._away = False

    def retried(self, line: str, seconds: float) -> None:
        """Count a database action that is tried again: a callback of `RetryPolicy`."""
        self._metrics.retries.inc()

    def reaped(self, sweep: str, slots: int) -> None:
        """Note slots of a sweep that were taken from workers whose lease had expired."""
        if slots:
            self._metrics.reaped.inc(slots)
            self._log.event("reaped slots", sweep=sweep, slots=slots)

    def observed(self, query: Callable[[], T]) -> Callable[[], T]:
        """Return a query of the database that notes when the database goes away or comes back."""

        def observed_query() -> T:
            try:
                answer = query()
            except SchemaError:
                raise  # it does answer
            except StorageError as error:
                self._note_database(str(error))
                raise
            self._note_database("")
            return answer

        return observed_query

    def _note_database(self, problem: str) -> None:
        with self._guard:
            changed, self._away = self._away != bool(problem), bool(problem)
        if changed and problem:
            self._log.event("database away", reason=problem)
        elif changed:
            self._log.event("database back")

    def middleware(self, app: "WSGIApplication") -> "WSGIApplication":
        """Return the same application, each request of which is timed and noted."""

        def application(environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
            # Before `app` gets to change what it was asked for.
            body = _TimedBody(self._metrics, self._log, environ)
            try:
                return body.of(app(environ, body.start(start)))
            except BaseException:
                body.close()
                raise

        return application


class _TimedBody:
    """The body of an answer on its way; it is noted when the server closes it."""

    def __init__(self, metrics: Metrics, log: AccessLog, environ: "WSGIEnvironment") -> None:
        self._metrics, self._log, self._environ = metrics, log, environ
        self._method, self._path = environ["REQUEST_METHOD"], environ.get("PATH_INFO", "")
        self._began = time.perf_counter()
        self._status, self._size = 500, 0
        self._body: Iterable[bytes] = ()

    def start(self, start: "StartResponse") -> "StartResponse":
        def started(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            self._status = int(status[:3])
            return start(status, headers, *rest)

        return started

    def of(self, body: Iterable[bytes]) -> "_TimedBody":
        self._body = body
        return self

    def __iter__(self) -> Iterator[bytes]:
        for part in self._body:
            self._size += len(part)
            yield part

    def close(self) -> None:
        try:
            if close := getattr(self._body, "close", None):
                close()
        finally:
            self._note()

    def _note(self) -> None:
        seconds, route = time.perf_counter() - self._began, route_class(self._path)
        self._metrics.requests.labels(route, str(self._status)).observe(seconds)
        self._log.request(
            method=self._method,
            path=self._path,
            route=route,
            status=self._status,
            seconds=seconds,
            size=self._size,
            client=self._environ.get("REMOTE_ADDR", ""),
            forwarded_for=self._environ.get("HTTP_X_FORWARDED_FOR"),
            who=self._environ.get(WHO, "refused"),
        )
