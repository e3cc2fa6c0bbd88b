"""Labels of axes: enough ticks to see what kind of axis it is, and none too many."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweeper.plots.labels import (
    FEWEST_TICKS,
    height_ticks,
    layer_names,
    logarithmic_ticks,
    minor_ticks,
)
from sweeper.types import LayerCount

ACCURACY = st.floats(0, 99.8).map(lambda value: round(value, 3))
SIZES = st.integers(min_value=1, max_value=10**9)


@given(size=SIZES, factor=st.floats(min_value=1.15, max_value=1e7), most=st.integers(3, 14))
def test_an_axis_of_sizes_has_three_labels_at_least_and_no_more_than_fit(
    size: int, factor: float, most: int
) -> None:
    low, high = size / 1.15, size * factor
    ticks = logarithmic_ticks(low, high, most)
    values = [value for value, _ in ticks]
    assert FEWEST_TICKS <= len(ticks) <= max(most, 6)
    assert all(low <= value <= high for value in values)
    assert values == sorted(set(values))
    assert len({label for _, label in ticks}) == len(ticks)


@given(low=ACCURACY, span=st.floats(0.01, 100), most=st.integers(3, 12))
def test_an_axis_of_accuracies_has_three_labels_at_least(
    low: float, span: float, most: int
) -> None:
    ticks = height_ticks(low, low + span, most)
    assert len(ticks) >= FEWEST_TICKS
    assert all(low <= value <= low + span for value, _ in ticks)
    gaps = {round(b - a, 6) for (a, _), (b, _) in itertools.pairwise(ticks)}
    assert len(gaps) == 1


def test_each_decade_has_two_labels_or_more_and_small_ticks_in_between() -> None:
    values = [value for value, _ in logarithmic_ticks(100, 1_000_000, 14)]
    for decade in (100, 1000, 10_000, 100_000):
        assert sum(decade <= value < 10 * decade for value in values) >= 2
    assert minor_ticks(95, 420) == (100, 200, 300, 400)


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (("1", "3"), ("1: 784 → 300", "2: 300 → 10")),
        (("layers.0", "layers.2"), ("1: 784 → 300", "2: 300 → 10")),
        (("hidden", "out"), ("hidden: 784 → 300", "out: 300 → 10")),
        (("features.0", "out"), ("features.0: 784 → 300", "out: 300 → 10")),
    ],
)
def test_layers_have_their_modules_name_or_a_number(
    names: tuple[str, str], shown: tuple[str, str]
) -> None:
    shapes = ((300, 784), (10, 300))
    layers = [
        LayerCount(name, shape, 1, shape[0] * shape[1], 1, shape[0])
        for name, shape in zip(names, shapes, strict=True)
    ]
    assert layer_names(layers) == shown
