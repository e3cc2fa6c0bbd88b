"""Study files: `Sweep.load(path)` gives one frozen, validated value.

Names are loaded when they are first used: what asks the registry alone, as `--help` does, needs no
pydantic, which takes 0.3 s of a CPU.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sweeper.config.arm import Arm
    from sweeper.config.confirmation_plan import (
        SUFFIX,
        ConfirmationPlan,
        SelectedConfig,
        confirmation_name,
        is_confirmation,
    )
    from sweeper.config.domains import Auto, Choice, Domain, Integer, LogUniform, Uniform
    from sweeper.config.seeds import derive_seed
    from sweeper.config.sweep import Sweep

_HOME = {
    "Arm": "sweeper.config.arm",
    "Auto": "sweeper.config.domains",
    "Choice": "sweeper.config.domains",
    "ConfirmationPlan": "sweeper.config.confirmation_plan",
    "Domain": "sweeper.config.domains",
    "Integer": "sweeper.config.domains",
    "LogUniform": "sweeper.config.domains",
    "SUFFIX": "sweeper.config.confirmation_plan",
    "SelectedConfig": "sweeper.config.confirmation_plan",
    "Sweep": "sweeper.config.sweep",
    "Uniform": "sweeper.config.domains",
    "confirmation_name": "sweeper.config.confirmation_plan",
    "derive_seed": "sweeper.config.seeds",
    "is_confirmation": "sweeper.config.confirmation_plan",
}

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


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'sweeper.config' has no attribute {name!r}")
