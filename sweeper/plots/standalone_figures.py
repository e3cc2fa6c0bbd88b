"""Standalone figures: views where no page of ours stands around them, in notebooks and files."""

from html import escape

import plotly.graph_objects as go

from sweeper.plots.palette import FONT, GRID, INK, PAPER
from sweeper.plots.plotly_figures import draw_view
from sweeper.plots.views import View

_LINE = 16
"""Pixels of a line of the subtitle."""
_STYLE = f"""body {{ font: 15px/1.5 {FONT}; margin: 1rem; color: {INK}; background: {PAPER}; }}
h1 {{ font-size: 1.2rem; margin: 0; }} p {{ margin: .2rem 0; }} main {{ overflow-x: auto; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; }}
caption {{ text-align: left; padding-bottom: .5rem; }}
th, td {{ padding: .2rem .7rem; text-align: right; border-bottom: 1px solid {GRID}; }}
th:first-child, td:first-child {{ text-align: left; padding-left: 0; }}
li {{ overflow-wrap: anywhere; }}"""


def notebook_figure(view: View) -> go.Figure:
    """Return a Plotly figure whose words all fit, each part of the subtitle in a line of its own.

    Its legend stands below, so that a narrow cell has room for the picture.
    """
    figure = draw_view(view)
    lines = view.subtitle.split(" · ")
    subtitle = "<br>".join(lines)
    entries = len(view.coloured) + bool(view.grey) + len(view.key) + bool(view.published)
    below = {"orientation": "h", "x": 0, "y": -0.16, "yanchor": "top"}
    return figure.update_layout(
        title_subtitle_text=subtitle,
        title_font_size=15,
        margin={"t": 40 + _LINE * (len(lines) + 1), "b": 70},
        legend=below,
        height=480 + _LINE * (len(lines) + entries // 2),
    )


def standalone_html(view: View, below: str) -> str:
    """Return a page that works offline: a picture and the HTML `below` it."""
    figure = draw_view(view).update_layout(title=None, margin={"t": 16})
    figure.update_layout(legend={"orientation": "h", "x": 0, "y": -0.14, "yanchor": "top"})
    picture = figure.to_html(
        include_plotlyjs=True,
        full_html=False,
        default_height="620px",
        config={"responsive": True, "displaylogo": False},
    )
    words = "".join(f"<p>{escape(part)}</p>" for part in view.subtitle.split(" · "))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(view.title)}</title>\n<style>{_STYLE}</style>\n"
        f"<body>\n<h1>{escape(view.title)}</h1>\n{words}\n{picture}\n"
        f"<main>\n{below}\n</main>\n</body>\n</html>\n"
    )
