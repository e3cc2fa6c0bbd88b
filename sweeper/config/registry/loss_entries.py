"""Losses that a training may minimise, by name."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LossEntry:
    """A loss on the outputs o of a network; sums and means run over its k outputs."""

    summary: str
    formula: str
    reference: str
    takes_smoothing: bool = False
    takes_values: bool = True
    """Whether targets may be numbers in place of labels."""


LOSSES: Mapping[str, LossEntry] = {
    "cross_entropy": LossEntry(
        summary="minus the logarithm of the label's probability",
        formula="-sum y log softmax(o), y = (1 - label_smoothing) one hot + label_smoothing / k",
        reference="Szegedy et al. 2016, Rethinking the Inception architecture, for the smoothing",
        takes_smoothing=True,
        takes_values=False,
    ),
    "mse": LossEntry(
        summary="mean squared distance of the outputs from 1 at the label and 0 elsewhere",
        formula="mean (o - y)^2",
        reference="Hui and Belkin 2021, Evaluation of neural architectures trained with square "
        "loss vs cross-entropy in classification tasks",
    ),
    "binary_cross_entropy": LossEntry(
        summary="cross-entropy of each output by itself: is it this class, or not?",
        formula="-mean (y log sigmoid(o) + (1 - y) log(1 - sigmoid(o)))",
        reference="Beyer et al. 2020, Are we done with ImageNet?",
    ),
}
