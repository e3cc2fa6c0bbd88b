"""Sweeps in one figure: other questions are refused, and what is unequal is said."""

from typing import Any

import pytest

from support.factories import make_fact, make_provenance, make_record, make_sweep
from sweeper.analysis.sweep_comparability import (
    MOST_SENTENCES,
    inequalities,
    refuse_other_questions,
    unequal_keys,
)
from sweeper.analysis.sweep_record import SweepRecord
from sweeper.config import Sweep
from sweeper.errors import InputError


def complete(sweep: Sweep, **changes: Any) -> SweepRecord:
    """Return the record of a finished sweep."""
    facts = [
        make_fact(sweep=sweep, arm=arm, slot=slot, **changes)
        for arm in sweep.arms
        for slot in range(sweep.search.trials)
    ]
    return make_record(sweep, facts)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"dataset": "digits", "model": "mlp(8)"}, "dataset: must be the same in one figure, got "
            "mnist in a, digits in b"),
        ({"dataset": {"name": "my:data", "options": {"noise": 1}}, "model": "my:net"},
            'dataset: must be the same in one figure, got mnist in a, {"name": "my:data", '
            '"options": {"noise": 1}} in b'),
        ({"measure": "f1"}, "measure: must be the same in one figure, got accuracy in a, f1 in b"),
        ({"select_on": "test"}, "select_on: must be the same in one figure, got validation in a, "
            "test in b"),
    ],
)  # fmt: skip
def test_sweeps_of_other_questions_are_refused(changes: dict[str, Any], line: str) -> None:
    with pytest.raises(InputError) as refusal:
        refuse_other_questions([make_sweep("a"), make_sweep("b", **changes)])
    assert str(refusal.value) == f"a, b: {line}"


@pytest.mark.parametrize(
    ("names", "line"),
    [
        ((), "compare: takes 1 to 8 sweeps, got 0"),
        ([f"s{n}" for n in range(9)], "compare: takes 1 to 8 sweeps, got 9"),
        (("a", "b", "a"), "compare: a is named twice"),
    ],
)
def test_a_figure_has_a_few_sweeps_once_each(names: tuple[str, ...], line: str) -> None:
    with pytest.raises(InputError, match=f"^{line}$"):
        refuse_other_questions([make_sweep(name) for name in names])


def test_other_arms_seeds_and_targets_are_what_a_comparison_is_for() -> None:
    other = make_sweep("b", {"l2": {"penalty": "l2", "strength": 1}}, seed=7)
    other = other.model_copy(update={"targets": make_sweep(targets={"accuracy": [0.5]}).targets})
    assert unequal_keys([make_sweep("a"), other]) == {}
    assert inequalities([complete(make_sweep("a")), complete(other)]) == ()


def test_unequal_work_is_said_with_the_sweeps_that_have_it() -> None:
    training = {"epochs": 9, "learning_rate": {"log_uniform": [0.01, 0.2]}}
    sweeps = [
        make_sweep("a"),
        make_sweep("b", search={"trials": 6}),
        make_sweep("c", training=training),
    ]
    assert unequal_keys(sweeps) == {
        "search.trials": {"a": "4", "b": "6", "c": "4"},
        "training.epochs": {"a": "2", "b": "2", "c": "9"},
    }
    assert inequalities([complete(sweep) for sweep in sweeps]) == (
        "search.trials is 4 in a and c, 6 in b.",
        "training.epochs is 2 in a and b, 9 in c.",
    )


def test_an_unfinished_sweep_says_how_far_it_is() -> None:
    begun = make_record(sweep := make_sweep("b"), [make_fact(sweep=sweep)])
    [sentence] = inequalities([complete(make_sweep("a")), begun])
    assert sentence == "b has 1 of 8 trials so far."


def test_other_data_and_other_machines_are_said() -> None:
    other = complete(make_sweep("b"), provenance=make_provenance(data_hash="e" * 64))
    first = complete(make_sweep("a"))
    assert inequalities([first, other]) == ("Their trials saw different data.",)
    elsewhere = complete(make_sweep("b"), provenance=make_provenance(processor="Other CPU"))
    [sentence] = inequalities([first, elsewhere])
    assert sentence == (
        "They were trained on different machines: Other CPU (cpu), torch 2.15.0, sweeper 0.1.0; "
        "Some CPU (cpu), torch 2.15.0, sweeper 0.1.0."
    )


def test_of_very_many_unequal_keys_the_first_are_said_and_the_rest_counted() -> None:
    options = {f"option{n:02}": n for n in range(MOST_SENTENCES + 3)}
    model = {"name": "my:net", "options": options}
    first = make_sweep("a", model={"name": "my:net", "options": dict.fromkeys(options, 99)})
    said = inequalities([complete(first), complete(make_sweep("b", model=model))])
    assert len(said) == MOST_SENTENCES + 1
    assert said[-1] == "3 more keys differ."
