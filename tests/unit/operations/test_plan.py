"""The plan of a study file, as `sweeper check` shows it before anything runs."""

from functools import partial
from typing import Any

import pytest

from support.fakes import small_sweep
from sweeper.config import Sweep
from sweeper.config.registry import SAMPLERS
from sweeper.operations import study_warnings as warnings_of_studies
from sweeper.operations import time_estimate
from sweeper.operations.measured_network import MeasuredNetwork
from sweeper.operations.plan import plan, probe_plan
from sweeper.operations.reachability import unreachable
from sweeper.operations.study_warnings import study_warnings
from sweeper.operations.time_estimate import (
    matmul_rate,
    seconds_per_trial,
    start_seconds,
    training_seconds,
)

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
    assert study_warnings(sweep_with()) == []


def test_the_plan_multiplies_arms_repeats_trials_and_steps() -> None:
    sweep = sweep_with(search={"repeats": 3}, training={"epochs": 4, "batch_size": 100})
    found = plan(sweep, rate=lambda: 1e9)
    assert [arm.trials for arm in found.arms] == [72, 72]
    assert found.trials == 144
    assert found.steps_in_all == (4 + 1) * 11
    assert found.steps == 144 * 55
    assert found.arms[0].searched == ("strength", "density")


def test_the_plan_counts_the_probes_of_automatic_strengths() -> None:
    auto: dict[str, Any] = {"strength": "auto"}
    arms = {
        "dense": {},
        "l1": {"penalty": "l1", **auto},
        "control": {"penalty": "l1", "shuffle": True, **auto},
        "again": {"method": "gradual_magnitude", "penalty": "l1", **auto},
        "both": {"sum": {"l1": auto, "l2": auto}},
        "gates": {"method": "l0_hard_concrete", **auto},
    }
    sweep = sweep_with(arms=arms, training={"epochs": 3, "batch_size": 100})
    found = plan(sweep, rate=lambda: 1e9)
    # l1 alone, in gradual pruning and in the sum is one probe; digits has 1,137 images.
    assert found.probe == probe_plan(sweep)
    assert (found.probe.ranges, found.probe.probes) == (6, 4)
    assert (found.probe.networks, found.probe.steps) == (16, 3 * 11)
    assert [arm.auto_parameters for arm in found.arms[:2]] == [(), ("strength",)]
    assert found.arms[4].auto_parameters == ("l1.strength", "l2.strength")
    fixed = {**arms, **{name: {"penalty": "l1", "strength": 1} for name in arms if name != "dense"}}
    without = plan(sweep_with(arms=fixed, training={"epochs": 3, "batch_size": 100}), lambda: 1e9)
    assert without.probe.ranges == without.probe.probes == without.probe.steps == 0
    assert found.seconds is not None
    assert without.seconds is not None
    assert found.seconds > without.seconds


def test_a_probe_is_never_longer_than_a_training_or_much_longer_than_it_must_be() -> None:
    arms = {"l1": {"penalty": "l1", "strength": "auto"}}
    assert probe_plan(sweep_with(arms=arms, training={"epochs": 2})).steps == 2 * 8
    assert 380 <= probe_plan(sweep_with(arms=arms, training={"epochs": 200})).steps < 380 + 8


def test_the_estimate_grows_with_the_trials_and_falls_with_the_rate() -> None:
    sweep = sweep_with(dataset="mnist", model="lenet-300-100")
    more = sweep_with(dataset="mnist", model="lenet-300-100", search={"trials": 48})
    slow, fast = (seconds_per_trial(sweep, rate) for rate in (1e10, 1e11))
    assert slow is not None
    assert fast is not None
    assert slow > 5 * fast
    once, twice = (plan(each, rate=lambda: 1e10).seconds for each in (sweep, more))
    assert once is not None
    assert twice is not None
    assert twice - start_seconds() == pytest.approx(2 * (once - start_seconds()))


def test_the_estimate_knows_precision_and_what_is_compiled_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    each = [
        seconds_per_trial(sweep_with(training={"epochs": 4, "precision": precision}), 1e9) or 0
        for precision in ("float32", "bfloat16")
    ]
    assert 0.6 < each[1] / each[0] < 1
    starts = []
    for kept in (True, False):
        monkeypatch.setattr(time_estimate, "any_kept", partial(bool, kept))
        starts.append(plan(sweep_with(), rate=lambda: 1e9).seconds or 0)
    assert starts[1] - starts[0] == pytest.approx(10)


