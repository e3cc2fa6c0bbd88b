"""Page of several sweeps: their fronts in one figure, what is unequal, and the way to it."""

import re
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from support.browsers import chromium, needs_chromium, tab
from support.dashboard_server import running
from support.fakes import small_sweep
from support.pages import get, searched
from sweeper import lifecycle
from sweeper.analysis import fronts
from sweeper.dashboard import Application
from sweeper.store import Store

PAGE = "/sweeps/_compare"


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Two finished sweeps, one with three repeats, and one of another dataset."""
    store = Store(f"sqlite:///{tmp_path_factory.mktemp('compared')}/sweeps.db")
    searched(store)
    searched(store, "larger", search={"repeats": 3})
    lifecycle.register(store, small_sweep("other", dataset="mnist"))
    yield store
    store.close()


@pytest.fixture(scope="module")
def app(two: Store) -> Iterator[Application]:
    with closing(Application(two)) as opened:
        yield opened


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def url(two: Store) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch, running(two, patch) as address:
        yield address


def test_the_figure_holds_the_fronts_of_every_sweep(two: Store, app: Application) -> None:
    payload = get(app, f"{PAGE}.json?sweeps=tiny,larger").json()
    expected = {
        f"{name}/{arm}": [(point.nonzero, 100 * point.test_accuracy) for point in front]
        for name in ("tiny", "larger")
        for arm, front in fronts(two.records(name), two.sweep(name)).items()
    }
    shown = {
        arm["name"]: [(point["nonzero"], point["test_accuracy"]) for point in arm["points"]]
        for arm in payload["arms"]
    }
    assert {name: [size for size, _ in points] for name, points in shown.items()} == {
        name: [size for size, _ in points] for name, points in expected.items()
    }
    for name, points in expected.items():
        assert [y for _, y in shown[name]] == pytest.approx([y for _, y in points])
    for arm in payload["arms"]:
        assert all(p["link"].startswith(f"/sweeps/{arm['name']}/") for p in arm["points"])
    assert payload["notes"] == ["search.repeats is 2 in tiny, 3 in larger."]
    assert "not ranked, since they differ in search.repeats" in payload["subtitle"]


def test_arms_track_and_size_are_chosen_in_the_address(app: Application) -> None:
    query = "sweeps=tiny&sweeps=larger&arms=l1&track=as_trained&size=effective"
    payload = get(app, f"{PAGE}.json?{query}").json()
    assert [arm["name"] for arm in payload["arms"]] == ["tiny/l1", "larger/l1"]
    assert (payload["track"], payload["size"]) == ("as_trained", "effective")
    assert payload["all_arms"] == ["dense", "l1", "mix"]


@pytest.mark.parametrize(
    ("query", "status", "reason"),
    [
        ("", 400, "compare: takes 1 to 8 sweeps, got 0"),
        ("sweeps=" + "tiny," * 9, 400, "compare: takes 1 to 8 sweeps, got 9"),
        ("sweeps=tiny,tiny", 400, "compare: tiny is named twice"),
        ("sweeps=tiny,nothing", 404, "no such sweep: got 'nothing'"),
        ("sweeps=tiny,other", 400, "tiny, other: dataset: must be the same in one figure, got "),
        ("sweeps=tiny&arms=l2", 400, "arms: no such arm: got 'l2'; allowed: dense, l1, mix"),
        ("sweeps=tiny&track=cut", 400, "track: got 'cut'; allowed: as_trained, pruned"),
    ],
)
def test_what_cannot_be_compared_is_one_line(
    app: Application, query: str, status: int, reason: str
) -> None:
    page = get(app, f"{PAGE}.json?{query}")
    assert page.status == status
    assert page.json()["reason"].startswith(reason)


def test_a_new_trial_is_in_the_next_answer(app: Application, two: Store) -> None:
    before = get(app, f"{PAGE}.json?sweeps=tiny")
    again = get(app, f"{PAGE}.json?sweeps=tiny", if_none_match=str(before.headers["ETag"]))
    assert again.status == 304
    searched(two, "late", search={"repeats": 1})
    late = get(app, f"{PAGE}.json?sweeps=tiny,late").json()
    assert late["notes"] == ["search.repeats is 2 in tiny, 1 in late."]


def drawn(page: Page) -> None:
    page.locator("#fronts .main-svg").first.wait_for()
    page.locator("#levels table").wait_for()


def arms(page: Page) -> Any:
    return page.locator("#levels tbody th").all_inner_texts()


@needs_chromium
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_list_leads_to_a_figure_of_the_sweeps_that_were_ticked(
    browser: Browser, url: str, scheme: str
) -> None:
    with tab(browser, url, color_scheme=scheme) as page:
        page.goto(f"{url}sweeps/")
        page.get_by_text("Tick two to 8 sweeps to compare them").wait_for()
        page.get_by_label("compare tiny").check()
        page.get_by_label("compare larger").check()
        page.get_by_role("link", name="Compare 2 sweeps").click()
        drawn(page)
        assert page.title() == "tiny, larger – sweeps compared"
        assert arms(page) == [
            f"{sweep}/{arm}" for sweep in ("tiny", "larger") for arm in ("dense", "l1", "mix")
        ]
        assert page.locator("#notes li").all_inner_texts() == [
            "search.repeats is 2 in tiny, 3 in larger."
        ]
        assert page.locator("#levels .best").count() == 0  # unequal: nobody is first
        paper = page.evaluate("document.getElementById('fronts').layout.paper_bgcolor")
        assert paper == {"light": "#ffffff", "dark": "#14171b"}[scheme]


@needs_chromium
def test_choices_are_in_the_address_and_a_link_shows_the_same(browser: Browser, url: str) -> None:
    with tab(browser, url) as page:
        page.goto(f"{url}sweeps/_compare?sweeps=tiny,larger")
        drawn(page)
        for arm in ("dense", "mix"):
            page.get_by_label(arm, exact=True).uncheck()
        expect(page.locator("#levels tbody tr")).to_have_count(2)
        page.get_by_label("as trained").check()
        expect(page).to_have_url(re.compile("track=as_trained"))
        address = page.url
        assert address.endswith("?sweeps=tiny,larger&arms=l1&track=as_trained&size=nonzero")
    with tab(browser, url, viewport={"width": 390, "height": 800}) as phone:
        phone.goto(address)
        drawn(phone)
        assert arms(phone) == ["tiny/l1", "larger/l1"]
        assert phone.get_by_label("as trained").is_checked()
        assert not phone.get_by_label("mix", exact=True).is_checked()
        # Nothing of the page is wider than the phone: the table scrolls by itself.
        assert phone.evaluate("document.documentElement.scrollWidth") <= 390


@needs_chromium
def test_sweeps_that_cannot_stand_in_one_figure_are_told_on_the_page(
    browser: Browser, url: str
) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{url}sweeps/_compare?sweeps=tiny,other")
    page.get_by_text("dataset: must be the same in one figure").wait_for()
    assert not page.locator("#part").is_visible()
    context.close()
