"""SVG document: a drawing as a file of a size, with the colours of a light page."""

import re
from html import escape, unescape

from sweeper.plots.palette import FONT, GRID, INK, LIGHT, PAPER
from sweeper.plots.picture_size import PictureSize

STYLE = (
    f".grid{{stroke:{GRID};fill:none}}.mark{{stroke:{PAPER};stroke-width:1}}"
    f".open{{fill:{PAPER};stroke-width:1.7}}.halo{{stroke:{PAPER};stroke-width:2.5;"
    "stroke-opacity:.85;paint-order:stroke;stroke-linejoin:round}"
)


def svg_document(drawing: str, title: str, size: PictureSize, font: float) -> str:
    """Return elements as a file on white; `font` is the usual size of its text, in pixels."""
    drawing = re.sub(r"var\((--[a-z-]+)\)", lambda name: LIGHT[name[1]], drawing)
    width, height = size.pixels
    unit = "" if size.unit == "px" else size.unit
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.6g} {height:.6g}" '
        f'width="{size.width:g}{unit}" height="{size.height:g}{unit}" font-size="{font:g}" '
        f'fill="{INK}" color="{INK}" font-family="{FONT}" role="img"><title>{escape(title)}</title>'
        f'<style>{STYLE}</style><rect width="{width:.6g}" height="{height:.6g}" fill="{PAPER}"/>'
        f"{drawing}</svg>\n"
    )


def svg_text(x: float, y: float, text: str, anchor: str, size: float | None = None) -> str:
    """Return a line of text; without a `size` it is the document's."""
    font = "" if size is None else f' font-size="{size:.4g}"'
    return f'<text x="{x:.5g}" y="{y:.5g}" text-anchor="{anchor}"{font}>{escape(text)}</text>'


def svg_title(drawn: str) -> str:
    """Return the title of a picture, in which stands what a caption should say."""
    return unescape(drawn.partition("<title>")[2].partition("</title>")[0])
