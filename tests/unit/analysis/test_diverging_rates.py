"""Learning rates above which every trial diverged."""

from dataclasses import replace

import pytest

from support.factories import make_fact, make_record, make_sweep
from sweeper.analysis.diverging_rates import diverging_rates
from sweeper.config import Sweep
from sweeper.types import TrialRecord

SWEEP = make_sweep(training={"epochs": 1, "learning_rate": {"log_uniform": [0.01, 1.0]}})


def trial(sweep: Sweep, slot: int, rate: float, *, diverged: bool = False) -> TrialRecord:
    record = make_fact(sweep=sweep, slot=slot)
    return replace(
        record,
        config=replace(record.config, learning_rate=rate),
        result=replace(record.result, state="diverged" if diverged else "complete"),
    )


@pytest.mark.parametrize(("bad", "said"), [(2, False), (3, True), (5, True)])
def test_three_trials_above_every_rate_that_held_are_said(bad: int, said: bool) -> None:
    records = [trial(SWEEP, slot, 0.01 * (slot + 1)) for slot in range(5)]
    records += [trial(SWEEP, 5 + slot, 0.3 + 0.1 * slot, diverged=True) for slot in range(bad)]
    records += [trial(SWEEP, 20, 0.02, diverged=True)]  # bad luck within the range
    text = diverging_rates(SWEEP, records)
    expected = (
        f"All {bad} trials with a learning rate above 0.05 diverged: training.learning_rate, "
        "searched up to 1, may end there."
    )
    assert text == (expected if said else "")
    assert (expected in make_record(SWEEP, records).caveats) == said


def test_a_fixed_rate_and_trials_that_all_diverged_say_nothing() -> None:
    fixed = make_sweep()
    assert diverging_rates(fixed, [make_fact(sweep=fixed)]) == ""
    all_bad = [trial(SWEEP, slot, 0.5, diverged=True) for slot in range(4)]
    assert diverging_rates(SWEEP, all_bad) == ""
