"""Palette and font of all figures: the colours of arms, and those of a light page.

Okabe and Ito (2008), told apart with any colour vision. Their yellow is left out, since a thin line
of it cannot be seen on white; the purple in its place is of Paul Tol's bright scheme.
"""

import re
from collections.abc import Mapping
from importlib.resources import files

BLACK = "#000000"
COLORS = ("#0072B2", "#E69F00", "#D55E00", "#56B4E9", "#AA3377", "#009E73", BLACK, "#CC79A7")
"""Colours of arms, so that neighbours differ in lightness too, for a printer without colours.

BLACK is the ink of the page, and white on a dark one.
"""
MORE_COLORS = (
    "#4A30F2", "#66BF00", "#BF0033", "#A0A653", "#006B73", "#9979F2", "#8C5631", "#F200E2",
)  # fmt: skip
"""Colours of the next arms: the farthest from all before that show on white and on dark."""
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