def test_convolutions_take_longer_than_their_products() -> None:
    factors = []
    for model in ("lenet-300-100", "lenet-5"):
        sweep = sweep_with(dataset="mnist", model=model, training={"epochs": 1, "batch_size": 128})
        layers = sweep.model.layers(sweep.data) or ()
        products = 3 * sum(layer.multiplications for layer in layers) - layers[0].multiplications
        factors.append(training_seconds(sweep, 1e6, 1) / (2 * 128 * products / 1e6))
    assert factors == pytest.approx([1.3, 1.9], rel=0.01)


def test_the_estimate_counts_sparse_steps_as_what_they_cost() -> None:
    training = {"epochs": 1}
    times = []
    for density in (0.02, {"uniform": [0.01, 0.9]}, 0.9):
        rule: dict[str, Any] = {"density": density, "finetune_epochs": 9, "curve": []}
        sweep = sweep_with(
            dataset="mnist", model="lenet-300-100", training=training, sparsification=rule
        )
        seconds = seconds_per_trial(sweep, 1e11)
        assert seconds is not None
        times.append(seconds)
    sparse, searched, dense = times
    # Of ten epochs one is dense, nine cost an eighth.
    assert 0.15 * dense < sparse < 0.3 * dense
    assert searched == pytest.approx((sparse + dense) / 2, rel=0.05)


def test_a_network_of_ones_own_has_no_estimate_before_it_is_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(time_estimate, "_TRIAL_SECONDS", 0.0)
    own = sweep_with(model="my.nets:tiny")
    found = plan(own, rate=lambda: 1e9)
    assert found.seconds is None
    assert found.parameters is None
    once, twice = (
        plan(own, rate=lambda: 1e9, network=MeasuredNetwork(1234, 1200, seconds))
        for seconds in (0.01, 0.02)
    )
    assert once.parameters == 1234
    assert once.seconds is not None
    assert twice.seconds is not None
    assert twice.seconds - start_seconds() == pytest.approx(2 * (once.seconds - start_seconds()))


def test_the_estimate_of_a_network_of_images_counts_the_layers_that_it_has() -> None:
    usual = sweep_with(dataset="mnist", model="convnet(16, 32)")
    wider = sweep_with(dataset="mnist", model="convnet(64, 128)")
    small, large = (seconds_per_trial(sweep, 1e11) for sweep in (usual, wider))
    assert small is not None
    assert large is not None
    # The first layer grows by 4, the second by 16.
    assert 8 * small < large < 16 * small


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
        return any(text.startswith("search.trials:") for text in study_warnings(sweep))

    assert warned(max(start, 1)) == (start > 0)
    assert not warned(start + 1)


def test_a_grid_with_more_points_than_trials_is_warned_about() -> None:
    strength = {"choice": [1e-4, 1e-3, 1e-2, 1e-1]}
    arms = {
        "l1": {"penalty": "l1", "strength": {"integer": [1, 2_000_000_000]}},
        "l2": {"penalty": "l2", "strength": strength},
        "l_half": {"penalty": "l_half", "strength": strength},
    }
    fixed = {"density": {"choice": [0.1, 0.2]}}
    training = {"epochs": 1, "learning_rate": 0.1}
    search = {"sampler": "grid", "trials": 8}
    sweep = sweep_with(arms=arms, search=search, sparsification=fixed, training=training)
    text = "search.sampler: the grid of l1 has 4,000,000,000 points: 8 of them are visited"
    assert study_warnings(sweep) == [f"{text}, in a random order"]
    expected = (*study_warnings(sweep), *unreachable(sweep))
    assert plan(sweep, rate=lambda: 1e9).warnings == expected


def test_more_in_flight_than_trials_is_warned_about() -> None:
    [text] = study_warnings(sweep_with(search={"sampler": "qmc", "in_flight": 25}))
    assert text.startswith("search.in_flight: 25 is more than the 24 trials")


def test_selecting_on_test_images_is_warned_about() -> None:
    [text] = study_warnings(sweep_with(select_on="test"))
    assert text.startswith("select_on: test")


def test_a_fixed_density_on_the_pruned_track_is_warned_about() -> None:
    [text] = study_warnings(sweep_with(sparsification={"density": 0.1}))
    assert text.startswith("sparsification.density: fixed at 0.1 on the pruned track")


