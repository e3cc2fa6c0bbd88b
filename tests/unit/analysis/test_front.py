"""Pareto fronts, against the quadratic definition of dominance."""

import itertools
import math
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.factories import TOTAL, make_fact, make_sweep
from sweeper.analysis import Front, fronts, fronts_to_pandas, non_dominated, reference_corner
from sweeper.errors import InputError

Cloud = list[tuple[int, float]]

# Few distinct values, so that ties in one or both coordinates are common.
clouds = st.lists(
    st.tuples(st.integers(1, 12), st.integers(0, 12).map(lambda step: step / 12)), max_size=60
)


def dominates(one: tuple[int, float], other: tuple[int, float]) -> bool:
    return one[0] <= other[0] and one[1] >= other[1] and one != other


@given(clouds)
def test_the_fast_algorithm_keeps_what_the_quadratic_definition_keeps(cloud: Cloud) -> None:
    # Oracle: the quadratic definition of dominance, and the first of equal points.
    expected = [
        index
        for index, point in enumerate(cloud)
        if not any(dominates(other, point) for other in cloud) and point not in cloud[:index]
    ]
    kept = non_dominated([size for size, _ in cloud], [score for _, score in cloud])
    assert sorted(kept.tolist()) == expected
    assert [cloud[index][0] for index in kept] == sorted(cloud[index][0] for index in expected)


def test_large_clouds_agree_with_the_quadratic_definition() -> None:
    rng = np.random.default_rng(0)
    sizes, scores = rng.integers(1, 300, 1500), rng.integers(0, 300, 1500) / 300
    # Oracle: all pairs at once.
    smaller = sizes[:, None] <= sizes
    better = scores[:, None] >= scores
    equal = (sizes[:, None] == sizes) & (scores[:, None] == scores)
    alive = ~(smaller & better & ~equal).any(axis=0)
    kept = non_dominated(sizes, scores)
    assert {(sizes[i], scores[i]) for i in kept} == {
        (sizes[i], scores[i]) for i in np.flatnonzero(alive)
    }


def test_a_network_cut_too_far_is_no_candidate_and_what_was_trained_is_one() -> None:
    """The state of a trial tells of the objective's track: the other network may be good."""
    sweep = make_sweep(sparsification={"floor": 0.9})
    make = partial(make_fact, sweep=sweep)
    facts = [
        make(slot=0, nonzero=300, val=0.5, as_trained=(30_000, 0.97, 0.97), state="collapsed"),
        make(slot=1, nonzero=200, val=0.4, as_trained=(10_000, 0.89, 0.89), state="collapsed"),
        make(slot=2, state="diverged"),
        make(slot=3, nonzero=4000, val=0.96, as_trained=(50_000, 0.98, 0.98)),
    ]
    assert [point.slot for point in Front.of(facts).points] == [3]
    trained = Front.of(facts, "as_trained")
    assert [point.slot for point in trained.points] == [0, 3]
    assert trained.candidates == 2  # the second lies under the floor


def front_of(cloud: Cloud) -> Front:
    facts = [
        make_fact(slot=slot, nonzero=size, val=score) for slot, (size, score) in enumerate(cloud)
    ]
    return Front.of(facts)


@given(clouds, st.integers(2, 14), st.integers(1, 12).map(lambda step: step / 12))
def test_hypervolume_equals_the_sum_of_the_dominated_cells(
    cloud: Cloud, size: int, error: float
) -> None:
    # Oracle: cut the plane at every coordinate and add up the cells that some point dominates.
    inside = [(math.log10(s), 1 - a) for s, a in cloud if s < size and 1 - a < error]
    across = sorted({x for x, _ in inside} | {math.log10(size)})
    upwards = sorted({y for _, y in inside} | {error})
    expected = sum(
        (right - left) * (above - below)
        for left, right in itertools.pairwise(across)
        for below, above in itertools.pairwise(upwards)
        if any(x <= left and y <= below for x, y in inside)
    )
    assert front_of(cloud).hypervolume((size, error)) == pytest.approx(expected, abs=1e-12)


