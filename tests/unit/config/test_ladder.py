"""Ladders and seeds in a study file: densities, digests, configurations of networks."""

from dataclasses import replace
from typing import Any

import jsonschema
import pytest

from sweeper.config import Sweep
from sweeper.config.json_schema import json_schema
from sweeper.errors import SpecError
from sweeper.operations.study_warnings import study_warnings
from sweeper.types import by_training

BASE: dict[str, Any] = {
    "name": "mine",
    "dataset": "digits",
    "model": "mlp(8)",
    "training": {"epochs": 1},
    "arms": {"dense": {}, "gradual": {"method": "gradual_magnitude"}, "snip": {"method": "snip"}},
    "search": {"trials": 3, "repeats": 2},
}


def sweep(densities: Any = None, **search: Any) -> Sweep:
    rule = {} if densities is None else {"sparsification": {"densities": densities}}
    return Sweep.of_mapping({**BASE, **rule, "search": {**BASE["search"], **search}})


def test_a_ladder_is_a_list_or_its_ends_and_descends() -> None:
    assert sweep([0.1, 0.3, 0.2]).sparsification.densities == (0.3, 0.2, 0.1)
    ends = {"from": 0.1, "to": 0.0065, "rungs": 5}
    # Oracle: equal ratios, the fourth root of 0.065.
    assert sweep(ends).sparsification.densities == (0.1, 0.0505, 0.0255, 0.0129, 0.0065)


@pytest.mark.parametrize(
    ("rule", "key", "text"),
    [
        ({"densities": 0.1}, "densities", "must be a list, got 0.1"),
        ({"densities": []}, "densities", "must be 1 to 32 densities, got 0"),
        ({"densities": [0.1, 0.1]}, "densities", "must name no density twice"),
        ({"densities": [0.1, 1.5]}, "densities.1", "must be <= 1, got 1.5"),
        ({"densities": [0.1], "density": 0.1}, "densities", "leave out one of them"),
        ({"densities": [0.1], "track": "as_trained"}, "densities", "needs track pruned"),
        ({"densities": [0.1], "granularity": "2:4"}, "densities", "with granularity 2:4"),
        (
            {"densities": [0.2, 0.1], "finetuned_curve": [0.1]},
            "finetuned_curve",
            "are a curve already, and on record",
        ),
        ({"densities": {"from": 0.1, "to": 0.2, "rungs": 3}}, "densities.to", "must be < from"),
        ({"densities": {"from": 0.1, "to": 0.01}}, "densities.rungs", "required, as in"),
        (
            {"densities": {"from": 0.1, "to": 0.01, "rungs": 99}},
            "densities.rungs",
            "must be a whole number from 2 to 32, got 99",
        ),
        (
            {"densities": {"from": True, "to": 0.01, "rungs": 3}},
            "densities.from",
            "must be > 0 and <= 1, got True",
        ),
        ({"densities": {"form": 0.1}}, "densities.form", "is no part of a ladder such as"),
    ],
)
def test_a_ladder_that_is_none_is_told_in_a_line(rule: Any, key: str, text: str) -> None:
    with pytest.raises(SpecError) as caught:
        Sweep.of_mapping({**BASE, "sparsification": rule})
    lines = [line for line in caught.value.problems if f"sparsification.{key}:" in line]
    assert any(text in line for line in lines), caught.value.problems


@pytest.mark.parametrize("seeds", [0, 101, 1.5, True])
def test_seeds_are_a_whole_number_from_1_to_100(seeds: Any) -> None:
    with pytest.raises(SpecError, match=r"search\.seeds"):
        sweep(seeds=seeds)


def test_who_uses_neither_has_the_digest_that_it_always_had() -> None:
    plain = sweep()
    assert plain.digest == sweep(seeds=1).digest
    assert "seeds" not in plain.canonical
    assert "densities" not in plain.canonical
    made = sweep([0.2, 0.1], seeds=3)
    assert Sweep.from_json(made.canonical) == made
    assert len({plain.digest, made.digest, sweep([0.2, 0.1]).digest}) == 3


def test_a_budget_is_in_trials_and_networks_come_on_top() -> None:
    made = sweep([0.2, 0.1, 0.05], seeds=2)
    assert (made.trials, made.networks_of_slot, made.networks) == (18, 6, 108)
    assert len(made.slots("dense")) == 6
    with pytest.raises(SpecError, match="must have <= 1,000,000 networks, got 1200000"):
        sweep([0.2, 0.1], trials=100_000)


def test_networks_of_a_training_differ_in_density_alone() -> None:
    made = sweep([0.2, 0.1, 0.05], seeds=2)
    configs = [made.config("dense", 1, 2, {}, network) for network in range(6)]
    assert by_training(configs) == [range(3), range(3, 6)]
    assert [config.density for config in configs] == [0.2, 0.1, 0.05] * 2
    for config in configs[:3]:
        assert replace(config, density=0.2) == configs[0]
    # The first seed is that of a sweep without further ones.
    alone = sweep().config("dense", 1, 2, {})
    assert alone.init_seed == configs[0].init_seed != configs[3].init_seed
    assert replace(configs[0], training_density=None, density=alone.density) == alone


def test_a_training_is_told_the_first_density_or_the_last_if_its_cuts_pass_all() -> None:
    made = sweep([0.2, 0.1, 0.05])
    told = {arm: made.config(arm, 0, 0, {}, 1).training_density for arm in made.arms}
    assert told == {"dense": 0.2, "gradual": 0.05, "snip": 0.2}


def test_equal_trainings_of_two_arms_are_not_taken_for_each_other() -> None:
    made = sweep([0.2, 0.1])
    configs = [made.config("dense", 0, 0, {}, network) for network in (0, 1, 0, 1)]
    assert by_training(configs) == [range(2), range(2, 4)]
    alone = [replace(config, training_density=None) for config in configs]
    assert by_training(alone) == [range(k, k + 1) for k in range(4)]


def test_density_is_no_parameter_of_a_ladder() -> None:
    made = Sweep.of_mapping(
        {
            **BASE,
            "training": {"epochs": 1, "learning_rate": {"log_uniform": [0.01, 0.1]}},
            "sparsification": {"densities": [0.2, 0.1]},
        }
    )
    assert set(made.domains("dense")) == {"learning_rate"}


def test_who_is_cut_while_trained_to_the_first_density_alone_is_told_of() -> None:
    (said,) = [line for line in study_warnings(sweep([0.3, 0.1])) if "first density" in line]
    assert said.startswith("arms: snip: cut to the first density, 0.3, while")


@pytest.mark.parametrize(
    ("ladder", "fits"),
    [
        ([0.2, 0.1], True),
        ({"from": 0.1, "to": 0.01, "rungs": 4}, True),
        ([], False),
        ([0.1, 0.1], False),
        ({"from": 0.1, "to": 0.01}, False),
        ({"from": 0.1, "to": 0.01, "rungs": 99}, False),
    ],
)
def test_an_editor_knows_what_a_ladder_may_be(ladder: Any, fits: bool) -> None:
    spec = {**BASE, "sparsification": {"densities": ladder}}
    validator = jsonschema.Draft202012Validator(json_schema())
    assert (not list(validator.iter_errors(spec))) is fits
