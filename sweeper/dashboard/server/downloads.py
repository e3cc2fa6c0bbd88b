"""Files beside studies and trials, given out as downloads: whatever they hold, none is run."""

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
"""Types that a browser shows or reads, and never runs. SVG is none of them: it holds scripts."""
OTHER = "application/octet-stream"


class Downloads:
    """A plugin of Bottle's for the routes of Optuna's dashboard that give out artifacts.

    Their type comes from whoever stored them, by `restore` or a form: it is believed where it is
    harmless. Bottle's router, not the path as it was asked for, tells which routes these are: it
    takes `//artifacts/...` for them too.
    """

    name, api = "downloads", 2

    def apply(self, callback: Callable[..., Any], route: bottle.Route) -> Callable[..., Any]:
        """Return the route's function, wrapped where it gives out files."""
        if not route.rule.startswith("/artifacts"):
            return callback

        @wraps(callback)
        def download(*args: Any, **named: Any) -> Any:
            bottle.request.environ[IS_DOWNLOAD] = True
            try:
                answer = callback(*args, **named)
            # What is recorded of it, or its trial, is gone or makes no sense.
            except (ArtifactNotFound, KeyError, TypeError, ValueError):
                return bottle.HTTPResponse(b"Not Found", 404, {"Content-Type": "text/plain"})
            if not isinstance(answer, bottle.HTTPResponse):  # a reason for there being none
                bottle.response.content_type = "text/plain"
                return answer
            kind = _plain(answer.headers.get("Content-Type", ""))
            return bottle.HTTPResponse(answer.body, answer.status, {"Content-Type": kind})

        return download


def _plain(kind: str) -> str:
    """Return a type as it may be told: one of PLAIN, else that of any bytes.

    >>> _plain("Text/CSV; charset=utf-8"), _plain("text/html"), _plain("image/svg+xml")
    ('text/csv', 'application/octet-stream', 'application/octet-stream')
    """
    plain = kind.partition(";")[0].strip().lower()
    return plain if plain in PLAIN else OTHER
