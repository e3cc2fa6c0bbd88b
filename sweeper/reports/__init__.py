"""Report of a sweep: one self-contained HTML file, and the notes and figures for Optuna."""

from sweeper.plots.svg import standalone_svg
from sweeper.reports.html_page import page, write_report
from sweeper.reports.sweep_figures import figures

__all__ = [
    "figures",
    "page",
    "standalone_svg",
    "write_report",
]
