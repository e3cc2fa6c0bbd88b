"""HTML of Optuna's dashboard with our parts: links to sweeps, no buttons that are refused."""

from collections.abc import Callable
from importlib.resources import files
from typing import Any

import bottle

TRIED = "0.21.0"
"""Version of optuna-dashboard whose pages `read_only.css` was tried with."""
_ASSETS = "/sweeps/_assets"
_END = "</head>"


class OptunaPage:
    """Bottle plugin for the routes of Optuna's dashboard that give out its page.

    It is one page, whose script draws all of them. Stylesheets hide in it what this server
    refuses: renaming always, every change where it is `read_only`.
    """

    name, api = "optuna_page", 2

    def __init__(self, *, read_only: bool) -> None:
        self._content = page(read_only=read_only).encode()

    def apply(self, callback: Callable[..., Any], route: bottle.Route) -> Callable[..., Any]:
        """Return the callback of a route, another one where it gives out the page."""
        if not route.rule.startswith("/dashboard"):
            return callback
        return lambda *_, **__: bottle.HTTPResponse(
            self._content, 200, {"Content-Type": "text/html; charset=utf-8"}
        )


def page(*, read_only: bool) -> str:
    """Return Optuna's page with our parts at the end of its head."""
    html = files("optuna_dashboard").joinpath("index.html").read_text(encoding="utf-8")
    styles = ["optuna_page.css", *(["read_only.css"] if read_only else [])]
    parts = [f'<link rel="stylesheet" href="{_ASSETS}/{style}">' for style in styles]
    parts.append(f'<script type="module" src="{_ASSETS}/optuna_page.js"></script>')
    before, end, after = html.partition(_END)
    return "".join([before, *parts, end, after])
