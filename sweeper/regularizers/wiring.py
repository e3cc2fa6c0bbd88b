"""Wiring: a penalty on the lengths of connections between neurons that have places."""

from typing import Literal

import torch
from torch import Tensor

from sweeper.regularizers.marginals import over
from sweeper.regularizers.ops import formula, nonzero, operator, total
from sweeper.regularizers.topography import sheet_sides

Places = Literal["line", "grid"]


@formula
def wiring_cost(weight: Tensor, *, places: Places = "grid", scaled: bool = True) -> Tensor:
    """Mean length of a connection by its weight: R(W) = sum P L, times S if scaled.

    L is the distance between the places of a weight's neuron and input: in a line, of length 1, or
    in a sheet of rows and columns, of sides 1. It asks for connections between what lies at the
    same place, and so for weights that lie together; not for few weights.

    Shapes: [pack, out, in] -> [pack]. Gives exact zeros by shrink only.
    Reference: Liu et al. 2023, Seeing is believing: brain-inspired modular training (arXiv
    2305.08746); Achterberg et al. 2023, Spatially embedded recurrent neural networks.

    >>> straight, crossed = torch.eye(2)[None], torch.eye(2).flip(0)[None]
    >>> wiring_cost(torch.cat([straight, crossed]), places="line", scaled=False)
    tensor([0.0000, 0.5000])
    """
    magnitudes = weight.abs()
    scale = total(magnitudes)
    costs = total(magnitudes * lengths(weight, places)) / nonzero(scale)
    return scale.detach() * costs if scaled else costs


@operator
def wiring_cost_shrinkage(
    weight: Tensor, *, places: Places = "grid", scaled: bool = True
) -> Tensor:
    """dR/d|w| = L - sum P L, over S if not scaled: below 0 for what is shorter than the mean.

    Shapes: [pack, out, in] -> the same.
    """
    magnitudes, distances = weight.abs(), lengths(weight, places)
    scale = total(magnitudes)
    mean = total(magnitudes.mul_(distances)) / nonzero(scale)
    return over(distances - mean[..., None, None], scale, scaled)


def lengths(weight: Tensor, places: Places) -> Tensor:
    """Return the distance between the places of each neuron and input, [out, in]."""
    neurons, inputs = (_places(count, places, weight) for count in weight.shape[-2:])
    first, *others = (
        of_neuron[:, None] - of_input for of_neuron, of_input in zip(neurons, inputs, strict=True)
    )
    return torch.hypot(first, others[0]) if others else first.abs_()


def _places(count: int, places: Places, like: Tensor) -> tuple[Tensor, ...]:
    """Return the coordinates of some neurons, in the middles of their parts of a side."""
    sides = (1, count) if places == "line" else sheet_sides(count)
    index = torch.arange(count, device=like.device)
    down = (index // sides[1] + 0.5).to(like.dtype) / sides[0]
    across = (index % sides[1] + 0.5).to(like.dtype) / sides[1]
    return (across,) if places == "line" else (down, across)
