"""Plotly figures of views: one renderer for reports, pages, Optuna's dashboard and images.

Reports and pages draw them by `draw_figure.js`, which puts in the colours of the page. No template
is used: it would add 7 kB to every figure.
"""

import base64
import gzip
import math
from collections.abc import Iterable, Mapping
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from sweeper.analysis import Front
from sweeper.config import Sweep
from sweeper.plots.curve_view import curve_view
from sweeper.plots.front_view import front_view
from sweeper.plots.palette import FONT, GREY, GRID, INK, PAPER, SOFT, THEME, pale
from sweeper.plots.plotly_markers import error_bars, key_trace, knots_trace, plotly_marker
from sweeper.plots.plotly_published import published_traces
from sweeper.plots.views import Dot, Series, View
from sweeper.types import TrialRecord

BANDS = "bands"
"""`meta` of traces that pages can hide; that of published networks is one more."""
_MINOR = {"ticks": "outside", "ticklen": 3, "tickcolor": INK, "tickmode": "array"}


def overlay_figure(fronts: Mapping[str, Front], sweep: Sweep, *, small: bool = False) -> go.Figure:
    """Return the fronts of all arms on one logarithmic axis.

    `small` leaves configurations out of the hover text: for the Optuna dashboard, which sends
    every figure again at each poll.
    """
    return draw_view(front_view(fronts, sweep), small=small)


def density_curves(
    records: Iterable[TrialRecord], sweep: Sweep, *, small: bool = False
) -> go.Figure:
    """Return accuracy against size of the trained networks, pruned without fine-tuning."""
    return draw_view(curve_view(records, sweep), small=small)


def draw_view(view: View, *, small: bool = False) -> go.Figure:
    """Draw a view. Each arm is a line, its markers, and one entry of the legend for both."""
    traces = [trace for series in view.coloured if series.band for trace in _band(view, series)]
    traces += [_grey_line(view, series) for series in view.grey]
    for series in view.coloured:
        traces += [_strokes(view, series)] if series.strokes else _traces(view, series, small)
        traces += [knots_trace(series)] if series.knots else []
    if view.cut is not None:
        traces.append(_cut(view))
    if view.grey:
        traces.append(_entry_of_others(view))
    traces += [key_trace(entry) for entry in view.key]
    traces += published_traces(view, small=small)
    figure = go.Figure(data=traces, layout=_layout(view, small))
    if view.empty:
        figure.add_annotation(
            text="no complete trial yet", showarrow=False, xref="paper", yref="paper", x=0.5, y=0.5
        )
    return figure


def javascript() -> bytes:
    """Return plotly's own JavaScript, 4.8 MB."""
    return str(get_plotlyjs()).encode()


@cache
def packed_javascript() -> str:
    """Return plotly's own JavaScript as base64 of gzip: 2.0 MB instead of 4.8."""
    return base64.b64encode(gzip.compress(javascript(), compresslevel=9, mtime=0)).decode()


def page_asset(name: str) -> str:
    """Return a file of pages with figures.

    `draw_figure.js` is a module that exports `draw`, `theme.css` has its colours, `sketch.css` is
    for SVG that stands in a page.
    """
    return files("sweeper.plots").joinpath(name).read_text(encoding="utf-8")


def _traces(view: View, series: Series, small: bool) -> list[go.Scatter]:
    line = {"color": series.color, "dash": series.dash, "width": 2}
    marker = plotly_marker(series, small=small)
    corners = view.line_of(series)
    shared = {"legendgroup": series.name, "name": series.name}
    step = {"shape": "hv"} if view.stairs else {}
    stairs = go.Scatter(
        x=[round(x, 1) for x, _ in corners],
        y=[y for _, y in corners],
        mode="lines",
        line={**line, **step},
        hoverinfo="skip",
        showlegend=False,
        **shared,
    )
    markers = go.Scatter(
        x=[view.x_of(dot) for dot in series.dots],
        y=[dot.other_accuracy for dot in series.dots],
        mode="markers",
        marker=marker,
        **error_bars(series),
        customdata=[_hover_data(view, dot, small) for dot in series.dots],
        hovertemplate=_hover_template(view, series, small),
        showlegend=False,
        **shared,
    )
    entry = go.Scatter(x=[None], y=[None], mode="lines+markers", line=line, marker=marker, **shared)
    return [stairs, markers, entry]


def _strokes(view: View, series: Series) -> go.Scatter:
    """Return all lines of an arm as one trace, with gaps between them."""
    xs: list[float | None] = []
    ys: list[float | None] = []
    told: list[Any] = []
    for stroke in series.strokes:
        xs += [*(x for x, _ in stroke.points), None]
        ys += [*(y for _, y in stroke.points), None]
        label = escape(stroke.label, quote=False)
        told += [[label, stroke.link] if stroke.link else [label]] * (len(stroke.points) + 1)
    unit = f" {view.unit}" if view.unit else ""
    return go.Scatter(
        x=xs,
        y=ys,
        mode="lines",
        line={"color": series.color, "width": 1.5},
        opacity=0.8 if len(series.strokes) > 1 else 1.0,
        customdata=told,
        hovertemplate=f"<b>{escape(series.name, quote=False)}</b><br>%{{x:,.6~g}} "
        f"{view.x_name}: %{{y:.4~g}}{unit}<br>%{{customdata[0]}}<extra></extra>",
        name=series.name,
    )


def _cut(view: View) -> go.Scatter:
    return go.Scatter(
        x=[view.cut, view.cut],
        y=list(view.y_range),
        mode="lines",
        line={"color": SOFT, "width": 1.5, "dash": "dot"},
        hoverinfo="skip",
        name=view.cut_name,
    )


