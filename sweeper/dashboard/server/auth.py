"""Access control of the dashboard: who may look, who may change anything, what browsers allow."""

import re
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, quote, urlsplit

from sweeper.dashboard.server import login_page, security_headers
from sweeper.dashboard.server.health import HealthCheck
from sweeper.dashboard.server.login_attempts import LoginAttempts, client
from sweeper.dashboard.server.login_page import Response
from sweeper.dashboard.server.telemetry import WHO
from sweeper.dashboard.server.tokens import SESSION_SECONDS, AccessToken
from sweeper.dashboard.sweeps import is_sweep_path
from sweeper.store.loopback import is_loopback

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

READING = frozenset({"GET", "HEAD", "OPTIONS"})
"""No route of Optuna's dashboard changes anything by these; a test holds that."""
LARGEST_LOGIN = 8192
"""Bytes of a login form."""

# Renaming copies a study and deletes the old one, whose trials our facts name; the schema of the
# database is renewed by `sweeper db upgrade` alone.
_NEVER = re.compile(r"/api/studies/-?[0-9]+/rename/*|/incompatible-rdb-schema/*")
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^:\[\]]+)(:[0-9]*)?", re.IGNORECASE)
_WITHIN = re.compile(r"/(?![/\\])[!-\[\]-~]{0,2000}")
_CHALLENGE = ("WWW-Authenticate", 'Bearer realm="sweeper dashboard"')


