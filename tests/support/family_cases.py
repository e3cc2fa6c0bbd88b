"""Confirmed families of penalties, made by hand."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from support.factories import make_fact, make_provenance, make_record, make_status, make_sweep
from sweeper.analysis.conclusion import ConfirmationResult
from sweeper.analysis.confirmation import (
    ConfirmedConfig,
    confirmation_sweep,
    confirmed_configs,
)
from sweeper.analysis.sweep_record import SweepRecord
from sweeper.config import Sweep
from sweeper.reports.html_page import page
from sweeper.types import ReproducibilityCheck, TrialRecord

AUTO = {"log_uniform": [1e-4, 1e-1]}
ARMS: Mapping[str, Any] = {
    "l1": {"penalty": "l1", "strength": AUTO},
    "l2": {"penalty": "l2", "strength": AUTO},
    "entropy": {"penalty": "marginal_entropy", "strength": AUTO},
    "mixed": {"penalty": "l1_marginal_entropy", "strength": AUTO},
    "control": {"penalty": "l1_marginal_entropy", "strength": AUTO, "shuffle": True},
    "gradual": {"method": "gradual_magnitude"},
}
SIZES = (1900, 7600)
Middle = Callable[[str, int], tuple[float, float]]


def search(
    repeats: int, arms: Mapping[str, Any] = ARMS, **changes: Any
) -> tuple[Sweep, list[TrialRecord]]:
    """Each repeat of each arm has one network at each size."""
    targets = {"nonzero": list(SIZES), "accuracy": [0.95, 0.97, 0.99]}
    changes = {"targets": targets, **changes}
    sweep = make_sweep(arms=arms, search={"trials": 2, "repeats": repeats}, **changes)
    make = partial(make_fact, sweep=sweep)
    return sweep, [
        make(arm=arm, repeat=repeat, slot=slot, nonzero=size, val=0.95 + 0.02 * slot)
        for arm in sweep.arms
        for repeat in range(repeats)
        for slot, size in enumerate(SIZES)
    ]


def again(
    repeats: int, middle: Middle, seeds: int = 2, arms: Mapping[str, Any] = ARMS, **changes: Any
) -> tuple[Sweep, list[ConfirmedConfig], list[TrialRecord]]:
    """`middle` says at which size a repeat of an arm reaches 97 %: on validation, and on test."""
    sweep, facts = search(repeats, arms, **changes)
    confirms = confirmation_sweep(sweep, make_status(sweep, facts), facts, seeds=seeds)
    trained = []
    for arm in confirms.arms:
        for repeat, number in confirms.slots(arm):
            place = number % len(SIZES)
            val, test = (
                0.97 + shift * 0.02
                for size in middle(arm, repeat)
                for shift in [_shift(place, size)]
            )
            trained.append(
                make_fact(
                    sweep=confirms,
                    arm=arm,
                    repeat=repeat,
                    slot=number,
                    nonzero=SIZES[place],
                    val=val,
                    test=test,
                )
            )
    return confirms, confirmed_configs(confirms, trained, facts), trained


def _shift(place: int, size: float) -> float:
    """Return how far from 97 % a network lies, so that the line between the two crosses there."""
    import math

    at = math.log(size / SIZES[0]) / math.log(SIZES[1] / SIZES[0])  # 0 and 1 at the sizes
    return -at if place == 0 else 1 - at


def sizes(arm: str, repeat: int) -> tuple[float, float]:
    base = {
        "l1": 3000,
        "l2": 5000,
        "entropy": 4000,
        "blind": 3500,
        "mixed": 2000,
        "control": 2900,
        "gradual": 2500,
    }[arm]
    both = base * (1 + 0.1 * repeat)
    return both, both * (1.02 if repeat % 2 and arm != "l1" else 1.0)


def confirmed_search(
    done: int | None = None, *, repeats: int = 5, seeds: int = 2, **origin: Any
) -> tuple[Sweep, list[TrialRecord], ConfirmationResult]:
    """A search with its confirmation, the first training of which has another origin, if named."""
    sweep, facts = search(repeats)
    confirms, _, trained = again(repeats, sizes, seeds=seeds)
    if origin:
        trained[0] = replace(trained[0], provenance=make_provenance(**origin))
    return sweep, facts, confirmed(sweep, facts, confirms, trained[:done])


def confirmed(
    sweep: Sweep,
    facts: Sequence[TrialRecord],
    confirms: Sweep,
    trained: Sequence[TrialRecord],
    checks: Sequence[ReproducibilityCheck] = (),
) -> ConfirmationResult:
    """Return the confirmation of a search, each with its records."""
    record = make_record(sweep, facts, checks=checks, confirmation=(confirms, trained))
    assert record.confirmation
    return record.confirmation


def recorded(
    sweep: Sweep, facts: Sequence[TrialRecord], again: ConfirmationResult, **options: Any
) -> SweepRecord:
    """Return the record of a search with its confirmation."""
    return replace(make_record(sweep, facts, **options), confirmation=again)


def report(repeats: int, **changes: Any) -> str:
    sweep, facts, found = confirmed_search(repeats=repeats)
    return page(recorded(sweep, facts, replace(found, **changes)))
