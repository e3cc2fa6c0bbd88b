"""Topography: a penalty that lays out a layer's neurons as a sheet, and has neighbours agree."""

import math

import torch
from torch import Tensor

from sweeper.regularizers.ops import formula, nonzero, operator
from sweeper.regularizers.tiles import block_sums


@formula
def topographic_cosine(weight: Tensor, *, shrink: int = 3, scaled: bool = True) -> Tensor:
    """Unlikeness of neurons and their neighbours: R(W) = 1 - mean cos(u, v), times S if scaled.

    u are the weights of a neuron, a row of W. The neurons lie in a sheet, row by row, of sides as
    equal as their number allows; v is the same sheet shrunk and enlarged again: each cell of
    `shrink` rows and columns is its mean. S = sum |w|. It asks for neighbours that do the same, not
    for few weights. Where a weight is 0 its slope is taken as 0 in training.

    Shapes: [pack, out, in] -> [pack]. Gives exact zeros by shrink only.
    Reference: Deb et al. 2025, TopoNets (arXiv 2501.16396), which enlarges by interpolation.

    >>> alike, crossed = torch.ones(1, 2, 2), torch.eye(2)[None]
    >>> topographic_cosine(torch.cat([alike, crossed]), scaled=False).round(decimals=4)
    tensor([0.0000, 0.2929])
    """
    unit, _ = _directions(weight)
    sides = sheet_sides(weight.shape[-2])
    cells, _ = _directions(_cell_means(weight, sides, shrink)[0])
    cosines = (unit * _at_neurons(cells, sides, shrink)).sum(-1)
    values = 1 - cosines.sum(-1) / weight.shape[-2]
    # A matrix of zeros has no directions: nothing in it is unlike.
    some = weight.detach().abs().amax((-2, -1)) > 0
    values = torch.where(some, values, 0.0)
    scale = weight.detach().abs().sum(-1).sum(-1)
    return scale * values if scaled else values


@operator
def topographic_cosine_shrinkage(weight: Tensor, *, shrink: int = 3, scaled: bool = True) -> Tensor:
    """dR/d|w| = sign(w) dR/dw, through the neuron itself and through the mean of its cell.

    Shapes: [pack, out, in] -> the same.
    """
    neurons, sides = weight.shape[-2], sheet_sides(weight.shape[-2])
    means, sizes = _cell_means(weight, sides, shrink)
    cells, cell_norms = _directions(means)
    del means
    unit, norms = _directions(weight)
    spread = _at_neurons(cells, sides, shrink)
    cosines = (unit * spread).sum(-1, keepdim=True)
    ends = _cell_sums(unit, sides, shrink)
    ends.sub_(_cell_sums(cosines, sides, shrink) * cells).div_(nonzero(cell_norms) * sizes)
    slope = spread.sub_(unit.mul_(cosines)).div_(nonzero(norms))
    del unit
    slope.add_(_at_neurons(ends, sides, shrink)).mul_(weight.sign()).div_(-neurons)
    if scaled:
        slope.mul_(weight.abs().sum(-1).sum(-1)[..., None, None])
    return slope


def sheet_sides(count: int) -> tuple[int, int]:
    """Return the rows and columns of a sheet of so many places, as equal as whole numbers allow.

    >>> sheet_sides(300), sheet_sides(784), sheet_sides(7)
    ((15, 20), (28, 28), (1, 7))
    """
    rows = next(side for side in range(math.isqrt(count), 0, -1) if count % side == 0)
    return rows, count // rows


def _directions(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Return rows over their norms, and the norms, [..., 1]; a row of zeros stays as it is.

    By the largest of each row first, for rows of 1e-20 or 1e20; held constant, it changes no
    gradient.
    """
    largest = nonzero(rows.detach().abs().amax(-1, keepdim=True))
    scaled = rows / largest
    norms = nonzero(scaled.square().sum(-1, keepdim=True)).sqrt()
    return scaled / norms, norms * largest


def _cell_means(weight: Tensor, sides: tuple[int, int], shrink: int) -> tuple[Tensor, Tensor]:
    """Return the mean of each cell, [..., cells, in], and how many neurons it has, [cells, 1]."""
    ones = weight.new_ones(weight.shape[-2], 1)
    sizes = _cell_sums(ones, sides, shrink)
    return _cell_sums(weight, sides, shrink) / sizes, sizes


def _cell_sums(rows: Tensor, sides: tuple[int, int], shrink: int) -> Tensor:
    """Sum the neurons of each cell of the sheet, [..., neurons, n] -> [..., cells, n]."""
    sheet = rows.reshape(*rows.shape[:-2], *sides, rows.shape[-1])
    return block_sums(block_sums(sheet, shrink, -3), shrink, -2).flatten(-3, -2)


def _at_neurons(cells: Tensor, sides: tuple[int, int], shrink: int) -> Tensor:
    """Repeat what each cell has at all of its neurons, [..., cells, n] -> [..., neurons, n]."""
    down, across = (torch.arange(side, device=cells.device) // shrink for side in sides)
    return cells.index_select(-2, (down[:, None] * -(-sides[1] // shrink) + across).flatten())
