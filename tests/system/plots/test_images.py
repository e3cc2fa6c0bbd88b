"""Images of pictures, which a browser draws from their SVG."""

import re
import zlib
from pathlib import Path

import pytest
from PIL import Image

from support.browsers import needs_chromium
from support.factories import make_facts, make_sweep
from sweeper import plots
from sweeper.analysis import fronts


@pytest.fixture
def svg() -> str:
    sweep = make_sweep()
    view = plots.front_view(fronts(make_facts(sweep), sweep), sweep)
    return plots.sized_svg(view, plots.parse_size("3.3x2.4in"))


@needs_chromium
def test_a_bitmap_has_three_hundred_dots_an_inch(tmp_path: Path, svg: str) -> None:
    path = plots.save_image(svg, plots.parse_size("3.3x2.4in"), tmp_path / "a.png")
    with Image.open(path) as image:
        assert (image.format, image.size) == ("PNG", (990, 720))
        assert len(image.convert("RGB").getcolors(10**6) or ()) > 50  # not blank
    path = plots.save_image(svg, plots.parse_size("640x480px"), tmp_path / "b.webp")
    with Image.open(path) as image:
        assert (image.format, image.size) == ("WEBP", (640, 480))


@needs_chromium
@pytest.mark.parametrize("text", ["3.3x2.4in", "84x60mm", "7x9.1in"])
def test_a_pdf_is_one_page_of_the_size_with_lines_and_its_fonts(
    tmp_path: Path, svg: str, text: str
) -> None:
    size = plots.parse_size(text)
    pdf = plots.save_image(svg, size, tmp_path / "a.pdf").read_bytes()
    [box] = re.findall(rb"/MediaBox \[([0-9. ]+)\]", pdf)
    left, below, right, top = map(float, box.split())
    points = [side * 72 / 96 for side in size.pixels]
    assert (right - left, top - below) == pytest.approx(points, abs=0.011)
    assert len(re.findall(rb"/Type /Page\b", pdf)) == 1
    assert b"/FontFile" in pdf
    assert b"/Subtype /Image" not in pdf
    streams = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL)
    drawn = b"".join(zlib.decompress(part) for part in streams if part[:1] == b"x")
    assert drawn.count(b" l\n") > 20  # lines of vectors
    starts = [int(place) for place in re.findall(rb"startxref\s+(\d+)", pdf)]
    assert pdf[starts[-1] : starts[-1] + 4] == b"xref"  # no byte was moved


def test_svg_needs_no_browser(tmp_path: Path, svg: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "choreographer", None)
    size = plots.parse_size("3.3x2.4in")
    assert plots.save_image(svg, size, tmp_path / "a.svg").read_text() == svg
