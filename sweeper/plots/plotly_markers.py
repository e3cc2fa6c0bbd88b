"""Plotly's markers: of arms with their bars, on lines, and of the legend."""

from collections.abc import Mapping
from typing import Any

import plotly.graph_objects as go

from sweeper.plots.palette import BAND_OPACITY, INK, PAPER
from sweeper.plots.views import Filling, KeyEntry, Series

_FILLINGS: Mapping[Filling, str] = {
    "filled": "",
    "open": "-open",
    "ringed": "-open-dot",
    "pierced": "-dot",
}


def plotly_marker(series: Series, *, small: bool) -> dict[str, Any]:
    """Return the marker of an arm."""
    is_open = series.filling in {"open", "ringed"}
    return {
        "color": series.color,
        "symbol": f"{series.symbol}{_FILLINGS[series.filling]}",
        "size": (7 if small else 8) + 2 * series.symbol.startswith("triangle"),
        "line": {"width": 1.7} if is_open else {"color": PAPER, "width": 1},
    }


def error_bars(series: Series) -> dict[str, Any]:
    """Return the bars at markers: their upper and lower parts, since an interval may be uneven."""
    if not any(dot.interval for dot in series.dots):
        return {}
    parts = [
        (round(high - dot.other_accuracy, 3), round(dot.other_accuracy - low, 3))
        for dot in series.dots
        for low, high in [dot.interval or (dot.other_accuracy, dot.other_accuracy)]
    ]
    return {
        "error_y": {
            "type": "data",
            "array": [up for up, _ in parts],
            "arrayminus": [down for _, down in parts],
            "symmetric": False,
            "thickness": 1,
            "width": 0,
            "color": series.color,
        }
    }


def knots_trace(series: Series) -> go.Scatter:
    """Return the markers on a line that no network gives any."""
    return go.Scatter(
        x=[x for x, _ in series.knots],
        y=[y for _, y in series.knots],
        mode="markers",
        marker=plotly_marker(series, small=True),
        hoverinfo="skip",
        showlegend=False,
        legendgroup=series.name,
        name=series.name,
    )


def key_trace(entry: KeyEntry) -> go.Scatter:
    """Return an entry of the legend without anything in the picture."""
    marker: dict[str, Any] = {"color": INK, "size": 8}
    looks: dict[str, dict[str, Any]] = {
        "line": {"mode": "lines", "line": {"color": INK, "width": 2}},
        "marker": {"mode": "markers", "marker": marker},
        "bar": {"mode": "markers", "marker": {**marker, "symbol": "line-ns-open", "size": 12}},
        "band": {"mode": "markers", "marker": {**marker, "symbol": "square", "size": 12}},
    }
    look = looks[entry.shape]
    if entry.shape == "band":
        look["marker"]["opacity"] = BAND_OPACITY
    return go.Scatter(x=[None], y=[None], hoverinfo="skip", name=entry.text, **look)
