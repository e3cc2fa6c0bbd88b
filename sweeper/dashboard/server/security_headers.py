"""What browsers are told about every answer."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

# What Optuna's pages need, tried in Chromium: Plotly and Emotion write styles, the plot of parallel
# coordinates compiles functions for WebGL, pictures are shown and saved as data and blob URLs.
OPTUNA = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'"
    ),
    # So that a page shows at the next look that its session is over.
    "Cache-Control": "private, no-cache",
}
# Plotly writes styles into the page, and saves pictures as data and blob URLs.
SWEEPS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'"
    ),
    "Cache-Control": "private, no-cache",
}
OWN = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
}
# Files of anybody's: nothing in them is run or shown as a page, whatever type they are told as.
DOWNLOAD = {
    "Content-Security-Policy": (
        "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox"
    ),
    "Content-Disposition": "attachment",  # the page that links to it knows its name
    "Cache-Control": "private, no-cache",
}
IS_DOWNLOAD = "sweeper.download"
"""In the environment of a request: it is answered with such a file."""
_ALL = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


_UNTOLD = frozenset({"access-control-allow-origin"})
"""No other site reads what is answered here."""


def of_dashboards(
    start: "StartResponse", environ: "WSGIEnvironment", *, ours: bool
) -> "StartResponse":
    """Return `start` with what browsers are told of an answer of ours, or of Optuna's dashboard.

    Which it is shows when it is answered.
    """

    def started(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
        pages = SWEEPS if ours else OPTUNA
        further = DOWNLOAD if environ.get(IS_DOWNLOAD) else pages
        return with_headers(start, further)(status, headers, *rest)

    return started


def every(further: dict[str, str]) -> list[tuple[str, str]]:
    """Return these headers and those of every answer."""
    return list({**_ALL, **further}.items())


def with_headers(start: "StartResponse", further: dict[str, str]) -> "StartResponse":
    """Return `start` with these headers, in place of any others of the same names."""
    ours = {**_ALL, **further}
    names = {name.lower() for name in ours} | _UNTOLD

    def started(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
        kept = [(name, value) for name, value in headers if name.lower() not in names]
        return start(status, [*kept, *ours.items()], *rest)

    return started
