"""Refusal page: why there is nothing at an address, for people, and the way back."""

from functools import cache
from html import escape
from importlib.resources import files
from string import Template

_TITLES = {404: "Not here", 400: "Not understood", 503: "Not now"}


def refusal_page(status: int, reason: str) -> bytes:
    """Return the page of a status and a reason in one line."""
    title = _TITLES.get(status, "Something went wrong")
    return _template().substitute(title=title, reason=escape(_sentence(reason))).encode()


def _sentence(reason: str) -> str:
    return f"{reason[:1].upper()}{reason[1:].rstrip('.')}."


@cache
def _template() -> Template:
    page = files("sweeper.dashboard.sweeps").joinpath("assets", "refusal.html")
    return Template(page.read_text(encoding="utf-8"))
