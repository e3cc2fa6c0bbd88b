"""Pages of sweeps beside the Optuna dashboard: all sweeps, and the live fronts of each."""

from sweeper.dashboard.sweeps.sweep_pages import PageSources
from sweeper.dashboard.sweeps.sweep_routes import (
    ROOT,
    is_sweep_path,
    refuse_unrouted,
    sweep_app,
)

__all__ = ["ROOT", "PageSources", "is_sweep_path", "refuse_unrouted", "sweep_app"]
