"""Curves of accuracy against size: sizes at an accuracy, accuracies at a size."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class CurveValue:
    """A value read off a curve, or the side of the curve on which the level lies."""

    state: Literal["reached", "not reached", "below"]
    """`below`: already the smallest network is better, so that the value is at most `value`."""
    value: float | None
    """None if not reached."""

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
            return CurveValue("reached", self.sizes[above])
        low, high = self.accuracies[above - 1], self.accuracies[above]
        left, right = (math.log10(self.sizes[place]) for place in (above - 1, above))
        share = (accuracy - low) / (high - low)
        return CurveValue("reached", 10 ** (left + share * (right - left)))

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
