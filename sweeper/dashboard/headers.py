"""What browsers are told about every answer."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse

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
_ALL = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def added(start: "StartResponse", further: dict[str, str]) -> "StartResponse":
    """Return `start` with these headers, in place of any others of the same names."""
    ours = {**_ALL, **further}
    names = {name.lower() for name in ours}

    def started(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
        kept = [(name, value) for name, value in headers if name.lower() not in names]
        return start(status, [*kept, *ours.items()], *rest)

    return started
