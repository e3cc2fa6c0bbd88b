"""The study file: `Sweep.load(path)` gives one frozen, validated value."""

from sweeper.spec.arms import Arm
from sweeper.spec.confirmation import SUFFIX, Chosen, Confirmation
from sweeper.spec.domains import Auto, Choice, Domain, Integer, LogUniform, Uniform
from sweeper.spec.sweep import Sweep, derive_seed

__all__ = [
    "SUFFIX",
    "Arm",
    "Auto",
    "Choice",
    "Chosen",
    "Confirmation",
    "Domain",
    "Integer",
    "LogUniform",
    "Sweep",
    "Uniform",
    "derive_seed",
]
