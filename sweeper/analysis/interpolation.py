"""Curves of accuracy against size: sizes at an accuracy, accuracies at a size."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

WIDEST = 4
"""Factor between neighbouring sizes beyond which no answer quotes a size that is read between them.

Left out of the confirmed curves of studies/results, a configuration between two within a factor of
4 is read back within 1.24 times at the median and 1.6 in nine of ten cases; between 6 and 10 it is
1.6 and 2.2. How near the accuracies are tells less: within half a point still 1.2 and 1.7.
"""


@dataclass(frozen=True, slots=True)
class Bracket:
    """Neighbouring sizes of a curve between which a size is read; the same one twice if on it."""

    low: float
    high: float

    @property
    def factor(self) -> float:
        return self.high / self.low

    @property
    def close(self) -> bool:
        """Whether an answer may quote what is read in it; means of sizes are exact to rounding."""
        return self.factor <= WIDEST * (1 + 1e-9)


@dataclass(frozen=True, slots=True)
class CurveValue:
    """A value read off a curve, or the side of the curve on which the level lies."""

    state: Literal["reached", "not reached", "below"]
    """`below`: already the smallest network is better, so that the value is at most `value`."""
    value: float | None
    """None if not reached."""
    bracket: Bracket | None = None
    """Of a size that is reached."""

    @property
    def exact(self) -> float | None:
        """The value, unless it is only a bound."""
        return self.value if self.state == "reached" else None


@dataclass(frozen=True, slots=True)
class Curve:
    """Accuracy against log10 of the size, straight between the points; never extrapolated.

    Means of configurations rise with size only up to chance. Where one does not, the least squares
    fit that never falls takes its place (pool adjacent violators): to read the first crossing of
    the raw means would be a minimum over configurations, and too good.
    """

    sizes: tuple[float, ...]
    """Nonzero parameters, ascending and distinct."""
    accuracies: tuple[float, ...]
    """The fit: never falling."""

    @classmethod
    def of(cls, points: Iterable[tuple[float, float]]) -> "Curve":
        """Return the curve through (nonzero, accuracy); those of one size count as their mean."""
        by_size: dict[float, list[float]] = {}
        for size, accuracy in points:
            by_size.setdefault(max(float(size), 1.0), []).append(accuracy)
        sizes = sorted(by_size)
        if not sizes:
            return cls((), ())
        means = np.array([np.mean(by_size[size]) for size in sizes])
        weights = np.array([len(by_size[size]) for size in sizes], dtype=float)
        return cls(tuple(sizes), tuple(_never_falling(means, weights).tolist()))

    def nonzero_at(self, accuracy: float) -> CurveValue:
        """Return the smallest size at which the curve reaches an accuracy."""
        if not self.sizes or self.accuracies[-1] < accuracy:
            return CurveValue("not reached", None)
        if self.accuracies[0] > accuracy:
            return CurveValue("below", self.sizes[0])
        above = int(np.searchsorted(self.accuracies, accuracy))  # the first that is >= it
        if self.accuracies[above] == accuracy:
            return CurveValue("reached", self.sizes[above], Bracket(*2 * (self.sizes[above],)))
        low, high = self.accuracies[above - 1], self.accuracies[above]
        left, right = (math.log10(self.sizes[place]) for place in (above - 1, above))
        share = (accuracy - low) / (high - low)
        bracket = Bracket(self.sizes[above - 1], self.sizes[above])
        return CurveValue("reached", 10 ** (left + share * (right - left)), bracket)

    def accuracy_at(self, nonzero: float) -> CurveValue:
        """Return the accuracy at a size; `not reached` below the smallest network.

        Beyond the largest one it is that of the largest, as a bound from below: `below`.
        """
        if not self.sizes or nonzero < self.sizes[0]:
            return CurveValue("not reached", None)
        if nonzero > self.sizes[-1]:
            return CurveValue("below", self.accuracies[-1])
        across = np.log10(self.sizes)
        return CurveValue("reached", float(np.interp(math.log10(nonzero), across, self.accuracies)))


def _never_falling(
    values: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    from scipy.optimize import isotonic_regression

    return np.asarray(isotonic_regression(values, weights=weights).x, dtype=np.float64)
