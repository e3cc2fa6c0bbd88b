"""The Optuna dashboard and our own pages, behind a token where others can reach them."""

from sweeper.dashboard.application import Application
from sweeper.dashboard.server import serve
from sweeper.dashboard.tokens import configured

__all__ = ["Application", "configured", "serve"]
