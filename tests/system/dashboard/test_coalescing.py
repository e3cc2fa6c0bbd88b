"""Polls of Optuna's pages share answers: never old ones, and none across a change."""

import json
import threading
from collections import Counter
from pathlib import Path
from queue import Queue
from typing import Any

import optuna
import pytest

from support.dashboard_server import filled, running
from support.http_client import ask
from sweeper.dashboard.server import coalescing
from sweeper.dashboard.server.coalescing import CoalescingMiddleware

POLL = "/api/studies/1"


class Server:
    """Answers with how often it was asked; while it is held, later."""

    def __init__(self) -> None:
        self.asked: Counter[tuple[str, str]] = Counter()
        self.status = "200 OK"
        self.held = threading.Event()
        self.held.set()
        self.entered: Queue[str] = Queue()

    def __call__(self, environ: Any, start: Any) -> list[bytes]:
        key = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        self.asked[key] += 1
        number = self.asked[key]
        self.entered.put(key[0])
        assert self.held.wait(240)
        if self.status == "raise":
            raise RuntimeError("no such thing")
        start(self.status, [("Content-Type", "text/plain")])
        return [str(number).encode()]


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def shared(server: Server, clock: Clock) -> CoalescingMiddleware:
    return CoalescingMiddleware(server, clock)


def get(app: CoalescingMiddleware, path: str = POLL, query: str = "", method: str = "GET") -> str:
    environ = {"REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": query}
    return b"".join(app(environ, lambda *_: lambda _: None)).decode()


def in_threads(app: CoalescingMiddleware, count: int) -> tuple[list[threading.Thread], Queue[str]]:
    answers: Queue[str] = Queue()
    threads = [threading.Thread(target=lambda: answers.put(get(app))) for _ in range(count)]
    for thread in threads:
        thread.start()
    return threads, answers


def test_those_who_ask_at_once_share_one_answer(
    shared: CoalescingMiddleware, server: Server
) -> None:
    server.held.clear()
    threads, answers = in_threads(shared, 8)
    server.entered.get(timeout=240)
    server.held.set()
    for thread in threads:
        thread.join()
    assert [answers.get(timeout=240) for _ in threads] == ["1"] * 8


def test_an_answer_is_given_for_a_second_from_when_it_was_begun(
    shared: CoalescingMiddleware, clock: Clock
) -> None:
    assert get(shared) == "1"
    clock.now += coalescing.FRESH - 0.01
    assert get(shared) == "1"
    clock.now += 0.01
    assert get(shared) == "2"


def test_one_that_takes_long_is_not_waited_for_by_later_ones(
    shared: CoalescingMiddleware, server: Server, clock: Clock
) -> None:
    server.held.clear()
    threads, answers = in_threads(shared, 1)
    server.entered.get(timeout=240)
    clock.now += coalescing.FRESH
    later, _ = in_threads(shared, 1)
    server.entered.get(timeout=240)  # it asks for itself
    server.held.set()
    for thread in [*threads, *later]:
        thread.join()
    assert answers.get(timeout=240) == "1"


def test_what_took_long_is_given_for_ten_times_as_long_but_for_a_minute_at_most(
    server: Server, clock: Clock
) -> None:
    took = [0.5]

    def slow(environ: Any, start: Any) -> list[bytes]:
        clock.now += took[0]
        return server(environ, start)

    shared = CoalescingMiddleware(slow, clock)
    assert get(shared) == "1"
    clock.now += 4.0  # four and a half since it was begun
    assert get(shared) == "1"
    clock.now += 0.5
    took[0] = 30.0
    assert get(shared) == "2"
    clock.now += 29.9
    assert get(shared) == "2"
    clock.now += 0.1
    assert get(shared) == "3"
    get(shared, "/api/studies/1/note", method="PUT")
    assert get(shared) == "4"


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE", "PATCH"])
def test_after_a_change_nobody_gets_what_was_begun_before(
    shared: CoalescingMiddleware, server: Server, method: str
) -> None:
    assert get(shared) == "1"
    get(shared, "/api/studies/1/note", method=method)
    assert get(shared) == "2"
    server.held.clear()
    while not server.entered.empty():
        server.entered.get()
    change = threading.Thread(target=lambda: get(shared, "/api/studies/1/note", method=method))
    change.start()
    server.entered.get(timeout=240)
    threads, _ = in_threads(shared, 1)  # begun while the change is under way
    server.entered.get(timeout=240)
    server.held.set()
    for thread in [change, *threads]:
        thread.join()
    assert get(shared) == "4"


def test_other_questions_have_other_answers(shared: CoalescingMiddleware, server: Server) -> None:
    for path in (POLL, f"{POLL}/param_importances", "/api/studies/2", "/api/studies"):
        get(shared, path)
        get(shared, path, "after=5")
        assert server.asked["GET", path] == 2
    for path in (
        "/csv/1",
        "/sweeps/a/fronts.json",
        "/api/meta",
    ):
        assert [get(shared, path), get(shared, path)] == ["1", "2"]
    assert [get(shared, method="HEAD"), get(shared, method="HEAD")] == ["1", "2"]


def test_an_error_is_kept_for_nobody(shared: CoalescingMiddleware, server: Server) -> None:
    server.status = "404 Not Found"
    assert [get(shared), get(shared)] == ["1", "2"]
    server.status = "raise"
    with pytest.raises(RuntimeError):
        get(shared)
    server.status = "200 OK"
    assert get(shared) == "4"


def test_few_answers_are_kept(shared: CoalescingMiddleware) -> None:
    for number in range(3 * coalescing.MOST):
        get(shared, query=f"after={number}")
        assert len(shared.answers) <= coalescing.MOST


def test_over_http_an_edit_is_seen_at_once_and_a_trial_within_a_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = filled(tmp_path)
    study = optuna.load_study(study_name="toy", storage=store.url)
    with running(store, monkeypatch, allow_edit=True) as url:

        def shown() -> Any:
            return json.loads(ask(url, "GET", POLL).text)

        for version in range(1, 4):
            assert shown()["note"]["version"] == version - 1
            note = json.dumps({"version": version, "body": "seen"})
            headers = {"Content-Type": "application/json"}
            assert ask(url, "PUT", "/api/studies/1/note", headers, note).status == 204
        monkeypatch.setattr(coalescing, "FRESH", 3600.0)
        assert shown()["user_attrs"] == []
        study.set_user_attr("seen", 1)
        assert shown()["user_attrs"] == []
        monkeypatch.setattr(coalescing, "FRESH", 0.0)
        monkeypatch.setattr(coalescing, "SHARE", 0.0)
        assert [one["key"] for one in shown()["user_attrs"]] == ["seen"]
