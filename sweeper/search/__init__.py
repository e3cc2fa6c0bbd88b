"""The only Optuna besides the dashboard: studies, samplers, ask and tell."""

from sweeper.search.studies import SweepStudies
from sweeper.search.study_owner import StudyOwner

__all__ = ["StudyOwner", "SweepStudies"]