def require_token(
    app: "WSGIApplication",
    token: bytes | None,
    *,
    read_only: bool,
    check: Callable[[], None],
    proxies: int = 0,
) -> "WSGIApplication":
    """Let in who has the token, and through what only reads unless `read_only` is false.

    Without a token everybody is let in who asks for this machine by a name of its own: for servers
    on loopback only. `check` raises StorageError while the database does not answer. `proxies` is
    how many stand before the server and say whom they were asked by.
    """
    door = _Door(token, proxies) if token is not None else None
    healthy = HealthCheck(check)

    def decide(environ: "WSGIEnvironment") -> Response | None:
        """Return the answer, or None: the dashboard itself shall answer."""
        method, path = environ["REQUEST_METHOD"], environ.get("PATH_INFO", "")
        environ[WHO] = "refused"
        if path == "/healthz" and method in {"GET", "HEAD"}:
            environ[WHO] = "open"
            return healthy.answer()
        if door is None and not _comes_from_here(environ.get("REMOTE_ADDR", "")):
            return login_page.refused(
                HTTPStatus.FORBIDDEN, "without a token it serves this machine"
            )
        if door is None and not _names_loopback(environ.get("HTTP_HOST", "")):
            return login_page.refused(
                HTTPStatus.FORBIDDEN, "this host name is not known here; ask for localhost"
            )
        if method not in READING and not _comes_from_our_pages(environ):
            return login_page.refused(HTTPStatus.FORBIDDEN, "asked for by another site")
        if door is not None:
            answer = door.answer(environ, method, path)
            if answer is not None:
                return answer
        else:
            environ[WHO] = "open"
        return None if method in READING else _change_refused(path, read_only=read_only)

    def application(environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
        answer = decide(environ)
        if answer is None:
            ours = is_sweep_path(environ.get("PATH_INFO", ""))
            return app(environ, security_headers.of_dashboards(start, environ, ours=ours))
        # A connection that is closed on unread bytes is reset, and the client loses the answer.
        _read(environ, at_most=65_536)
        return answer.send(
            security_headers.with_headers(start, security_headers.OWN),
            head=environ["REQUEST_METHOD"] == "HEAD",
        )

    return application


class _Door:
    """Where the token is asked for.

    The right one is let in whatever was guessed before: its owner may share an address with those
    who guess, and nobody may lock him out. Wrong ones are told to wait, address by address.
    """

    def __init__(self, token: bytes, proxies: int) -> None:
        self._token, self._guesses, self._proxies = AccessToken(token), LoginAttempts(), proxies

    def answer(self, environ: "WSGIEnvironment", method: str, path: str) -> Response | None:
        """Return what whoever may not go on is told, and the answers of /login and /logout."""
        token = self._token
        if (method, path) == ("POST", "/login"):
            return self._login(environ)
        if (method, path) == ("POST", "/logout"):
            environ[WHO] = "open"
            token.end(environ.get("HTTP_COOKIE", ""))
            return login_page.moved("/login", ("Set-Cookie", _cookie(environ, token.cookie, "", 0)))
        bearer = token.has_header(environ.get("HTTP_AUTHORIZATION", ""))
        session = token.has_session(environ.get("HTTP_COOKIE", ""))
        if session or bearer:
            environ[WHO] = "session" if session else "token"
            return login_page.logged_in() if path == "/login" and method in READING else None
        if bearer is False and (seconds := self._wrong(environ)):
            return login_page.refused(
                HTTPStatus.TOO_MANY_REQUESTS, "too many wrong tokens", seconds
            )
        if method in {"GET", "HEAD"} and "text/html" in environ.get("HTTP_ACCEPT", ""):
            return login_page.login(
                HTTPStatus.UNAUTHORIZED, _asked_for(environ, path), "", _CHALLENGE
            )
        reason = "a token is needed" if bearer is None else "this is not the token"
        return login_page.refused(HTTPStatus.UNAUTHORIZED, reason, _CHALLENGE)

    def _login(self, environ: "WSGIEnvironment") -> Response:
        body = _read(environ, at_most=LARGEST_LOGIN)
        if body is None:
            return login_page.refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too long for a login")
        try:
            form = parse_qs(body.decode("latin-1"), max_num_fields=4)
        except ValueError:
            form = {}
        following = _safe(form.get("next", [""])[-1])
        if self._token.is_right(form.get("token", [""])[-1].strip().encode()):
            environ[WHO] = "token"
            session = _cookie(environ, self._token.cookie, self._token.session())
            return login_page.moved(following, ("Set-Cookie", session))
        if seconds := self._wrong(environ):
            problem = "This is not the token, and there were too many wrong ones. Wait a little."
            return login_page.login(HTTPStatus.TOO_MANY_REQUESTS, following, problem, seconds)
        problem = "This is not the token."
        return login_page.login(HTTPStatus.UNAUTHORIZED, following, problem, _CHALLENGE)

    def _wrong(self, environ: "WSGIEnvironment") -> tuple[str, str] | None:
        """Count a wrong token; returns the header that says how long to wait, after many."""
        seconds = self._guesses.wrong(client(environ, self._proxies))
        return ("Retry-After", str(seconds)) if seconds else None


def _change_refused(path: str, *, read_only: bool) -> Response | None:
    if read_only:
        reason = "the dashboard is read-only; its owner may start it with --allow-edit"
        return login_page.refused(HTTPStatus.FORBIDDEN, reason)
    # Bottle drops bytes that are not UTF-8, and `$` lets a line end pass: odd paths are refused
    # before they can become one of these.
    if not (path.isascii() and path.isprintable()) or _NEVER.fullmatch(path):
        return login_page.refused(HTTPStatus.FORBIDDEN, "not done here, also with --allow-edit")
    return None


def _comes_from_here(address: str) -> bool:
    # No address is a Unix socket's, which has an owner and a mode.
    return not address or is_loopback(address)


def _names_loopback(header: str) -> bool:
    # Against DNS rebinding: a page of evil.example, whose name came to mean 127.0.0.1.
    found = _HOST.fullmatch(header)
    return found is not None and is_loopback(found[1])


def _comes_from_our_pages(environ: "WSGIEnvironment") -> bool:
    """Return whether no page of another site has a browser send this; programs send no sign."""
    site = environ.get("HTTP_SEC_FETCH_SITE")
    if site is not None:
        return site in {"same-origin", "none"}
    # Browsers tell that to https and localhost alone, and old ones do not; then the origin says it.
    origin = environ.get("HTTP_ORIGIN") or environ.get("HTTP_REFERER")
    if origin is None:
        return True
    try:
        asking, asked = urlsplit(origin), urlsplit(f"//{environ.get('HTTP_HOST', '')}")
        # Which of the two ports a Host without one means, a proxy with HTTPS knows, and not we.
        ports = {80, 443, None} if asked.port in {80, 443, None} else {asked.port}
        return (
            asking.scheme in {"http", "https"}
            and bool(asking.hostname)
            and asking.hostname == asked.hostname
            and asking.port in ports
        )
    except ValueError:
        return False


def _asked_for(environ: "WSGIEnvironment", path: str) -> str:
    query = environ.get("QUERY_STRING", "")
    there = quote(path.encode("latin-1")) + (f"?{query}" if query else "")
    return "/" if path == "/login" else _safe(there)


def _safe(following: str) -> str:
    # Only a path here: //evil.example and /\evil.example are other sites for browsers.
    return following if _WITHIN.fullmatch(following) else "/"


def _cookie(
    environ: "WSGIEnvironment", name: str, value: str, seconds: int = SESSION_SECONDS
) -> str:
    # Lax, not Strict: a link from elsewhere should not ask for the token again. It sends the
    # cookie with GET only, which changes nothing.
    text = f"{name}={value}; Max-Age={seconds}; Path=/; HttpOnly; SameSite=Lax"
    forwarded = environ.get("HTTP_X_FORWARDED_PROTO", "").partition(",")[0].strip().lower()
    return f"{text}; Secure" if "https" in (environ["wsgi.url_scheme"], forwarded) else text


def _read(environ: "WSGIEnvironment", *, at_most: int) -> bytes | None:
    """Return what is left of the body; None if it is longer, or has not come in time."""
    text = environ.get("CONTENT_LENGTH") or "0"
    length = int(text) if re.fullmatch(r"[0-9]{1,15}", text) else 0
    if length > at_most:
        return None
    environ["CONTENT_LENGTH"] = "0"
    try:
        return bytes(environ["wsgi.input"].read(length))
    except TimeoutError:
        return None
