"""One self-contained HTML file from a sweep: read offline, on screen and on paper."""

from sweeper.report.confirmations import Confirmation
from sweeper.report.page import figures
from sweeper.report.sketch import standalone
from sweeper.report.writing import write_report

__all__ = ["Confirmation", "figures", "standalone", "write_report"]
