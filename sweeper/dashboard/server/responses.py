"""Responses of the access control itself: short reasons and redirects, as whole values."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse

Header = tuple[str, str]


@dataclass(frozen=True)
class Response:
    """A whole response."""

    status: HTTPStatus
    body: str = ""
    media_type: str = "text/plain"
    headers: tuple[Header, ...] = ()

    def send(self, start: "StartResponse", *, head: bool) -> Iterable[bytes]:
        """Answer a WSGI request; HEAD gets no body."""
        body = self.body.encode()
        usual = [
            ("Content-Type", f"{self.media_type}; charset=utf-8"),
            ("Content-Length", str(len(body))),
        ]
        start(f"{self.status.value} {self.status.phrase}", [*usual, *self.headers])
        return [] if head else [body]


def refusal(status: HTTPStatus, reason: str, *headers: Header) -> Response:
    """Return a reason as JSON, as Optuna's dashboard does; its pages show it."""
    return Response(status, json.dumps({"reason": reason}), "application/json", headers)


def redirect(location: str, *headers: Header) -> Response:
    """Return a redirect of a browser, by GET."""
    return Response(HTTPStatus.SEE_OTHER, headers=(("Location", location), *headers))
