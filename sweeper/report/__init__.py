"""One self-contained HTML file from a sweep: read offline, on screen and on paper."""

from sweeper.report.confirmations import Confirmation
from sweeper.report.writing import write_report

__all__ = ["Confirmation", "write_report"]
