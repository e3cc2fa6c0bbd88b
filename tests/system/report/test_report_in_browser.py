"""The report in a browser: fronts are drawn, with scripts and without."""

from pathlib import Path

from support.browsers import chromium, needs_chromium
from support.factories import (
    make_facts,
    make_record,
    make_sweep,
    small_study,
)
from sweeper.reports import write_report
from sweeper.reports.summary import arm_rows


@needs_chromium
def test_in_a_browser_the_fronts_are_drawn_offline_and_without_errors(tmp_path: Path) -> None:
    sweep = make_sweep(search={"trials": 12})
    facts = make_facts(sweep)
    path = write_report(tmp_path / "toy.html", make_record(sweep, facts))
    complaints: list[str] = []
    asked: list[str] = []
    with chromium() as browser:
        tab = browser.new_page()
        tab.set_default_timeout(240_000)
        tab.on("console", lambda message: complaints.append(message.text))
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.on("request", lambda request: asked.append(request.url))
        tab.goto(path.as_uri())
        tab.wait_for_selector("figure.live .main-svg")
        drawn = tab.locator("figure").first
        members = tab.evaluate(
            "document.querySelector('.drawn').data.filter((t) => t.customdata)"
            ".map((t) => t.x.length)"
        )
        hidden = tab.evaluate("JSON.parse(document.getElementById('fronts-data').textContent)")
        shown = drawn.locator(".scatterlayer .point").count()
        assert tab.locator(".sketch >> visible=true").count() == 0
        tab.emulate_media(media="print")
        assert tab.locator(".sketch >> visible=true").count() == 3
    assert complaints == []
    assert asked == [path.as_uri()]
    assert hidden["layout"]["xaxis"]["type"] == "log"
    rows = arm_rows(make_record(sweep, facts), "pruned")
    beside = sum(members[len(rows) :])
    members = members[: len(rows)]
    assert members == [len(row.front.points) for row in rows]
    assert 0 < beside <= 13  # published networks
    assert 0 < shown <= sum(members) + beside


@needs_chromium
def test_without_scripts_the_sketches_show_the_same_fronts(tmp_path: Path) -> None:
    sweep, facts = small_study()
    path = write_report(tmp_path / "toy.html", make_record(sweep, facts))
    with chromium() as browser:
        tab = browser.new_context(java_script_enabled=False).new_page()
        tab.set_default_timeout(240_000)
        tab.goto(path.as_uri())
        assert tab.locator(".sketch svg >> visible=true").count() == 2
        # Four members, and in the legend a mark for each arm and that of the key.
        assert tab.locator("figure").first.locator(".mark").count() == 4 + 2 + 1


CLIPPED = """
() => [...document.querySelectorAll("body *")]
  .filter((part) => part.getClientRects().length && !part.closest("svg"))
  .filter((part) => getComputedStyle(part).display !== "inline")
  .filter((part) => part.scrollWidth > part.clientWidth + 1 ||
    part.scrollHeight > part.clientHeight + 1)
  .map((part) => `${part.tagName} ${part.className}: ${part.textContent.trim().slice(0, 40)}`)
"""


@needs_chromium
def test_on_paper_nothing_is_cut_or_wider_than_the_page(tmp_path: Path) -> None:
    names = ["a_name_that_says_which_penalty_this_is", *(f"l1_of_number_{n}" for n in range(12))]
    penalty = {"penalty": "l1", "strength": {"log_uniform": [1e-4, 1e-1]}}
    accuracies = [0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99]
    sweep = make_sweep(
        search={"trials": 12}, arms=dict.fromkeys(names, penalty), targets={"accuracy": accuracies}
    )
    path = write_report(tmp_path / "toy.html", make_record(sweep, make_facts(sweep)))
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 688, "height": 1000})  # A4 less its margins
        page.set_default_timeout(240_000)
        page.goto(path.as_uri())
        page.wait_for_selector("figure.live .main-svg")
        assert page.evaluate(CLIPPED) != []  # a screen scrolls
        page.emulate_media(media="print")
        assert page.evaluate(CLIPPED) == []
        assert page.locator("pre").inner_text().rstrip().endswith("compare: {}")
        # Ink: dark on white, whatever theme the screen has.
        page.emulate_media(media="print", color_scheme="dark")
        colour = page.evaluate("getComputedStyle(document.body).color")
    assert colour == "rgb(29, 31, 35)"
