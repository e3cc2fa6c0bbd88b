"""States of our own pages: loading, empty, away, not there, narrow, and for who cannot see them."""

import re
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Browser, Page, Route, expect

from support.browsers import chromium, needs_chromium, tab
from support.dashboard_server import running
from support.fakes import fake_probe, fake_train, small_sweep
from support.pages import confirmed, get, searched
from support.processes import wait_for
from support.proxy import Proxy
from sweeper import lifecycle
from sweeper.dashboard import Application
from sweeper.store import Store
from sweeper.types import LearningPoint, TrialConfig, TrialResult
from sweeper.worker.worker_loop import work

LONG = "a-sweep-whose-name-is-as-long-as-a-study-file-allows"
ARMS = {
    f"penalty-{number:02}": {"penalty": "l1", "strength": {"log_uniform": [1e-4, 1e-1]}}
    for number in range(30)
}
PAGES = {
    "list": "/",
    "sweep": "/sweeps/tiny/",
    "arms": "/sweeps/arms/",
    "waiting": "/sweeps/waiting/",
    "trial": "/sweeps/tiny/l1/0/1",
    "comparison": f"/sweeps/_compare?sweeps=tiny,{LONG}",
    "unknown sweep": "/sweeps/tinny/",
    "unknown trial": "/sweeps/tiny/l3/0/1",
    "unknown page": "/sweeps/tiny/some/where",
}


def train_with_curves(configs: Sequence[TrialConfig], *rest: Any, **more: Any) -> list[TrialResult]:
    """Train as `fake_train` does, and measure what an epoch came to."""
    curve = tuple(LearningPoint(epoch, (("val_accuracy", 0.8 + epoch / 10),)) for epoch in (0.5, 1))
    return [replace(trained, learning=curve) for trained in fake_train(configs, *rest, **more)]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with closing(Store(f"sqlite:///{tmp_path_factory.mktemp('states')}/sweeps.db")) as store:
        confirmed(store, searched(store))
        searched(store, LONG)
        searched(store, "arms", arms=ARMS, search={"trials": 2, "repeats": 1})
        lifecycle.register(store, small_sweep("waiting"))
        lifecycle.register(store, small_sweep("curves"))
        work("curves", store, pack=8, train=train_with_curves, probe=fake_probe)
        yield store


@pytest.fixture(scope="module")
def shown(store: Store) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch, running(store, patch) as url:
        yield url.rstrip("/")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


def opened(page: Page, address: str) -> None:
    """Open a page and wait until it shows what there is, with its figures and all details."""
    page.goto(address)
    page.wait_for_load_state("networkidle")
    if page.locator("main.waiting").count():
        page.locator("main:not(.waiting)").wait_for()
    page.evaluate("for (const part of document.querySelectorAll('details')) part.open = true")


@needs_chromium
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_nothing_keeps_anybody_from_reading_and_using_a_page(
    browser: Browser, shown: str, name: str, scheme: str
) -> None:
    # Not `tab`: a page that is not there is an error in the console of the browser.
    with browser.new_context(color_scheme=scheme) as context:  # type: ignore[arg-type]
        page = context.new_page()
        opened(page, f"{shown}{PAGES[name]}")
        found = Axe().run(page).response["violations"]
    grave = [each for each in found if each["impact"] in {"serious", "critical"}]
    assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in grave] == []


@needs_chromium
@pytest.mark.parametrize("name", PAGES)
def test_on_a_phone_tables_scroll_and_pages_do_not(browser: Browser, shown: str, name: str) -> None:
    with browser.new_context(viewport={"width": 390, "height": 844}) as context:
        page = context.new_page()
        opened(page, f"{shown}{PAGES[name]}")
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        reached = "box => box.scrollWidth <= box.clientWidth || box.tabIndex === 0"
        for box in page.locator(".wide").all():
            assert box.evaluate(reached)


