"""Layer densities: the share of its weights that each layer keeps, for a density of them all."""

import math
from collections.abc import Mapping, Sequence

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
    raw = {name: sum(shape) / sizes[name] for name, shape in shapes.items()}
    kept = density * sum(sizes.values())
    full: set[str] = set()
    while True:
        left = kept - sum(sizes[name] for name in full)
        shared = sum(raw[name] * sizes[name] for name in shapes if name not in full)
        factor = left / shared if shared else 0.0
        over = {name for name in shapes if name not in full and factor * raw[name] > 1}
        if not over:
            break
        full |= over
    return {name: 1.0 if name in full else factor * raw[name] for name in shapes}