def test_hypervolume_of_one_point_is_its_box_and_outside_the_reference_nothing() -> None:
    assert front_of([(1000, 0.98)]).hypervolume((100_000, 0.1)) == pytest.approx(2 * 0.08)
    assert front_of([(1000, 0.85)]).hypervolume((100_000, 0.1)) == 0
    assert front_of([(200_000, 0.99)]).hypervolume((100_000, 0.1)) == 0
    assert front_of([]).hypervolume((100_000, 0.1)) == 0
    assert front_of([(0, 0.98)]).hypervolume((0, 0.1)) == 0  # as where all sizes are 0


def test_the_first_by_repeat_and_slot_is_kept_of_equal_networks_whatever_the_order() -> None:
    facts = [make_fact(repeat=repeat, slot=slot) for repeat, slot in [(1, 0), (0, 2), (0, 1)]]
    for order in itertools.permutations(facts):
        assert [(p.repeat, p.slot) for p in Front.of(order).points] == [(0, 1)]


def test_at_an_accuracy_the_smallest_network_that_reaches_it_is_returned() -> None:
    front = front_of([(1000, 0.90), (2000, 0.95), (4000, 0.98)])
    assert front.at(accuracy=0.95) == front.points[1]
    assert front.at(accuracy=0.951) == front.points[2]
    assert front.at(accuracy=0.99) is None


def test_at_a_size_the_most_accurate_network_within_it_is_returned() -> None:
    front = front_of([(1000, 0.90), (2000, 0.95), (4000, 0.98)])
    assert front.at(nonzero=2000) == front.points[1]
    assert front.at(nonzero=3999) == front.points[1]
    assert front.at(nonzero=999) is None


@pytest.mark.parametrize("question", [{}, {"accuracy": 0.9, "nonzero": 5}])
def test_at_refuses_no_question_and_two_questions(question: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="either"):
        front_of([(1000, 0.90)]).at(**question)


def test_an_accuracy_may_stand_without_its_name() -> None:
    front = front_of([(1000, 0.90), (2000, 0.95)])
    assert front.at(0.95) == front.at(accuracy=0.95) == front[1]
    assert front.at(0) == front[0]
    assert front.at(1) is None


@pytest.mark.parametrize(
    ("question", "line"),
    [
        ({"accuracy": 97}, "accuracy: must be a share from 0 to 1, got 97; did you mean 0.97?"),
        (
            {"accuracy": 97.5},
            "accuracy: must be a share from 0 to 1, got 97.5; did you mean 0.975?",
        ),
        ({"accuracy": -0.1}, "accuracy: must be a share from 0 to 1, got -0.1"),
        ({"accuracy": math.nan}, "accuracy: must be a share from 0 to 1, got nan"),
        ({"accuracy": True}, "accuracy: must be a share from 0 to 1, got True"),
        ({"nonzero": 0.97}, "nonzero: must be a whole number >= 0, got 0.97"),
        ({"nonzero": -1}, "nonzero: must be a whole number >= 0, got -1"),
    ],
)
def test_a_question_that_no_network_can_answer_is_refused(
    question: dict[str, Any], line: str
) -> None:
    with pytest.raises(InputError) as refusal:
        front_of([(1000, 0.90)]).at(**question)
    assert str(refusal.value) == line


def test_a_front_is_a_sequence_of_its_points() -> None:
    front = front_of([(1000, 0.90), (1500, 0.80), (2000, 0.95)])
    assert len(front) == 2
    assert [point.nonzero for point in front] == [1000, 2000]
    assert front[-1] is front.points[1]
    assert front[:1] == front.points[:1]
    assert not front_of([])


def test_a_front_says_in_one_line_what_is_on_it() -> None:
    front = Front.of([make_fact(nonzero=4000, val=0.97), make_fact(slot=1, nonzero=9000, val=0.98)])
    assert repr(front) == (
        "<Front all arms, pruned: 2 of 2 networks, 4,000 to 9,000 nonzero, "
        "val accuracy 0.97 to 0.98>"
    )
    assert repr(front_of([])) == "<Front all arms, pruned: 0 of 0 networks>"


