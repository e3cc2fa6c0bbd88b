"""Our own pages in a real browser: what is drawn, hovered, clicked, and what changes by itself."""

import re
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from support.browsers import SECONDS, chromium, needs_chromium, tab
from support.dashboard_server import running
from support.databases import on_sqlite
from support.fakes import fake_train, small_sweep
from support.pages import TARGETS, confirmed, searched
from support.processes import wait_for
from sweeper import lifecycle
from sweeper.analysis import fronts
from sweeper.store import Store
from sweeper.worker.worker_loop import work

TOKEN = "correct-horse-battery"
POINTS = "#fronts .scatterlayer .points path.point"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, str]]:
    """A finished, confirmed sweep and the dashboard that shows it."""
    store = Store(f"sqlite:///{tmp_path_factory.mktemp('browser')}/sweeps.db")
    confirmed(store, searched(store))
    with pytest.MonkeyPatch.context() as patch, running(store, patch) as url:
        yield store, url
    store.close()


def drawn(page: Page) -> None:
    page.locator("#fronts .main-svg").first.wait_for()
    page.locator("#levels table").wait_for()


@needs_chromium
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_network_of_a_front_is_a_point_on_a_logarithmic_axis(
    browser: Browser, shown: tuple[Store, str], scheme: str
) -> None:
    store, url = shown
    sweep = store.sweep("tiny")
    found = fronts(store.records("tiny"), sweep)
    with tab(browser, url, color_scheme=scheme) as page:
        page.goto(f"{url}sweeps/tiny/")
        drawn(page)
        assert page.title() == "tiny – sweep"
        assert page.locator(POINTS).count() == sum(len(one.points) for one in found.values())
        axis = page.evaluate("document.getElementById('fronts').layout.xaxis")
        assert axis["type"] == "log"
        assert axis["title"]["text"] == "nonzero parameters"
        paper = page.evaluate("document.getElementById('fronts').layout.paper_bgcolor")
        assert paper == {"light": "#ffffff", "dark": "#14171b"}[scheme]
        # What is drawn where: a decade takes as many pixels anywhere.
        drawn_at = page.evaluate(
            "() => { const axis = document.getElementById('fronts')._fullLayout.xaxis;"
            " return [1e4, 1e5].map(x => axis.d2p(x)) }"
        )
        further = page.evaluate(
            "() => { const axis = document.getElementById('fronts')._fullLayout.xaxis;"
            " return [2e4, 2e5].map(x => axis.d2p(x)) }"
        )
        assert further[1] - further[0] == pytest.approx(drawn_at[1] - drawn_at[0], abs=0.1)


@needs_chromium
def test_hovering_tells_the_configuration_and_a_click_opens_the_trial(
    browser: Browser, shown: tuple[Store, str]
) -> None:
    _, url = shown
    with tab(browser, url) as page:
        page.goto(f"{url}sweeps/tiny/")
        drawn(page)
        point = page.locator("#fronts .scatterlayer .trace", has=page.locator(".point")).last
        box = point.locator("path.point").last.bounding_box()
        assert box is not None
        middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        page.mouse.move(middle[0] - 3, middle[1])
        page.mouse.move(*middle)
        said = page.locator("#fronts .hoverlayer .hovertext").first
        said.wait_for()
        assert re.search(
            r"nonzero, .* effective.*trial \d+.*learning_rate", said.text_content() or "", re.S
        )
        with page.context.expect_page() as opened:
            page.mouse.click(*middle)
        trial = opened.value
        trial.wait_for_load_state()
        assert re.search(r"/sweeps/tiny/\w+/\d+/\d+$", trial.url)
        trial.get_by_role("link", name="in the Optuna dashboard").click()
        trial.wait_for_url(re.compile(r"/dashboard/studies/\d+/trials\?numbers=\d+$"))
        number = trial.url.rpartition("=")[2]
        expect(trial.get_by_role("heading", name=f"Trial {number}").first).to_be_visible(
            timeout=SECONDS
        )


@needs_chromium
def test_size_and_track_are_a_matter_of_choice_and_stand_in_the_address(
    browser: Browser, shown: tuple[Store, str]
) -> None:
    _, url = shown
    with tab(browser, url) as page:
        page.goto(f"{url}sweeps/tiny/")
        drawn(page)
        before = page.locator("#levels").inner_text()
        page.get_by_role("radio", name="effective").check()
        page.get_by_text("effective parameters").first.wait_for()
        assert "size=effective" in page.url
        assert page.locator("#levels").inner_text() != before
        page.get_by_role("radio", name="as trained").check()
        expect(page.locator("#points table")).to_be_attached()
        kept = "document.getElementById('fronts').layout.uirevision"
        wait_for(lambda: page.evaluate(kept).startswith("as_trained"))
        page.reload()
        drawn(page)
        assert page.get_by_role("radio", name="effective").is_checked()
        assert page.get_by_role("radio", name="as trained").is_checked()
        # Without the bands there are two traces less for each arm.
        traces = "document.getElementById('fronts').data.length"
        several = page.evaluate(traces)
        page.get_by_role("checkbox", name="bands").uncheck()
        wait_for(lambda: page.evaluate(traces) < several)


