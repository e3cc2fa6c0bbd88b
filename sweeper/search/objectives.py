"""Objectives of a study: their names and directions, and what a result tells Optuna of them."""

from collections.abc import Sequence

from optuna.study import StudyDirection
from optuna.trial import TrialState

from sweeper.config import Sweep
from sweeper.types import LearningPoint, Track, TrialResult

DIRECTIONS = (StudyDirection.MINIMIZE, StudyDirection.MAXIMIZE)
SIZE = "nonzero"
CURVE = "learning_curve"
POINTS = 10
"""Points of a learning curve that are told: the dashboard sends all attributes of a study again at
each poll. Ours has all of them."""
OUTCOME = "outcome"
"""The attribute that says of a trial without a network to judge why: `collapsed`, `diverged`.

Optuna has no word for it: such a trial is told FAIL, as is an attempt that came to nothing, which
has no outcome. (It was told PRUNED once, the word for networks that are cut, and on every page.)"""
ENQUEUED = "enqueued"
"""Says who gave a trial its parameters, where the sampler alone did not."""
MEASURED = "measured_"
"""Before the name of a further number that an attribute of ours has already."""
OURS = frozenset(
    {"arm", "repeat", "slot", "device", "strength", "density", "seconds"}
    | {OUTCOME, CURVE, ENQUEUED}
)
Attributes = dict[str, object]
"""User attributes of a trial: what JSON holds."""


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
) -> tuple[TrialState, tuple[float, float] | None, Attributes]:
    """Return state, values and attributes of a result for Optuna."""
    state, values, measured = _judged(sweep, result)
    taken = OURS | measured.keys() | {*metric_names(sweep)}
    for name, number in result.numbers:
        measured[f"{MEASURED}{name}" if name in taken else name] = number
    if result.learning:
        measured[CURVE] = _curve(sweep, result.learning)
    return state, values, measured


def _judged(
    sweep: Sweep, result: TrialResult
) -> tuple[TrialState, tuple[float, float] | None, Attributes]:
    track = sweep.sparsification.track
    judged = result.judged(track)
    seconds = round(result.seconds, 3)
    if result.state != "complete" or judged is None:
        return TrialState.FAIL, None, {OUTCOME: result.state, "seconds": seconds}
    second, beside = judged.val_accuracy, judged.test_accuracy
    key = sweep.measure_key
    name = f"test_{key}"
    if by_test(sweep):
        second, beside, name = beside, second, f"val_{key}"
    measured: Attributes = {name: beside, "seconds": seconds}
    if judged.effective is not None:
        measured["effective_nonzero"] = judged.effective
    other: Track = "as_trained" if track == "pruned" else "pruned"
    if sweep.script is None and (network := result.judged(other)):
        measured[f"{other}_nonzero"] = network.nonzero
        measured[f"{other}_val_{key}"] = network.val_accuracy
    return TrialState.COMPLETE, (float(judged.nonzero), second), measured


def _curve(sweep: Sweep, learning: Sequence[LearningPoint]) -> dict[str, list[list[float]]]:
    """Return a few points of a curve: of the validation measure, else of what it has first."""
    names = list(dict.fromkeys(name for point in learning for name, _ in point.values))
    measure = f"val_{sweep.measure_key}"
    name = measure if measure in names or not names else names[0]
    points = [(point.epoch, dict(point.values).get(name)) for point in learning]
    shown = [(epoch, value) for epoch, value in points if value is not None]
    count = min(POINTS, len(shown))
    # Evenly, the last one among them.
    chosen = [shown[(place + 1) * len(shown) // count - 1] for place in range(count)]
    return {name: [[float(f"{epoch:g}"), float(f"{value:.4g}")] for epoch, value in chosen]}
