"""Grid sampler: points by their number, in a random order; the grid itself is never listed."""

import hashlib
import math
from collections.abc import Mapping, Sequence

import numpy as np

from sweeper.config import Choice, Domain, Integer
from sweeper.types import Scalar

MOST_SHUFFLED = 2**25
"""Up to so many points they come in the order of Optuna's GridSampler, which shuffles them all:
4 bytes and 0.1 microseconds for each. It lists them too, which takes 80 bytes; from here on that
is more than workers have."""

Axis = Sequence[Scalar]


class Grid:
    """The points of a grid in a random order that the seed decides; each comes once.

    The order does not depend on how many points are asked for.
    """

    def __init__(self, domains: Mapping[str, Domain], seed: int) -> None:
        self._axes = {name: _axis(domain) for name, domain in domains.items()}
        self._lengths = {name: _length(axis) for name, axis in self._axes.items()}
        self.size = math.prod(self._lengths.values())
        self._seed = seed
        self._first: Sequence[int] = ()
        # Of a large grid: what a shuffle from the front has drawn, and which places it changed.
        self._drawn: list[int] = []
        self._moved: dict[int, int] = {}

    def point(self, place: int) -> dict[str, Scalar]:
        """Return the point at a place of the order, counted from 0."""
        rest, digits = self._index(place), dict[str, int]()
        # By name, as GridSampler has it: the last one changes fastest.
        for name in sorted(self._axes, reverse=True):
            rest, digits[name] = divmod(rest, self._lengths[name])
        return {name: axis[digits[name]] for name, axis in self._axes.items()}

    def _index(self, place: int) -> int:
        if self.size > MOST_SHUFFLED:
            while len(self._drawn) <= place:
                self._draw()
            return self._drawn[place]
        if len(self._first) <= place:
            order = np.arange(self.size, dtype=np.uint32)
            # The numbers that GridSampler draws for its list of points: the same order.
            np.random.RandomState(self._seed).shuffle(order)
            self._first = order[: max(1000, 2 * place)].tolist()
        return self._first[place]

    def _draw(self) -> None:
        """Draw one more point: a step of Fisher and Yates, with the places that moved alone."""
        here = len(self._drawn)
        there = here + _below(self.size - here, self._seed, here)
        self._drawn.append(self._moved.pop(there, there))
        if there != here:
            self._moved[there] = self._moved.pop(here, here)


def _below(limit: int, *parts: int) -> int:
    """Return a number in [0, limit), however large, that is a fixed function of its parts."""
    size = limit.bit_length() // 8 + 9  # 64 bits more than needed: all are as likely as others
    digest = hashlib.shake_256(",".join(map(str, parts)).encode()).digest(size)
    return int.from_bytes(digest, "big") % limit


def _length(axis: Axis) -> int:
    # Python's own length of a range stops at 2^63.
    return axis.stop - axis.start if isinstance(axis, range) else len(axis)


def _axis(domain: Domain) -> Axis:
    if isinstance(domain, Choice):
        return domain.choice
    if isinstance(domain, Integer):
        return range(domain.integer[0], domain.integer[1] + 1)
    raise AssertionError("the study file refuses a grid over a continuous domain")
