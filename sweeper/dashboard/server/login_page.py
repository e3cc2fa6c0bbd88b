"""What the access control itself answers: the login page, and short reasons."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse

# The empty icon keeps browsers from asking for /favicon.ico, which a stranger may not have.
_HEAD = """<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>sweeper dashboard</title>
<link rel="icon" href="data:,">
<style>
:root { color-scheme: light dark; --back: #f5f6f8; --card: #fff; --text: #1b1f24; --line: #818b98;
  --button: #1f5fae; --alarm: #b3261e; }
@media (prefers-color-scheme: dark) {
  :root { --back: #14171b; --card: #1f2329; --text: #e6e9ed; --line: #8b949e;
    --button: #2f6fbf; --alarm: #ff9a92; }
}
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1rem;
  background: var(--back); color: var(--text); font: 1rem/1.5 system-ui, sans-serif; }
main { width: 100%; max-width: 24rem; padding: 1.5rem; border-radius: .5rem;
  background: var(--card); }
h1 { margin: 0 0 1rem; font-size: 1.25rem; }
label, input, button { display: block; width: 100%; font: inherit; }
input { margin: .25rem 0 1rem; padding: .6rem; border: 1px solid var(--line);
  border-radius: .25rem; background: var(--back); color: inherit; }
button { padding: .6rem; border: 0; border-radius: .25rem; background: var(--button);
  color: #fff; cursor: pointer; }
[role=alert] { color: var(--alarm); }
:focus-visible { outline: 3px solid var(--button); outline-offset: 2px; }
</style>
<main>
<h1>sweeper dashboard</h1>
"""
_END = """
</main>
</html>
"""
_LOGIN = """<form method="post" action="/login">
%s<label for="token">Token</label>
<input id="token" name="token" type="password" required autofocus
 autocomplete="current-password">
<input type="hidden" name="next" value="%s">
<button>Log in</button>
</form>"""
_LOGOUT = """<p>You are logged in. To the <a href="/sweeps/">sweeps</a> or the
<a href="/dashboard">Optuna dashboard</a></p>
<form method="post" action="/logout"><button>Log out</button></form>"""


@dataclass(frozen=True)
class Response:
    """A whole response."""

    status: HTTPStatus
    body: str = ""
    kind: str = "text/plain"
    headers: tuple[tuple[str, str], ...] = ()

    def send(self, start: "StartResponse", *, head: bool) -> Iterable[bytes]:
        """Answer a WSGI request; HEAD gets no body."""
        body = self.body.encode()
        usual = [
            ("Content-Type", f"{self.kind}; charset=utf-8"),
            ("Content-Length", str(len(body))),
        ]
        start(f"{self.status.value} {self.status.phrase}", [*usual, *self.headers])
        return [] if head else [body]


def refused(status: HTTPStatus, reason: str, *headers: tuple[str, str]) -> Response:
    """Answer in JSON, as Optuna's dashboard does; its pages show the reason."""
    return Response(status, json.dumps({"reason": reason}), "application/json", headers)


def login(
    status: HTTPStatus, following: str, problem: str = "", *headers: tuple[str, str]
) -> Response:
    """Ask for the token, then go on to `following`."""
    alarm = f'<p role="alert">{escape(problem)}</p>\n' if problem else ""
    form = _LOGIN % (alarm, escape(following))
    return Response(status, _HEAD + form + _END, "text/html", headers)


def logged_in() -> Response:
    """Offer to log out."""
    return Response(HTTPStatus.OK, _HEAD + _LOGOUT + _END, "text/html")


def moved(to: str, *headers: tuple[str, str]) -> Response:
    """Send a browser elsewhere, by GET."""
    return Response(HTTPStatus.SEE_OTHER, headers=(("Location", to), *headers))
