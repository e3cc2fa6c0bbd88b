"""Our own pages beside the Optuna dashboard: all sweeps, and the live fronts of each."""

from sweeper.dashboard.sweeps.sweep_routes import ROOT, PageSources, pages, within

__all__ = ["ROOT", "PageSources", "pages", "within"]
