"""Security headers of every answer, for browsers."""

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
SERVER = {
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


_REMOVED = frozenset({"access-control-allow-origin"})
"""No other site reads what is answered here."""


def of_dashboards(
    start: "StartResponse", environ: "WSGIEnvironment", *, ours: bool
) -> "StartResponse":
    """Return `start` with the headers of the sweeps' pages (`ours`), or of Optuna's dashboard.

    Downloads are known as such when they are answered: see IS_DOWNLOAD.
    """

    def started(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
        pages = SWEEPS if ours else OPTUNA
        special = DOWNLOAD if environ.get(IS_DOWNLOAD) else pages
        return with_headers(start, special)(status, headers, *rest)

    return started


def with_common(special: dict[str, str]) -> list[tuple[str, str]]:
    """Return the headers of every answer, and these."""
    return list({**_ALL, **special}.items())


def with_headers(start: "StartResponse", special: dict[str, str]) -> "StartResponse":
    """Return `start` with the headers of every answer, and these; none of them comes twice."""
    ours = with_common(special)
    replaced = {name.lower() for name, _ in ours} | _REMOVED

    def started(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
        others = [(name, value) for name, value in headers if name.lower() not in replaced]
        return start(status, [*others, *ours], *rest)

    return started
