"""Pages of sweeps that somebody had a hand on, in a real browser."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from support import claimer
from support.browsers import chromium, needs_chromium, tab
from support.dashboard_server import running
from support.fakes import fake_train, small_sweep
from support.pages import TARGETS, searched
from sweeper import lifecycle
from sweeper.analysis import fronts
from sweeper.store import NamedTrial, Store
from sweeper.worker.worker_loop import work


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@needs_chromium
def test_the_page_of_a_sweep_says_which_arms_are_paused(
    browser: Browser, sqlite_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    lifecycle.register(sqlite_store, small_sweep(targets=TARGETS))
    sqlite_store.interventions.pause("tiny", ["l1"])
    with running(sqlite_store, monkeypatch) as url, tab(browser, url) as page:
        page.goto(f"{url}sweeps/tiny/")
        expect(page.locator("#progress")).to_contain_text("1 arm paused")
        rows = page.locator("#arms tbody tr")
        expect(rows.nth(1)).to_contain_text("paused")
        expect(rows.nth(1).locator("th small")).to_have_css("display", "block")  # below the name
        expect(rows.nth(0)).not_to_contain_text("paused")
        sqlite_store.interventions.pause("tiny")
        expect(page.locator("#progress .state")).to_have_text("paused")
        sqlite_store.interventions.resume("tiny")
        expect(page.locator("#progress .state")).to_have_text("waiting for workers")
        expect(page.locator("#arms")).not_to_contain_text("paused")


@needs_chromium
def test_a_dropped_trial_leaves_the_fronts_of_the_page_and_its_own_page_says_why(
    browser: Browser, sqlite_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = searched(sqlite_store)
    front = fronts(sqlite_store.records("tiny"), sweep)["l1"]
    place = ("l1", front[-1].repeat, front[-1].slot)
    name = "/".join(map(str, place))
    with running(sqlite_store, monkeypatch) as url, tab(browser, url) as page:
        before = get_json(page, f"{url}sweeps/tiny/fronts.json")
        sqlite_store.interventions.drop("tiny", [NamedTrial(place)], "<i>it</i> was too warm")
        after = get_json(page, f"{url}sweeps/tiny/fronts.json")
        assert before["trials"] - after["trials"] == 1
        slots = [(p["repeat"], p["slot"]) for arm in after["arms"][1:2] for p in arm["points"]]
        assert place[1:] not in slots
        page.goto(f"{url}sweeps/tiny/")
        expect(page.locator("#warnings")).to_contain_text(f"{name} on ")
        expect(page.locator("#warnings")).to_contain_text("<i>it</i> was too warm")
        expect(page.locator("#arms tbody tr").nth(1)).to_contain_text("1 dropped")
        page.goto(f"{url}sweeps/tiny/{name}")
        expect(page.locator("#progress")).to_contain_text("<i>it</i> was too warm")
        sqlite_store.interventions.take_back("tiny", [NamedTrial(place)])
        expect(page.locator("#progress")).not_to_contain_text("too warm")
        assert get_json(page, f"{url}sweeps/tiny/fronts.json") == before


@needs_chromium
def test_no_network_is_marked_as_best_while_arms_are_unequal(
    browser: Browser, sqlite_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = searched(sqlite_store, search={"repeats": 1})
    with running(sqlite_store, monkeypatch) as url, tab(browser, url) as page:
        page.goto(f"{url}sweeps/tiny/")
        expect(page.locator("#levels td.best").first).to_be_visible()
        search = sweep.search.model_copy(update={"trials": 7})
        more = sweep.model_copy(update={"search": search})
        lifecycle.register(sqlite_store, more, extend=True)
        worker = sqlite_store.join("tiny", device="cpu")
        [slot] = sqlite_store.claim(worker, 1)
        claimer.record(sqlite_store, worker, slot, more)
        page.reload()
        expect(page.locator("#levels tbody tr")).to_have_count(3)
        expect(page.locator("#levels td.best")).to_have_count(0)


@needs_chromium
def test_the_page_of_a_trial_says_which_of_its_values_were_enqueued(
    browser: Browser, sqlite_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    lifecycle.register(sqlite_store, small_sweep(targets=TARGETS))
    given = {("l1", 0): [{"strength": 0.005}]}
    sqlite_store.interventions.enqueue("tiny", given, "enqueued by hand")
    work("tiny", sqlite_store, pack=8, train=fake_train)
    with running(sqlite_store, monkeypatch) as url, tab(browser, url) as page:
        page.goto(f"{url}sweeps/tiny/l1/0/0")
        rows = page.locator("#values tbody tr")
        expect(rows.filter(has_text="strength")).to_contain_text("enqueued by hand")
        expect(rows.filter(has_text="learning_rate").first).to_contain_text("searched")


def get_json(page: Page, address: str) -> Any:
    return page.request.get(address).json()
