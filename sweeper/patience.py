"""Waiting for a database that is away: what passes by itself, how long to wait, who hears of it.

Knows drivers by what their errors say, and imports none: store and search wait in the same way.
"""

import itertools
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

T = TypeVar("T")

COMMAND = 30.0
"""Seconds that a command waits for."""
SERVICE = 3600.0
"""Seconds that workers and launchers wait for: as long as somebody takes to mend a server."""
BRIEF = 12.0
"""Seconds for errors of which it is not known whether they pass."""

# PostgreSQL: connection, serialization and deadlock, shutdown, no more room, lock and idle timeout.
_STATES = ("08", "40", "53", "57P", "55P03", "25P03", "25P04")
# MySQL: disk full, too many connections, shutdown, server error while it shuts down, table full,
# lock wait, deadlock, killed, unreachable, gone away, lost, idle for too long.
_CODES = frozenset({1021, 1040, 1053, 1079, 1114, 1205, 1213, 1317, 1927, 2006, 2013, 4031})
# PostgreSQL refuses a connection without a state, in words only.
_TEXTS = ("the database system is", "too many clients", "remaining connection slots")
# SQLite: busy, locked, disk full; input or output failed, which a full disk looks like, too.
_SQLITE = frozenset({5, 6, 13})
_SQLITE_IO = frozenset({10 | kind << 8 for kind in (3, 4, 6, 19)})
# psycopg says so before there is a connection, with and without an address that it has tried.
_NO_CONNECTION = ("connection failed", "connection is bad")
_UNREACHABLE = 2003


def ignore(line: str, seconds: float) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait, and who is told before each further attempt."""

    seconds: float = COMMAND
    waiting: Callable[[str, float], None] = ignore
    """Gets what was said by the database and for how many seconds it has been; may raise."""

    def telling(self, waiting: Callable[[str, float], None]) -> "Patience":
        """Return the same patience, which tells one more."""

        def both(line: str, seconds: float) -> None:
            self.waiting(line, seconds)
            waiting(line, seconds)

        return replace(self, waiting=both)

    def retry(self, attempt: Callable[[], T], passes: Callable[[Exception, float], bool]) -> T:
        """Return what `attempt` returns; again after an error of which `passes(error, seconds)`.

        Raises the last error once the patience is over.
        """
        began = time.monotonic()
        for number in itertools.count():
            try:
                return attempt()
            except Exception as error:
                waited = time.monotonic() - began
                if waited > self.seconds or not passes(error, waited):
                    raise
                self.waiting(said(error), waited)
            longest = min(2.0, 0.02 * 2.0 ** min(number, 10))
            # Jitter: those who met in a deadlock should not meet again.
            time.sleep(random.uniform(0.5, 1.0) * longest)  # noqa: S311
        raise AssertionError("unreachable: the loop has no end")


def passes_by_itself(error: BaseException) -> bool:
    """Tell whether a server that answers asks to try again: a deadlock, a full disk, a restart."""
    driver = of_driver(error)
    sqlite = getattr(driver, "sqlite_errorcode", None)
    if sqlite is not None:
        return sqlite & 0xFF in _SQLITE or sqlite in _SQLITE_IO
    return (
        str(getattr(driver, "sqlstate", None) or "").startswith(_STATES)
        or code(driver) in _CODES
        or any(text in str(driver) for text in _TEXTS)
    )


def is_unreachable(error: BaseException) -> bool:
    """Tell whether a connection was lost or could not be made."""
    driver = of_driver(error)
    return (
        bool(getattr(error, "connection_invalidated", False))
        or any(text in str(driver) for text in _NO_CONNECTION)
        or code(driver) == _UNREACHABLE
    )


def of_driver(error: BaseException) -> BaseException:
    """Return the driver's own error, which others wrap."""
    return getattr(error, "orig", None) or error


def code(error: BaseException) -> object:
    """Return MySQL's number of an error, None for others'."""
    first = error.args[0] if error.args else None
    return first if isinstance(first, int) else None


def said(error: BaseException) -> str:
    """Return the first line of what the driver said."""
    driver = of_driver(error)
    return (str(driver).splitlines() or [type(driver).__name__])[0]
