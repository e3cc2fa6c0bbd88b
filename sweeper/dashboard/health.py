"""Whether the dashboard can do its work, in one word for anybody."""

import threading
from collections.abc import Callable
from http import HTTPStatus

from sweeper.dashboard.pages import Answer
from sweeper.errors import SchemaError, StorageError


class Health:
    """Whether the database answers, with the right schema. `check` raises StorageError if not."""

    def __init__(self, check: Callable[[], None]) -> None:
        self._check = check
        self._one = threading.Lock()

    def answer(self) -> Answer:
        """Return 200 and `ok`, or 503 and what is amiss."""
        # One at a time: while a database is away a check waits for it, and anybody may ask.
        if not self._one.acquire(timeout=2):
            return Answer(HTTPStatus.SERVICE_UNAVAILABLE, "unreachable")
        try:
            self._check()
        except SchemaError:
            return Answer(HTTPStatus.SERVICE_UNAVAILABLE, "schema")
        except StorageError:
            return Answer(HTTPStatus.SERVICE_UNAVAILABLE, "unreachable")
        finally:
            self._one.release()
        return Answer(HTTPStatus.OK, "ok")
