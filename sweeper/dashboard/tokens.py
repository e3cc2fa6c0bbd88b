"""The token that opens the dashboard: where it comes from, guesses at it, sessions under it."""

import hmac
import os
import re
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from sweeper.errors import InputError

VARIABLE = "SWEEPER_DASHBOARD_TOKEN"
FILE_VARIABLE = "SWEEPER_DASHBOARD_TOKEN_FILE"
SESSION_SECONDS = 7 * 24 * 3600
BURST = 20
"""Wrong tokens that are taken at once; after them one a second."""
_ALLOWED = re.compile(rb"[!-~]{16,1024}")


def configured(environment: Mapping[str, str] = os.environ) -> bytes | None:
    """Return the token that the environment gives, or None. Raises InputError, never showing it."""
    if VARIABLE in environment and FILE_VARIABLE in environment:
        raise InputError(f"{VARIABLE}, {FILE_VARIABLE}: set one of them, not both")
    if VARIABLE in environment:
        return _checked(VARIABLE, os.fsencode(environment[VARIABLE]))
    if FILE_VARIABLE in environment:
        path = environment[FILE_VARIABLE]
        try:
            with Path(path).open("rb") as file:
                text = file.read(2048)  # no endless device
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise InputError(f"{FILE_VARIABLE}: {path!r} cannot be read: {reason}") from error
        return _checked(f"{FILE_VARIABLE}: {path!r}", text)
    return None


def _checked(source: str, text: bytes) -> bytes:
    token = text.rstrip(b"\r\n")
    if not token:
        raise InputError(f"{source}: is empty; needed: a token of 16 characters or more")
    if not _ALLOWED.fullmatch(token):
        raise InputError(
            f"{source}: not a token: needed are 16 to 1024 visible ASCII characters without spaces"
        )
    return token


class Token:
    """A token, how often it was guessed wrongly, and the sessions that it signs.

    Sessions are kept nowhere: a cookie is its expiry and an HMAC of it, keyed with the token. So
    restarts keep them, and another token ends all.
    """

    def __init__(self, token: bytes) -> None:
        self._token = token
        # Browsers do not tell ports apart: two dashboards of one host would end each other's.
        self.cookie = f"sweeper_session_{self._digest(b'sweeper dashboard cookie')[:8]}"
        """The name of the cookie."""
        self._guard = threading.Lock()
        self._guesses = float(BURST)
        self._seen = time.monotonic()

    def tried(self, given: bytes) -> bool | None:
        """Return whether it is the token; None after too many wrong ones: it was not looked at."""
        with self._guard:
            now = time.monotonic()
            self._guesses = min(BURST, self._guesses + now - self._seen)
            self._seen = now
            if self._guesses < 1:
                return None
            right = hmac.compare_digest(given, self._token)
            self._guesses -= not right
            return right

    def session(self) -> str:
        """Return the value of a new cookie."""
        expiry = str(int(time.time()) + SESSION_SECONDS)
        return f"{expiry}.{self._signature(expiry)}"

    def opened_by(self, cookies: str) -> bool:
        """Return whether a Cookie header holds a session that was signed here and is not over."""
        for part in cookies.split(";"):
            name, _, value = part.strip().partition("=")
            expiry, _, signature = value.partition(".")
            if name == self.cookie and hmac.compare_digest(
                signature.encode("latin-1", "replace"), self._signature(expiry).encode()
            ):
                return int(expiry) > time.time()
        return False

    def _signature(self, expiry: str) -> str:
        return self._digest(
            b"sweeper dashboard session until " + expiry.encode("latin-1", "replace")
        )

    def _digest(self, message: bytes) -> str:
        return hmac.digest(self._token, message, "sha256").hex()
