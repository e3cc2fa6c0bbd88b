"""HTTP requests of a dashboard's client: tokens, forms, connections that are held open."""

import json
import socket
from collections.abc import Mapping
from contextlib import ExitStack, closing
from http.client import HTTPConnection
from typing import NamedTuple, cast
from urllib.parse import urlencode, urlsplit

TOKEN = "correct-horse-battery"
RIGHT = {"Authorization": f"Bearer {TOKEN}"}
WRONG = {"Authorization": "Bearer correct-horse-batterx"}
PAGE = {"Accept": "text/html,application/xhtml+xml"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class Reply(NamedTuple):
    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def reason(self) -> str:
        return str(json.loads(self.text)["reason"])


def ask(
    url: str,
    method: str,
    path: str,
    headers: Mapping[str, str] = {},
    body: str | None = None,
    *,
    source: str = "",
) -> Reply:
    """Ask without following anything, as the path stands; from an address of this machine."""
    place = urlsplit(url)
    made = HTTPConnection(
        place.hostname or "",
        place.port,
        timeout=240,
        source_address=(source, 0) if source else None,
    )
    with closing(made) as connection:
        connection.request(method, path, body, dict(headers))
        answer = connection.getresponse()
        named = cast("Mapping[str, str]", answer.headers)  # upper and lower case alike
        return Reply(answer.status, named, answer.read().decode("utf-8", "replace"))


def log_in(url: str, token: str = TOKEN, following: str = "/", **headers: str) -> Reply:
    form = urlencode({"token": token, "next": following})
    return ask(url, "POST", "/login", {**FORM, **PAGE, **headers}, form)


def cookie(reply: Reply) -> str:
    return reply.headers["Set-Cookie"].partition(";")[0]


HALF = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Half: "


def connected(url: str, source: str = "127.0.0.1") -> socket.socket:
    place = urlsplit(url)
    to = (place.hostname or "", place.port or 0)
    return socket.create_connection(to, timeout=240, source_address=(source, 0))


def holding(
    stack: ExitStack, url: str, number: int, sent: bytes, source: str = "127.0.0.1"
) -> None:
    """Open connections, send the same on each, and keep them until the stack ends."""
    for _ in range(number):
        line = stack.enter_context(connected(url, source))
        line.sendall(sent)


def is_served(url: str) -> bool:
    """Return whether the same address and another one get all that they ask for."""
    return {
        ask(url, "GET", path, RIGHT, source=source).status
        for path in ("/healthz", "/api/studies", "/sweeps/index.json")
        for source in ("127.0.0.1", "127.0.0.2")
    } == {200} and log_in(url).status == 303
