"""Objectives of a study: their names and directions, and what a result tells Optuna of them."""

from optuna.study import StudyDirection
from optuna.trial import TrialState

from sweeper.config import Sweep
from sweeper.types import Scalar, Track, TrialResult

DIRECTIONS = (StudyDirection.MINIMIZE, StudyDirection.MAXIMIZE)
SIZE = "nonzero"


def metric_names(sweep: Sweep) -> list[str]:
    """Return the names of the two values: the measure is one of validation or of test."""
    part = "test" if by_test(sweep) else "val"
    return [sweep.size_key, f"{part}_{sweep.measure_key}"]


def are_ours(names: object) -> bool:
    """Tell whether the values of a study are named as ours are."""
    match names:
        case [size, str(measure)] if size == SIZE:
            return measure.startswith(("val_", "test_"))
    return False


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
    key = sweep.measure_key
    name = f"test_{key}"
    if by_test(sweep):
        second, beside, name = beside, second, f"val_{key}"
    measured: dict[str, Scalar] = {name: beside, "seconds": seconds}
    if judged.effective is not None:
        measured["effective_nonzero"] = judged.effective
    other: Track = "as_trained" if track == "pruned" else "pruned"
    if network := result.judged(other):
        measured[f"{other}_nonzero"] = network.nonzero
        measured[f"{other}_val_{key}"] = network.val_accuracy
    return TrialState.COMPLETE, (float(judged.nonzero), second), measured