@needs_chromium
def test_choices_in_quick_succession_leave_one_poll_and_show_the_last_of_them(
    browser: Browser, shown: tuple[Store, str]
) -> None:
    _, url = shown
    with tab(browser, url) as page:
        page.clock.install()
        page.goto(f"{url}sweeps/tiny/")
        drawn(page)
        page.evaluate(
            "() => { for (const value of ['effective', 'nonzero', 'effective', 'nonzero',"
            " 'effective']) document.querySelector(`[value=${value}]`).click() }"
        )
        expect(page.locator("#fronts .xtitle")).to_have_text("effective parameters")
        page.wait_for_load_state("networkidle")
        asked: list[str] = []
        page.on("request", lambda request: asked.append(urlsplit(request.url).path))
        page.clock.fast_forward(15_000)  # when a finished sweep is looked at again
        page.wait_for_load_state("networkidle")
        wait_for(lambda: page.evaluate("1") and asked.count("/sweeps/tiny/fronts.json"))
        assert asked.count("/sweeps/tiny/status.json") == 1


@needs_chromium
@on_sqlite
def test_a_running_sweep_is_drawn_on_without_being_loaded_again(
    browser: Browser, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = small_sweep(targets=TARGETS)
    lifecycle.register(store, sweep)
    with running(store, monkeypatch) as url, tab(browser, url) as page:
        page.goto(f"{url}sweeps/tiny/")
        page.locator("#fronts .main-svg").first.wait_for()
        expect(page.locator("#progress")).to_contain_text("0 of 18 trials")
        expect(page.locator("#progress")).to_contain_text("waiting for workers")
        assert page.locator(POINTS).count() == 0
        page.evaluate("window.same = true")
        worker = threading.Thread(target=work, args=("tiny", store), kwargs={
            "pack": 3, "train": lambda *a, **k: fake_train(*a, **{**k, "delay": 1.0}),
        })  # fmt: skip
        worker.start()
        try:
            expect(page.locator("#workers table")).to_be_visible(timeout=SECONDS)
            expect(page.locator("#progress")).to_contain_text("running", timeout=SECONDS)
            expect(page.locator(POINTS)).not_to_have_count(0, timeout=SECONDS)
        finally:
            worker.join()
        expect(page.locator("#progress")).to_contain_text("18 of 18 trials", timeout=SECONDS)
        expect(page.locator(".state").first).to_have_text("finished")
        found = fronts(store.records("tiny"), sweep)
        points = sum(len(one.points) for one in found.values())
        expect(page.locator(POINTS)).to_have_count(points, timeout=SECONDS)
        assert page.evaluate("window.same") is True


@needs_chromium
def test_the_list_of_sweeps_leads_to_each_by_keyboard_alone(
    browser: Browser, shown: tuple[Store, str]
) -> None:
    _, url = shown
    with tab(browser, url) as page:
        page.goto(f"{url}sweeps/")
        expect(page.locator("#sweeps tbody tr")).to_have_count(2)  # and its confirmation
        page.keyboard.press("Tab")
        expect(page.get_by_text("To the content")).to_be_focused()
        for _ in range(3):
            page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="tiny")).to_be_focused()
        page.keyboard.press("Enter")
        drawn(page)
        page.get_by_role("radio", name="pruned").focus()
        page.keyboard.press("ArrowRight")
        expect(page.get_by_role("radio", name="as trained")).to_be_checked()
        page.get_by_text("Networks on the fronts").focus()
        page.keyboard.press("Enter")
        links = page.locator("#points a")
        assert links.count() > 0
        expect(links.first).to_be_visible()


@needs_chromium
def test_on_a_phone_nothing_but_tables_is_wider_than_the_screen(
    browser: Browser, shown: tuple[Store, str]
) -> None:
    _, url = shown
    with tab(browser, url, viewport={"width": 390, "height": 844}) as page:
        for path in ("sweeps/", "sweeps/tiny/"):
            page.goto(url + path)
            page.locator("table").first.wait_for()
            assert page.evaluate("document.documentElement.scrollWidth") <= 390


@needs_chromium
@on_sqlite
def test_names_and_errors_from_outside_are_text_and_never_markup(
    browser: Browser, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    lifecycle.register(store, small_sweep())
    worker = store.join("tiny", device="<b onclick=x>cpu</b>")
    slots = store.claim(worker, 1)
    store.release(worker, slots, error="<img src=x onerror=alert(1)>")
    with running(store, monkeypatch) as url, tab(browser, url) as page:
        page.goto(f"{url}sweeps/tiny/")
        expect(page.locator("#workers td").first).to_have_text("<b onclick=x>cpu</b>")
        expect(page.locator("#arms")).to_contain_text("<img src=x onerror=alert(1)>")


@needs_chromium
def test_with_a_token_a_browser_logs_in_and_lands_where_it_wanted_to(
    browser: Browser, shown: tuple[Store, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, _ = shown
    with running(store, monkeypatch, token=TOKEN.encode()) as url:
        context = browser.new_context()
        page = context.new_page()
        page.set_default_timeout(SECONDS)
        page.goto(f"{url}sweeps/tiny/?size=effective")
        page.get_by_label("Token").fill(TOKEN)
        page.get_by_role("button", name="Log in").click()
        drawn(page)
        assert page.url == f"{url}sweeps/tiny/?size=effective"
        told = page.evaluate(
            "async () => { const answer = await fetch('/api/studies/1', {method: 'DELETE'});"
            " return [answer.status, (await answer.json()).reason] }"
        )
        assert told[0] == 403
        assert "read-only" in told[1]
        # The session is over: the page asks for the token again by itself.
        context.clear_cookies()
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        page.get_by_label("Token").wait_for(timeout=SECONDS)
        context.close()


@needs_chromium
def test_a_sweep_that_is_not_there_says_so(browser: Browser, shown: tuple[Store, str]) -> None:
    _, url = shown
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(SECONDS)
    answer = page.goto(f"{url}sweeps/nobody/")
    assert answer is not None
    assert answer.status == 404
    expect(page.get_by_role("alert")).to_contain_text("No such sweep: got 'nobody'")
    context.close()