def test_diverged_and_collapsed_trials_are_no_candidates() -> None:
    facts = [
        make_fact(slot=0, nonzero=5000, val=0.97),
        make_fact(slot=1, nonzero=100, val=0.99, state="collapsed"),
        make_fact(slot=2, state="diverged"),
    ]
    front = Front.of(facts)
    assert [point.slot for point in front.points] == [0]
    assert front.candidates == 1


def test_membership_is_decided_on_validation_and_never_on_test() -> None:
    facts = [
        make_fact(slot=0, nonzero=1000, val=0.97, test=0.90),
        make_fact(slot=1, nonzero=2000, val=0.96, test=0.99),
    ]
    assert [point.slot for point in Front.of(facts).points] == [0]
    assert [p.slot for p in Front.of(facts, by="test_accuracy").points] == [0, 1]


def test_a_track_is_judged_by_its_own_networks() -> None:
    facts = [make_fact(nonzero=4000, val=0.97, as_trained=(60_000, 0.975, 0.974))]
    (point,) = Front.of(facts, track="as_trained").points
    assert (point.nonzero, point.val_accuracy, point.test_accuracy) == (60_000, 0.975, 0.974)


def test_fronts_are_pooled_over_repeats_and_stand_in_file_order() -> None:
    sweep = make_sweep()
    facts = [
        make_fact(arm="l1", repeat=0, nonzero=1000, val=0.9),
        make_fact(arm="l1", repeat=1, nonzero=2000, val=0.95),
        make_fact(arm="none", nonzero=9000, val=0.98),
    ]
    found = fronts(facts, sweep)
    assert list(found) == ["none", "l1"]
    assert [point.repeat for point in found["l1"].points] == [0, 1]
    assert found["none"].candidates == 1


def test_a_sweep_that_selects_on_test_says_so_in_its_fronts() -> None:
    front = fronts([make_fact()], make_sweep(select_on="test"))["l1"]
    assert (front.by, front.show) == ("test_accuracy", "val_accuracy")


def test_the_reference_is_the_dense_network_unless_the_file_says_otherwise() -> None:
    assert reference_corner(make_sweep(), []) == (TOTAL, 0.1)
    given_one = make_sweep(reference={"nonzero": 50_000, "error": 0.2})
    assert reference_corner(given_one, []) == (50_000, 0.2)
    own = make_sweep(model="somebody.models:factory")
    assert reference_corner(own, [make_fact()]) == (TOTAL, 0.1)


def test_to_pandas_has_one_row_per_point_and_one_column_per_parameter() -> None:
    frame = front_of([(1000, 0.90), (2000, 0.95), (3000, 0.94)]).to_pandas()
    assert list(frame["nonzero"]) == [1000, 2000]
    assert list(frame["params_strength"]) == [0.003, 0.003]
    assert list(front_of([]).to_pandas().columns)[:3] == ["arm", "repeat", "slot"]


def test_a_whole_number_that_one_arm_alone_has_is_written_as_one() -> None:
    windows = Front.of([make_fact(params={"window": 5})])
    table = fronts_to_pandas({"windows": windows, "l1": front_of([(1000, 0.90)])}, plain=True)
    assert list(table["params_window"].map(str)) == ["5", "nan"]


def test_the_table_for_notebooks_is_readable_and_escaped() -> None:
    facts = [make_fact(nonzero=4000, val=0.9712, test=0.9698, params={"<b>": 0.00301})]
    text = Front.of(facts, arm="l1")._repr_html_()
    assert "<td>4,000</td><td>266,610</td><td>97.12%</td><td>96.98%</td>" in text
    assert "&lt;b&gt; 0.00301" in text
    assert "1 of 1 networks are on the front, chosen on val accuracy" in text
