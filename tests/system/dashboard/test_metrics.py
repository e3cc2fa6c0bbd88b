"""/metrics and the log of the dashboard, over HTTP, beside what the store itself says."""

import io
import json
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from functools import partial
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import Engine, event

from support.dashboard_server import running
from support.database_edits import execute, expire
from support.fakes import fake_train, ladder_sweep, small_sweep
from support.http_client import PAGE, RIGHT, TOKEN, WRONG, ask, cookie, log_in
from support.metrics_text import Samples, families, scraped, value
from support.postgres import Postgres
from support.processes import wait_for
from sweeper import lifecycle
from sweeper.config import Sweep
from sweeper.dashboard.server import metrics, reaper, serve
from sweeper.dashboard.server.access_log import AccessLog
from sweeper.dashboard.server.metrics import ROUTE_CLASSES, Metrics, route_class
from sweeper.dashboard.server.telemetry import Telemetry
from sweeper.errors import StorageError
from sweeper.store import Store
from sweeper.types import SweepStatus
from sweeper.worker.worker_loop import work


def log_of(monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[dict[str, Any]]]:
    """Take what is written to standard error; returns what reads it as lines of JSON."""
    text = io.StringIO()
    monkeypatch.setattr(sys, "stderr", text)
    return lambda: [json.loads(line) for line in text.getvalue().splitlines()]


@pytest.fixture
def busy(store: Store) -> Store:
    """Two sweeps: one of a past with all that may befall trials, one that nobody works on."""
    first = ladder_sweep("first", search={"seeds": 1})
    lifecycle.register(store, first)
    lifecycle.register(store, small_sweep("second"))
    work("first", store, train=fake_train, data=None, pack=3)
    grown = first.model_copy(update={"search": first.search.model_copy(update={"trials": 9})})
    lifecycle.register(store, Sweep.model_validate(grown.model_dump(mode="json")), extend=True)
    expire(store.url, store.join("first", device="cuda:0"))
    worker = store.join("first", device="cuda:1")
    one, two, *_ = store.claim(worker, 4)
    store.release(worker, [one], error="ValueError: no such thing")
    store.record_out_of_memory(worker, [two], "out of memory")
    execute(
        store.url,
        "UPDATE sweeper_fact SET recorded_at = recorded_at - 7200 WHERE slot < 2",
    )
    return store


@pytest.fixture
def light(sqlite_url: str) -> Iterator[Store]:
    """A storage of our tables, without any sweep."""
    with closing(Store(sqlite_url)) as store:
        store.upgrade()
        yield store


def expected(status: SweepStatus) -> Samples:
    """Oracle: what the store says of one sweep."""
    found: Samples = {}

    def add(name: str, number: float, **labels: str) -> None:
        found[name, frozenset({"sweep": status.name, **labels}.items())] = number

    for arm in status.arms:
        lost = arm.diverged + arm.collapsed
        left = arm.budget - arm.done
        trials = {"recorded": arm.done, "claimed": arm.claimed, "open": left - arm.claimed}
        for state, number in trials.items():
            add("sweeper_trials", number, arm=arm.arm, state=state)
        complete = arm.networks - lost
        networks = {"complete": complete, "diverged": arm.diverged, "collapsed": arm.collapsed}
        for state, number in networks.items():
            add("sweeper_networks", number, arm=arm.arm, state=state)
        add("sweeper_budget_trials", arm.budget, arm=arm.arm)
        add("sweeper_budget_left_trials", arm.budget - arm.done, arm=arm.arm)
        for kind, number in arm.failures.items():
            add("sweeper_attempts_lost_total", number, arm=arm.arm, **{"class": kind})
    for device in {worker.device for worker in status.workers if worker.alive}:
        alive = sum(worker.alive and worker.device == device for worker in status.workers)
        add("sweeper_workers", alive, device=device)
    return found


