"""Our own pages beside the Optuna dashboard: all sweeps, and the live fronts of each."""

from sweeper.dashboard.sweeps.sweep_routes import ROOT, PageSources, is_sweep_path, sweep_pages

__all__ = ["ROOT", "PageSources", "is_sweep_path", "sweep_pages"]
