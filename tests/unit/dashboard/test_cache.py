"""Cache: many viewers cost as much as one, and none sees what is no longer true."""

import math
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from sweeper.dashboard.cache import Cache
from sweeper.dashboard.sweeps.response_body import ResponseBody
from sweeper.errors import StorageError, UnknownSweepError

Answers = Cache[str, bytes]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_many_who_ask_at_once_cost_as_much_as_one() -> None:
    cache, computed = Answers(), []
    start = threading.Barrier(16)

    def compute() -> bytes:
        computed.append(threading.get_ident())
        threading.Event().wait(0.05)
        return b"answer"

    def ask(_: int) -> bytes:
        start.wait()
        return cache.versioned("key", "version", compute)

    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(ask, range(16))) == {b"answer"}
    assert len(computed) == 1
    cache.versioned("key", "another version", compute)
    assert len(computed) == 2


def test_a_recent_value_is_never_older_than_the_call_allows() -> None:
    clock, numbers = Clock(), iter(range(9))
    cache = Answers(clock=clock)

    def compute() -> bytes:
        clock.now += 0.7  # seconds that reading takes
        return str(next(numbers)).encode()

    assert cache.recent("key", 1.0, compute) == b"0"
    clock.now = 0.99
    assert cache.recent("key", 1.0, compute) == b"0"
    clock.now = 1.0
    assert cache.recent("key", 1.0, compute) == b"1"


def test_those_for_whom_a_slow_value_is_too_old_wait_for_it_and_share_the_next() -> None:
    clock, begun, over = Clock(), threading.Semaphore(0), threading.Event()
    cache = Answers(clock=clock)
    computed: list[int] = []

    def compute() -> bytes:
        computed.append(0)
        begun.release()
        assert over.wait(240)
        return str(len(computed)).encode()

    with ThreadPoolExecutor(6) as pool:
        first = pool.submit(cache.recent, "key", 1.0, compute)
        assert begun.acquire(timeout=240)
        clock.now = 2.0  # it is under way, and too old for who asks now
        later = [pool.submit(cache.recent, "key", 1.0, compute) for _ in range(5)]
        assert not begun.acquire(timeout=0.1)  # one at a time
        over.set()
        assert first.result(240) == b"1"
        assert {each.result(240) for each in later} == {b"2"}
    assert len(computed) == 2


def test_with_overlap_a_slow_value_is_not_waited_for_by_later_callers() -> None:
    clock = Clock()
    cache, begun, over = Answers(clock=clock, overlap=True), threading.Event(), threading.Event()

    def slow() -> bytes:
        begun.set()
        assert over.wait(240)
        return b"slow"

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(cache.recent, "key", 1.0, slow)
        assert begun.wait(240)
        clock.now = 1.0
        assert cache.recent("key", 1.0, lambda: b"quick") == b"quick"
        over.set()
        assert first.result(240) == b"slow"
    assert cache.recent("key", 1.0, lambda: b"other") == b"quick"


def test_the_cache_does_not_grow_for_ever() -> None:
    cache = Answers(most=10)
    for number in range(240):
        cache.versioned(f"key {number}", "", lambda: b"x")
        cache.versioned("key 0", "", lambda: b"used all the time")
    assert len(cache) == 10
    assert cache.versioned("key 0", "", lambda: b"anew") == b"x"


def test_values_that_are_too_old_for_anybody_are_dropped() -> None:
    clock = Clock()
    cache = Answers(clock=clock)
    for number in range(20):
        cache.recent(f"key {number}", 1.0, lambda: b"x")
        clock.now += 0.25
    assert len(cache) == 4


def test_errors_leave_nothing_behind() -> None:
    cache = Answers()

    def fail() -> bytes:
        raise UnknownSweepError("no such sweep")

    for number in range(100):
        with pytest.raises(UnknownSweepError):
            cache.recent(f"status {number}", 1.0, fail)
    assert len(cache) == 0
    assert cache.recent("status 1", 1.0, lambda: b"back") == b"back"


def test_a_value_that_is_not_storable_reaches_those_who_wait_alone() -> None:
    cache = Answers(storable=lambda value: value != b"bad")
    assert cache.recent("key", math.inf, lambda: b"bad") == b"bad"
    assert cache.recent("key", math.inf, lambda: b"good") == b"good"
    assert cache.recent("key", math.inf, lambda: b"bad") == b"good"


def test_large_values_make_room_for_each_other() -> None:
    cache = Answers(room=10_000, size=len)
    for number in range(50):
        content = random.Random(number).randbytes(1000)
        cache.versioned(f"key {number % 30}", str(number), lambda content=content: content)  # type: ignore[misc]
        assert cache.total_size == 1000 * len(cache) <= 10_000
    cache.versioned("huge", "", lambda: bytes(20_000))
    assert len(cache) == 1


def test_a_value_under_way_when_all_is_forgotten_is_stored_for_nobody() -> None:
    cache = Answers()

    def compute() -> bytes:
        cache.clear()
        return b"before"

    assert cache.versioned("key", "", compute) == b"before"
    assert cache.versioned("key", "", lambda: b"after") == b"after"


def test_a_computation_may_go_on_from_the_value_before() -> None:
    cache = Answers()
    assert cache.latest("key") is None
    for version in "abc":
        cache.versioned("key", version, lambda: (cache.latest("key") or b"") + b"x")
    assert cache.latest("key") == b"xxx"

    def fail() -> bytes:
        raise StorageError("away")

    with pytest.raises(StorageError):
        cache.versioned("key", "d", fail)
    assert cache.latest("key") is None


def test_those_who_join_a_computation_get_its_value_and_it_is_not_stored() -> None:
    begun, over, times = threading.Event(), threading.Event(), []

    def compute() -> int:
        times.append(1)
        begun.set()
        over.wait(240)
        return len(times)

    cache: Cache[str, int] = Cache()
    values: list[int] = []
    threads = [
        threading.Thread(target=lambda: values.append(cache.join("key", compute, limit=240)))
        for _ in range(8)
    ]
    threads[0].start()
    assert begun.wait(240)
    for thread in threads[1:]:
        thread.start()
    with pytest.raises(TimeoutError):
        cache.join("key", compute, limit=0.05)
    time.sleep(0.2)
    over.set()
    for thread in threads:
        thread.join()
    assert values == [1] * 8
    assert cache.join("key", compute, limit=240) == 2


def test_an_error_of_a_joined_computation_is_everybodys_and_the_next_call_tries_again() -> None:
    answers: list[Exception | str] = [StorageError("away"), "back"]

    def compute() -> str:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    cache: Cache[str, str] = Cache()
    with pytest.raises(StorageError):
        cache.join("key", compute, limit=240)
    assert cache.join("key", compute, limit=240) == "back"


def test_answers_are_compressed_for_those_who_can_read_it() -> None:
    body = ResponseBody.of(b"x" * 5000)
    assert body.compressed is not None
    assert len(body.compressed) < 100
    assert ResponseBody.of(b"x").compressed is None
