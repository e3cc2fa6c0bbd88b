"""Labels of figures: accuracies in %, short counts, and ticks of an axis of sizes."""

import math
from collections.abc import Iterable, Mapping, Sequence

from sweeper.config import Sweep
from sweeper.types import Accuracy, LayerCount, SizeMeasure, Track

ACCURACY_NAMES: Mapping[Accuracy, str] = {"val_accuracy": "validation", "test_accuracy": "test"}
TRACK_NAMES: Mapping[Track, str] = {"pruned": "pruned track", "as_trained": "as-trained track"}
SIZE_NAMES: Mapping[SizeMeasure, str] = {
    "nonzero": "nonzero parameters",
    "effective": "effective parameters",
}

MOST_DENSITIES = 8
"""With more rungs than this a line names the ends of a ladder alone."""

FEWEST_TICKS = 3
"""Labels that an axis has at least: with fewer nobody sees whether it is logarithmic."""
MOST_LINEAR = 10
"""Labels of a linear axis."""
MATRIX = 2

Tick = tuple[float, str]
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


def short_count(value: float) -> str:
    """Return 1000 as 1k and 2000000 as 2M.

    >>> [short_count(value) for value in (500, 1000, 20_000, 3_000_000, 2_000_000_000)]
    ['500', '1k', '20k', '3M', '2G']
    """
    for size, letter in ((10**12, "T"), (10**9, "G"), (10**6, "M"), (1000, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def linear_ticks(low: float, high: float, most: int) -> tuple[Tick, ...]:
    """Return at most `most` round numbers from `low` to `high`, whole ones where three fit.

    >>> [[label for _, label in linear_ticks(0, end, 10)] for end in (24, 1)]
    [['0', '5', '10', '15', '20'], ['0', '0.5', '1']]
    """
    whole = [factor * 10**power for power in range(13) for factor in (1, 2, 5)]
    step = next(step for step in whole if (high - low) / step <= most - 1)
    parts = (factor / 10**power for power in range(1, 9) for factor in (5, 2, 1))
    while len(ticks := _multiples(low, high, step)) < FEWEST_TICKS and high > low:
        step = next(parts) if step <= 1 else whole[whole.index(step) - 1]
    return tuple((value, f"{value:.9g}") for value in ticks)


def height_ticks(low: float, high: float, most: int) -> tuple[Tick, ...]:
    """Return round heights from `low` to `high`, the most that are no more than `most`.

    >>> [label for _, label in height_ticks(94.2, 98.3, 6)]
    ['95', '96', '97', '98']
    """
    power = 10.0 ** math.floor(math.log10((high - low) / most))
    steps = [power * factor for factor in (1, 2, 5, 10, 20)]
    grids = [_multiples(low, high, step) for step in steps]
    fitting = [grid for grid in grids if FEWEST_TICKS <= len(grid) <= most]
    chosen = fitting[0] if fitting else next(grid for grid in reversed(grids) if len(grid) > most)
    return tuple((height, f"{height:.9g}") for height in chosen)


def _multiples(low: float, high: float, step: float) -> list[float]:
    places = range(math.ceil(low / step), math.floor(high / step) + 1)
    return [round(place * step, 9) for place in places]


def logarithmic_ticks(low: float, high: float, most: int) -> tuple[Tick, ...]:
    """Return round counts from `low` to `high` with short labels, at most `most` of them.

    Two or three in each decade, or one where more do not fit; never fewer than three.

    >>> logarithmic_ticks(600, 12_000, 10)
    ((1000, '1k'), (2000, '2k'), (5000, '5k'), (10000, '10k'))
    >>> logarithmic_ticks(2100, 4800, 10)
    ((2500, '2.5k'), (3000, '3k'), (3500, '3.5k'), (4000, '4k'), (4500, '4.5k'))
    """
    inside: list[int] = []
    for steps in ((1, 2, 5), (1, 3), (1,)):
        inside = _counts(low, high, steps)
        if len(inside) <= most:
            break
    if len(inside) < FEWEST_TICKS:
        return tuple(
            (value, short_count(value)) for value, _ in linear_ticks(low, high, min(most, 6))
        )
    inside = inside[:: min(math.ceil(len(inside) / most), (len(inside) - 1) // 2)]
    return tuple((value, short_count(value)) for value in inside)


def minor_ticks(low: float, high: float) -> tuple[int, ...]:
    """Return the whole tenths of each decade, where small ticks stand."""
    return tuple(_counts(low, high, range(1, 10)))


def _counts(low: float, high: float, steps: Iterable[int]) -> list[int]:
    """Return these multiples of powers of ten from `low` to `high`."""
    decades = range(max(0, math.floor(math.log10(low))), math.ceil(math.log10(high)) + 1)
    values = (step * 10**decade for decade in decades for step in steps)
    return [value for value in values if low <= value <= high]


def layer_names(layers: Sequence[LayerCount]) -> tuple[str, ...]:
    """Return layers as people know them: by number where the module has none, with their shape.

    >>> layer_names([LayerCount("1", (300, 784), 9, 235200, 5, 300)])
    ('1: 784 → 300',)
    >>> layer_names([LayerCount("features.0", (6, 1, 5, 5), 9, 150, 5, 6)])
    ('features.0: 1 → 6, 5 x 5',)
    """
    bare = all(layer.name.rpartition(".")[2].isdigit() for layer in layers)
    prefixes = {layer.name.rpartition(".")[0] for layer in layers}
    numbered = bare and len(prefixes) == 1 and prefixes <= {"", "layers"}
    return tuple(
        f"{place if numbered else layer.name}{_shape_text(layer.shape)}"
        for place, layer in enumerate(layers, start=1)
    )


def _shape_text(shape: tuple[int, ...]) -> str:
    if len(shape) < MATRIX:
        return ""
    outputs, inputs, *kernel = shape
    window = f", {' x '.join(map(str, kernel))}" if kernel else ""
    return f": {inputs} → {outputs}{window}"
