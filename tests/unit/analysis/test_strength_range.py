"""Ranges of strengths: what a probe tells, and whether a front ends on an edge."""

import itertools
import math
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.factories import make_fact
from sweeper.analysis import Front, strength_range
from sweeper.analysis.strength_range import GRID, edge_warnings, range_from_probe
from sweeper.config import Sweep
from sweeper.errors import InputError
from sweeper.types import ProbePoint, Scalar, TrialState

STATES: dict[str, TrialState] = {"c": "complete", "x": "collapsed", "n": "diverged"}


def points(states: str, moved: Sequence[float]) -> tuple[ProbePoint, ...]:
    """Return a probe with strengths 0, 1, 2, 3, ...; states as letters, the first of strength 0."""
    return tuple(
        ProbePoint(float(k), STATES[state], 0.9, 100, distance)
        for k, (state, distance) in enumerate(zip(states, [0.0, *moved], strict=True))
    )


def test_a_range_goes_from_the_last_that_does_nothing_to_the_last_that_holds() -> None:
    found = range_from_probe(
        points("ccccccccxx", [0.01, 0.1, 0.12, 0.1, 0.15, 0.5, 0.9, 1.2, 1.3]), 2.5
    )
    assert (found.low, found.high, found.seconds) == (5.0, 7.0, 2.5)
    assert not found.open_below
    assert not found.open_above
    assert len(found.points) == 10


def test_what_chaos_alone_moves_counts_as_nothing() -> None:
    # The four weakest strengths move the network by up to 0.35: 1.2 times that is nothing.
    found = range_from_probe(
        points("cccccccccx", [0.1, 0.35, 0.3, 0.2, 0.4, 0.6, 0.9, 1.2, 1.3]), 0.0
    )
    assert (found.low, found.high) == (5.0, 8.0)


def test_a_range_that_is_not_closed_says_so() -> None:
    found = range_from_probe(points("cccccc", [0.1, 0.1, 0.1, 0.1, 1.1]), 0.0)
    assert (found.low, found.high) == (3.0, 5.0)
    assert found.open_above
    assert not found.open_below


def test_a_strength_that_always_does_something_is_open_below() -> None:
    found = range_from_probe(points("ccccccx", [0.8, 0.9, 1.0, 1.1, 1.2, 1.3]), 0.0)
    assert (found.low, found.high) == (1.0, 5.0)
    assert found.open_below


def test_a_strength_that_never_does_anything_still_has_a_range() -> None:
    found = range_from_probe(points("cccccc", [0.01] * 5), 0.0)
    assert (found.low, found.high) == (3.0, 5.0)


def test_a_probe_that_holds_at_one_strength_only_has_a_range_below_it() -> None:
    found = range_from_probe(points("ccx", [0.1, 1.0]), 0.0)
    assert found.low == pytest.approx(10**-0.5)
    assert found.high == 1.0


def test_a_collapse_in_between_ends_the_range() -> None:
    # A strength between two that hold is no accident: what lies beyond is not searched.
    assert range_from_probe(points("cccncc", [0.1, 0.5, math.inf, 0.7, 0.9]), 0.0).high == 2.0


@pytest.mark.parametrize(
    ("states", "text"),
    [
        ("xccc", "nothing is learnt without any penalty (90.0 % accuracy after the probe); look "
            "at training.learning_rate"),
        ("cnnn", "diverged at 1 already, the weakest strength of the probe"),
    ],
)  # fmt: skip
def test_a_probe_without_a_range_is_an_error_that_says_what_to_do(states: str, text: str) -> None:
    with pytest.raises(InputError) as caught:
        range_from_probe(points(states, [0.1, 0.2, 0.3]), 0.0)
    assert str(caught.value) == text


@given(
    st.lists(st.sampled_from("ccccxn"), min_size=len(GRID), max_size=len(GRID)),
    st.lists(st.floats(0, 2), min_size=len(GRID), max_size=len(GRID)),
)
def test_a_range_is_never_empty_and_never_holds_what_failed(
    states: list[str], moved: list[float]
) -> None:
    probe = points("c" + "".join(states), moved)
    if states[0] != "c":
        with pytest.raises(InputError):
            range_from_probe(probe, 0.0)
        return
    found = range_from_probe(probe, 0.0)
    assert 0 < found.low < found.high
    inside = [point for point in probe[1:] if found.low <= point.strength <= found.high]
    assert all(point.state == "complete" for point in inside)
    assert inside


def test_the_grid_reaches_from_no_effect_to_certain_collapse() -> None:
    assert pytest.approx(10**0.5) == GRID[-1]
    assert min(GRID) < 1e-6
    ratios = [b / a for a, b in itertools.pairwise(GRID)]
    assert ratios == pytest.approx([10**0.5] * (len(GRID) - 1))


def sweep(strength: object) -> Sweep:
    return Sweep.model_validate(
        {
            "name": "x",
            "dataset": "digits",
            "model": "mlp(8)",
            "training": {"epochs": 1},
            "search": {"trials": 4},
            "arms": {"a": {"penalty": "l1", "strength": strength}, "b": {}},
        }
    )


def front(*params: Mapping[str, Scalar]) -> Front:
    """Return a front whose networks, by size, have these searched parameters."""
    facts = [
        make_fact(slot=slot, nonzero=1000 * (slot + 1), val=0.9 + slot / 100, params=each)
        for slot, each in enumerate(params)
    ]
    return Front.of(facts)


@pytest.mark.parametrize(
    ("strengths", "places"),
    [
        ([1e-2, 1e-3], []),
        ([1e-4, 1e-2], ["lower"]),
        ([1e-2, 0.95], ["upper"]),
        ([1e-4, 1.0], ["lower", "upper"]),
        # Only the ends of a front count.
        ([1e-2, 1.0, 1e-3], []),
        ([1.0], ["upper"]),
        ([], []),
    ],
)
def test_a_front_that_ends_on_an_edge_is_warned_about(
    strengths: list[float], places: list[str]
) -> None:
    fronts = {"a": front(*({"strength": value} for value in strengths)), "b": front()}
    found = edge_warnings(sweep({"log_uniform": [1e-4, 1.0]}), fronts)
    assert list(found) == [
        f"a: an end of its front lies on the {place} edge of strength (0.0001 to 1): better "
        "networks may lie beyond it"
        for place in places
    ]


def test_edges_of_a_linear_range_are_linear() -> None:
    chosen = sweep({"uniform": [0.0, 1.0]})
    assert edge_warnings(chosen, {"a": front({"strength": 0.04})})
    assert not edge_warnings(chosen, {"a": front({"strength": 0.06})})
    assert not edge_warnings(sweep("auto"), {"a": front({"strength": 0.04})})
    assert not edge_warnings(sweep(0.04), {"a": front({})})


def test_ranges_are_those_of_the_brackets_on_record() -> None:
    assert strength_range.ranges([]) == {}
