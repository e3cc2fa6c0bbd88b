"""Values that everything exchanges: `TrialConfig` in, `TrialResult` out, a record of both.

All are frozen and made of numbers, strings and tuples, so that they can be compared, hashed and
written to a database or another process without loss. Accuracies lie in [0, 1], times are in
seconds, counts are whole numbers of parameters.
"""

from sweeper.types.probe import Bracket, FoundBracket, ProbePoint, ProbeTask
from sweeper.types.status import (
    ArmProgress,
    FailureKind,
    LastError,
    SweepState,
    SweepStatus,
    WorkerStatus,
)
from sweeper.types.trial_config import (
    WAYS,
    Accuracy,
    MethodConfig,
    Options,
    Recipe,
    Scalar,
    Term,
    Track,
    TrialConfig,
    TrialState,
    Way,
)
from sweeper.types.trial_record import DriftCheck, Fact, Provenance, Redone, Slot
from sweeper.types.trial_result import CurvePoint, Judged, LayerCount, TrialResult

__all__ = [
    "WAYS",
    "Accuracy",
    "ArmProgress",
    "Bracket",
    "CurvePoint",
    "DriftCheck",
    "Fact",
    "FailureKind",
    "FoundBracket",
    "Judged",
    "LastError",
    "LayerCount",
    "MethodConfig",
    "Options",
    "ProbePoint",
    "ProbeTask",
    "Provenance",
    "Recipe",
    "Redone",
    "Scalar",
    "Slot",
    "SweepState",
    "SweepStatus",
    "Term",
    "Track",
    "TrialConfig",
    "TrialResult",
    "TrialState",
    "Way",
    "WorkerStatus",
]
