"""Answers that are kept: many viewers cost as much as one, and none sees what is no longer true."""

import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from sweeper.dashboard.sweeps.response_cache import MOST, ResponseBody, ResponseCache
from sweeper.errors import UnknownSweepError


def test_many_who_ask_at_once_cost_as_much_as_one() -> None:
    kept, made = ResponseCache(), []
    start = threading.Barrier(16)

    def make() -> bytes:
        made.append(threading.get_ident())
        threading.Event().wait(0.05)
        return b"answer"

    def ask(_: int) -> bytes:
        start.wait()
        return kept.get("key", "version", make).plain

    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(ask, range(16))) == {b"answer"}
    assert len(made) == 1
    kept.get("key", "another version", make)
    assert len(made) == 2


def test_what_is_recent_is_never_older_than_it_says() -> None:
    now = [0.0]
    kept, made = ResponseCache(lambda: now[0]), iter(range(9))

    def make() -> bytes:
        now[0] += 0.7  # seconds that reading takes
        return str(next(made)).encode()

    assert kept.recent("key", 1.0, make).plain == b"0"
    now[0] = 1.0
    assert kept.recent("key", 1.0, make).plain == b"0"
    now[0] = 1.01
    assert kept.recent("key", 1.0, make).plain == b"1"


def test_the_cache_does_not_grow_for_ever() -> None:
    kept = ResponseCache()
    for number in range(2 * MOST):
        kept.get(f"key {number}", "", lambda: b"x")
    assert len(kept._entries) == len(kept._making) == MOST


def test_answers_are_packed_for_those_who_can_unpack() -> None:
    body = ResponseBody.of(b"x" * 5000)
    assert body.packed is not None
    assert len(body.packed) < 100
    assert ResponseBody.of(b"x").packed is None


def test_those_who_wait_for_a_slow_answer_share_it() -> None:
    kept, made, start = ResponseCache(), [], threading.Barrier(6)

    def make() -> bytes:
        made.append(0)
        threading.Event().wait(0.1)
        return b"slow"

    def ask(_: int) -> bytes:
        start.wait()
        return kept.recent("key", 0.01, make).plain  # older than that when it is made

    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(ask, range(6))) == {b"slow"}
    assert len(made) <= 2


def test_names_that_are_none_leave_nothing_behind() -> None:
    kept = ResponseCache()

    def fail() -> bytes:
        raise UnknownSweepError("no such sweep")

    for number in range(100):
        with pytest.raises(UnknownSweepError):
            kept.recent(f"status {number}", 1.0, fail)
    assert (len(kept._entries), len(kept._making)) == (0, 0)


def test_large_answers_make_room_for_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sweeper.dashboard.sweeps.response_cache.ROOM", 10_000)
    kept = ResponseCache()
    for number in range(50):
        content = random.Random(number).randbytes(1000)
        kept.get(f"key {number % 30}", str(number), lambda content=content: content)  # type: ignore[misc]
        assert kept._size == sum(entry.body.size for entry in kept._entries.values()) <= 10_000