def test_a_density_that_is_not_the_objective_is_warned_about() -> None:
    [text] = study_warnings(sweep_with(sparsification={**DENSITY, "track": "as_trained"}))
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
    lines = [text for text in study_warnings(sweep) if text.startswith("sparsification.track:")]
    assert bool(lines) == warned


def test_arms_that_tune_unequally_are_warned_about() -> None:
    arms = {**EQUAL_ARMS, "mixed": {"penalty": "l1_marginal_entropy", "strength": 1, "mix": 1}}
    [text] = study_warnings(sweep_with(arms=arms))
    assert text == "arms: unequal numbers of searched parameters: l1 3, entropy 3, mixed 2"


def test_of_many_arms_only_those_that_tune_otherwise_are_named() -> None:
    usual = {f"a{n}": EQUAL_ARMS["l1"] for n in range(9)}
    mixed = {**EQUAL_ARMS["l1"], "penalty": "l1_marginal_entropy", "mix": {"uniform": [0, 1]}}
    [text] = study_warnings(sweep_with(arms={**usual, "dense": {}, "b": mixed, "c": mixed}))
    counts = "2 (dense), 3 (all others), 4 (b, c)"
    assert text == f"arms: unequal numbers of searched parameters: {counts}"


def test_a_shuffled_penalty_that_is_blind_anyway_is_warned_about() -> None:
    def warned(penalty: str) -> list[str]:
        strength = {"log_uniform": [1e-4, 1]}
        arms = {"control": {"penalty": penalty, "strength": strength, "shuffle": True}}
        return study_warnings(sweep_with(arms=arms))

    assert warned("marginal_entropy") == []
    [text] = warned("joint_entropy")
    assert text.startswith("arms.control: joint_entropy does not see the arrangement")


def test_an_arm_that_prunes_by_itself_is_warned_about() -> None:
    arms = {name: {"method": name} for name in ("gradual_magnitude", "small_dense")}
    gates = {"method": "l0_hard_concrete", "strength": 1}
    [text] = study_warnings(sweep_with(arms={**arms, "gates": gates}))
    assert text.startswith("arms: gradual_magnitude, small_dense: cut to their density while")


def test_a_density_counts_as_trained_for_arms_that_prune_by_themselves() -> None:
    arms = {"l1": EQUAL_ARMS["l1"], "gradual": {"method": "gradual_magnitude"}}
    sparsification = {**DENSITY, "track": "as_trained"}
    found = study_warnings(sweep_with(arms=arms, sparsification=sparsification))
    assert (
        "sparsification.density: searched, but it has no influence on the as_trained track of l1"
    ) in found
    only = {"gradual": arms["gradual"]}
    assert study_warnings(sweep_with(arms=only, sparsification=sparsification)) == []


def test_a_precision_of_gpus_is_warned_about() -> None:
    [text] = study_warnings(sweep_with(training={"epochs": 4, "precision": "tf32"}))
    assert text.startswith("training.precision: tf32 exists on NVIDIA GPUs only")


def test_a_precision_that_this_processor_emulates_is_warned_about(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sweep = sweep_with(training={"epochs": 4, "precision": "bfloat16"})
    monkeypatch.setattr(warnings_of_studies, "multiplies_bfloat16", lambda: False)
    [text] = study_warnings(sweep)
    assert text.startswith("training.precision: bfloat16 is emulated by this processor, whose")
    monkeypatch.setattr(warnings_of_studies, "multiplies_bfloat16", lambda: True)
    assert study_warnings(sweep) == []


def test_an_arm_that_searches_nothing_is_warned_about() -> None:
    sweep = sweep_with(
        training={"epochs": 1}, arms={"dense": {}}, sparsification={"track": "pruned"}
    )
    assert any(text.startswith("arms: dense search nothing") for text in study_warnings(sweep))


def test_samplers_learn_from_each_network_of_a_ladder() -> None:
    def warned(trials: int, rungs: int) -> list[str]:
        ladder = {"densities": {"from": 0.1, "to": 0.01, "rungs": rungs}}
        sweep = sweep_with(search={"trials": trials}, sparsification=ladder)
        return [line for line in study_warnings(sweep) if line.startswith("search.trials")]

    assert not warned(3, 5)
    (line,) = warned(2, 5)
    assert "2 trials do not exceed its random start-up of 2" in line
