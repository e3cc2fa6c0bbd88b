"""Results of scripts: what is one, what is refused in one line."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from sweeper.modules import count
from sweeper.trainers.script_result import ResultError, plain_result, trial_result
from sweeper.types import LearningPoint, TrialResult

GOOD: dict[str, Any] = {"size": 12, "validation": 0.5, "test": 0.25}


def result(floor: float = 0.0, **changes: Any) -> TrialResult:
    return trial_result({**GOOD, **changes}, floor=floor, learning=(), seconds=1.5)


def test_a_result_has_its_size_its_qualities_and_further_numbers() -> None:
    curve = (LearningPoint(1.0, (("loss", 0.5),)),)
    measured = {**GOOD, "watts": 3.5, "b": True, "steps": 7, "infinite": math.inf}
    given = trial_result(measured, floor=0.0, learning=curve, seconds=1.5)
    judged = given.pruned
    assert judged is not None
    assert judged == given.as_trained
    assert (judged.nonzero, judged.weights, judged.biases) == (12, 12, 0)
    assert (judged.val_accuracy, judged.test_accuracy) == (0.5, 0.25)
    assert (given.state, given.total, given.steps, given.pack) == ("complete", 12, 7, 1)
    assert given.numbers == (("b", 1.0), ("watts", 3.5))  # what is not finite is left out
    assert (given.learning, given.seconds) == (curve, 1.5)


def test_a_quality_under_the_floor_has_collapsed() -> None:
    assert result(floor=0.6).state == "collapsed"
    assert result(floor=0.5).state == "complete"


def test_a_training_that_has_diverged_needs_no_qualities() -> None:
    given = trial_result({"diverged": True, "loss": 9.0}, floor=0.0, learning=(), seconds=1.0)
    assert (given.state, given.pruned, given.numbers) == ("diverged", None, (("loss", 9.0),))
    assert result(diverged=False).state == "complete"


def test_a_module_is_counted_for_it() -> None:
    linear = nn.Linear(3, 2)
    model = nn.Sequential(linear)
    with torch.no_grad():
        linear.weight[0] = 0
    for size in (model, count(model)):
        given = trial_result(
            plain_result({**GOOD, "size": size}), floor=0.0, learning=(), seconds=1.0
        )
        assert given.pruned is not None
        assert (given.total, given.pruned.weights, given.pruned.biases) == (8, 3, 2)
        assert [layer.shape for layer in given.pruned.layers] == [(2, 3)]


@pytest.mark.parametrize(
    "value", [np.float32(0.5), torch.tensor(0.5), np.array(0.5), torch.tensor([0.5])]
)
def test_numbers_of_other_libraries_are_numbers(value: object) -> None:
    assert plain_result({"validation": value}) == {"validation": 0.5}


@pytest.mark.parametrize("returned", [None, 0.5, [1, 2], "good"])
def test_what_is_no_dict_is_no_result(returned: object) -> None:
    with pytest.raises(ResultError, match=r"^returned .*: must return a dict such as "):
        plain_result(returned)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"validation": 97}, "validation: must be from 0 to 1, got 97; in percent? Divide by 100"),
        ({"test": -0.1}, "test: must be from 0 to 1, got -0.1"),
        ({"test": "good"}, "test: must be from 0 to 1, got 'good'"),
        ({"validation": True}, "validation: must be from 0 to 1, got True"),
        ({"size": -1}, "size: must be a whole number >= 0, got -1"),
        ({"size": 1.5}, "size: must be a whole number >= 0, got 1.5"),
        ({"size": math.nan}, "size: must be a whole number >= 0, got nan"),
        ({"size": 2**63}, "size: must be a whole number >= 0, got 9223372036854775808"),
        ({"size": None}, "size: must be a whole number >= 0, got None"),
        ({"size": {"weights": 3}}, "size: must be a whole number >= 0, got None"),
        ({"total": 3}, "total: must be at least the size, 12, got 3"),
        ({"steps": -3}, "steps: must be a whole number >= 0, got -3"),
        ({"note": "text"}, "note: must be a number, got 'text'"),
        (
            {"huge": 10**400},
            "huge: must be of at most 63 bits, got a number of more than 60 digits",
        ),
        (
            {"two words": 1},
            "names of numbers must be letters, digits and '_', at most 64, got 'two words'",
        ),
        (
            {"n" * 65: 1},
            f"names of numbers must be letters, digits and '_', at most 64, got '{'n' * 56}...",
        ),
        (
            {f"n{number}": 1 for number in range(65)},
            "must have at most 64 further numbers, got 65",
        ),
        ({"diverged": 1}, "diverged: must be true or false, got 1"),
    ],
)
def test_what_cannot_be_is_one_line(changes: dict[str, Any], line: str) -> None:
    with pytest.raises(ResultError) as caught:
        result(**changes)
    assert str(caught.value) == line


def test_a_size_may_be_written_as_a_float() -> None:
    given = result(size=1e9)
    assert given.pruned is not None
    assert given.pruned.nonzero == 1_000_000_000


def test_all_that_is_missing_is_named() -> None:
    with pytest.raises(ResultError, match=r"^size, test: required, as in \{"):
        trial_result({"validation": 0.5}, floor=0.0, learning=(), seconds=1.0)
