"""A small dense network inside the stacked tensors of a large one."""

from dataclasses import dataclass
from itertools import pairwise

import torch

from sweeper.training.methods import Method, TrainingContext
from sweeper.training.stack import Stack


def widths(full: tuple[int, ...], weights: int) -> tuple[int, ...]:
    """Return the layer widths, inputs and classes included, of the widest small network.

    All hidden layers of `full` are narrowed by one factor, to at most `weights` weights; a layer
    has one unit at least, so that the smallest network may have more.

    >>> widths((784, 300, 100, 10), 266_200), widths((784, 300, 100, 10), 8_000)
    ((784, 300, 100, 10), (784, 10, 3, 10))
    """
    inputs, *hidden, classes = full
    best = (inputs, *[1] * len(hidden), classes)
    for units in range(1, max(hidden, default=0) + 1):
        # Rounded in whole numbers, halves up: floats would do it differently from time to time.
        most = max(hidden)
        sizes = (inputs, *(max(1, (2 * units * w + most) // (2 * most)) for w in hidden), classes)
        if sum(a * b for a, b in pairwise(sizes)) <= weights:
            best = sizes
    return best


@dataclass(frozen=True, slots=True, eq=False)
class SmallDense(Method):
    """Sets the units beyond the small network's to 0 at the start.

    They stay 0 by themselves: a unit whose weights and bias are 0, in and out, has gradients 0.
    """

    @torch.no_grad()
    def start(self, weights: Stack, biases: Stack, context: TrainingContext) -> None:
        shapes = [weight.shape[1:] for weight in weights.values()]
        full = (shapes[0][1], *(shape[0] for shape in shapes))
        total = sum(shape.numel() for shape in shapes)
        for k, density in enumerate(context.density.tolist()):
            small = widths(full, round(density * total))
            for layer, (weight, bias) in enumerate(
                zip(weights.values(), biases.values(), strict=True)
            ):
                outputs, inputs = small[layer + 1], small[layer]
                # The initial range is 1 / sqrt(inputs): a narrower layer starts with larger ones.
                factor = (full[layer] / inputs) ** 0.5
                weight[k].mul_(factor)
                bias[k].mul_(factor)
                weight[k, outputs:] = 0
                weight[k, :, inputs:] = 0
                bias[k, outputs:] = 0
