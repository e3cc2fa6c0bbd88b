"""The dashboard's application: pages of ours around Optuna's, served and ended."""

import json
import threading
import urllib.request
from pathlib import Path
from queue import Queue
from typing import Any

import pytest

from support.browsers import chromium, needs_chromium
from support.dashboard_server import running
from support.factories import make_facts, make_record, make_sweep
from sweeper.dashboard import Application
from sweeper.dashboard.server import serve
from sweeper.errors import InputError, StorageError
from sweeper.reports import optuna_note
from sweeper.search import SweepStudies
from sweeper.store import Store
from sweeper.store.loopback import is_loopback


def got(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=240) as answer:
        return bytes(answer.read())


@pytest.fixture
def empty(tmp_path: Path) -> Store:
    """A storage in which nobody has made any table."""
    return Store(f"sqlite:///{tmp_path}/empty.db")


def test_the_dashboard_starts_on_an_empty_database(
    empty: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(empty, monkeypatch) as url:
        assert b"<title>Optuna Dashboard</title>" in got(f"{url}dashboard")
        assert json.loads(got(f"{url}api/studies"))["study_summaries"] == []


def test_several_requests_are_answered_at_once(
    empty: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = threading.Barrier(2, timeout=240)

    class Slow:
        def __init__(self, *_: object, **__: object) -> None:
            """Read nothing."""

        def __call__(self, environ: object, start: Any) -> list[bytes]:
            both.wait()  # is passed only if two requests are inside at the same time
            start("200 OK", [("Content-Type", "text/plain")])
            return [b"done"]

        def close(self) -> None:
            """Nothing is open."""

    monkeypatch.setattr(serve, "Application", Slow)
    with running(empty, monkeypatch) as url:
        answers: Queue[bytes] = Queue()
        threads = [threading.Thread(target=lambda: answers.put(got(url))) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [answers.get(), answers.get()] == [b"done", b"done"]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "example.org", ""])
def test_a_host_that_others_can_reach_is_refused_without_a_token(
    empty: Store, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    monkeypatch.setattr(serve, "_listen", lambda *_: pytest.fail("it listens"))
    with pytest.raises(InputError, match=r"needs a token: set SWEEPER_DASHBOARD_TOKEN, or"):
        serve.serve(empty, host, 0)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "[::1]", "localhost"])
def test_addresses_of_this_machine_alone_are_loopback(host: str) -> None:
    assert is_loopback(host)


def test_an_address_may_stand_in_the_brackets_of_a_url(
    empty: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, int]] = []

    def refused(host: str, port: int) -> Any:
        asked.append((host, port))
        raise InputError("it would listen")

    monkeypatch.setattr(serve, "_listen", refused)
    with pytest.raises(InputError, match="it would listen"):
        serve.serve(empty, "[::1]", 8080)
    assert asked == [("::1", 8080)]


def test_a_port_in_use_is_one_line(empty: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(empty, monkeypatch) as url:
        port = int(url.rsplit(":", 1)[1].strip("/"))
        with pytest.raises(InputError, match=rf"^127\.0\.0\.1:{port}: cannot listen there: "):
            serve.serve(empty, "127.0.0.1", port)


def test_a_database_of_another_optuna_is_one_line(empty: Store) -> None:
    import sqlite3

    Application(empty).close()
    with sqlite3.connect(empty.url.removeprefix("sqlite:///")) as database:
        database.execute("UPDATE alembic_version SET version_num = 'v0.9.0.a'")
    database.close()
    with pytest.raises(StorageError, match=r"^sqlite:.*empty\.db: .*optuna") as caught:
        Application(empty)
    assert "\n" not in str(caught.value)


@needs_chromium
def test_in_a_browser_the_published_figures_are_drawn_and_notes_link_to_each_other(
    empty: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = make_sweep(search={"trials": 12, "repeats": 3})
    facts = make_facts(sweep)
    search = SweepStudies(empty.url, sweep)
    search.create()
    ids = search.ids(["toy", *sweep.studies()])
    record = make_record(sweep, facts)
    search.publish(optuna_note.figures(record), optuna_note.note(record, studies=ids))
    search.close()
    with running(empty, monkeypatch) as url, chromium() as browser:
        tab = browser.new_page()
        tab.set_default_timeout(240_000)
        failures: list[str] = []
        tab.on("pageerror", lambda error: failures.append(str(error)))
        tab.goto(f"{url}dashboard/studies/{ids['toy']}")
        for name, said, points in (
            (optuna_note.FRONTS, "pruned track, chosen on validation", 5),
            (optuna_note.HYPERVOLUME, "dots: repeats, tick: their mean", 2 * 3 + 2),
            (optuna_note.EFFORT, "trials of one search", 0),
        ):
            plot = tab.locator(f"[id='user-defined-plot:{name}']")
            plot.locator(".main-svg").first.wait_for()
            assert said in (plot.text_content() or "")
            assert plot.locator(".scatterlayer .point").count() >= points
            assert plot.locator(".scatterlayer path.js-line").count() > 0
        assert tab.locator("[id^='user-defined-plot:']").count() == 3
        tab.goto(f"{url}dashboard/studies/{ids['toy/l1/2']}/note")
        live = tab.get_by_role("link", name="Fronts of all arms")
        assert live.get_attribute("href") == "/sweeps/toy/"
        tab.get_by_role("link", name="figures and table of toy").click()
        tab.wait_for_url(f"**/dashboard/studies/{ids['toy']}**")
        tab.goto(f"{url}dashboard/studies/{ids['toy']}/note")
        row = tab.get_by_role("row").filter(has_text="l1")
        row.get_by_role("link", name="2").click()
        tab.wait_for_url(f"**/dashboard/studies/{ids['toy/l1/2']}**")
        assert failures == []
