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
            "document.querySelector('.drawn').data.filter((t) => t.mode === 'markers')"
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
    *members, beside = members
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
        # Four members, and a mark in the legend for each arm.
        assert tab.locator("figure").first.locator(".mark").count() == 4 + 2
