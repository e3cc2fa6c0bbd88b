"""Images of figures, which a browser draws."""

from pathlib import Path

import pytest

from support.browsers import needs_chromium
from support.factories import make_facts, make_sweep
from sweeper import plots
from sweeper.analysis import fronts


@needs_chromium
@pytest.mark.parametrize(("name", "start"), [("a.png", b"\x89PNG"), ("a.svg", b"<svg")])
def test_figures_are_written_as_images(tmp_path: Path, name: str, start: bytes) -> None:
    sweep = make_sweep()
    figure = plots.overlay_figure(fronts(make_facts(sweep), sweep), sweep)
    path = plots.save_figure(figure, tmp_path / name, scale=1)
    assert path.read_bytes().startswith(start)
