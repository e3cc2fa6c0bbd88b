"""Attainment surfaces and hypervolumes, against definitions and an independent library."""

import math

import moocore
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.factories import make_fact
from sweeper.analysis import LEVELS, Front, attainment

Cloud = list[tuple[int, float]]

clouds = st.lists(
    st.tuples(st.integers(1, 12), st.integers(0, 12).map(lambda step: step / 12)), max_size=20
)


def front_of(cloud: Cloud, repeat: int = 0) -> Front:
    return Front.of(
        make_fact(repeat=repeat, slot=slot, nonzero=size, val=score)
        for slot, (size, score) in enumerate(cloud)
    )


@given(st.lists(clouds, min_size=1, max_size=6), st.sampled_from([*LEVELS, 0.2, 1.0]))
def test_a_surface_is_what_a_share_of_the_repeats_attains(runs: list[Cloud], level: float) -> None:
    # Oracle: at every size, count the repeats that reach each accuracy.
    surface = attainment([front_of(cloud) for cloud in runs], level)
    for size in range(14):
        best = [max((a for s, a in cloud if s <= size), default=-1.0) for cloud in runs]
        attained = [a for a in best if sum(other >= a for other in best) >= level * len(runs)]
        found = surface.at(size)
        assert (-1.0 if found is None else found) == max(attained, default=-1.0)
    sizes = [size for size, _ in surface.corners]
    heights = [height for _, height in surface.corners]
    assert sizes == sorted(set(sizes))
    assert heights == sorted(set(heights))


@given(st.lists(clouds.filter(bool), min_size=1, max_size=8))
def test_surfaces_are_those_of_an_independent_library(runs: list[Cloud]) -> None:
    # Oracle: moocore, which minimizes both.
    points = [(float(size), -score) for cloud in runs for size, score in cloud]
    sets = [index for index, cloud in enumerate(runs) for _ in cloud]
    percentiles = [25.0, 50.0, 75.0]
    theirs = moocore.eaf(np.array(points), np.array(sets), percentiles=percentiles)
    fronts = [front_of(cloud) for cloud in runs]
    for percentile in percentiles:
        rows = theirs[theirs[:, 2] == percentile][:, :2].tolist()
        ours = [
            [float(size), -score] for size, score in attainment(fronts, percentile / 100).corners
        ]
        assert sorted(ours) == sorted(rows)


@given(clouds.filter(bool), st.integers(2, 14), st.integers(1, 12).map(lambda step: step / 12))
def test_hypervolume_is_that_of_an_independent_library(
    cloud: Cloud, size: int, error: float
) -> None:
    # Oracle: moocore, on (log10 nonzero, error).
    points = np.array([(math.log10(s), 1 - a) for s, a in cloud])
    theirs = moocore.hypervolume(points, ref=[math.log10(size), error])
    assert front_of(cloud).hypervolume((size, error)) == pytest.approx(theirs, abs=1e-12)


def test_one_repeat_is_its_own_surface_at_every_level() -> None:
    front = front_of([(10, 0.5), (100, 0.9), (1000, 0.95)])
    corners = tuple((point.nonzero, point.val_accuracy) for point in front.points)
    assert {attainment([front], level).corners for level in LEVELS} == {corners}


def test_surfaces_lie_below_each_other() -> None:
    rng = np.random.default_rng(1)
    fronts = [
        front_of([(int(rng.integers(1, 500)), float(rng.random())) for _ in range(30)], repeat)
        for repeat in range(7)
    ]
    best, middle, worst = (attainment(fronts, level) for level in LEVELS)
    for size in range(1, 500, 7):
        heights = [surface.at(size) or 0.0 for surface in (best, middle, worst)]
        assert heights == sorted(heights, reverse=True)


def test_a_level_that_needs_more_repeats_than_have_networks_is_empty() -> None:
    fronts = [front_of([(10, 0.5)]), front_of([]), front_of([])]
    assert attainment(fronts, 1 / 3).corners == ((10, 0.5),)
    assert attainment(fronts, 0.5).corners == ()
    assert attainment([], 0.5).corners == ()
    with pytest.raises(ValueError, match=r"level must lie in \(0, 1\], got 0"):
        attainment(fronts, 0)
