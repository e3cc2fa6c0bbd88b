"""What `sweeper check` says about a study file before anything runs."""

from typing import Any

import pytest
from fakes import small_sweep

from sweeper.catalogue import SAMPLERS
from sweeper.checking import matmul_rate, plan, seconds_per_trial, warnings
from sweeper.spec import Sweep

DENSITY = {"density": {"log_uniform": [0.01, 0.2]}}
EQUAL_ARMS: dict[str, Any] = {
    "l1": {"penalty": "l1", "strength": {"log_uniform": [1e-4, 1]}},
    "entropy": {"penalty": "joint_entropy", "strength": {"log_uniform": [1e-4, 1]}},
}


def sweep_with(**changes: Any) -> Sweep:
    """Return a sweep without anything to warn about, apart from `changes`."""
    search = {"trials": 24, **changes.pop("search", {})}
    usual = {"arms": EQUAL_ARMS, "sparsification": DENSITY}
    return small_sweep(search=search, **{**usual, **changes})


def test_an_ordinary_sweep_gives_no_warning() -> None:
    assert warnings(sweep_with()) == []


def test_the_plan_multiplies_arms_repeats_trials_and_steps() -> None:
    sweep = sweep_with(search={"repeats": 3}, training={"epochs": 4, "batch_size": 100})
    found = plan(sweep, rate=lambda: 1e9)
    assert [arm.trials for arm in found.arms] == [72, 72]
    assert found.trials == 144
    assert found.steps_per_trial == (4 + 1) * 11
    assert found.steps == 144 * 55
    assert found.arms[0].searched == ("strength", "density")


def test_the_estimate_grows_with_the_trials_and_falls_with_the_rate() -> None:
    sweep = sweep_with(dataset="mnist", model="lenet-300-100")
    more = sweep_with(dataset="mnist", model="lenet-300-100", search={"trials": 48})
    slow, fast = (seconds_per_trial(sweep, rate) for rate in (1e10, 1e11))
    assert slow is not None
    assert fast is not None
    assert slow > 5 * fast
    once, twice = (plan(each, rate=lambda: 1e10).seconds for each in (sweep, more))
    assert once is not None
    assert twice == pytest.approx(2 * once)


def test_a_network_of_ones_own_has_no_estimate() -> None:
    found = plan(sweep_with(model="my.nets:tiny"), rate=lambda: 1e9)
    assert found.seconds is None
    assert found.parameters is None


def test_the_probe_measures_a_rate_that_a_machine_can_have() -> None:
    assert 1e8 < matmul_rate(budget=0.02) < 1e14


@pytest.mark.parametrize("sampler", sorted(SAMPLERS))
def test_trials_that_do_not_exceed_the_start_up_are_warned_about(sampler: str) -> None:
    start = SAMPLERS[sampler]
    choices = {"l1": {"penalty": "l1", "strength": {"integer": [1, 99]}}}
    fixed: dict[str, Any] = {
        "arms": choices,
        "training": {"epochs": 1},
        "sparsification": {"density": 0.1},
    }

    def warned(trials: int) -> bool:
        sweep = small_sweep(search={"sampler": sampler, "trials": trials}, **fixed)
        return any(text.startswith("search.trials:") for text in warnings(sweep))

    assert warned(max(start, 1)) == (start > 0)
    assert not warned(start + 1)


def test_more_in_flight_than_trials_is_warned_about() -> None:
    [text] = warnings(sweep_with(search={"sampler": "qmc", "in_flight": 25}))
    assert text.startswith("search.in_flight: 25 is more than the 24 trials")


def test_selecting_on_test_images_is_warned_about() -> None:
    [text] = warnings(sweep_with(select_on="test"))
    assert text.startswith("select_on: test")


def test_a_fixed_density_on_the_pruned_track_is_warned_about() -> None:
    [text] = warnings(sweep_with(sparsification={"density": 0.1}))
    assert text.startswith("sparsification.density: fixed at 0.1 on the pruned track")


def test_a_density_that_is_not_the_objective_is_warned_about() -> None:
    [text] = warnings(sweep_with(sparsification={**DENSITY, "track": "as_trained"}))
    assert text.startswith("sparsification.density: searched, but it has no influence")


@pytest.mark.parametrize(
    ("arm", "warned"),
    [
        ({"penalty": "l1", "strength": 1}, False),
        ({"penalty": "l1", "strength": 1, "apply": "shrink"}, False),
        ({"penalty": "l1", "strength": 1, "apply": "loss"}, True),
        ({"penalty": "l1", "strength": 1, "apply": "decoupled"}, True),
        ({"penalty": "l2", "strength": 1, "apply": "prox"}, True),
        ({}, True),
    ],
)
def test_counting_exact_zeros_where_none_arise_is_warned_about(
    arm: dict[str, Any], warned: bool
) -> None:
    sweep = sweep_with(sparsification={"track": "as_trained"}, arms={"a": arm})
    lines = [text for text in warnings(sweep) if text.startswith("sparsification.track:")]
    assert bool(lines) == warned


def test_arms_that_tune_unequally_are_warned_about() -> None:
    arms = {**EQUAL_ARMS, "mixed": {"penalty": "l1_marginal_entropy", "strength": 1, "mix": 1}}
    [text] = warnings(sweep_with(arms=arms))
    assert text == "arms: unequal numbers of searched parameters: l1 3, entropy 3, mixed 2"


def test_an_arm_that_searches_nothing_is_warned_about() -> None:
    sweep = sweep_with(
        training={"epochs": 1}, arms={"dense": {}}, sparsification={"track": "pruned"}
    )
    assert any(text.startswith("arms: dense search nothing") for text in warnings(sweep))
