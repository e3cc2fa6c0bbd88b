"""Plotly's traces of published networks, by what they count, with the names of their authors."""

import plotly.graph_objects as go

from sweeper.plots.palette import SOFT
from sweeper.plots.published_labels import Box, place_labels
from sweeper.plots.published_points import MARKERS, Published, by_count
from sweeper.plots.views import View

PUBLISHED = "published"
"""`meta` of these traces, which pages can hide."""
_NOMINAL = (700.0, 410.0)
"""Width and height of a frame of usual size, in pixels."""
_SIDES = {
    (across, down): f"{vertical} {horizontal}"
    for across, horizontal in ((-1, "left"), (0, "center"), (1, "right"))
    for down, vertical in ((-1, "top"), (0, "middle"), (1, "bottom"))
}


def published_traces(view: View, *, small: bool) -> list[go.Scatter]:
    """Return published networks by what they count, with names where these do not meet.

    A `small` figure has no room for names: hovering tells them.
    """
    sides = {} if small else _label_sides(view)
    return [
        go.Scatter(
            x=[point.nonzero for point in points],
            y=[point.accuracy for point in points],
            mode="markers" if small else "markers+text",
            marker={
                "color": SOFT,
                "symbol": f"{MARKERS[points[0].biases]}-open",
                "size": 9,
                "line": {"width": 1.5},
            },
            text=[point.short_name if point in sides else "" for point in points],
            textposition=[sides.get(point, "middle right") for point in points],
            textfont={"size": 10, "color": SOFT},
            customdata=[point.label for point in points],
            hovertemplate="%{customdata}<br>%{x:,} nonzero, test %{y:.2f} %<extra></extra>",
            name=name,
            meta=PUBLISHED,
        )
        for name, points in by_count(view.published).items()
    ]


def _label_sides(view: View) -> dict[Published, str]:
    """Return on which side each name stands, as in the picture of usual size."""
    width, height = _NOMINAL
    (low, high), frame = view.y_range, Box(0, 0, width, height)
    markers = [
        (view.share(point.nonzero) * width, (high - point.accuracy) / (high - low) * height)
        for point in view.published
    ]
    arms = [
        (view.share(view.x_of(dot)) * width, (high - dot.other_accuracy) / (high - low) * height)
        for series in view.coloured
        for dot in series.dots
    ]
    texts = [point.short_name for point in view.published]
    by_marker = dict(zip(zip(markers, texts, strict=True), view.published, strict=True))
    return {
        by_marker[label.marker, label.text]: _SIDES[label.direction]
        for label in place_labels(markers, texts, arms, frame, 10)
        if label.leader is None
    }
