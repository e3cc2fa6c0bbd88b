"""Access control of the dashboard: the token, read-only use, and requests of other sites."""

import re
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, quote, urlsplit

from sweeper.dashboard.server import login_page, responses, security_headers
from sweeper.dashboard.server.health import HealthCheck
from sweeper.dashboard.server.login_attempts import LoginAttempts, client
from sweeper.dashboard.server.responses import Header, Response
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

# Renaming copies a study and deletes the old one, whose trials our records name; the schema of the
# database is renewed by `sweeper db upgrade` alone.
_FORBIDDEN = re.compile(r"/api/studies/-?[0-9]+/rename/*|/incompatible-rdb-schema/*")
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^:\[\]]+)(:[0-9]*)?", re.IGNORECASE)
_LOCAL_PATH = re.compile(r"/(?![/\\])[!-\[\]-~]{0,2000}")
_CHALLENGE = ("WWW-Authenticate", 'Bearer realm="sweeper dashboard"')


def require_token(
    app: "WSGIApplication",
    token: bytes | None,
    *,
    read_only: bool,
    check: Callable[[], None],
    proxies: int = 0,
) -> "WSGIApplication":
    """Return WSGI middleware: require the token, and reject writes unless `read_only` is false.

    Without a token everybody is let in who asks for this machine by a name of its own: for servers
    on loopback only. `check` raises StorageError while the database does not answer. `proxies` is
    the number of those before the server, which say whom they were asked by.
    """
    gate = _TokenGate(token, proxies) if token is not None else None
    health = HealthCheck(check)

    def decide(environ: "WSGIEnvironment") -> Response | None:
        """Return the response, or None where the dashboard itself shall answer."""
        method, path = environ["REQUEST_METHOD"], environ.get("PATH_INFO", "")
        environ[WHO] = "refused"
        if path == "/healthz" and method in {"GET", "HEAD"}:
            environ[WHO] = "open"
            return health.response()
        if gate is None and not _comes_from_here(environ.get("REMOTE_ADDR", "")):
            return responses.refusal(HTTPStatus.FORBIDDEN, "without a token it serves this machine")
        if gate is None and not _names_loopback(environ.get("HTTP_HOST", "")):
            return responses.refusal(
                HTTPStatus.FORBIDDEN, "this host name is not known here; ask for localhost"
            )
        if method not in READING and not _comes_from_our_pages(environ):
            return responses.refusal(HTTPStatus.FORBIDDEN, "asked for by another site")
        if gate is not None:
            response = gate.response(environ, method, path)
            if response is not None:
                return response
        else:
            environ[WHO] = "open"
        return None if method in READING else _change_refused(path, read_only=read_only)

    def application(environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
        response = decide(environ)
        if response is None:
            ours = is_sweep_path(environ.get("PATH_INFO", ""))
            return app(environ, security_headers.of_dashboards(start, environ, ours=ours))
        # A connection that is closed on unread bytes is reset, and the client loses the answer.
        _read(environ, at_most=65_536)
        return response.send(
            security_headers.with_headers(start, security_headers.SERVER),
            head=environ["REQUEST_METHOD"] == "HEAD",
        )

    return application


class _TokenGate:
    """The gate that asks for the token.

    The right one is let in whatever was guessed before: its owner may share an address with those
    who guess, and nobody may lock him out. Wrong ones are told to wait, address by address.
    """

    def __init__(self, token: bytes, proxies: int) -> None:
        self._token, self._attempts, self._proxies = AccessToken(token), LoginAttempts(), proxies

    def response(self, environ: "WSGIEnvironment", method: str, path: str) -> Response | None:
        """Return the response of /login, of /logout and to who may not go on; None lets through."""
        token = self._token
        if (method, path) == ("POST", "/login"):
            return self._log_in(environ)
        if (method, path) == ("POST", "/logout"):
            environ[WHO] = "open"
            token.end(environ.get("HTTP_COOKIE", ""))
            expired = _cookie(environ, token.cookie, "", 0)
            return responses.redirect("/login", ("Set-Cookie", expired))
        bearer = token.has_header(environ.get("HTTP_AUTHORIZATION", ""))
        session = token.has_session(environ.get("HTTP_COOKIE", ""))
        if session or bearer:
            environ[WHO] = "session" if session else "token"
            return login_page.logged_in() if path == "/login" and method in READING else None
        if bearer is False and (wait := self._count_wrong(environ)):
            return responses.refusal(HTTPStatus.TOO_MANY_REQUESTS, "too many wrong tokens", wait)
        if method in {"GET", "HEAD"} and "text/html" in environ.get("HTTP_ACCEPT", ""):
            return login_page.login(
                HTTPStatus.UNAUTHORIZED, _destination(environ, path), "", _CHALLENGE
            )
        reason = "a token is needed" if bearer is None else "this is not the token"
        return responses.refusal(HTTPStatus.UNAUTHORIZED, reason, _CHALLENGE)

    def _log_in(self, environ: "WSGIEnvironment") -> Response:
        body = _read(environ, at_most=LARGEST_LOGIN)
        if body is None:
            return responses.refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too long for a login")
        try:
            form = parse_qs(body.decode("latin-1"), max_num_fields=4)
        except ValueError:
            form = {}
        destination = _local(form.get("next", [""])[-1])
        if self._token.is_right(form.get("token", [""])[-1].strip().encode()):
            environ[WHO] = "token"
            session = _cookie(environ, self._token.cookie, self._token.session())
            return responses.redirect(destination, ("Set-Cookie", session))
        if wait := self._count_wrong(environ):
            problem = "This is not the token, and there were too many wrong ones. Wait a little."
            return login_page.login(HTTPStatus.TOO_MANY_REQUESTS, destination, problem, wait)
        problem = "This is not the token."
        return login_page.login(HTTPStatus.UNAUTHORIZED, destination, problem, _CHALLENGE)

    def _count_wrong(self, environ: "WSGIEnvironment") -> Header | None:
        """Count a wrong token; after many returns the header with the seconds to wait."""
        seconds = self._attempts.wrong(client(environ, self._proxies))
        return ("Retry-After", str(seconds)) if seconds else None


def _change_refused(path: str, *, read_only: bool) -> Response | None:
    if read_only:
        reason = "the dashboard is read-only; its owner may start it with --allow-edit"
        return responses.refusal(HTTPStatus.FORBIDDEN, reason)
    # Bottle drops bytes that are not UTF-8, and `$` lets a line end pass: odd paths are refused
    # before they can become one of these.
    if not (path.isascii() and path.isprintable()) or _FORBIDDEN.fullmatch(path):
        return responses.refusal(HTTPStatus.FORBIDDEN, "not done here, also with --allow-edit")
    return None


def _comes_from_here(address: str) -> bool:
    # No address is a Unix socket's, which has an owner and a mode.
    return not address or is_loopback(address)


def _names_loopback(header: str) -> bool:
    # Against DNS rebinding: a page of evil.example, whose name came to mean 127.0.0.1.
    host = _HOST.fullmatch(header)
    return host is not None and is_loopback(host[1])


def _comes_from_our_pages(environ: "WSGIEnvironment") -> bool:
    """Tell if no page of another site has a browser send this; programs send no sign of it."""
    site = environ.get("HTTP_SEC_FETCH_SITE")
    if site is not None:
        return site in {"same-origin", "none"}
    # Browsers tell that to https and localhost alone, and old ones do not; then the origin says it.
    origin = environ.get("HTTP_ORIGIN") or environ.get("HTTP_REFERER")
    if origin is None:
        return True
    try:
        page, host = urlsplit(origin), urlsplit(f"//{environ.get('HTTP_HOST', '')}")
        # Which of the two ports a Host without one means, a proxy with HTTPS knows, and not we.
        ports = {80, 443, None} if host.port in {80, 443, None} else {host.port}
        return (
            page.scheme in {"http", "https"}
            and bool(page.hostname)
            and page.hostname == host.hostname
            and page.port in ports
        )
    except ValueError:
        return False


def _destination(environ: "WSGIEnvironment", path: str) -> str:
    query = environ.get("QUERY_STRING", "")
    address = quote(path.encode("latin-1")) + (f"?{query}" if query else "")
    return "/" if path == "/login" else _local(address)


def _local(destination: str) -> str:
    # Only a path here: //evil.example and /\evil.example are other sites for browsers.
    return destination if _LOCAL_PATH.fullmatch(destination) else "/"


def _cookie(
    environ: "WSGIEnvironment", name: str, value: str, seconds: int = SESSION_SECONDS
) -> str:
    # Lax, not Strict: a link from elsewhere should not ask for the token again. It sends the
    # cookie with GET only, which changes nothing.
    text = f"{name}={value}; Max-Age={seconds}; Path=/; HttpOnly; SameSite=Lax"
    forwarded = environ.get("HTTP_X_FORWARDED_PROTO", "").partition(",")[0].strip().lower()
    return f"{text}; Secure" if "https" in (environ["wsgi.url_scheme"], forwarded) else text


def _read(environ: "WSGIEnvironment", *, at_most: int) -> bytes | None:
    """Return the rest of the body; None if it is longer, or has not come in time."""
    text = environ.get("CONTENT_LENGTH") or "0"
    length = int(text) if re.fullmatch(r"[0-9]{1,15}", text) else 0
    if length > at_most:
        return None
    environ["CONTENT_LENGTH"] = "0"
    try:
        return bytes(environ["wsgi.input"].read(length))
    except TimeoutError:
        return None
