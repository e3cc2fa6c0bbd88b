"""Sweeps that compare sparse regularizers: `from sweeper import Sweep, run, front`.

Names are loaded when they are first used, so that `import sweeper` stays fast and free of torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sweeper.analysis import Front
    from sweeper.api import (
        compare,
        confirm,
        front,
        launch,
        load_network,
        report,
        run,
        verify,
    )
    from sweeper.config import Sweep
    from sweeper.config.registry import Formula, Hyperparameter
    from sweeper.errors import InputError, StorageError, SweeperError, TrainingError
    from sweeper.modules import Penalty, count, effective, prune_
    from sweeper.operations.sweep_fronts import SweepFront, SweepFronts
    from sweeper.trainers.trial import Trial, TrialDiverged, TrialEnded
    from sweeper.training.methods import Method, TrainingContext, TrainingStep
    from sweeper.types import Dataset

__version__ = "0.1.0"

_HOME = {
    "Dataset": "sweeper.types",
    "Formula": "sweeper.config.registry",
    "Front": "sweeper.analysis",
    "Hyperparameter": "sweeper.config.registry",
    "InputError": "sweeper.errors",
    "Method": "sweeper.training.methods",
    "Penalty": "sweeper.modules",
    "StorageError": "sweeper.errors",
    "Sweep": "sweeper.config",
    "SweepFront": "sweeper.operations.sweep_fronts",
    "SweepFronts": "sweeper.operations.sweep_fronts",
    "SweeperError": "sweeper.errors",
    "TrainingContext": "sweeper.training.methods",
    "TrainingError": "sweeper.errors",
    "TrainingStep": "sweeper.training.methods",
    "Trial": "sweeper.trainers.trial",
    "TrialDiverged": "sweeper.trainers.trial",
    "TrialEnded": "sweeper.trainers.trial",
    "compare": "sweeper.api",
    "confirm": "sweeper.api",
    "count": "sweeper.modules",
    "effective": "sweeper.modules",
    "front": "sweeper.api",
    "launch": "sweeper.api",
    "load_network": "sweeper.api",
    "prune_": "sweeper.modules",
    "report": "sweeper.api",
    "run": "sweeper.api",
    "verify": "sweeper.api",
}

__all__ = [
    "Dataset",
    "Formula",
    "Front",
    "Hyperparameter",
    "InputError",
    "Method",
    "Penalty",
    "StorageError",
    "Sweep",
    "SweepFront",
    "SweepFronts",
    "SweeperError",
    "TrainingContext",
    "TrainingError",
    "TrainingStep",
    "Trial",
    "TrialDiverged",
    "TrialEnded",
    "__version__",
    "compare",
    "confirm",
    "count",
    "effective",
    "front",
    "launch",
    "load_network",
    "prune_",
    "report",
    "run",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'sweeper' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
