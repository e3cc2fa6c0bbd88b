"""Downloads of files beside studies and trials: whatever they hold, no browser runs it."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import bottle
from optuna.artifacts.exceptions import ArtifactNotFound

from sweeper.dashboard.server.security_headers import IS_DOWNLOAD

PLAIN = frozenset(
    {
        "application/json",
        "image/gif",
        "image/jpeg",
        "image/png",
        "image/webp",
        "text/csv",
        "text/plain",
    }
)
"""Media types that a browser shows or reads, and never runs. SVG holds scripts: it is none."""
OTHER = "application/octet-stream"


class Downloads:
    """Bottle plugin for the routes of Optuna's dashboard that give out artifacts.

    Their type comes from whoever stored them, by `restore` or a form: it is believed where it is
    harmless. Bottle's router, not the path as it was asked for, tells which routes these are: it
    takes `//artifacts/...` for them too.
    """

    name, api = "downloads", 2

    def apply(self, callback: Callable[..., Any], route: bottle.Route) -> Callable[..., Any]:
        """Return the callback of a route, wrapped where it gives out files."""
        if not route.rule.startswith("/artifacts"):
            return callback

        @wraps(callback)
        def download(*args: Any, **options: Any) -> Any:
            bottle.request.environ[IS_DOWNLOAD] = True
            try:
                answer = callback(*args, **options)
            # What is recorded of it, or its trial, is gone or makes no sense.
            except (ArtifactNotFound, KeyError, TypeError, ValueError):
                return bottle.HTTPResponse(b"Not Found", 404, {"Content-Type": "text/plain"})
            if not isinstance(answer, bottle.HTTPResponse):  # a reason for there being none
                bottle.response.content_type = "text/plain"
                return answer
            media_type = _harmless(answer.headers.get("Content-Type", ""))
            return bottle.HTTPResponse(answer.body, answer.status, {"Content-Type": media_type})

        return download


def _harmless(content_type: str) -> str:
    """Return a media type that is harmless: one of PLAIN, else that of any bytes.

    >>> _harmless("Text/CSV; charset=utf-8"), _harmless("text/html"), _harmless("image/svg+xml")
    ('text/csv', 'application/octet-stream', 'application/octet-stream')
    """
    media_type = content_type.partition(";")[0].strip().lower()
    return media_type if media_type in PLAIN else OTHER
