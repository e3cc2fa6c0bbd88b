"""Sizes at an accuracy, and intervals over repeats."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sweeper.analysis import FEWEST, Curve, mean, paired_ratio

points = st.lists(
    st.tuples(st.integers(1, 3000), st.integers(0, 100).map(lambda step: step / 100)),
    min_size=1,
    max_size=12,
    unique_by=lambda point: point[0],
)


def test_between_two_networks_the_logarithm_of_the_size_is_interpolated() -> None:
    curve = Curve.of([(100, 0.90), (10_000, 0.98)])
    found = curve.nonzero_at(0.94)
    assert found.state == "reached"
    assert found.exact == pytest.approx(1000)
    back = curve.accuracy_at(1000)
    assert back.exact == pytest.approx(0.94)


def test_beyond_the_ends_nothing_is_extrapolated() -> None:
    curve = Curve.of([(100, 0.90), (10_000, 0.98)])
    assert curve.nonzero_at(0.981) == Curve.of([]).nonzero_at(0.5)
    assert curve.nonzero_at(0.981).state == "not reached"
    below = curve.nonzero_at(0.85)
    assert (below.state, below.value, below.exact) == ("below", 100, None)
    assert curve.accuracy_at(99).state == "not reached"
    beyond = curve.accuracy_at(20_000)
    assert (beyond.state, beyond.value, beyond.exact) == ("below", 0.98, None)
    assert curve.nonzero_at(0.90).exact == 100
    assert curve.nonzero_at(0.98).exact == 10_000


def test_a_lucky_small_network_is_averaged_with_the_larger_ones_that_are_no_better() -> None:
    # The first crossing of the raw means would be 100.
    curve = Curve.of([(50, 0.90), (100, 0.97), (1000, 0.95), (10_000, 0.98)])
    assert curve.accuracies == pytest.approx((0.90, 0.96, 0.96, 0.98))
    assert curve.nonzero_at(0.97).exact == pytest.approx(10**3.5)


@given(points)
def test_the_fit_never_falls_and_is_the_closest_that_does_not(
    cloud: list[tuple[int, float]],
) -> None:
    curve = Curve.of(cloud)
    fit, raw = list(curve.accuracies), [accuracy for _, accuracy in sorted(cloud)]
    assert all(later >= earlier for earlier, later in itertools.pairwise(fit))
    # Oracle: the max-min formula of isotonic regression.
    places = range(len(raw))
    for place in places:
        expected = max(
            min(float(np.mean(raw[first : last + 1])) for last in places if last >= place)
            for first in places
            if first <= place
        )
        assert fit[place] == pytest.approx(expected)


@given(points, st.integers(1, 99).map(lambda step: step / 100))
def test_reading_a_size_and_reading_it_back_agree(
    cloud: list[tuple[int, float]], accuracy: float
) -> None:
    curve = Curve.of(cloud)
    size = curve.nonzero_at(accuracy).exact
    assume(size is not None)
    assert size is not None
    assert curve.accuracy_at(size * (1 + 1e-12)).value == pytest.approx(accuracy, abs=1e-6)
    assert min(curve.sizes) <= size <= max(curve.sizes) * (1 + 1e-12)


def test_networks_of_one_size_count_as_their_mean() -> None:
    curve = Curve.of([(100, 0.8), (100, 0.9), (1000, 0.95)])
    assert curve.accuracies == pytest.approx((0.85, 0.95))


def test_the_interval_is_student_s() -> None:
    # Oracle: t(0.975, 4) = 2.776445, from tables.
    found = mean([1.0, 2.0, 3.0, 4.0, 5.0])
    assert found is not None
    assert found.center == 3
    half = 2.776445 * math.sqrt(2.5) / math.sqrt(5)
    assert found.low == pytest.approx(3 - half)
    assert found.high == pytest.approx(3 + half)
    assert found.n == 5


def test_under_five_repeats_there_are_values_and_no_interval() -> None:
    found = mean([1.0] * (FEWEST - 1))
    assert found is not None
    assert (found.low, found.high, found.n) == (None, None, FEWEST - 1)
    assert mean([]) is None
    assert paired_ratio([], []) is None


def test_a_ratio_is_paired_on_the_logarithm() -> None:
    ours = [100.0, 220.0, 390.0, 1000.0, 50.0]
    theirs = [200.0, 400.0, 800.0, 1900.0, 110.0]
    found = paired_ratio(ours, theirs)
    assert found is not None
    logs = [math.log(a / b) for a, b in zip(ours, theirs, strict=True)]
    assert found.center == pytest.approx(math.exp(sum(logs) / 5))
    # Sizes differ twentyfold between repeats, their ratios hardly: pairs say so.
    assert found.low is not None
    assert found.high is not None
    assert 0.45 < found.low < 0.5 < found.high < 0.56
    assert found.values == pytest.approx([a / b for a, b in zip(ours, theirs, strict=True)])
    with pytest.raises(ValueError, match="pairs are needed, got 1 and 2 values"):
        paired_ratio([1.0], [1.0, 2.0])


@given(st.lists(st.floats(0.1, 10), min_size=5, max_size=8), st.floats(0.1, 10))
def test_the_other_way_round_is_one_over_it(ours: list[float], theirs: float) -> None:
    one = paired_ratio(ours, [theirs] * len(ours))
    other = paired_ratio([theirs] * len(ours), ours)
    assert one is not None
    assert other is not None
    assert one.low is not None
    assert other.high is not None
    assert one.center * other.center == pytest.approx(1)
    assert one.low * other.high == pytest.approx(1)
