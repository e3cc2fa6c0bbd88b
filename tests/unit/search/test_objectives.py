"""Objectives: what Optuna is told of a result, beside its two values."""

import dataclasses
import json
from itertools import pairwise

from optuna.trial import TrialState

from support.factories import SWEEP, make_fact
from support.script_records import flops_sweep, script_records
from sweeper.search.objectives import POINTS, tell_arguments
from sweeper.types import LearningPoint, TrialResult


def script_result() -> TrialResult:
    record = next(r for r in script_records(flops_sweep()) if r.result.state == "complete")
    return record.result


def test_a_script_tells_its_numbers_and_a_few_points_of_its_curve() -> None:
    result = script_result()
    state, values, told = tell_arguments(flops_sweep(), result)
    assert result.pruned is not None
    assert state == TrialState.COMPLETE
    assert values == (float(result.pruned.nonzero), result.pruned.val_accuracy)
    numbers = dict(result.numbers)
    assert told.keys() == {
        "test_f1", "seconds", "latency_ms", "measured_val_f1", "learning_curve",
    }  # fmt: skip
    assert told["latency_ms"] == numbers["latency_ms"]
    # An attribute of that name would be taken for the value that is searched for.
    assert told["measured_val_f1"] == numbers["val_f1"]
    assert json.loads(json.dumps(told)) == told


def test_a_curve_is_told_in_evenly_spaced_points_with_the_last() -> None:
    learning = tuple(LearningPoint(float(n), (("val_f1", n / 100),)) for n in range(1, 95))
    result = dataclasses.replace(script_result(), learning=learning)
    curve = tell_arguments(flops_sweep(), result)[2]["learning_curve"]
    assert isinstance(curve, dict)
    epochs = [epoch for epoch, _ in curve["val_f1"]]
    assert len(epochs) == POINTS
    assert epochs[-1] == 94
    steps = [after - before for before, after in pairwise(epochs)]
    assert max(steps) - min(steps) <= 1


def test_a_curve_without_the_quality_is_that_of_what_it_has() -> None:
    learning = (LearningPoint(1.0, (("loss", 2.0),)), LearningPoint(2.0, (("loss", 1.23456),)))
    result = dataclasses.replace(script_result(), learning=learning)
    curve = tell_arguments(flops_sweep(), result)[2]["learning_curve"]
    assert curve == {"loss": [[1.0, 2.0], [2.0, 1.235]]}


def test_a_number_of_every_name_of_ours_gets_another_one() -> None:
    names = ("arm", "device", "flops", "learning_curve", "outcome", "seconds", "slot", "test_f1")
    numbers = tuple((name, 7.0) for name in names)
    told = tell_arguments(flops_sweep(), dataclasses.replace(script_result(), numbers=numbers))[2]
    assert {f"measured_{name}" for name in names} <= told.keys()
    assert told["seconds"] != 7.0


def test_a_pack_tells_its_curve_and_what_it_told_before() -> None:
    learning = (LearningPoint(1.0, (("val_accuracy", 0.5), ("val_loss", 1.0))),)
    plain = make_fact(sweep=SWEEP).result
    before = tell_arguments(SWEEP, plain)
    after = tell_arguments(SWEEP, dataclasses.replace(plain, learning=learning))
    assert before[2] == {k: v for k, v in after[2].items() if k != "learning_curve"}
    assert after[2]["learning_curve"] == {"val_accuracy": [[1.0, 0.5]]}
    diverged = dataclasses.replace(
        make_fact(sweep=SWEEP, state="diverged").result, learning=learning
    )
    state, values, told = tell_arguments(SWEEP, diverged)
    assert (state, values) == (TrialState.FAIL, None)
    assert told.keys() == {"outcome", "seconds", "learning_curve"}
