"""Measures: the quality of a network on labelled examples, from its outputs for all of them."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from sweeper.config.registry import load
from sweeper.errors import PluginError, typed_line

Outputs = NDArray[np.float32]
"""[examples, classes]."""
Labels = NDArray[np.int64] | NDArray[np.float32]
"""[examples], whole numbers; or values [examples, outputs]."""


def measured(measure: str, outputs: Outputs, labels: Labels) -> float:
    """Return a measure by its name in the registry, or `package.module:function`.

    A network with outputs that are not finite is worth 0, whatever the measure. Classes that have
    no example are left out. Raises PluginError as `measured_outside`.
    """
    if not np.isfinite(outputs).all():
        return 0.0
    if measure == "r2":
        return _r2(outputs, labels)
    if measure == "auroc":
        return _auroc(outputs, labels)
    if measure in _OF_LABELS:
        return _OF_LABELS[measure](labels, outputs.argmax(1).astype(np.int64))
    return measured_outside(measure, outputs, labels)


def measured_outside(measure: str, outputs: Outputs, labels: Labels) -> float:
    """Return what a user's function gives. Raises PluginError, one line, if that is no measure."""
    function: Callable[[Labels, Outputs], float] = load(measure)
    try:
        value = float(function(labels.copy(), outputs.copy()))
    except Exception as error:  # whatever a function of somebody else's raises
        raise PluginError(f"{measure}: {typed_line(error)}") from error
    if not 0 <= value <= 1:  # NaN neither
        text = f"must return a number in [0, 1], 1 for a perfect network, returned {value:g}"
        raise PluginError(f"{measure}: {text}")
    return value


def _accuracy(labels: Labels, predicted: Labels) -> float:
    return float((labels == predicted).mean())


def _balanced_accuracy(labels: Labels, predicted: Labels) -> float:
    # Not scikit-learn's, which warns of each class that is predicted and has no example.
    from sklearn.metrics import recall_score

    return float(recall_score(labels, predicted, labels=np.unique(labels), average="macro"))


def _f1(labels: Labels, predicted: Labels) -> float:
    from sklearn.metrics import f1_score

    return float(
        f1_score(labels, predicted, labels=np.unique(labels), average="macro", zero_division=0.0)
    )


def _auroc(outputs: Outputs, labels: Labels) -> float:
    """One class against the others, of each class that has examples and is not alone."""
    from sklearn.metrics import roc_auc_score

    # Of softmax, so that an output that is large for every class says nothing of one of them.
    shifted = np.exp((outputs - outputs.max(1, keepdims=True)).astype(np.float64))
    scores = shifted / shifted.sum(1, keepdims=True)
    present = np.unique(labels)
    if len(present) < 2:
        return 0.0
    if outputs.shape[1] == 2:
        return float(roc_auc_score(labels == 1, scores[:, 1]))
    return float(np.mean([roc_auc_score(labels == c, scores[:, c]) for c in present]))


def _r2(outputs: Outputs, values: Labels) -> float:
    """At least 0, which the mean of the values as a guess for all of them has."""
    from sklearn.metrics import r2_score

    return max(0.0, float(r2_score(values, outputs)))


_OF_LABELS: dict[str, Callable[[Labels, Labels], float]] = {
    "accuracy": _accuracy,
    "balanced_accuracy": _balanced_accuracy,
    "f1": _f1,
}
