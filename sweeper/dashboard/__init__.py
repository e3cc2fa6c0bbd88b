"""The Optuna dashboard on the storage of the sweeps."""

from sweeper.dashboard.server import application, serve

__all__ = ["application", "serve"]
