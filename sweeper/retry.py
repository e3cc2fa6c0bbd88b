"""Retry policy for transient database errors: their classes, the wait, and who is told.

Knows drivers by what their errors say, and imports none: store and search wait in the same way.
"""

import itertools
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from sweeper.errors import first_line

T = TypeVar("T")

COMMAND = 30.0
"""Seconds that a command waits for."""
SERVICE = 3600.0
"""Seconds that workers and launchers wait for: as long as somebody takes to mend a server."""
BRIEF = 12.0
"""Seconds for errors of which it is not known whether they pass."""

# PostgreSQL: connection, serialization and deadlock, no more room, cancelled, shutdown, lock and
# idle timeout.
_STATES = ("08", "40", "53", "57014", "57P", "55P03", "25P03", "25P04")
# MySQL: disk full, too many connections, shutdown, server error while it shuts down, table full,
# lock wait, deadlock, too many of this user, killed, gone away, lost, idle for too long.
_CODES = frozenset({1021, 1040, 1053, 1079, 1114, 1205, 1213, 1226, 1317, 1927, 2006, 2013, 4031})
# PostgreSQL and poolers refuse a connection without a state, in words only.
_TEXTS = (
    "the database system is",
    "too many clients",
    "too many connections",
    "no more connections allowed",
    "remaining connection slots",
)
# SQLite: busy, locked, disk full; input or output failed, which a full disk looks like, too.
_SQLITE = frozenset({5, 6, 13})
_SQLITE_IO = frozenset({10 | kind << 8 for kind in (3, 4, 6, 19)})

# Who is known to refuse a connection for good. PostgreSQL: user, password, database, rights.
_REFUSED_STATES = ("28", "3D", "42501")
_REFUSED_TEXTS = (
    "authentication failed",
    "no password supplied",
    "no pg_hba.conf entry",
    "does not exist",
    "is not permitted to log in",
    "permission denied",
    "unsupported startup parameter",
    "invalid sslmode value",
    "no such database",
    "no such user",
)
# MySQL: rights on the database, user and password, unknown database, host, expired or locked.
_REFUSED_CODES = frozenset({1044, 1045, 1049, 1130, 1698, 1820, 1862, 3118, 4151})

# A standby, or a primary that was made one: another server is the primary by now, or soon.
_READ_ONLY_STATE = "25006"
_READ_ONLY_CODES = frozenset({1036, 1792, 1836, 1874})
_READ_ONLY_OPTION = 1290


SAY_AFTER = 2.0
SAY_EVERY = 60.0
"""Seconds after which, and then how often, somebody is told that a database is waited for."""


def ignore(line: str, seconds: float) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Wait for a database: for how long, and who is told before each new attempt."""

    seconds: float = COMMAND
    waiting: Callable[[str, float], None] = ignore
    """Gets what was said by the database and for how many seconds it has been; may raise."""

    def with_callback(self, waiting: Callable[[str, float], None]) -> "RetryPolicy":
        """Return the same patience, which tells one more."""

        def both(line: str, seconds: float) -> None:
            self.waiting(line, seconds)
            waiting(line, seconds)

        return replace(self, waiting=both)

    def redacted(self, redact: Callable[[str], str]) -> "RetryPolicy":
        """Return the same patience, which tells what `redact` leaves of a line."""
        return replace(self, waiting=lambda line, seconds: self.waiting(redact(line), seconds))

    def retry(self, attempt: Callable[[], T], passes: Callable[[Exception, float], bool]) -> T:
        """Return the value of `attempt`; repeat it after an error that `passes(error, seconds)`.

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
                self.waiting(message(error), waited)
            longest = min(2.0, 0.02 * 2.0 ** min(number, 10))
            # Jitter: those who met in a deadlock should not meet again.
            time.sleep(random.uniform(0.5, 1.0) * longest)  # noqa: S311
        raise AssertionError("unreachable: the loop has no end")


def throttled_notice(tell: Callable[[str], None]) -> Callable[[str, float], None]:
    """Return a callback that tells now and then, in one line, of the wait for the database."""
    said_at = float("-inf")

    def waiting(line: str, seconds: float) -> None:
        nonlocal said_at
        now = time.monotonic()
        if seconds >= SAY_AFTER and now - said_at >= SAY_EVERY:
            said_at = now
            tell(f"waiting for the database, for {seconds:.0f} s now: {line}")

    return waiting


def is_transient(error: BaseException) -> bool:
    """Tell whether a server that answers asks to try again: a deadlock, a full disk, a restart."""
    driver = driver_error(error)
    sqlite = getattr(driver, "sqlite_errorcode", None)
    if sqlite is not None:
        return sqlite & 0xFF in _SQLITE or sqlite in _SQLITE_IO
    return (
        _state(driver).startswith(_STATES)
        or mysql_code(driver) in _CODES
        or any(text in str(driver) for text in _TEXTS)
    )


def is_unreachable(error: BaseException) -> bool:
    """Tell whether a connection was lost or could not be made, but for who is refused for good.

    Drivers have many words for it, which depend on the system, the driver's version and what lies
    between: so all that goes wrong outside of a statement, as connecting and setting a connection
    up are, is an outage, unless it is known not to be. Of the latter the driver's error comes bare.
    """
    if getattr(error, "connection_invalidated", False):
        return True
    driver = driver_error(error)
    outside = getattr(error, "statement", None) is None
    kinds = {kind.__name__ for kind in type(driver).__mro__}
    failed = bool(kinds & {"OperationalError", "InterfaceError"})
    from_sqlite = getattr(driver, "sqlite_errorcode", None) is not None
    # A session in which a loss was noticed, and passed over, says so at its next statement.
    late = "PendingRollbackError" in kinds
    return late or (outside and failed and not from_sqlite and not is_refused(error))


def is_of_a_driver(error: BaseException) -> bool:
    """Tell whether an error is a driver's own, which nobody wrapped."""
    package = sys.modules.get(type(error).__module__.partition(".")[0])
    # Each driver names the interface of Python's that it has (PEP 249), and the base of its errors.
    base = getattr(package, "Error", None) if hasattr(package, "apilevel") else None
    return isinstance(base, type) and isinstance(error, base)


def is_refused(error: BaseException) -> bool:
    """Tell whether a server refuses a connection for good: a wrong password, an unknown name."""
    driver = driver_error(error)
    return (
        _state(driver).startswith(_REFUSED_STATES)
        or mysql_code(driver) in _REFUSED_CODES
        or (not _state(driver) and any(text in str(driver) for text in _REFUSED_TEXTS))
    )


def is_read_only(error: BaseException) -> bool:
    """Tell whether a server that answers takes no writes, as a standby does."""
    driver = driver_error(error)
    return (
        _state(driver) == _READ_ONLY_STATE
        or mysql_code(driver) in _READ_ONLY_CODES
        or (mysql_code(driver) == _READ_ONLY_OPTION and "read-only" in str(driver))
    )


def driver_error(error: BaseException) -> BaseException:
    """Return the driver's own error, which others wrap."""
    return getattr(error, "orig", None) or error


def mysql_code(error: BaseException) -> object:
    """Return MySQL's number of an error, None for others'."""
    first = error.args[0] if error.args else None
    return first if isinstance(first, int) else None


def _state(driver: BaseException) -> str:
    return str(getattr(driver, "sqlstate", None) or "")


def message(error: BaseException) -> str:
    """Return the first line of what the driver said."""
    return first_line(driver_error(error))
