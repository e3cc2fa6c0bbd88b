"""Validation of a user's own measure, on made-up outputs, before any training."""

import numpy as np

from sweeper.config.registry import MEASURES, load
from sweeper.errors import PluginError
from sweeper.training.measures import measured_outside

_EXAMPLES = 40


def try_out(measure: str, classes: int, *, values: bool = False) -> None:
    """Raise PluginError, one line, if a measure from outside does not work on so many classes.

    `values`: targets are numbers, no labels.
    """
    if measure in MEASURES:
        return
    function = load(measure)
    if not callable(function):
        raise PluginError(f"{measure}: must be a function, is a {type(function).__name__}")
    random = np.random.default_rng(0)
    labels = random.permutation(np.arange(_EXAMPLES) % classes)
    if values:
        labels = random.random((_EXAMPLES, classes)).astype(np.float32)
    perfect = labels if values else np.eye(classes, dtype=np.float32)[labels]
    guesses = random.standard_normal((_EXAMPLES, classes)).astype(np.float32)
    constant = np.zeros((_EXAMPLES, classes), np.float32)
    reached = [measured_outside(measure, given, labels) for given in (perfect, guesses, constant)]
    if reached[0] < max(reached):
        best = max(reached)
        text = f"gives {reached[0]:g} to outputs that are right, {best:g} to others"
        raise PluginError(f"{measure}: {text}; allowed: the larger, the better")