@needs_chromium
def test_of_many_arms_those_are_shown_whose_names_hold_a_text(browser: Browser, shown: str) -> None:
    with tab(browser, shown) as page:
        opened(page, f"{shown}/sweeps/arms/")
        page.locator("#fronts .main-svg").first.wait_for()
        rows = page.locator("#levels tbody tr:visible")
        expect(rows).to_have_count(30)
        assert page.locator("#levels").evaluate("box => box.scrollHeight > box.clientHeight")
        page.get_by_role("searchbox").fill("PENALTY-2")
        expect(rows).to_have_count(10)
        expect(page.locator("#arms tbody tr:visible")).to_have_count(10)
        drawn = "document.getElementById('fronts').data.map(({ name }) => name)"
        page.wait_for_function(f"!{drawn}.includes('penalty-01')")
        assert any(name.startswith("penalty-2") for name in page.evaluate(drawn) if name)
        page.get_by_role("searchbox").fill("")
        expect(rows).to_have_count(30)
        opened(page, f"{shown}/sweeps/tiny/")
        expect(page.get_by_role("searchbox")).to_be_hidden()


@needs_chromium
@pytest.mark.parametrize("name", ["sweep", "comparison"])
def test_fronts_are_seen_before_the_code_that_draws_them_has_come(
    browser: Browser, shown: str, name: str
) -> None:
    with tab(browser, shown) as page:
        held: list[Route] = []
        page.route("**/plotly.js", lambda route: held.append(route))  # noqa: PLW0108  # Playwright marks it
        page.goto(f"{shown}{PAGES[name]}")
        sketch = page.locator("#fronts > svg")
        expect(sketch).to_be_visible()
        expect(sketch).to_contain_text("l1")
        expect(page.locator("#levels table")).to_be_visible()
        if name == "sweep":
            expect(page.locator("#answer")).to_contain_text("No ratio is quoted")
        box = page.locator("#fronts").bounding_box()
        drawn = sketch.bounding_box()
        assert box is not None
        assert drawn is not None
        assert 0.7 * box["width"] < drawn["width"] <= box["width"]
        assert drawn["height"] <= box["height"] + 1
        wait_for(lambda: page.evaluate("1") and len(held) > 1)  # ahead, and to be run
        page.unroute("**/plotly.js")  # which lets go of those that are held
        page.locator("#fronts .main-svg").first.wait_for()
        expect(sketch).to_have_count(0)


@needs_chromium
def test_code_that_did_not_come_is_asked_for_again(browser: Browser, shown: str) -> None:
    with browser.new_context() as context:
        page = context.new_page()
        page.route("**/plotly.js", lambda route: route.abort())
        page.goto(f"{shown}/sweeps/curves/")
        expect(page.get_by_role("alert")).to_have_text("The server does not answer. Trying on.")
        expect(page.locator("#fronts > svg")).to_be_visible()
        page.unroute("**/plotly.js")
        for figure in ("fronts", "learning"):
            page.locator(f"#{figure} .main-svg").first.wait_for()
        expect(page.get_by_role("alert")).to_be_hidden()
        page.wait_for_function("document.getElementById('fronts').dataset.clicks === 'yes'")


@needs_chromium
def test_what_is_not_there_leads_to_what_was_meant(browser: Browser, shown: str) -> None:
    with browser.new_context() as context:
        page = context.new_page()
        answer = page.goto(f"{shown}/sweeps/tinny/")
        assert answer is not None
        assert answer.status == 404
        expect(page.get_by_role("alert")).to_have_text("No such sweep: got 'tinny'.")
        expect(page.get_by_role("heading", name="Fronts")).to_be_hidden()
        page.get_by_role("link", name="tiny", exact=True).click()
        page.locator("#levels table").wait_for()
        page.goto(f"{shown}/sweeps/tiny/mixx/1/2")
        page.get_by_role("link", name="mix", exact=True).click()
        page.wait_for_url("**/sweeps/tiny/mix/1/2")
        page.get_by_role("heading", name="mix, repeat 1, slot 2").wait_for()
        page.goto(f"{shown}/sweeps/tiny/mix/1/99")
        expect(page.get_by_role("alert")).to_have_text("Tiny: no such trial: slot: got 99.")
        page.goto(f"{shown}/some/where/else")
        page.get_by_role("link", name="All sweeps").click()
        page.wait_for_url("**/sweeps/")


