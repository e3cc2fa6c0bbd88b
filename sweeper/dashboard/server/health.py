"""Health check at /healthz: the state of the dashboard in one word, for anybody."""

from collections.abc import Callable
from http import HTTPStatus

from sweeper.dashboard.cache import Cache
from sweeper.dashboard.server.responses import Response
from sweeper.errors import SchemaError, StorageError

PATIENCE = 3.0
"""Seconds of waiting for a database: one that is paused says nothing, for as long as it is."""


class HealthCheck:
    """Health of the database: it answers, with the right schema, or `check` raises StorageError."""

    def __init__(self, check: Callable[[], None]) -> None:
        self._check = check
        self._checks: Cache[str, None] = Cache()  # one at a time, for anybody may ask

    def response(self) -> Response:
        """Return 200 and `ok`, or 503 and the fault."""
        try:
            self._checks.join("health", self._check, limit=PATIENCE)
        except SchemaError:
            return Response(HTTPStatus.SERVICE_UNAVAILABLE, "schema")
        except (StorageError, TimeoutError):
            return Response(HTTPStatus.SERVICE_UNAVAILABLE, "unreachable")
        return Response(HTTPStatus.OK, "ok")
