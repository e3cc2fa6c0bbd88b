"""What the server's parts tell about themselves, into the metrics and the log; nothing comes back.

The parts know one `Telemetry`: requests, retries, reaped slots, a database that is away or back.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from sweeper.dashboard.server.access_log import AccessLog
from sweeper.dashboard.server.metrics import Metrics, route
from sweeper.errors import SchemaError, StorageError

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

T = TypeVar("T")

WHO = "sweeper.who"
"""Key of a WSGI environment: who asks, as the access control has found out.

token, session: by the one or the other; open: whoever it is, it needs none; refused: not let in.
"""


class Telemetry:
    """Is told what happens. Cheap, may be called by any thread, and never raises."""

    def __init__(self, metrics: Metrics, log: AccessLog) -> None:
        self._metrics, self._log = metrics, log
        self._guard = threading.Lock()
        self._away = False

    def retried(self, line: str, seconds: float) -> None:
        """A database action is tried again: for `Patience.waiting`."""
        self._metrics.retries.inc()

    def reaped(self, sweep: str, slots: int) -> None:
        """Slots of a sweep were taken from workers whose lease was over."""
        if slots:
            self._metrics.reaped.inc(slots)
            self._log.event("reaped slots", sweep=sweep, slots=slots)

    def asking(self, question: Callable[[], T]) -> Callable[[], T]:
        """Return a question to the database; whether it answers is noted when that changes."""

        def asked() -> T:
            try:
                answer = question()
            except SchemaError:
                raise  # it does answer
            except StorageError as error:
                self._reached(str(error))
                raise
            self._reached("")
            return answer

        return asked

    def _reached(self, problem: str) -> None:
        with self._guard:
            changed, self._away = self._away != bool(problem), bool(problem)
        if changed and problem:
            self._log.event("database away", reason=problem)
        elif changed:
            self._log.event("database back")

    def requests(self, app: "WSGIApplication") -> "WSGIApplication":
        """Return the same application, each request of which is timed and noted."""

        def application(environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
            # Before `app` gets to change what it was asked for.
            answer = _Answer(self._metrics, self._log, environ)
            try:
                return answer.sent(app(environ, answer.starting(start)))
            except BaseException:
                answer.close()
                raise

        return application


class _Answer:
    """The body of an answer on its way; it is noted when the server closes it."""

    def __init__(self, metrics: Metrics, log: AccessLog, environ: "WSGIEnvironment") -> None:
        self._metrics, self._log, self._environ = metrics, log, environ
        self._method, self._path = environ["REQUEST_METHOD"], environ.get("PATH_INFO", "")
        self._began = time.perf_counter()
        self._status, self._size = 500, 0
        self._body: Iterable[bytes] = ()

    def starting(self, start: "StartResponse") -> "StartResponse":
        def started(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            self._status = int(status[:3])
            return start(status, headers, *rest)

        return started

    def sent(self, body: Iterable[bytes]) -> "_Answer":
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
        seconds, kind = time.perf_counter() - self._began, route(self._path)
        self._metrics.requests.labels(kind, str(self._status)).observe(seconds)
        self._log.request(
            method=self._method,
            path=self._path,
            route=kind,
            status=self._status,
            seconds=seconds,
            size=self._size,
            client=self._environ.get("REMOTE_ADDR", ""),
            forwarded_for=self._environ.get("HTTP_X_FORWARDED_FOR"),
            who=self._environ.get(WHO, "refused"),
        )