def test_the_figures_are_those_of_the_store(busy: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(busy, monkeypatch, token=TOKEN.encode()) as url:
        found = scraped(url, RIGHT)
    wanted = {**expected(busy.status("first")), **expected(busy.status("second"))}
    assert {key[0] for key in wanted} >= {"sweeper_workers", "sweeper_attempts_lost_total"}
    assert any(dict(key[1]).get("state") == "diverged" and number for key, number in wanted.items())
    of_sweeps = {
        key: number
        for key, number in found.items()
        if dict(key[1]).keys() & {"sweep"} and key[0] != "sweeper_trials_per_hour"
    }
    assert of_sweeps == wanted
    # Those of slots 0 and 1 of three arms were recorded two hours ago.
    done = busy.status("first").done
    assert value(found, "sweeper_trials_per_hour", sweep="first") == done - 6 > 0
    assert value(found, "sweeper_trials_per_hour", sweep="second") == 0
    assert value(found, "sweeper_up") == 1
    assert 0 < (value(found, "sweeper_database_latency_seconds") or 0) < 5


def test_a_look_asks_no_more_of_the_database_for_many_sweeps(light: Store) -> None:
    statements: list[str] = []

    def count(connection: object, cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    event.listen(Engine, "before_cursor_execute", count)
    try:
        light.register(small_sweep("first"))
        statements.clear()
        light.health().census()
        single = len(statements)
        for number in range(5):
            light.register(small_sweep(f"further-{number}"))
        statements.clear()
        assert len(light.health().census().sweeps) == 6
        assert len(statements) == single < 10
    finally:
        event.remove(Engine, "before_cursor_execute", count)


def test_the_page_is_as_prometheus_wants_it(busy: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rules of `promtool check metrics`, and one more: all names begin alike."""
    with running(busy, monkeypatch) as url:
        ask(url, "GET", "/api/studies")
        text = ask(url, "GET", "/metrics").text
        newer = ask(url, "GET", "/metrics", {"Accept": "application/openmetrics-text"})
        head = ask(url, "HEAD", "/metrics")
    assert newer.headers["Content-Type"].startswith("application/openmetrics-text")
    assert newer.text.endswith("# EOF\n")
    assert (head.status, head.text) == (200, "")
    helped = re.findall(r"^# HELP (\S+) \S.*\.$", text, re.MULTILINE)
    typed = re.findall(r"^# TYPE (\S+) (?:counter|gauge|histogram)$", text, re.MULTILINE)
    assert [*re.findall(r"^# TYPE (\S+)", text, re.MULTILINE)] == typed
    assert len(typed) == len(set(typed)) > 10
    assert {name for name in typed if not name.endswith("_created")} <= set(helped)
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert len(lines) == len({line.rpartition(" ")[0] for line in lines})
    for name, family in families(text).items():
        assert re.fullmatch(r"sweeper_[a-z_]+", name)
        assert not re.search(r"_(ms|s|milliseconds|minutes|hours|percent)(_|$)", name)
        assert not re.search(r"_(gauge|counter|histogram|bucket|count|sum|info)$", name)
        assert (family.type == "counter") == any(
            sample.name.endswith("_total") for sample in family.samples
        )
        assert all(
            re.fullmatch("[a-z]+", label) for sample in family.samples for label in sample.labels
        )


def counted(found: Mapping[Any, float], name: str) -> dict[tuple[str, str], float]:
    """Return how many requests there were, by route and status."""
    return {
        (dict(labels)["route"], dict(labels)["status"]): number
        for (sample, labels), number in found.items()
        if sample == f"{name}_count"
    }


def test_requests_are_counted_by_kind_of_route_and_status(
    light: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(light, monkeypatch, token=TOKEN.encode()) as url:
        for path in ("/api/studies", "/api/studies/1", "/nowhere/at/all", "/sweeps/a/b"):
            ask(url, "GET", path, RIGHT)
        ask(url, "GET", "/api/studies/7?token=x", WRONG)
        name = "sweeper_http_request_seconds"
        wanted = {
            ("/api/studies/*", "200"): 1,
            ("/api/studies/*", "404"): 1,
            ("/api/studies/*", "401"): 1,
            ("/sweeps/*", "404"): 1,
            ("other", "404"): 1,
        }
        # A request is counted when its answer is on its way: the next one may be faster. Scrapes
        # count themselves.
        wait_for(lambda: counted(scraped(url, RIGHT), name).items() >= wanted.items())
        found = scraped(url, RIGHT)
    assert counted(found, name).keys() - wanted.keys() <= {("/metrics", "200")}
    assert (value(found, f"{name}_sum", route="/api/studies/*", status="200") or 0) > 0


@given(st.text())
def test_no_path_makes_a_label_of_its_own(path: str) -> None:
    assert route_class(path) in ROUTE_CLASSES
    assert route_class(f"/api/studies/{path}") == "/api/studies/*"


def test_it_needs_the_token_and_two_applications_do_not_mix(
    light: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        running(light, monkeypatch, token=TOKEN.encode()) as url,
        serve.site(light, None, AccessLog()) as _,
    ):
        assert ask(url, "GET", "/metrics").status == 401
        assert ask(url, "GET", "/metrics", WRONG).status == 401
        assert value(scraped(url, RIGHT), "sweeper_up") == 1


def test_slots_that_this_server_reaped_are_counted_and_logged(
    busy: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve, "reap_periodically", partial(reaper.reap_periodically, every=0.1))
    logged = log_of(monkeypatch)
    (worker,) = (one.id for one in busy.status("first").workers if one.alive)
    claimed = sum(arm.claimed for arm in busy.status("first").arms)
    assert claimed > 1
    with running(busy, monkeypatch, access_log=True) as url:
        assert value(scraped(url), "sweeper_slots_reaped_total") == 0
        expire(busy.url, worker)
        wait_for(lambda: value(scraped(url), "sweeper_slots_reaped_total") == claimed)
    events = [{**one, "time": ""} for one in logged() if "event" in one]
    assert events == [
        {"time": "", "event": "started"},
        {"time": "", "event": "reaped slots", "sweep": "first", "slots": claimed},
        {"time": "", "event": "stopped"},
    ]


@pytest.mark.postgres
@pytest.mark.slow
def test_a_database_that_is_away_is_said_and_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    logged = log_of(monkeypatch)
    database = Postgres()
    try:
        store = Store(database.url("postgres"))
        store.upgrade()
        with closing(store), running(store, monkeypatch, access_log=True) as url:
            assert value(scraped(url), "sweeper_up") == 1
            database.stop()
            began = time.monotonic()
            found = scraped(url)
            assert time.monotonic() - began < metrics.PATIENCE + 20
            assert value(found, "sweeper_up") == 0
            assert not any(name.startswith("sweeper_trials") for name, _ in found)
            found = scraped(url)
            assert (value(found, "sweeper_database_retries_total") or 0) > 0
            assert value(
                found, "sweeper_http_request_seconds_count", route="/metrics", status="200"
            )
            assert ask(url, "GET", "/healthz").text == "unreachable"
    finally:
        with suppress(Exception):
            database.stop()
    (away,) = (one for one in logged() if one.get("event") == "database away")
    assert "\n" not in away["reason"]


def test_a_database_that_is_back_is_said() -> None:
    text = io.StringIO()
    watch = Telemetry(Metrics(), AccessLog(text))
    away = True

    def question() -> str:
        if away:
            raise StorageError("no route to host")
        return "answer"

    ask_it = watch.observed(question)
    for _ in range(3):
        with pytest.raises(StorageError):
            ask_it()
    away = False
    assert [ask_it(), ask_it()] == ["answer"] * 2
    events = [json.loads(line)["event"] for line in text.getvalue().splitlines()]
    assert events == ["database away", "database back"]


def test_another_schema_is_not_up(light: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(light, monkeypatch) as url:
        assert value(scraped(url), "sweeper_up") == 1
        execute(light.url, "UPDATE sweeper_alembic_version SET version_num = '0000'")
        assert value(scraped(url), "sweeper_up") == 0


@contextmanager
def noted(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    """Serve with a log and a token; gives the URL, and what returns the line of the last request.

    A line is written after its answer has been sent.
    """
    logged = log_of(monkeypatch)
    with running(store, monkeypatch, token=TOKEN.encode(), access_log=True) as url:
        wait_for(logged)
        seen = 1

        def last() -> dict[str, Any]:
            nonlocal seen
            seen += 1
            wait_for(lambda: len(logged()) >= seen)
            return logged()[seen - 1]

        yield url, last


def test_each_request_is_one_line(light: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    before = time.time()
    headers = {**RIGHT, "X-Forwarded-For": "1.2.3.4, 5.6.7.8"}
    with noted(light, monkeypatch) as (url, last):
        answer = ask(url, "GET", "/api/studies?a=b", headers)
        line = last()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", line.pop("time"))
    assert 0 < line.pop("ms") < 1e3 * (time.time() - before) + 1
    assert line == {
        "method": "GET", "path": "/api/studies", "route": "/api/studies/*", "status": 200,
        "bytes": len(answer.text.encode()), "client": "127.0.0.1",
        "forwarded_for": "1.2.3.4, 5.6.7.8", "who": "token",
    }  # fmt: skip


def test_the_log_says_who_asked_and_never_how_it_knows(
    light: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with noted(light, monkeypatch) as (url, last):
        session = {"Cookie": cookie(log_in(url))}
        lines = [last()]
        for method, path, headers, who in (
            ("GET", "/dashboard", session, "session"),
            ("GET", f"/nowhere?token={TOKEN}", RIGHT, "token"),
            ("GET", f"/nowhere/{TOKEN}", {**RIGHT, "X-Forwarded-For": TOKEN}, "token"),
            ("GET", f"/x%3Ftoken={TOKEN}", {}, "refused"),
            ("GET", "/dashboard", {**WRONG, **PAGE}, "refused"),
            ("DELETE", "/api/studies/1", RIGHT, "token"),
            ("GET", "/healthz", {}, "open"),
            ("POST", "/logout", session, "open"),
        ):
            ask(url, method, path, headers)
            lines.append(last())
            assert (lines[-1]["method"], lines[-1]["who"]) == (method, who), path
        log_in(url, "correct-horse-batterx")
        lines.append(last())
    assert [lines[0]["who"], lines[-1]["who"]] == ["token", "refused"]
    whole = json.dumps(lines)
    for secret in (TOKEN, "batterx", session["Cookie"].partition("=")[2], "Bearer", "token="):
        assert secret not in whole


paths = st.text(st.characters(min_codepoint=0, max_codepoint=255), max_size=60)


@example(method="GET\x7f", path="/\x7f\x1b[2J", client="\x7f", forwarded="\x7f\n{}", query="\n")
@given(
    method=paths, path=paths, client=paths, forwarded=st.none() | st.text(max_size=60),
    query=paths,
)  # fmt: skip
def test_no_request_can_forge_a_line(
    method: str, path: str, client: str, forwarded: str | None, query: str
) -> None:
    text = io.StringIO()

    def app(environ: Any, start: Any) -> list[bytes]:
        environ["PATH_INFO"] = "/changed"  # as bottle does
        start("200 OK", [])
        return [b"abc", b"de"]

    environ = {"REQUEST_METHOD": method, "PATH_INFO": path, "REMOTE_ADDR": client}
    environ["QUERY_STRING"] = f"token=secret-of-the-query{query}"
    environ["HTTP_COOKIE"] = "sweeper_session=secret-of-the-cookie"
    environ["HTTP_AUTHORIZATION"] = "Bearer secret-of-the-header"
    if forwarded is not None:
        environ["HTTP_X_FORWARDED_FOR"] = forwarded
    body: Any = Telemetry(Metrics(), AccessLog(text)).middleware(app)(
        environ, lambda *_: lambda _: None
    )
    assert b"".join(body) == b"abcde"
    body.close()
    written = text.getvalue()
    assert written.endswith("\n")
    assert re.fullmatch(r"[ -~]*", written[:-1])  # one line, and no control character in it
    line = json.loads(written)
    keys = ["time", "method", "path", "route", "status", "ms", "bytes", "client", "who"]
    if forwarded is not None:
        keys.insert(-1, "forwarded_for")
        assert line["forwarded_for"] == forwarded
    assert list(line) == keys
    assert (line["method"], line["client"], line["who"]) == (method, client, "refused")
    assert unquote(line["path"], "latin-1") == path.partition("?")[0]
    assert (line["status"], line["bytes"]) == (200, 5)
    assert "secret-of" not in written


def test_an_application_that_fails_is_noted_as_500() -> None:
    text = io.StringIO()

    def app(environ: object, start: object) -> list[bytes]:
        raise RuntimeError("no such thing")

    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/"}
    with pytest.raises(RuntimeError):
        Telemetry(Metrics(), AccessLog(text)).middleware(app)(environ, lambda *_: lambda _: None)
    assert json.loads(text.getvalue())["status"] == 500


def test_a_log_that_nobody_takes_stops_nothing() -> None:
    text = io.StringIO()
    text.close()
    AccessLog(text).event("started")
