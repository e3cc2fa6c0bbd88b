"""The study file: `Sweep.load(path)` gives one frozen, validated value."""

from sweeper.spec.arms import Arm
from sweeper.spec.domains import Auto, Choice, Domain, Integer, LogUniform, Uniform
from sweeper.spec.sweep import Sweep, derive_seed

__all__ = [
    "Arm",
    "Auto",
    "Choice",
    "Domain",
    "Integer",
    "LogUniform",
    "Sweep",
    "Uniform",
    "derive_seed",
]
