"""Networks of a ladder: each has the bits that it has by itself, whatever shares its training."""

import math
from dataclasses import replace
from functools import lru_cache
from typing import Any

import pytest

from sweeper.config import Sweep
from sweeper.training.datasets import Data
from sweeper.training.forks import fork_steps
from sweeper.training.network_groups import network_groups
from sweeper.training.pack import train_pack
from sweeper.training.pruning_schedules import Pruner
from sweeper.training.recipe_data import RecipeData
from sweeper.types import TrialConfig, TrialResult

ARMS: dict[str, Any] = {
    "dense": {},
    "l1": {"penalty": "l1", "strength": 1e-3},
    "gates": {"method": "l0_hard_concrete", "strength": 1e-4},
    "snip": {"method": "snip"},
    "gradual": {"method": "gradual_magnitude"},
    "rounds": {"method": "iterative_magnitude", "rounds": 3},
}
FORKS = ("gradual", "rounds")


def sweep(**changes: Any) -> Sweep:
    return Sweep.of_mapping(
        {
            "name": "mine",
            "dataset": "digits",
            "model": "mlp(16, 12)",
            "training": {"epochs": 2, "learning_rate": 0.1, **changes.pop("training", {})},
            "sparsification": {
                "densities": [0.6, 0.2, 0.05],
                "finetune_epochs": 1,
                "curve": [0.1, 0.5],
                "floor": 0.05,
                **changes.pop("sparsification", {}),
            },
            "search": {"trials": 1, "seeds": 2},
            "arms": ARMS,
            **changes,
        }
    )


@lru_cache(maxsize=1)
def data() -> Data:
    return RecipeData(None, "cpu").of(sweep().recipe(0))


def configs(made: Sweep, *arms: str) -> list[TrialConfig]:
    return [
        made.config(arm, 0, 0, {}, network)
        for arm in arms or made.arms
        for network in range(made.networks_of_slot)
    ]


def same(some: TrialResult, other: TrialResult) -> bool:
    return (some.state, some.pruned, some.steps) == (other.state, other.pruned, other.steps)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_network_has_the_bits_that_it_has_alone(optimizer: str) -> None:
    made = sweep(training={"optimizer": optimizer, "learning_rate": 0.05})
    every = configs(made)
    together = train_pack(every, data())
    for place in range(0, len(every), 5):  # of all arms, rungs and seeds
        (alone,) = train_pack([every[place]], data())
        assert same(alone, together[place]), every[place].method.name


def test_unless_a_method_passes_its_densities_it_is_the_network_of_a_trial_of_its_own() -> None:
    every = configs(sweep(), "dense", "l1", "gates")
    together = train_pack(every, data())
    for place in range(1, len(every), 4):
        (alone,) = train_pack([replace(every[place], training_density=None)], data())
        assert same(alone, together[place])


def test_what_a_training_has_once_its_first_network_has() -> None:
    every = configs(sweep(), "dense")
    results = train_pack(every, data())
    for start in (0, 3):
        first, *others = results[start : start + 3]
        assert first.as_trained is not None
        assert len(first.curve) == 2
        assert [point.epoch for point in first.learning] == [1, 2, 3]
        for other in others:
            assert (other.as_trained, other.curve) == (None, ())
            assert [point.epoch for point in other.learning] == [3]
    assert {result.pack for result in results} == {2}
    assert len({result.seconds for result in results}) == 1


def test_the_first_network_that_did_not_diverge_has_what_a_training_has_once() -> None:
    made = sweep(sparsification={"finetune_learning_rate_factor": 1e6})
    results = train_pack(configs(made, "dense")[:3], data())
    healthy = [result for result in results if result.state != "diverged"]
    assert all(result.as_trained is None for result in results if result.state == "diverged")
    assert [result.as_trained is not None for result in healthy] == [True] + [False] * (
        len(healthy) - 1
    )


@pytest.mark.parametrize("arm", FORKS)
def test_networks_of_cuts_that_pass_their_densities_have_as_many_steps_as_all_others(
    arm: str,
) -> None:
    every = configs(sweep(), "dense", arm)
    results = train_pack(every, data())
    assert len({result.steps for result in results}) == 1
    for config, result in zip(every, results, strict=True):
        assert result.pruned is not None
        total = sum(layer.total_weights for layer in result.pruned.layers)
        assert result.pruned.weights <= math.ceil(config.density * total)
    last = results[len(results) - 1]
    assert [point.epoch for point in last.learning] == [1, 2, 3]
    assert results[6].learning[0].epoch < 3  # it left before the end of the training


def test_a_network_leaves_right_before_the_cuts_go_below_its_density() -> None:
    made = sweep()
    some = configs(made, "gradual")[:3]
    (group,) = network_groups(some[:1], data().device)
    steps = 1000
    (left,) = fork_steps([group], {0: [c.density for c in some]}, [0.05], steps).values()
    assert isinstance(group.method, Pruner)
    cuts = dict(group.method.schedule(0, 0.05, steps))
    for config, step in zip(some[:2], left[:2], strict=True):
        kept = min(density for at, density in cuts.items() if at <= step)
        following = max(density for at, density in cuts.items() if at == step + 1)
        assert following < config.density <= kept
    assert left[2] == steps  # the last rung is the training's own


def test_progress_of_a_ladder_rises_from_nothing_to_all() -> None:
    shares: list[float] = []

    def tick(share: float | None = None, /) -> None:
        shares.append(share or 0.0)

    train_pack(configs(sweep(), "dense", "snip"), data(), tick=tick)
    assert shares[0] == 0
    assert shares[-1] == 1
    assert shares == sorted(shares)
    assert shares[-2] > 0.9
