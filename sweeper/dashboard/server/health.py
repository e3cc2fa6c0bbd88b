"""Whether the dashboard can do its work, in one word for anybody."""

from collections.abc import Callable
from http import HTTPStatus

from sweeper.dashboard.server.login_page import Response
from sweeper.dashboard.server.single_flight import SingleFlight
from sweeper.errors import SchemaError, StorageError

PATIENCE = 3.0
"""Seconds of waiting for a database: one that is paused says nothing, for as long as it is."""


class HealthCheck:
    """Whether the database answers, with the right schema. `check` raises StorageError if not."""

    def __init__(self, check: Callable[[], None]) -> None:
        self._check = SingleFlight(check)  # once at a time, for anybody may ask

    def answer(self) -> Response:
        """Return 200 and `ok`, or 503 and what is amiss."""
        try:
            self._check.get(PATIENCE)
        except SchemaError:
            return Response(HTTPStatus.SERVICE_UNAVAILABLE, "schema")
        except (StorageError, TimeoutError):
            return Response(HTTPStatus.SERVICE_UNAVAILABLE, "unreachable")
        return Response(HTTPStatus.OK, "ok")
