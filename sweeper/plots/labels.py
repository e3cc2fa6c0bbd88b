"""Labels of figures: accuracies in %, short counts, and ticks of an axis of sizes."""

import math
from collections.abc import Mapping

from sweeper.config import Sweep
from sweeper.types import Accuracy, SizeMeasure, Track

ACCURACY_NAMES: Mapping[Accuracy, str] = {"val_accuracy": "validation", "test_accuracy": "test"}
TRACK_NAMES: Mapping[Track, str] = {"pruned": "pruned track", "as_trained": "as-trained track"}
SIZE_NAMES: Mapping[SizeMeasure, str] = {
    "nonzero": "nonzero parameters",
    "effective": "effective parameters",
}

MOST_DENSITIES = 8
"""With more rungs than this a line names the ends of a ladder alone."""

Tick = tuple[int, str]
"""A value on an axis, with its label."""


def capitalised(text: str) -> str:
    """Return text as the beginning of a sentence.

    >>> capitalised("nonzero parameters"), capitalised("FLOPs")
    ('Nonzero parameters', 'FLOPs')
    """
    return f"{text[:1].upper()}{text[1:]}"


def titled(sweep: Sweep, track: Track) -> str:
    """Return the name of a sweep for a title, with the track that its networks are on."""
    return sweep.name if sweep.script else f"{sweep.name}: {TRACK_NAMES[track]}"


def networks_text(sweep: Sweep) -> str:
    """Return what each trial brings where it is more than one network; empty elsewhere."""
    parts = [f"{sweep.seeds} trainings with seeds of their own"] if sweep.seeds > 1 else []
    if sweep.rungs > 1:
        names = [f"{density:g}" for density in sweep.sparsification.densities]
        listed = ", ".join(names) if len(names) <= MOST_DENSITIES else f"{names[0]} to {names[-1]}"
        parts.append(f"{'each ' if parts else ''}cut at {sweep.rungs} densities ({listed})")
    return ", ".join(parts)


def percent(accuracy: float) -> float:
    """Return an accuracy in %, with three digits."""
    return round(100 * accuracy, 3)


def short_count(value: int) -> str:
    """Return 1000 as 1k and 2000000 as 2M.

    >>> [short_count(value) for value in (500, 1000, 20_000, 3_000_000, 2_000_000_000)]
    ['500', '1k', '20k', '3M', '2G']
    """
    for size, letter in ((10**12, "T"), (10**9, "G"), (10**6, "M"), (1000, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return str(value)


def linear_ticks(low: float, high: float, most: int) -> tuple[Tick, ...]:
    """Return at most `most` round whole numbers from `low` to `high`."""
    steps = (factor * 10**power for power in range(9) for factor in (1, 2, 5))
    step = next(step for step in steps if (high - low) / step <= most - 1)
    first = math.ceil(low / step)
    return tuple((n * step, str(n * step)) for n in range(first, math.floor(high / step) + 1))


def logarithmic_ticks(low: float, high: float, most: int) -> tuple[Tick, ...]:
    """Return round counts from `low` to `high` with short labels; at most `most` where decades fit.

    >>> logarithmic_ticks(600, 12_000, 10)
    ((1000, '1k'), (2000, '2k'), (5000, '5k'), (10000, '10k'))
    """
    low, high = math.log10(low), math.log10(high)
    decades = range(math.floor(low), math.ceil(high) + 1)
    for steps in ((1, 2, 5), (1, 3), (1,)):
        values = [step * 10**decade for decade in decades if decade >= 0 for step in steps]
        inside = [value for value in values if low <= math.log10(value) <= high]
        if len(inside) <= most:
            break
    return tuple((value, short_count(value)) for value in inside)
