"""Targets, corners and densities that no network of a study can have."""

from typing import Any

import pytest

from support.factories import make_sweep
from sweeper.config import Sweep
from sweeper.operations.measured_network import MeasuredNetwork
from sweeper.operations.reachability import unreachable

PROX = {"penalty": "l1", "apply": "prox", "strength": 1e-3}
# LeNet-300-100 on MNIST: 266,200 weights and 410 biases.


def lines(
    targets: dict[str, Any] | None = None,
    rule: dict[str, Any] | None = None,
    arms: dict[str, Any] | None = None,
    **changes: Any,
) -> list[str]:
    told = {"accuracy": [0.97], "nonzero": [4000], **(targets or {})}
    sparsification = {"densities": [0.05, 0.01], **(rule or {})}
    return unreachable(
        make_sweep(
            targets=told, sparsification=sparsification, arms=arms or {"l1": PROX}, **changes
        )
    )


def test_a_study_whose_targets_are_reachable_has_no_line() -> None:
    assert lines() == []
    assert lines(arms={"l1": PROX, "dense": {}, "gradual": {"method": "gradual_magnitude"}}) == []


def test_a_size_under_the_biases_is_said_with_the_smallest_one() -> None:
    [line] = lines({"nonzero": [300, 410, 411, 4000]})
    assert line.startswith("targets.nonzero: no network is within 300, 410: the smallest of an arm")
    assert "has 411 parameters, 410 of them never pruned, such as biases" in line
    assert "prune_dead_biases: true" in line
    assert line.endswith("reachable are sizes from 411 on")
    assert lines({"nonzero": [300, 4000]}, {"prune_dead_biases": True}) == []


def test_a_size_under_the_smallest_rung_is_said_of_the_arms_that_it_concerns() -> None:
    # Oracle: 266,200 x 0.01 + 410 = 3,072.
    [line] = lines({"nonzero": [2000, 3071, 3072]}, arms={"l1": PROX, "dense": {}})
    assert line == (
        "targets.nonzero: dense cannot have a network within 2,000, 3,071: reachable for all arms "
        "are sizes from 3,072 on"
    )
    [line] = lines({"nonzero": [2000]}, arms={"dense": {}})
    assert "no network is within 2,000: the smallest of an arm has 3,072 parameters" in line


def test_a_size_above_the_network_holds_everything() -> None:
    [line] = lines({"nonzero": [266_610, 266_611]})
    assert line == (
        "targets.nonzero: every network is within 266,611: the whole one has 266,610 parameters"
    )


def test_as_trained_loss_terms_leave_the_whole_network() -> None:
    arms = {"l1": PROX, "loss": {"penalty": "l1", "apply": "loss", "strength": 1e-3}}
    targets = {"accuracy": [0.97], "nonzero": [4000]}
    rule = {"track": "as_trained", "density": 0.05}
    [line] = unreachable(make_sweep(targets=targets, sparsification=rule, arms=arms))
    assert "loss cannot have a network within 4,000" in line
    assert line.endswith("from 266,610 on")


def test_a_corner_without_room_below_it_is_said() -> None:
    [line] = lines(reference={"nonzero": 300})
    assert line == (
        "reference.nonzero: no network is smaller than 300, and every hypervolume is 0: reachable "
        "are sizes from 411 to 266,610"
    )
    assert lines(reference={"nonzero": 412}) == []


@pytest.mark.parametrize(
    ("densities", "text"),
    [
        (
            [0.05, 1e-6],
            "1e-06 keeps none of 266,200 weights; reachable are densities from 4e-06 on",
        ),
        ([0.05, 0.001], "0.001 keeps 266 weights beside 410 parameters that are never pruned"),
    ],
)
def test_a_rung_that_keeps_next_to_nothing_is_said(densities: list[float], text: str) -> None:
    [line] = lines(rule={"densities": densities})
    assert line.startswith(f"sparsification.densities: {text}")


def test_a_method_that_cannot_reach_a_rung_is_said() -> None:
    # Oracle: one unit a layer has 784 + 1 + 10 weights, of 266,200.
    arms = {"small": {"method": "small_dense"}, "l1": PROX}
    [line] = lines(rule={"densities": [0.05, 0.002]}, arms=arms)
    assert line == (
        "arms.small: small_dense has 795 weights at least, one unit a layer: it does not reach "
        "density 0.002, only 0.003 and more"
    )
    [line] = lines({"nonzero": [806, 807]}, arms=arms)  # its biases: 1 + 1 + 10
    assert line.startswith("targets.nonzero: small cannot have a network within 806: ")


def test_a_floor_above_a_target_is_said() -> None:
    [line] = lines({"accuracy": [0.9, 0.97]}, {"floor": 0.95})
    assert line == (
        "sparsification.floor: 0.95 is above 0.9 of targets.accuracy: networks below the floor "
        "count nowhere; reachable are targets from 0.95 on"
    )


def test_a_target_that_guessing_reaches_is_said() -> None:
    [line] = lines({"accuracy": [0.1, 0.97]}, {"floor": 0.05})
    assert line.startswith("targets.accuracy: 0.1 is reached by guessing one of 10 classes (0.1): ")
    assert lines({"accuracy": [0.11]}, {"floor": 0.05}) == []


def test_an_arm_in_capitals_is_told_the_formula_that_it_may_mean() -> None:
    [line] = lines(arms={"L1": PROX})
    assert line == (
        "arms.L1: the formula or method is called l1, and commands tell the two apart: did you "
        "mean 'l1'?"
    )
    assert lines(arms={"Mine": PROX}) == []


def test_a_network_of_ones_own_is_judged_by_what_was_measured() -> None:
    sweep = Sweep.model_validate(
        make_sweep(targets={"accuracy": [0.97], "nonzero": [30]}).model_dump()
        | {"model": "mine:network"}
    )
    assert unreachable(sweep) == []
    [line, *_] = unreachable(sweep, MeasuredNetwork(1000, 960, 0.1))
    assert "no network is within 30" in line
    assert "40 of them never pruned" in line
