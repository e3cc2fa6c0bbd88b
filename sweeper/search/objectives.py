"""Objectives of a study: their names and directions, and what a result tells Optuna of them."""

from optuna.study import StudyDirection
from optuna.trial import TrialState

from sweeper.config import Sweep
from sweeper.types import Scalar, Track, TrialResult

DIRECTIONS = (StudyDirection.MINIMIZE, StudyDirection.MAXIMIZE)
METRICS = (["nonzero", "val_accuracy"], ["nonzero", "test_accuracy"])
"""Names of the two values: the second where networks are selected on test examples."""


def by_test(sweep: Sweep) -> bool:
    """Tell whether the second value of a trial is its test accuracy.

    With confirmed networks it is: nothing is selected among them any more.
    """
    return sweep.confirms is not None or sweep.select_on == "test"


def tell_arguments(
    sweep: Sweep, result: TrialResult
) -> tuple[TrialState, tuple[float, float] | None, dict[str, Scalar]]:
    """Return state, values and attributes of a result for Optuna."""
    track = sweep.sparsification.track
    judged = result.judged(track)
    seconds = round(result.seconds, 3)
    if result.state != "complete" or judged is None:
        return TrialState.PRUNED, None, {"outcome": result.state, "seconds": seconds}
    second, beside = judged.val_accuracy, judged.test_accuracy
    name = "test_accuracy"
    if by_test(sweep):
        second, beside, name = beside, second, "val_accuracy"
    measured: dict[str, Scalar] = {
        name: beside,
        "effective_nonzero": judged.effective,
        "seconds": seconds,
    }
    other: Track = "as_trained" if track == "pruned" else "pruned"
    if network := result.judged(other):
        measured[f"{other}_nonzero"] = network.nonzero
        measured[f"{other}_val_accuracy"] = network.val_accuracy
    return TrialState.COMPLETE, (float(judged.nonzero), second), measured
