"""t-intervals over repeats. Repeats are the unit: seeds within one are averaged before."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

FEWEST = 5
"""Repeats under which values are shown and no interval: too few to know how they scatter."""
CONFIDENCE = 0.95
ONE_SIDED = 2 * CONFIDENCE - 1
"""Confidence of the two-sided interval each end of which is a one-sided 95 % limit."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over repeats, its interval if there are enough of them, and the values themselves."""

    center: float
    low: float | None
    high: float | None
    values: tuple[float, ...]

    @property
    def n(self) -> int:
        """How many repeats it rests on."""
        return len(self.values)


def mean(
    values: Sequence[float], *, confidence: float = CONFIDENCE, fewest: int = FEWEST
) -> Estimate | None:
    """Return the mean with Student's interval, None under `fewest` values; None for no value.

    center -+ t(n - 1) s / sqrt(n), with s over n - 1.
    """
    sample = np.asarray(values, dtype=np.float64)
    if not sample.size:
        return None
    center = float(sample.mean())
    if sample.size < fewest:
        return Estimate(center, None, None, tuple(sample.tolist()))
    from scipy.stats import t

    quantile = float(t.ppf((1 + confidence) / 2, sample.size - 1))
    half = quantile * float(sample.std(ddof=1)) / float(np.sqrt(sample.size))
    return Estimate(center, center - half, center + half, tuple(sample.tolist()))


def paired_ratio(
    ours: Sequence[float], theirs: Sequence[float], *, confidence: float = CONFIDENCE
) -> Estimate | None:
    """Return the geometric mean of ours / theirs with its paired t-interval on the logarithm.

    Both are of the same repeats, in the same order, and > 0.
    """
    logs = mean(
        np.log(np.asarray(ours, dtype=np.float64) / np.asarray(theirs, dtype=np.float64)).tolist()
        if len(ours) == len(theirs)
        else _unequal(len(ours), len(theirs)),
        confidence=confidence,
    )
    if logs is None:
        return None
    low, high = (None if end is None else float(np.exp(end)) for end in (logs.low, logs.high))
    return Estimate(float(np.exp(logs.center)), low, high, tuple(np.exp(logs.values).tolist()))


def _unequal(ours: int, theirs: int) -> list[float]:
    raise ValueError(f"pairs are needed, got {ours} and {theirs} values")
