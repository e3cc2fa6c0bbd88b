"""Pages of sweeps that somebody had a hand on, in a real browser."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from support.browsers import chromium, needs_chromium, tab
from support.dashboard_server import running
from support.fakes import small_sweep
from support.pages import TARGETS
from sweeper import lifecycle
from sweeper.store import Store


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
        expect(rows.nth(0)).not_to_contain_text("paused")
        sqlite_store.interventions.pause("tiny")
        expect(page.locator("#progress .state")).to_have_text("paused")
        sqlite_store.interventions.resume("tiny")
        expect(page.locator("#progress .state")).to_have_text("waiting for workers")
        expect(page.locator("#arms")).not_to_contain_text("paused")
