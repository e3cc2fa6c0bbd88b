"""Time budget of a run: the moment before which all that workers train is to end.

A pack that would not end before it is not begun, and one that takes longer than expected is not
ended. The moment is one of the wall clock, so that workers of all machines share it.
"""

import re
import time
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from sweeper.errors import InputError, shown
from sweeper.types import ArmProgress, Slot, SweepStatus

_UNITS = {"d": 86_400, "h": 3600, "min": 60, "m": 60, "s": 1}
_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")
LONGEST = timedelta(days=3650)


def parse_until(text: str, place: str = "--until", *, past: bool = False) -> datetime:
    """Return a moment to come, of `18:00`, today or tomorrow, or of a date with a time.

    Without a zone it is one of this machine. It may be `past` where somebody else has looked
    before. Raises InputError.
    """
    now = datetime.now().astimezone()
    if clock := _CLOCK.fullmatch(text.strip()):
        hour, minute = map(int, clock.groups())
        moment = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
        # By the calendar, for a day may have 23 hours.
        return moment if moment > now else _local(moment.replace(tzinfo=None) + timedelta(days=1))
    try:
        said = datetime.fromisoformat(text.strip())
        if not re.search(r"\d[T ]\d", text):
            raise ValueError("a date without a time")
        moment = _local(said)
    except (ValueError, OverflowError, OSError):
        raise InputError(
            f"{place}: must be a time such as 18:00, or a date with one such as 2030-01-31T18:00, "
            f"got {shown(text)}"
        ) from None
    return moment if past else _to_come(moment, text, place)


def parse_duration(text: str, place: str = "--for") -> timedelta:
    """Return a duration, of `90s`, `2h` or `1h30m`. Raises InputError.

    >>> parse_duration("1h30m").total_seconds()
    5400.0
    """
    parts = re.findall(r"(\d+(?:\.\d+)?)\s*(d|h|min|m|s)", text)
    whole = re.fullmatch(r"(?:\d+(?:\.\d+)?\s*(?:d|h|min|m|s)\s*)+", text.strip())
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts) if whole else 0.0
    if not 0 < seconds <= LONGEST.total_seconds():
        raise InputError(f"{place}: must be a duration such as 90s, 2h or 1h30m, got {shown(text)}")
    return timedelta(seconds=seconds)


def budget_end(until: "datetime | str | None") -> float | None:
    """Return the end of a time budget in seconds since 1970, given to Python. Raises InputError."""
    if until is None:
        return None
    if isinstance(until, str):
        return parse_until(until, "until").timestamp()
    if not isinstance(until, datetime):
        raise InputError(f"until: must be a datetime or a time such as '18:00', got {shown(until)}")
    return _to_come(_local(until), str(until), "until").timestamp()


def moment(until: float) -> datetime:
    """Return seconds since 1970 as a moment with this machine's zone."""
    return datetime.fromtimestamp(until).astimezone()


def moment_text(until: float) -> str:
    """Return the end of a time budget as people read it: `18:00`, with its date on another day."""
    at = moment(until)
    clock = f"{at:%H:%M:%S}".removesuffix(":00")
    return clock if at.date() == datetime.now().astimezone().date() else f"{at:%Y-%m-%d} {clock}"


def _local(moment: datetime) -> datetime:
    return moment.astimezone()


def _to_come(moment: datetime, text: str, place: str) -> datetime:
    now = datetime.now().astimezone()
    if not now < moment < now + LONGEST:
        when = "is past" if moment <= now else "is more than ten years away"
        raise InputError(f"{place}: {when}, got {shown(text)}")
    return moment


class TimeBudget:
    """The time that one worker has, and how long its packs take of it."""

    def __init__(self, until: float) -> None:
        self.until = until
        self._seconds: dict[str, float] = {}
        """Of a trial of each arm, in the last pack that this worker trained of it."""
        self.expected: float | None = None
        """Seconds of any trial, as a trainer expects before one was trained."""

    @property
    def is_over(self) -> bool:
        """True once the moment has come."""
        return time.time() >= self.until

    def note(self, slots: Iterable[Slot], seconds: float) -> None:
        """Take note that a pack of these slots was trained in some seconds."""
        arms = [slot.arm for slot in slots]
        self._seconds |= dict.fromkeys(arms, seconds / max(len(arms), 1))

    def late_arms(self, status: SweepStatus, most: int) -> set[str]:
        """Return the arms whose next pack, of `most` trials, would end too late."""
        return self._late(_arms_left(status), most)

    def is_spent(self, status: SweepStatus, most: int) -> bool:
        """Tell whether nothing that is left would end before the moment."""
        left = _arms_left(status)
        return self.is_over or (bool(left) and self._late(left, most) == {arm.arm for arm in left})

    def _late(self, left: Sequence[ArmProgress], most: int) -> set[str]:
        size = min(most, sum(arm.budget - arm.done for arm in left))
        remaining = self.until - time.time()
        paces = {arm.arm: pace for arm in left if (pace := self._pace(arm))}
        # Nothing is known of an arm: that of the slowest, else what the trainer expects.
        usual = max([*paces.values(), *self._seconds.values()], default=self.expected or 0.0)
        return {arm.arm for arm in left if size * paces.get(arm.arm, usual) > remaining}

    def _pace(self, arm: ArmProgress) -> float | None:
        """Return the seconds of a trial of an arm, by this worker, else by all; None before any."""
        usual = arm.seconds / arm.done if arm.done else None
        return self._seconds.get(arm.arm) or arm.pace or usual


def _arms_left(status: SweepStatus) -> list[ArmProgress]:
    return [arm for arm in status.arms if arm.done < arm.budget]
