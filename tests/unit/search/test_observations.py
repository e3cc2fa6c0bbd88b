"""What samplers are told of slots with several networks."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from optuna.study import StudyDirection

from support.fakes import ladder_sweep, small_sweep
from sweeper.analysis.front import hypervolume
from sweeper.search.observations import FinishedSlot, ObservationRule, observation_rule


def test_networks_of_a_ladder_are_told_one_by_one_with_the_mean_of_their_seeds() -> None:
    observing = observation_rule(ladder_sweep())
    slots = [
        FinishedSlot(1, {"strength": 2.0}, (None,) * 6),
        FinishedSlot(
            0,
            {"strength": 1.0},
            # Two seeds, three rungs each; one network diverged.
            ((300, 0.9), (200, 0.8), None, (400, 0.8), (100, 0.6), (50, 0.5)),
        ),
    ]
    told = [(trial.slot, trial.values) for trial in observing.of(slots)]
    assert told[:3] == [(0, (350, (0.9 + 0.8) / 2)), (0, (150, (0.8 + 0.6) / 2)), (0, (50, 0.25))]
    assert told[3:] == [(1, None)] * 3  # TPE learns from what was PRUNED


def test_samplers_that_see_no_pruned_trials_are_told_the_worst() -> None:
    observing = observation_rule(ladder_sweep(search={"sampler": "gp", "seeds": 1}))
    slots = [
        FinishedSlot(0, {}, ((300, 0.9), (200, 0.8), (100, 0.4))),
        FinishedSlot(1, {}, (None, None, None)),
    ]
    assert [trial.values for trial in observing.of(slots)][3:] == [(300, 0.4)] * 3


def test_without_a_ladder_a_slot_is_told_as_it_always_was() -> None:
    observing = observation_rule(small_sweep())
    assert observing == ObservationRule(rungs=1, native=True)
    (told,) = observing.of([FinishedSlot(3, {"strength": 0.5}, ((500.0, 0.75),))])
    assert told == (3, {"strength": 0.5}, (500.0, 0.75))


def test_a_hypervolume_may_be_told_in_place_of_networks() -> None:
    observing = replace(
        observation_rule(ladder_sweep(search={"seeds": 1})), reference=(10_000, 0.5)
    )
    assert observing.directions == (StudyDirection.MAXIMIZE,)
    values = ((1000.0, 0.9), (100.0, 0.7), None)
    (told, nothing) = observing.of([FinishedSlot(0, {}, values), FinishedSlot(1, {}, (None,) * 3)])
    # Oracle: two rectangles, of two decades to 0.3 error and of one from there to 0.1.
    assert told.values is not None
    assert abs(told.values[0] - (2 * 0.2 + 1 * 0.2)) < 1e-12
    assert nothing.values == (0.0,)


@given(
    st.lists(st.tuples(st.integers(1, 9_999), st.floats(0, 1)), max_size=8),
    st.integers(1, 9_999),
    st.floats(0, 1),
)
def test_a_hypervolume_never_falls_with_a_network_more(
    points: list[tuple[int, float]], size: int, quality: float
) -> None:
    corner = (10_000, 0.5)
    more = hypervolume([*points, (size, quality)], corner)
    assert more >= hypervolume(points, corner) - 1e-12
    assert hypervolume(points + points, corner) == hypervolume(points, corner)