def _hover_data(view: View, dot: Dot, small: bool) -> list[Any]:
    """Return the values of the text over a marker, in the order of its template; then a link."""
    data: list[Any] = [dot.selected_accuracy, dot.repeat, dot.trial]
    if small:
        return data
    beside = dot.effective if view.size == "nonzero" else dot.nonzero
    data += [escape(dot.label, quote=False), "-" if beside is None else f"{beside:,}"]
    return [*data, dot.link] if dot.link else data


def _hover_template(view: View, series: Series, small: bool) -> str:
    size = f"%{{x:,}} {escape(view.unit, quote=False)}"
    if not small and any(dot.effective is not None for dot in series.dots):
        beside = "%{customdata[4]}"
        size = (
            f"{size}, {beside} effective" if view.size == "nonzero" else f"{beside} nonzero, {size}"
        )
    return (
        f"<b>{escape(series.name, quote=False)}</b><br>{size}<br>{view.selected_name} "
        f"%{{customdata[0]:.2f}} %, {view.other_name} %{{y:.2f}} %<br>"
        "repeat %{customdata[1]}, trial %{customdata[2]}"
        + ("" if small else "<br>%{customdata[3]}")
        + "<extra></extra>"
    )


def _band(view: View, series: Series) -> list[go.Scatter]:
    """Return the two borders of a band, the second filled down to the first."""
    right = view.x_range[1]
    steps = [*series.band, *([(right, *series.band[-1][1:])] if view.stairs else [])]
    return [
        go.Scatter(
            x=[round(step[0], 1) for step in steps],
            y=[step[border] for step in steps],
            mode="lines",
            line={"width": 0, "shape": "hv" if view.stairs else "linear", "color": series.color},
            fill=fill,
            fillcolor=pale(series.color),
            hoverinfo="skip",
            showlegend=False,
            legendgroup=series.name,
            meta=BANDS,
        )
        for border, fill in ((1, "none"), (2, "tonexty"))
    ]


def _grey_line(view: View, series: Series) -> go.Scatter:
    """Return the line of one of many arms: hovering names it."""
    corners = view.line_of(series)
    return go.Scatter(
        x=[round(x, 1) for x, _ in corners],
        y=[y for _, y in corners],
        mode="lines",
        line={"color": series.color, "width": 1, **({"shape": "hv"} if view.stairs else {})},
        hovertemplate=f"<b>{escape(series.name, quote=False)}</b><br>%{{x:,}} "
        f"{escape(view.unit, quote=False)}<br>"
        f"{view.selected_name} %{{y:.2f}} %<extra></extra>",
        legendgroup=view.others,
        name=series.name,
        showlegend=False,
    )


def _entry_of_others(view: View) -> go.Scatter:
    line = {"color": GREY, "width": 1}
    name = view.others
    return go.Scatter(x=[None], y=[None], mode="lines", line=line, legendgroup=name, name=name)


def axis() -> dict[str, Any]:
    """Return the properties that all axes have in common."""
    return {
        "showgrid": True,
        "gridcolor": GRID,
        "gridwidth": 1,
        "zeroline": False,
        "showline": True,
        "linecolor": INK,
        "mirror": True,
        "ticks": "outside",
        "tickcolor": INK,
    }


def frame(title: str, subtitle: str, *, small: bool) -> dict[str, Any]:
    """Return the properties that the layouts of all figures have in common.

    `meta` of a large one tells `draw_figure.js` which colours are the page's.
    """
    # The Optuna dashboard's boxes are 600 wide and 450 high: text does not fit in a line.
    subtitle = subtitle.replace(" · ", "<br>") if small else subtitle
    return {
        "template": {},
        "title": {
            "text": title,
            "subtitle": {"text": subtitle, "font": {"size": 11 if small else 12}},
            "font": {"size": 14 if small else 17},
            "x": 0,
            "xref": "paper",
            "xanchor": "left",
            "y": 0.98,
            "yanchor": "top",
        },
        "font": {"family": FONT, "size": 12 if small else 13, "color": INK},
        "paper_bgcolor": PAPER,
        "plot_bgcolor": PAPER,
        "margin": {"l": 56 if small else 64, "r": 16, "t": 88 if small else 72, "b": 56},
        "hovermode": "closest",
        "hoverlabel": {"align": "left", "font": {"size": 12}}
        if small
        else {
            "align": "left",
            "bgcolor": PAPER,
            "font": {"size": 12, "color": INK},
        },
        **({} if small else {"meta": dict(THEME)}),
    }


def _layout(view: View, small: bool) -> dict[str, Any]:
    ticks = view.ticks(9 if small else 14)
    # In a small box a legend does not fit beside the picture.
    beside = {"x": 1.01, "xanchor": "left", "y": 1, "yanchor": "top", "tracegroupgap": 2}
    below = {"orientation": "h", "x": 0, "y": -0.34, "yanchor": "top", "font": {"size": 10}}
    return {
        **frame(view.title, view.subtitle, small=small),
        "xaxis": {
            **axis(),
            "type": "log" if view.logarithmic else "linear",
            "title": {"text": view.x_name, "font": {"size": 13}},
            "range": _logarithms(view.x_range) if view.logarithmic else list(view.x_range),
            "tickvals": [value for value, _ in ticks],
            "ticktext": [text for _, text in ticks],
            **(
                {"minor": _MINOR | {"tickvals": list(view.minor_ticks())}}
                if view.logarithmic
                else {}
            ),
        },
        "yaxis": {
            **axis(),
            "title": {"text": view.y_short if small else view.y_name, "font": {"size": 13}},
            "range": list(view.y_range),
            "tickformat": "~g",
            "nticks": 8,
            "automargin": True,
        },
        "legend": below if small else beside,
    }


def _logarithms(ends: tuple[float, float]) -> list[float]:
    return [round(math.log10(end), 4) for end in ends]
