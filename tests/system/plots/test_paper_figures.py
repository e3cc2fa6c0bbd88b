"""Pictures of a paper's size in a real browser: text that can be read, and none on another."""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from playwright.sync_api import Browser

from support.browsers import chromium, needs_chromium
from support.factories import make_facts, make_sweep
from sweeper.analysis import Front, fronts, fronts_by_repeat
from sweeper.plots import View, comparison_view, curve_view, front_view, parse_size, sized_svg
from sweeper.types import CurvePoint

POINT = 96 / 72
LETTERS = """
() => [...document.querySelectorAll("svg text")].map((text) => {
  const box = text.getBoundingClientRect();
  return {text: text.textContent, size: parseFloat(getComputedStyle(text).fontSize),
          left: box.left, right: box.right, top: box.top, bottom: box.bottom};
})
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


def fronts_of(many: int, **changes: Any) -> View:
    names = [f"l1_marginal_entropy_{n}{'_shuffled' * (n % 2)}" for n in range(many - 1)]
    dense: dict[str, Any] = {"dense": {}}
    arms = dense | {name: {"penalty": "l1", "strength": 1} for name in names}
    sweep = make_sweep(arms=arms, search={"trials": 12, "repeats": 3}, **changes)
    facts = make_facts(sweep)
    return front_view(fronts(facts, sweep), sweep, fronts_by_repeat(facts, sweep))


def two_sweeps() -> View:
    sweeps = [make_sweep(f"a-long-name-of-a-sweep-{n}") for n in range(2)]
    pooled: dict[str, Front] = {}
    apart: dict[str, tuple[Front, ...]] = {}
    for number, sweep in enumerate(sweeps):
        facts = make_facts(sweep, seed=number)
        pooled |= {f"{sweep.name}/{arm}": front for arm, front in fronts(facts, sweep).items()}
        repeats = fronts_by_repeat(facts, sweep)
        apart |= {f"{sweep.name}/{arm}": several for arm, several in repeats.items()}
    return comparison_view(pooled, sweeps, apart)


def curves() -> View:
    sweep = make_sweep()
    points = [CurvePoint(0.01 * 3**n, 300 * 3**n, 0.9 + 0.01 * n, 0.9 + 0.01 * n) for n in range(5)]
    facts = [replace(f, result=replace(f.result, curve=tuple(points))) for f in make_facts(sweep)]
    return curve_view(facts, sweep)


VIEWS = {
    "one arm": lambda: fronts_of(1),
    "five arms": lambda: fronts_of(5),
    "thirteen arms": lambda: fronts_of(13),
    "sixty arms": lambda: fronts_of(60),
    "without published networks": lambda: fronts_of(4, model="mlp(30)"),
    "two sweeps": two_sweeps,
    "density curves": curves,
}


@needs_chromium
@pytest.mark.parametrize("size", ["column", "84x70mm", "page", "960x600px"])
@pytest.mark.parametrize("kind", VIEWS)
def test_text_can_be_read_and_none_is_on_another(browser: Browser, kind: str, size: str) -> None:
    view, dimensions = VIEWS[kind](), parse_size(size)
    width, height = dimensions.pixels
    page = browser.new_page(viewport={"width": round(width) + 20, "height": round(height) + 20})
    svg = sized_svg(view, dimensions)
    page.set_content(f"<style>*{{margin:0}}svg{{display:block}}</style>{svg}")
    letters = page.evaluate(LETTERS)
    page.close()
    assert min(text["size"] for text in letters) >= 6 * POINT
    for text in letters:
        assert -0.5 <= text["left"] < text["right"] <= width + 0.5, text
        assert -1 <= text["top"] < text["bottom"] <= height + 1, text
    # A box is as high as its line: letters are lower than that by a quarter.
    for one, other in itertools.combinations(letters, 2):
        high = 0.25 * min(one["size"], other["size"])
        apart = (
            min(one["right"], other["right"]) - max(one["left"], other["left"]) <= 0.5
            or min(one["bottom"], other["bottom"]) - max(one["top"], other["top"]) <= high
        )
        assert apart, (one, other)
    shown = {text["text"] for text in letters}
    assert {"test"} < shown  # what markers are
    assert any(text.startswith("validation") for text in shown)
    assert view.title not in shown  # a paper has a caption


def test_the_same_picture_has_the_same_bytes() -> None:
    size = parse_size("column")
    assert sized_svg(fronts_of(5), size) == sized_svg(fronts_of(5), size)