@needs_chromium
def test_a_sweep_that_comes_later_is_shown_by_itself(
    browser: Browser, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(Store(sqlite_url)) as store:
        store.upgrade()
        with running(store, monkeypatch) as url, browser.new_context() as context:
            first, second = context.new_page(), context.new_page()
            first.goto(url)
            first.get_by_text("sweeper run my-study/study.yaml").wait_for()
            second.goto(f"{url}sweeps/tiny/")
            second.get_by_text("there are none yet").wait_for()
            lifecycle.register(store, small_sweep())
            first.get_by_role("link", name="tiny").wait_for()
            second.get_by_text("0 of 18 trials").wait_for()
            second.get_by_text("sweeper worker tiny").wait_for()


@needs_chromium
@pytest.mark.postgres
@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("/sweeps/", "18 of 18"),
        ("/sweeps/tiny/", "18 of 18 trials"),
        ("/sweeps/tiny/l1/0/1", "What it measured"),
    ],
)
def test_while_the_database_is_away_a_line_says_of_when_the_page_is(
    browser: Browser, postgres_url: str, monkeypatch: pytest.MonkeyPatch, path: str, content: str
) -> None:
    with closing(Store(postgres_url)) as direct:
        searched(direct, search={"repeats": 1})
    proxy = Proxy.before(postgres_url)
    try:
        with (
            closing(Store(proxy.url(postgres_url, connect_timeout=2))) as store,
            running(store, monkeypatch) as url,
            browser.new_context() as context,
        ):
            page, late = context.new_page(), context.new_page()
            page.goto(f"{url.rstrip('/')}{path}")
            page.get_by_text(content).first.wait_for()
            page.clock.install()  # a finished trial is asked for twice a minute
            proxy.refuse()
            page.clock.fast_forward(60_000)
            line = page.locator(".stale")
            expect(line).to_have_text(
                re.compile(r"The database does not answer at the moment. Shown is .* ago\.$")
            )
            expect(page.get_by_role("alert")).to_be_hidden()
            expect(page.get_by_text(content).first).to_be_visible()
            answer = late.goto(f"{url.rstrip('/')}{path}")
            assert answer is not None
            assert answer.headers["content-type"].startswith("text/html")
            expect(late.get_by_role("alert")).to_contain_text("does not answer at the moment. Try")
            proxy.accept()
            page.clock.fast_forward(60_000)
            expect(line).to_be_hidden()
            late.get_by_text(content).first.wait_for()
            expect(late.get_by_role("alert")).to_be_hidden()
    finally:
        proxy.close()


def test_a_refusal_is_a_page_for_people_and_json_of_one_shape_for_programs(store: Store) -> None:
    with closing(Application(store)) as app:
        for path, status in (
            ("/sweeps/tiny/some/where", 404),
            ("/some/where", 404),
            ("/static/nothing.js", 404),
            ("/sweeps/nobody/report.html", 404),
            ("/sweeps/nobody/status.json", 404),
            ("/sweeps/tiny/fronts.json?size=big", 400),
            ("/sweeps/_compare.json", 400),
            ("/sweeps/_study/x.json", 404),
        ):
            program = get(app, path)
            assert program.status == status
            assert list(program.json()) == ["reason"]
            assert "\n" not in program.json()["reason"]
            browser = get(app, path, accept="text/html,*/*;q=0.8")
            assert browser.status == status
            is_page = "." not in path.partition("?")[0].rpartition("/")[2]
            assert str(browser.headers["Content-Type"]).startswith("text/html") == is_page
            if is_page:
                assert b'<a href="/sweeps/">All sweeps</a>' in browser.body
        hostile = get(app, "/sweeps/a/b/<script>x</script>", accept="text/html")
        assert b"<script>" not in hostile.body
