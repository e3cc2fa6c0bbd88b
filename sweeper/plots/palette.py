"""Palette and font of all figures: the colours of arms, and those of a light page.

Okabe and Ito (2008), told apart with any colour vision; their yellow is left out, since a thin line
of it cannot be seen on white.
"""

import re
from collections.abc import Mapping
from importlib.resources import files

BLACK = "#000000"
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", BLACK)
"""Colours of arms; BLACK is the ink of the page, and white on a dark one."""
BAND_OPACITY = 0.15
FONT = "Helvetica Neue, Helvetica, Arial, Liberation Sans, sans-serif"


def pale(color: str) -> str:
    """Return a colour for a band amid lines.

    >>> pale("#0072B2")
    'rgba(0,114,178,0.15)'
    """
    red, green, blue = (int(color[place : place + 2], 16) for place in (1, 3, 5))
    return f"rgba({red},{green},{blue},{BAND_OPACITY})"


def _light_page() -> dict[str, str]:
    """Return the colours of a light page by their names in `theme.css`, such as `--ink`."""
    text = files("sweeper.plots").joinpath("theme.css").read_text(encoding="utf-8")
    return dict(re.findall(r"(--[a-z-]+): ([^;]+);", text.partition("@media")[0]))


LIGHT: Mapping[str, str] = _light_page()
INK, SOFT, PAPER = LIGHT["--ink"], LIGHT["--soft"], LIGHT["--paper"]
GRID, GREY = LIGHT["--line"], LIGHT["--faint"]
THEME: Mapping[str, str] = {BLACK: "--ink", pale(BLACK): "--ink-pale"} | {
    LIGHT[name]: name for name in ("--ink", "--soft", "--paper", "--line", "--faint")
}
"""Names of the colours in figures that a dark page has otherwise."""
