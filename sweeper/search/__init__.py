"""The only Optuna besides the dashboard: studies, samplers, ask and tell."""

from sweeper.search.studies import Search
from sweeper.search.study_owner import Owner

__all__ = ["Owner", "Search"]
