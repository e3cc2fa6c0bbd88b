"""Values that everything exchanges: `TrialConfig` in, `TrialResult` out, a record of both.

All are frozen and made of numbers, strings and tuples, so that they can be compared, hashed and
written to a database or another process without loss. Accuracies lie in [0, 1], times are in
seconds, counts are whole numbers of parameters.
"""

from sweeper.types.array_dataset import Dataset
from sweeper.types.dropped_trial import DroppedTrial, dropped_lines, without_dropped
from sweeper.types.enqueued_config import EnqueuedConfig
from sweeper.types.normalisation import Normalisation
from sweeper.types.probe import ProbePoint, ProbeTask, RecordedRange, StrengthRange
from sweeper.types.slot_history import LostAttempt, SlotHistory
from sweeper.types.status import (
    ArmProgress,
    FailureKind,
    LastError,
    SweepState,
    SweepStatus,
    WorkerStatus,
)
from sweeper.types.tick import Tick, nothing, tick_of_part
from sweeper.types.trial_config import (
    APPLY_MODES,
    Accuracy,
    ApplyMode,
    LossConfig,
    MethodConfig,
    Options,
    PenaltyConfig,
    PruneConfig,
    PruningScope,
    Scalar,
    ScriptConfig,
    SharedConfig,
    SizeMeasure,
    SplitConfig,
    TeacherConfig,
    Track,
    TrialConfig,
    TrialState,
    by_training,
)
from sweeper.types.trial_record import (
    NetworkPlace,
    Place,
    Provenance,
    ReproducibilityCheck,
    RetrainedTrial,
    Slot,
    TrialOutcome,
    TrialRecord,
    TrialTask,
)
from sweeper.types.trial_result import (
    CurvePoint,
    Evaluation,
    LayerCount,
    LearningPoint,
    TrialResult,
)

__all__ = [
    "APPLY_MODES",
    "Accuracy",
    "ApplyMode",
    "ArmProgress",
    "CurvePoint",
    "Dataset",
    "DroppedTrial",
    "EnqueuedConfig",
    "Evaluation",
    "FailureKind",
    "LastError",
    "LayerCount",
    "LearningPoint",
    "LossConfig",
    "LostAttempt",
    "MethodConfig",
    "NetworkPlace",
    "Normalisation",
    "Options",
    "PenaltyConfig",
    "Place",
    "ProbePoint",
    "ProbeTask",
    "Provenance",
    "PruneConfig",
    "PruningScope",
    "RecordedRange",
    "ReproducibilityCheck",
    "RetrainedTrial",
    "Scalar",
    "ScriptConfig",
    "SharedConfig",
    "SizeMeasure",
    "Slot",
    "SlotHistory",
    "SplitConfig",
    "StrengthRange",
    "SweepState",
    "SweepStatus",
    "TeacherConfig",
    "Tick",
    "Track",
    "TrialConfig",
    "TrialOutcome",
    "TrialRecord",
    "TrialResult",
    "TrialState",
    "TrialTask",
    "WorkerStatus",
    "by_training",
    "dropped_lines",
    "nothing",
    "tick_of_part",
    "without_dropped",
]
