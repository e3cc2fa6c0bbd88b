"""Models by name, and the sizes of fully connected ones."""

import itertools
import math
from collections.abc import Mapping

from sweeper.config.registry.entries import ExampleShape, ModelEntry

MODELS: Mapping[str, ModelEntry] = {
    "lenet-300-100": ModelEntry(
        summary="fully connected, hidden layers of 300 and 100",
        factory="sweeper.training.models:lenet_300_100",
        widths=(300, 100),
    ),
    "mlp": ModelEntry(
        summary="fully connected with ReLU; option widths, such as mlp(64, 32)",
        factory="sweeper.training.models:mlp",
    ),
    "lenet-5": ModelEntry(
        summary="the Caffe LeNet-5: two convolutions of 20 and 50 kernels, a hidden layer of 500",
        factory="sweeper.training.models:lenet_5",
        parameters=431_080,
        multiplications=2_293_000,
        shape=(1, 28, 28),
    ),
}


def layer_sizes(widths: tuple[int, ...], dataset: ExampleShape) -> tuple[tuple[int, int], ...]:
    """Return (inputs, outputs) of each layer of a fully connected network."""
    sizes = (math.prod(dataset.shape), *widths, dataset.classes)
    return tuple(itertools.pairwise(sizes))


def count_parameters(widths: tuple[int, ...], dataset: ExampleShape) -> int:
    """Return all parameters of a fully connected network, biases included.

    >>> from sweeper.config.registry import DATASETS
    >>> count_parameters((300, 100), DATASETS["mnist"])
    266610
    """
    return sum((inputs + 1) * outputs for inputs, outputs in layer_sizes(widths, dataset))
