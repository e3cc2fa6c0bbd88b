"""Fronts as pictures, in two steps: gather plain values (`views`), then draw them (`figures`)."""

from sweeper.plots.confirmation_view import confirmed_view
from sweeper.plots.effort_view import effort_view
from sweeper.plots.hypervolume_view import HypervolumeView, draw_ranges, hypervolume_view
from sweeper.plots.images import save_figure
from sweeper.plots.plotly_figures import (
    density_curves,
    draw,
    javascript,
    overlay,
    packed_javascript,
)
from sweeper.plots.views import Dot, Series, View, curve_view, front_view, leading

__all__ = [
    "Dot",
    "HypervolumeView",
    "Series",
    "View",
    "confirmed_view",
    "curve_view",
    "density_curves",
    "draw",
    "draw_ranges",
    "effort_view",
    "front_view",
    "hypervolume_view",
    "javascript",
    "leading",
    "overlay",
    "packed_javascript",
    "save_figure",
]
