"""Time budgets: what the options say, and which packs would end too late."""

import time
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from support.factories import make_fact, make_status, make_sweep
from sweeper.errors import InputError
from sweeper.types import Slot
from sweeper.worker.time_budget import (
    TimeBudget,
    budget_end,
    moment_text,
    parse_duration,
    parse_until,
)

SWEEP = make_sweep(search={"trials": 10})
ARMS = set(SWEEP.arms)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("2h", 7200), ("1h30m", 5400), ("1.5 h", 5400), ("2min", 120), ("1d 1s", 86_401)],
)
def test_durations_are_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "2", "h", "0s", "-1h", "2 hours", "1h30", "99999999d"])
def test_what_is_no_duration_is_one_line(text: str) -> None:
    with pytest.raises(InputError) as raised:
        parse_duration(text)
    wanted = "--for: must be a duration such as 90s, 2h or 1h30m, got "
    assert str(raised.value) == f"{wanted}{text!r}"


def test_a_time_of_day_is_the_next_one() -> None:
    now = datetime.now().astimezone()
    for ahead in (timedelta(minutes=2), timedelta(hours=23)):
        wanted = (now + ahead).replace(second=0, microsecond=0)
        assert parse_until(f"{wanted:%H:%M}") == wanted


def test_a_date_with_a_time_has_the_zone_that_it_says_or_that_of_this_machine() -> None:
    plain = (datetime.now() + timedelta(days=30)).replace(microsecond=0)
    assert parse_until(plain.isoformat()) == plain.astimezone()
    assert parse_until(f"{plain:%Y-%m-%d %H:%M}").tzinfo is not None
    utc = parse_until(f"{plain.isoformat()}+05:00")
    assert utc.utcoffset() != timedelta(hours=5) or utc == plain.astimezone()
    assert parse_until(f"{plain.isoformat()}Z") == datetime.fromisoformat(f"{plain.isoformat()}Z")


@pytest.mark.parametrize("text", ["", "noon", "25:00", "2030-01-31", "2030-02-30T10:00", "18"])
def test_what_is_no_time_is_one_line(text: str) -> None:
    with pytest.raises(InputError, match="--until: must be a time such as 18:00"):
        parse_until(text)


def test_a_moment_that_is_past_is_refused_unless_somebody_has_looked_before() -> None:
    with pytest.raises(InputError, match="--until: is past, got '2020-01-01T10:00'"):
        parse_until("2020-01-01T10:00")
    assert parse_until("2020-01-01T10:00", past=True).year == 2020
    with pytest.raises(InputError, match="until: is past"):
        budget_end(datetime(2020, 1, 1, 10))
    with pytest.raises(InputError, match="until: must be a datetime or a time such as '18:00'"):
        budget_end(3.0)  # type: ignore[arg-type]


def test_a_moment_is_written_with_its_date_on_another_day() -> None:
    today = datetime.now().astimezone().replace(hour=18, minute=0, second=0, microsecond=0)
    assert moment_text(today.timestamp()) == "18:00"
    far = (today + timedelta(days=40)).replace(hour=18)
    assert moment_text(far.timestamp()) == f"{far:%Y-%m-%d} 18:00"


def slots(arm: str, count: int) -> list[Slot]:
    return [Slot("toy", arm, 0, number, f"toy/{arm}/0") for number in range(count)]


def test_an_arm_is_late_by_the_last_pack_of_it_here() -> None:
    status = make_status(SWEEP, [])
    slow, *others = SWEEP.arms
    budget = TimeBudget(time.time() + 100)
    assert budget.late_arms(status, 4) == set()  # nothing is known: it is tried
    budget.note(slots(slow, 2), 60.0)  # 30 s each, 4 take 120
    assert budget.late_arms(status, 4) == ARMS  # of the others nothing else is known
    for arm in others:
        budget.note(slots(arm, 4), 40.0)
    assert budget.late_arms(status, 4) == {slow}
    assert not budget.is_spent(status, 4)
    assert budget.late_arms(status, 3) == set()  # 90 s


def test_before_the_first_pack_the_record_counts_then_what_the_trainer_expects() -> None:
    facts = [make_fact(sweep=SWEEP, arm=arm, slot=0) for arm in SWEEP.arms]  # ten seconds each
    budget = TimeBudget(time.time() + 35)
    assert budget.late_arms(make_status(SWEEP, facts), 4) == ARMS
    assert budget.late_arms(make_status(SWEEP, facts), 3) == set()
    unknown = make_status(SWEEP, [])
    budget.expected = 12.0
    assert budget.late_arms(unknown, 3) == ARMS
    assert budget.is_spent(unknown, 3)
    assert not budget.is_spent(unknown, 2)


def test_a_pack_is_no_larger_than_what_is_left() -> None:
    facts = [make_fact(sweep=SWEEP, arm=arm, slot=n) for arm in SWEEP.arms for n in range(10)]
    status = make_status(SWEEP, facts[:-1])  # one trial is left, of ten seconds
    assert TimeBudget(time.time() + 15).late_arms(status, 100) == set()
    assert TimeBudget(time.time() + 5).late_arms(status, 100) == {facts[-1].slot.arm}


def test_time_that_is_over_is_spent_and_a_finished_sweep_spends_none() -> None:
    status = make_status(SWEEP, [])
    assert TimeBudget(time.time() - 1).is_spent(status, 1)
    assert not TimeBudget(time.time() + 9).is_spent(replace(status, arms=()), 1)
