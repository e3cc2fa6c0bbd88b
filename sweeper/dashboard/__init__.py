"""The Optuna dashboard on the storage of the sweeps, behind a token where others can reach it."""

from sweeper.dashboard.server import application, serve
from sweeper.dashboard.tokens import configured

__all__ = ["application", "configured", "serve"]
