"""Background thread: one job after the other; who waits for it never waits for ever."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from functools import partial

import pytest

from sweeper.worker.background_thread import BackgroundThread
from sweeper.worker.trial_storage import TrialStorage


class Diary(TrialStorage):
    """A storage that writes down what it did, and where."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.threads: set[int] = set()

    @contextmanager
    def opened(self) -> Iterator["Diary"]:
        self.write("open")
        yield self
        self.write("close")

    def write(self, line: str) -> str:
        self.lines.append(line)
        self.threads.add(threading.get_ident())
        return line


def written(storage: TrialStorage, line: str) -> str:
    assert isinstance(storage, Diary)
    return storage.write(line)


def unchecked() -> None:
    """What `wait` calls meanwhile, where it has nothing to say."""


def raising(error: BaseException) -> Callable[[object], None]:
    def work(_: object) -> None:
        raise error

    return work


def hold(started: threading.Event, over: threading.Event) -> Callable[[object], bool]:
    """Return a job that says when it has begun, and is over when it is told so."""

    def work(_: object) -> bool:
        started.set()
        return over.wait(240)

    return work


def test_jobs_are_done_in_their_order_by_one_thread_that_opens_and_closes_the_storage() -> None:
    diary = Diary()
    with BackgroundThread(diary.opened) as background:
        jobs = [background.submit(partial(written, line=str(n))) for n in range(50)]
        assert background.wait(jobs[-1], unchecked) == "49"
        assert all(job.done() for job in jobs)
        background.submit(partial(written, line="left with work to do"))
    assert diary.lines == ["open", *map(str, range(50)), "left with work to do", "close"]
    assert len(diary.threads) == 1
    assert threading.get_ident() not in diary.threads


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), KeyboardInterrupt()], ids=repr)
def test_what_a_job_raises_is_raised_where_it_is_waited_for_and_later_jobs_are_done(
    error: BaseException,
) -> None:
    diary = Diary()
    with BackgroundThread(diary.opened) as background:
        failing = background.submit(raising(error))
        later = background.submit(partial(written, line="later"))
        with pytest.raises(type(error)) as waited:
            background.wait(failing, unchecked)
        with pytest.raises(type(error)) as asked:
            failing.result()
        assert waited.value is asked.value is error
        assert background.wait(later, unchecked) == "later"


def test_wait_raises_what_the_check_raises_and_the_job_goes_on() -> None:
    over, started = threading.Event(), threading.Event()

    def check() -> None:
        if started.is_set():
            raise TimeoutError("the lease is lost")

    with BackgroundThread(Diary().opened) as background:
        job = background.submit(hold(started, over))
        with pytest.raises(TimeoutError, match="the lease is lost"):
            background.wait(job, check)
        assert not job.done()
        over.set()
        assert background.wait(job, unchecked)


def test_what_is_done_is_returned_without_a_look_at_the_check() -> None:
    with BackgroundThread(Diary().opened) as background:
        job = background.submit(partial(written, line="done"))
        assert background.settle([job], 240)
        assert background.wait(job, lambda: pytest.fail("checked")) == "done"


def test_waiting_is_counted_however_it_ends_and_settling_is_not() -> None:
    over, started = threading.Event(), threading.Event()
    began = float("inf")

    def check() -> None:
        if time.monotonic() > began + 0.15:
            raise TimeoutError

    with BackgroundThread(Diary().opened) as background:
        job = background.submit(hold(started, over))
        assert not background.settle([job], 0.05)
        assert background.waited == 0.0
        began = time.monotonic()  # not before: it may take long to come here
        with pytest.raises(TimeoutError):
            background.wait(job, check)
        first = background.waited
        assert 0.05 <= first <= time.monotonic() - began
        threading.Timer(0.1, over.set).start()
        background.wait(job, unchecked)
        assert first + 0.05 <= background.waited <= time.monotonic() - began


def test_cpu_time_is_that_of_the_jobs_also_of_one_that_failed_and_sleep_is_none() -> None:
    def compute(_: object) -> None:
        until = time.thread_time() + 0.05
        while time.thread_time() < until:
            pass
        raise ValueError

    with BackgroundThread(Diary().opened) as background:
        background.wait(background.submit(lambda _: time.sleep(0.3)), unchecked)
        assert background.cpu_seconds < 0.2
        background.settle([background.submit(compute)], 240)
        assert background.cpu_seconds >= 0.05


def test_settling_takes_no_longer_than_said_and_tells_what_was_over() -> None:
    over, started = threading.Event(), threading.Event()
    with BackgroundThread(Diary().opened) as background:
        failed = background.submit(raising(ValueError("no")))
        held = background.submit(hold(started, over))
        behind = background.submit(partial(written, line="behind"))
        assert background.settle([failed], 240)
        began = time.monotonic()
        assert not background.settle([failed, held, behind], 0.2)
        assert time.monotonic() - began < 120
        over.set()
        assert background.settle([failed, held, behind], 240)
        assert background.settle([], 0)


def test_a_job_that_is_cancelled_in_time_is_not_done_and_those_behind_it_are() -> None:
    over, started = threading.Event(), threading.Event()
    diary = Diary()
    with BackgroundThread(diary.opened) as background:
        held = background.submit(hold(started, over))
        dropped = background.submit(partial(written, line="dropped"))
        behind = background.submit(partial(written, line="behind"))
        assert started.wait(240)
        assert dropped.cancel()
        assert not held.cancel()
        over.set()
        assert background.settle([dropped, behind], 240)
        with pytest.raises(CancelledError):
            background.wait(dropped, unchecked)
    assert diary.lines == ["open", "behind", "close"]


def test_a_storage_that_cannot_be_opened_fails_every_job_and_nobody_waits_for_ever() -> None:
    opened = []

    @contextmanager
    def closed() -> Iterator[Diary]:
        opened.append(1)
        raise OSError("no such database")
        yield Diary()

    with BackgroundThread(closed) as background:
        for _ in range(3):
            with pytest.raises(OSError, match="no such database"):
                background.wait(background.submit(partial(written, line="never")), patience(240))
    assert opened == [1]


def patience(seconds: float) -> Callable[[], None]:
    """Return a check that ends a wait which would last for ever."""
    until = time.monotonic() + seconds

    def check() -> None:
        assert time.monotonic() < until, "waited for ever"

    return check
