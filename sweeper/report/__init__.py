"""One self-contained HTML file from a sweep: read offline, on screen and on paper."""

from sweeper.report.gathering import confirmation_of
from sweeper.report.page import figures, page
from sweeper.report.sketch import standalone
from sweeper.report.writing import write_report

__all__ = [
    "confirmation_of",
    "figures",
    "page",
    "standalone",
    "write_report",
]
