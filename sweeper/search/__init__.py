"""Optuna: studies, samplers, ask and tell. The only one besides the dashboard."""

from sweeper.search.studies import SweepStudies
from sweeper.search.study_owner import StudyOwner

__all__ = ["StudyOwner", "SweepStudies"]
