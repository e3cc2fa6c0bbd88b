"""Access token of the dashboard: its source, and the sessions that it signs."""

import hmac
import os
import re
import secrets
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from sweeper.errors import InputError
from sweeper.settings import TOKEN_FILE_VARIABLE, TOKEN_VARIABLE

SESSION_SECONDS = 7 * 24 * 3600
_ALLOWED = re.compile(rb"[!-~]{16,1024}")


def token_from_environment(environment: Mapping[str, str] = os.environ) -> bytes | None:
    """Return the token of the environment, or None. Raises InputError, which never shows it."""
    if TOKEN_VARIABLE in environment and TOKEN_FILE_VARIABLE in environment:
        raise InputError(f"{TOKEN_VARIABLE}, {TOKEN_FILE_VARIABLE}: set one of them, not both")
    if TOKEN_VARIABLE in environment:
        return _checked(TOKEN_VARIABLE, os.fsencode(environment[TOKEN_VARIABLE]))
    if TOKEN_FILE_VARIABLE in environment:
        path = environment[TOKEN_FILE_VARIABLE]
        try:
            with Path(path).open("rb") as file:
                text = file.read(2048)  # no endless device
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise InputError(f"{TOKEN_FILE_VARIABLE}: {path!r} cannot be read: {reason}") from error
        return _checked(f"{TOKEN_FILE_VARIABLE}: {path!r}", text)
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


class AccessToken:
    """A token, and the sessions that it signs.

    Sessions are stored nowhere: a cookie is its expiry, a random number, and an HMAC of both, keyed
    with the token. So they outlive restarts, and another token ends all. Only those that were ended
    before their time are remembered, by this process, until then.
    """

    def __init__(self, token: bytes) -> None:
        self._token = token
        # Browsers do not tell ports apart: two dashboards of one host would end each other's.
        self.cookie = f"sweeper_session_{self._digest(b'sweeper dashboard cookie')[:8]}"
        """The name of the cookie."""
        self._ended: dict[str, int] = {}
        """Session -> expiry. Only who has logged in can add one."""
        self._guard = threading.Lock()

    def is_right(self, token: bytes) -> bool:
        """Compare a token with this one, in a time that does not tell how much of it is right."""
        return hmac.compare_digest(token, self._token)

    def has_header(self, authorization: str) -> bool | None:
        """Tell if an Authorization header holds the token; None if it names none."""
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            return None
        return self.is_right(token.strip().encode("latin-1"))

    def session(self) -> str:
        """Return the value of a new cookie."""
        signed = f"{int(time.time()) + SESSION_SECONDS}.{secrets.token_hex(8)}"
        return f"{signed}.{self._signature(signed)}"

    def has_session(self, cookies: str) -> bool:
        """Tell if a Cookie header holds a session that was signed here and is not over."""
        return self._session(cookies) is not None

    def end(self, cookies: str) -> None:
        """End the session that a Cookie header holds, for whoever else has it, too."""
        session = self._session(cookies)
        if session is None:
            return
        now = time.time()
        with self._guard:
            self._ended = {name: expiry for name, expiry in self._ended.items() if expiry > now}
            self._ended[session] = int(session.partition(".")[0])

    def _session(self, cookies: str) -> str | None:
        for part in cookies.split(";"):
            name, _, value = part.strip().partition("=")
            signed, _, signature = value.rpartition(".")
            if name == self.cookie and hmac.compare_digest(
                signature.encode("latin-1", "replace"), self._signature(signed).encode()
            ):
                is_over = int(signed.partition(".")[0]) <= time.time() or value in self._ended
                return None if is_over else value
        return None

    def _signature(self, signed: str) -> str:
        return self._digest(
            b"sweeper dashboard session until " + signed.encode("latin-1", "replace")
        )

    def _digest(self, message: bytes) -> str:
        return hmac.digest(self._token, message, "sha256").hex()
