"""Layer densities: the share of its weights that each layer keeps, for a density of them all."""

import math
from collections.abc import Callable, Mapping, Sequence

Shapes = Mapping[str, Sequence[int]]
"""Shape of one network's weight by name, [out, in] or [out, in, *kernel]."""


def uniform(shapes: Shapes, density: float) -> dict[str, float]:
    """Return the same density for every layer.

    >>> uniform({"first": (300, 784), "last": (10, 300)}, 0.1)
    {'first': 0.1, 'last': 0.1}
    """
    return dict.fromkeys(shapes, density)


def erk(shapes: Shapes, density: float) -> dict[str, float]:
    """Return Erdos-Renyi-Kernel densities: in proportion to sum of sides / product of sides.

    A layer that would need more than all of its weights keeps them all, and the others share what
    is left. For matrices this is Erdos-Renyi, (in + out) / (in x out). Reference: Evci et al. 2020,
    Rigging the lottery: making all tickets winners, section 3; Mocanu et al. 2018 for matrices.

    >>> shapes = {"first": (300, 784), "second": (100, 300), "last": (10, 100)}
    >>> {name: round(value, 3) for name, value in erk(shapes, 0.05).items()}
    {'first': 0.038, 'second': 0.111, 'last': 0.919}
    """
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    sides = {name: float(sum(shape)) for name, shape in shapes.items()}
    parts = divided(density * sum(sizes.values()), sides, sizes)
    return {name: parts[name] / sizes[name] for name in shapes}


DISTRIBUTIONS: Mapping[str, Callable[[Shapes, float], dict[str, float]]] = {
    "erk": erk,
    "uniform": uniform,
}


def weight_counts(shapes: Shapes, density: float, distribution: str) -> dict[str, int]:
    """Return the weights that each layer keeps: round(density x all), one at least, together.

    >>> weight_counts({"first": (300, 784), "last": (10, 300)}, 0.01, "uniform")
    {'first': 2352, 'last': 30}
    """
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    total = sum(sizes.values())
    densities = DISTRIBUTIONS[distribution](shapes, density)
    shares = {name: densities[name] * sizes[name] for name in shapes}
    return apportioned(min(max(1, round(density * total)), total), shares, sizes)


def divided(total: float, shares: Mapping[str, float], room: Mapping[str, int]) -> dict[str, float]:
    """Divide a total in proportion to shares; what is beyond a layer's room goes to the others.

    >>> divided(10, {"a": 3, "b": 1, "c": 1}, {"a": 4, "b": 9, "c": 9})
    {'a': 4.0, 'b': 3.0, 'c': 3.0}
    """
    full: set[str] = set()
    while True:
        left = total - sum(room[name] for name in full)
        shared = sum(shares[name] for name in shares if name not in full)
        factor = left / shared if shared else 0.0
        over = {n for n in shares if n not in full and factor * shares[n] > room[n]}
        if not over:
            break
        full |= over
    return {n: float(room[n]) if n in full else factor * shares[n] for n in shares}


def apportioned(total: int, shares: Mapping[str, float], room: Mapping[str, int]) -> dict[str, int]:
    """Divide a whole number as `divided`; what rounding down leaves goes by largest remainders.

    Layers without a share, or with one that is no number, get something only where the others have
    no room left. `total` is at most the sum of the room.

    >>> apportioned(11, {"a": 2, "b": 1, "c": 1}, {"a": 4, "b": 9, "c": 9})
    {'a': 4, 'b': 4, 'c': 3}
    >>> apportioned(5, {"a": 1, "b": 0}, {"a": 3, "b": 9})
    {'a': 3, 'b': 2}
    """
    usable = {name: value if math.isfinite(value) else 0.0 for name, value in shares.items()}
    parts = divided(total, usable, room)
    # A part that is a whole number but for rounding is that number.
    counts = {name: min(int(part + 1e-6), room[name]) for name, part in parts.items()}
    left = total - sum(counts.values())
    order = sorted(parts, key=lambda name: counts[name] - parts[name])
    while left > 0:
        for name in order:
            given = min(left, room[name] - counts[name], max(1, left // len(order)))
            counts[name] += given
            left -= given
    return counts
