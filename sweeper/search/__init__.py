"""The only Optuna besides the dashboard: studies, samplers, ask and tell."""

from sweeper.search.owners import Owner
from sweeper.search.studies import Search

__all__ = ["Owner", "Search"]
