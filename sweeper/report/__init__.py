"""One self-contained HTML file from a sweep: read offline, on screen and on paper."""

from sweeper.plots.svg import standalone_svg
from sweeper.report.html_page import figures, page, write_report

__all__ = [
    "figures",
    "page",
    "standalone_svg",
    "write_report",
]
