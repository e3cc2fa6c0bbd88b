"""Fronts as pictures, in two steps: gather plain values (`views`), then draw them (`figures`)."""

from sweeper.plots.confirmation_view import confirmed_view
from sweeper.plots.effort_view import effort_view
from sweeper.plots.hypervolume_view import HypervolumeView, draw_hypervolume, hypervolume_view
from sweeper.plots.images import save_figure
from sweeper.plots.plotly_figures import (
    density_curves,
    draw_view,
    javascript,
    overlay_figure,
    packed_javascript,
)
from sweeper.plots.views import Dot, Series, View, curve_view, front_view, highlighted_arms

__all__ = [
    "Dot",
    "HypervolumeView",
    "Series",
    "View",
    "confirmed_view",
    "curve_view",
    "density_curves",
    "draw_hypervolume",
    "draw_view",
    "effort_view",
    "front_view",
    "highlighted_arms",
    "hypervolume_view",
    "javascript",
    "overlay_figure",
    "packed_javascript",
    "save_figure",
]
