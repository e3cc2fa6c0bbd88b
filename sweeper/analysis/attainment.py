"""Attainment surfaces: the accuracy that a share of the repeats reaches at each size.

The surface of level q is the border of the region that at least q of the independent searches
attain: the empirical attainment function of Grunert da Fonseca, Fonseca and Hall, "Inferential
Performance Assessment of Stochastic Optimisers and the Attainment Function", EMO 2001. It is no
front of networks: a corner may lie where one repeat's size meets another one's accuracy.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sweeper.analysis.front import Front

LEVELS = (0.25, 0.5, 0.75)


@dataclass(frozen=True, slots=True)
class Surface:
    """The corners of a staircase, ascending in size and accuracy."""

    level: float
    """Share of the repeats that attain it, in (0, 1]."""
    corners: tuple[tuple[int, float], ...]
    """(size, accuracy); empty where too few repeats have any network."""

    def at(self, nonzero: float) -> float | None:
        """Return the accuracy that is attained within a size; None below the first corner."""
        within = [accuracy for size, accuracy in self.corners if size <= nonzero]
        return within[-1] if within else None


def attainment(repeats: Sequence[Front], level: float) -> Surface:
    """Return the surface that at least a share `level` of the fronts attains.

    The accuracy is the one that decides membership. n repeats of m points each: n m (log m + n).
    """
    if not 0 < level <= 1:
        raise ValueError(f"level must lie in (0, 1], got {level}")
    # 0.75 x 4 must be 3 whatever its last bit says.
    needed = max(1, math.ceil(round(level * len(repeats), 9)))
    steps = sorted(
        (point.size(front.size), index, point.accuracy(front.by))
        for index, front in enumerate(repeats)
        for point in front.points
    )
    best = np.full(len(repeats), -np.inf)
    corners: dict[int, float] = {}
    reached = -np.inf
    for size, index, accuracy in steps:
        best[index] = max(best[index], accuracy)
        attained = np.sort(best)[-needed]
        if attained > reached:
            corners[size] = reached = float(attained)
    return Surface(level, tuple(corners.items()))
