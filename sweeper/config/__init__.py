"""Study files: `Sweep.load(path)` gives one frozen, validated value."""

from sweeper.config.arm import Arm
from sweeper.config.confirmation_plan import (
    SUFFIX,
    ConfirmationPlan,
    SelectedConfig,
    confirmation_name,
    is_confirmation,
)
from sweeper.config.domains import Auto, Choice, Domain, Integer, LogUniform, Uniform
from sweeper.config.sweep import Sweep, derive_seed

__all__ = [
    "SUFFIX",
    "Arm",
    "Auto",
    "Choice",
    "ConfirmationPlan",
    "Domain",
    "Integer",
    "LogUniform",
    "SelectedConfig",
    "Sweep",
    "Uniform",
    "confirmation_name",
    "derive_seed",
    "is_confirmation",
]
