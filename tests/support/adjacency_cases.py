"""Formulas that see neighbours once more, in plain float64 NumPy and from sums over parts."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Matrix = NDArray[np.float64]
SIGNED = {"difference_entropy", "fused_lasso", "topographic_cosine"}
"""Those whose slope at a weight of 0 is not 0: training takes it as 0."""


def written(name: str, w: Matrix, held: float | None = None, **letters: Any) -> float:
    """R(W) of one matrix [out, in]. `held` is S where R says that it is held constant."""
    scale = float(np.abs(w).sum()) if held is None else held
    factor = scale if letters.get("scaled") else 1.0
    match name:
        case "difference_entropy":
            sizes = np.array([abs(step) for step in _steps(w)])
            return float(factor * _entropy(sizes / sizes.sum()))
        case "fused_lasso":
            return float(np.abs(w).sum() + letters["smooth"] * sum(map(abs, _steps(w))))
        case "tile_entropy":
            sums = [
                np.array([np.abs(tile).sum() for tile in _tiles(w, int(size))])
                for size in letters["sizes"].split()
            ]
            return factor * sum(_entropy(masses / masses.sum()) for masses in sums)
        case "tile_group_lasso":
            return sum(
                math.sqrt(tile.size) * float(np.linalg.norm(tile))
                for tile in _tiles(w, letters["tile"])
            )
        case "topographic_cosine":
            return factor * _topographic(w, letters["shrink"])
        case "wiring_cost":
            a = np.abs(w)
            costs = [
                a[i, j] * math.dist(first, second)
                for i, first in enumerate(_places(len(w), letters["places"]))
                for j, second in enumerate(_places(w.shape[1], letters["places"]))
            ]
            return factor * math.fsum(costs) / float(a.sum())
        case "exclusive_lasso":
            groups = w.T if letters["by"] == "input" else w
            return sum(float(np.abs(group).sum()) ** 2 for group in groups)
    raise KeyError(name)


def _entropy(masses: Matrix) -> float:
    positive = masses[masses > 0]
    return float(-(positive * np.log(positive)).sum())


def _steps(w: Matrix) -> list[float]:
    rows, columns = w.shape
    down = [w[i + 1, j] - w[i, j] for i in range(rows - 1) for j in range(columns)]
    return down + [w[i, j + 1] - w[i, j] for i in range(rows) for j in range(columns - 1)]


def _tiles(w: Matrix, size: int) -> Iterator[Matrix]:
    for top in range(0, len(w), size):
        for left in range(0, w.shape[1], size):
            yield w[top : top + size, left : left + size]


def _sides(count: int) -> tuple[int, int]:
    pairs = [(a, count // a) for a in range(1, count + 1) if count % a == 0 and a * a <= count]
    return pairs[-1]


def _places(count: int, places: str) -> list[tuple[float, ...]]:
    if places == "line":
        return [((i + 0.5) / count,) for i in range(count)]
    rows, columns = _sides(count)
    return [((i + 0.5) / rows, (j + 0.5) / columns) for i in range(rows) for j in range(columns)]


def _cells(count: int, shrink: int) -> list[list[int]]:
    """Return the neurons of each cell."""
    columns = _sides(count)[1]
    cells: dict[tuple[int, int], list[int]] = {}
    for neuron in range(count):
        place = neuron // columns // shrink, neuron % columns // shrink
        cells.setdefault(place, []).append(neuron)
    return list(cells.values())


def _topographic(w: Matrix, shrink: int) -> float:
    cosines = []
    for cell in _cells(len(w), shrink):
        mean = w[cell].mean(0)
        for neuron in cell:
            norms = np.linalg.norm(w[neuron]) * np.linalg.norm(mean)
            cosines.append(float(w[neuron] @ mean / norms))
    return 1 - math.fsum(cosines) / len(w)


def from_parts(name: str, weight: Tensor, hyper: dict[str, Any], rows: int) -> Tensor:
    """Return R of one matrix [out, in] from sums over blocks of its rows, or of its columns."""
    found = _PARTS[name](weight, hyper, rows)
    return weight.abs().sum() * found if hyper.get("scaled") else found


def _plog(values: Tensor) -> Tensor:
    return torch.xlogy(values, values).sum()


def _differences(weight: Tensor, rows: int) -> list[tuple[Tensor, Tensor]]:
    """Return sums of |D| and |D| log |D| of blocks that read one row of the next: a halo."""
    found = []
    for start in range(0, len(weight), rows):
        block = weight[start : start + rows]
        sizes = torch.cat([weight[start : start + rows + 1].diff(dim=0).ravel(),
                           block.diff(dim=1).ravel()]).abs()  # fmt: skip
        found.append((sizes.sum(), _plog(sizes)))
    return found


def _difference_entropy(weight: Tensor, hyper: dict[str, Any], rows: int) -> Tensor:
    parts = _differences(weight, rows)
    summed = torch.stack([first for first, _ in parts]).sum()
    return summed.log() - torch.stack([second for _, second in parts]).sum() / summed


def _fused_lasso(weight: Tensor, hyper: dict[str, Any], rows: int) -> Tensor:
    summed = torch.stack([first for first, _ in _differences(weight, rows)]).sum()
    return torch.add(weight.abs().sum(), summed, alpha=hyper["smooth"])


def _tile_sums(block: Tensor, size: int) -> Tensor:
    sums = [
        tile.sum() for strip in torch.split(block, size) for tile in torch.split(strip, size, 1)
    ]
    return torch.stack(sums)


def _whole_tiles(weight: Tensor, rows: int, size: int) -> Iterator[Tensor]:
    """Yield blocks of whole tiles."""
    yield from torch.split(weight, -(-rows // size) * size)


def _tile_entropy(weight: Tensor, hyper: dict[str, Any], rows: int) -> Tensor:
    found = torch.zeros((), dtype=weight.dtype)
    for size in map(int, hyper["sizes"].split()):
        sums = [_tile_sums(block.abs(), size) for block in _whole_tiles(weight, rows, size)]
        summed = torch.stack([part.sum() for part in sums]).sum()
        found = found + summed.log() - torch.stack([_plog(part) for part in sums]).sum() / summed
    return found


def _tile_group_lasso(weight: Tensor, hyper: dict[str, Any], rows: int) -> Tensor:
    size = hyper["tile"]
    found = []
    for block in _whole_tiles(weight, rows, size):
        squares = _tile_sums(block.square(), size)
        found.append((_tile_sums(torch.ones_like(block), size) * squares).sqrt().sum())
    return torch.stack(found).sum()


def _topographic_cosine(weight: Tensor, hyper: dict[str, Any], rows: int) -> Tensor:
    # Products of neurons are sums over inputs: of blocks of columns, for once.
    products = torch.stack([part @ part.T for part in torch.split(weight, rows, 1)]).sum(0)
    mean = torch.zeros_like(products)
    for cell in _cells(len(weight), hyper["shrink"]):
        mean[np.ix_(cell, cell)] = 1 / len(cell)
    first, second = products.diagonal(), (mean @ products @ mean.T).diagonal()
    return 1 - ((mean @ products).diagonal() / (first * second).sqrt()).mean()


def _wiring_cost(weight: Tensor, hyper: dict[str, Any], rows: int) -> Tensor:
    neurons, inputs = (
        torch.tensor(_places(count, hyper["places"]), dtype=weight.dtype) for count in weight.shape
    )
    blocks = zip(torch.split(weight, rows), torch.split(neurons, rows), strict=True)
    parts = [(block.abs(), torch.cdist(places, inputs)) for block, places in blocks]
    costs = torch.stack([(block * length).sum() for block, length in parts]).sum()
    return costs / torch.stack([block.sum() for block, _ in parts]).sum()


def _exclusive_lasso(weight: Tensor, hyper: dict[str, Any], rows: int) -> Tensor:
    blocks = torch.split(weight.abs(), rows)
    if hyper["by"] == "input":
        return torch.stack([block.sum(0) for block in blocks]).sum(0).square().sum()
    return torch.stack([block.sum(1).square().sum() for block in blocks]).sum()


_PARTS: dict[str, Callable[[Tensor, dict[str, Any], int], Tensor]] = {
    "difference_entropy": _difference_entropy,
    "fused_lasso": _fused_lasso,
    "tile_entropy": _tile_entropy,
    "tile_group_lasso": _tile_group_lasso,
    "topographic_cosine": _topographic_cosine,
    "wiring_cost": _wiring_cost,
    "exclusive_lasso": _exclusive_lasso,
}
NAMES = tuple(_PARTS)
