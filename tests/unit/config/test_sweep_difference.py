"""Differences between two study files of one name."""

from typing import Any

import pytest

from sweeper.config import Sweep
from sweeper.config.sweep_difference import differences


def changed(sweep: Sweep, **changes: Any) -> Sweep:
    raw = sweep.model_dump(mode="json")
    for path, value in changes.items():
        part = raw
        *parents, last = path.split("__")
        for key in parents:
            part = part[key]
        part[last] = value
    return Sweep.model_validate(raw)


def test_equal_sweeps_do_not_differ_whatever_the_order_of_their_arms(sweep: Sweep) -> None:
    raw = sweep.model_dump(mode="json")
    raw["arms"] = dict(reversed(raw["arms"].items()))
    assert differences(sweep, Sweep.model_validate(raw)) == ()


def test_a_sweep_that_went_through_json_does_not_differ(sweep: Sweep) -> None:
    assert differences(Sweep.from_json(sweep.canonical), sweep) == ()


@pytest.mark.parametrize(
    "changes",
    [
        {"search__trials": 7},
        {"search__repeats": 2},
        {"arms__l2": {"penalty": "l2", "strength": 0.1}},
        {"search__trials": 7, "search__repeats": 2, "arms__l2": {"penalty": "l2", "strength": 1}},
        {"targets__accuracy": [0.9], "targets__nonzero": [10]},
        {"compare": {"against": ["other"]}, "arms__none__family": "other"},
    ],
)
def test_more_trials_repeats_arms_and_other_targets_append(
    sweep: Sweep, changes: dict[str, Any]
) -> None:
    found = differences(sweep, changed(sweep, **changes))
    assert len(found) == len(changes)
    assert all(difference.appends for difference in found)


@pytest.mark.parametrize(
    "changes",
    [
        {"search__trials": 5},
        {"search__in_flight": 4},
        {"search__sampler": "random"},
        {"seed": 1},
        {"training__epochs": 2},
        {"training__learning_rate": {"uniform": [0.01, 0.1]}},
        {"arms__l1": {"penalty": "l1", "strength": 0.5}},
        {"arms__l1__strength": {"log_uniform": [1e-4, 1]}},
        {"arms": {"none": {}}},
        {"reference__nonzero": 1000},
    ],
)
def test_every_other_change_does_not_append(sweep: Sweep, changes: dict[str, Any]) -> None:
    (found,) = differences(sweep, changed(sweep, **changes))
    assert not found.appends


def test_a_difference_is_told_with_its_place_and_both_values(sweep: Sweep) -> None:
    other = changed(
        sweep,
        search__trials=7,
        arms__l1={"penalty": "l1", "strength": {"uniform": [0, 1]}},
        arms__l2={"penalty": "l2", "strength": 1},
    )
    assert [str(difference) for difference in differences(sweep, other)] == [
        "search.trials: registered 6, now 7",
        'arms.l1.strength: registered {"log_uniform": [0.0001, 0.1]}, now {"uniform": [0.0, 1.0]}',
        'arms.l2: registered not there, now {"penalty": "l2", "apply": null, "strength": 1.0}',
    ]


FACTS = {
    "shape": [4], "classes": 3, "train": 60, "validation": 15, "test": 25, "hash": "a" * 64,
}  # fmt: skip


def test_other_data_of_the_same_file_are_one_difference_that_people_understand(
    sweep: Sweep,
) -> None:
    own = {"dataset": "a.b:data", "model": "mlp(8)", "training": {"epochs": 1, "batch_size": 8}}
    old = changed(sweep, **own, facts=FACTS)
    new = changed(sweep, **own, facts={**FACTS, "hash": "b" * 64, "train": 61})
    [difference] = differences(old, new)
    assert str(difference) == (
        "dataset: registered 60 + 15 + 25 examples of 4 in 3 classes, hash aaaaaaaaaaaa, "
        "now 61 + 15 + 25 examples of 4 in 3 classes, hash bbbbbbbbbbbb"
    )
    assert difference.is_of_data
    assert not difference.appends
    assert differences(old, changed(sweep, **own, facts=FACTS)) == ()
    # Another dataset or split is said as it stands in the file.
    other = changed(sweep, **{**own, "dataset": "a.b:more"}, facts={**FACTS, "hash": "c" * 64})
    assert [difference.path for difference in differences(old, other)] == ["dataset"]
    assert not differences(old, other)[0].is_of_data


def test_each_key_that_a_method_takes_is_compared_alone(sweep: Sweep) -> None:
    arm = {"penalty": "l1_marginal_entropy", "strength": 1, "mix": 0.5}
    old = changed(sweep, arms__mixed=arm)
    new = changed(sweep, arms__mixed={**arm, "mix": 0.25, "apply": "loss"})
    paths = [difference.path for difference in differences(old, new)]
    assert paths == ["arms.mixed.apply", "arms.mixed.mix"]
