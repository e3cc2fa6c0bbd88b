"""Access log of the server: one line of JSON for each request and each event.

No line holds a query, a header of the client but its address, or a body: tokens come in these.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TextIO
from urllib.parse import quote

from sweeper.redact import hide

LONGEST = 2000
"""Characters of one text in a line."""


class AccessLog:
    """Log that writes lines to a stream, each in one piece; without a stream none. Never raises."""

    def __init__(self, stream: TextIO | None = None, *, secret: bytes | None = None) -> None:
        """`secret` is hidden, should a client have put it into a path after all."""
        self._stream = stream
        self._secrets = [secret.decode("latin-1")] if secret else []
        self._guard = threading.Lock()

    def request(
        self,
        *,
        method: str,
        path: str,
        route: str,
        status: int,
        seconds: float,
        size: int,
        client: str,
        forwarded_for: str | None,
        who: str,
    ) -> None:
        """Note one request; `path` as WSGI gives it, without its query."""
        forwarded = {} if forwarded_for is None else {"forwarded_for": forwarded_for}
        self._write(
            method=method,
            path=_quoted(hide(path, self._secrets)),
            route=route,
            status=status,
            ms=round(1e3 * seconds, 1),
            bytes=size,
            client=client,
            **forwarded,
            who=who,
        )

    def event(self, event: str, **details: str | int) -> None:
        """Note an event of the server, with its details."""
        self._write(event=event, **details)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Note that the server has started and, after a `with` block, that it was stopped."""
        self.event("started")
        try:
            yield
        finally:
            self.event("stopped")

    def _write(self, **fields: str | int | float) -> None:
        if self._stream is None:
            return
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        redacted = {
            name: hide(value, self._secrets)[:LONGEST] if isinstance(value, str) else value
            for name, value in fields.items()
        }
        # JSON in visible ASCII: a line end or a terminal's control character is an escape in it.
        line = json.dumps({"time": time, **redacted})
        # A log that nobody takes any more, or a full disk, is no reason to serve nobody.
        with self._guard, suppress(OSError, ValueError):
            self._stream.write(f"{line}\n")
            self._stream.flush()


def _quoted(path: str) -> str:
    # As in a URL. What a client had encoded, such as a second `?`, does not begin a query here.
    return quote(path.partition("?")[0].encode("latin-1", "replace"), safe="/:@!$&'()*+,;=-._~")
