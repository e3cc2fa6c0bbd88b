"""Plots of fronts, in two steps: views gather plain values, and renderers draw them."""

from sweeper.plots.arm_styles import highlighted_arms
from sweeper.plots.comparison_view import comparison_view
from sweeper.plots.confirmation_view import confirmed_view
from sweeper.plots.curve_view import curve_view
from sweeper.plots.effort_view import effort_view
from sweeper.plots.front_view import front_view
from sweeper.plots.hypervolume_svg import hypervolume_svg
from sweeper.plots.hypervolume_view import HypervolumeView, draw_hypervolume, hypervolume_view
from sweeper.plots.images import save_image
from sweeper.plots.labels import ACCURACY_NAMES
from sweeper.plots.learning_view import front_curves, trial_curves, whole_curves
from sweeper.plots.picture_size import PictureSize, parse_size
from sweeper.plots.plotly_figures import (
    density_curves,
    draw_view,
    javascript,
    overlay_figure,
    packed_javascript,
    page_asset,
)
from sweeper.plots.standalone_figures import notebook_figure, standalone_html
from sweeper.plots.svg import sized_svg, standalone_picture, standalone_svg
from sweeper.plots.svg_document import svg_title
from sweeper.plots.views import Dot, Series, View

__all__ = [
    "ACCURACY_NAMES",
    "Dot",
    "HypervolumeView",
    "PictureSize",
    "Series",
    "View",
    "comparison_view",
    "confirmed_view",
    "curve_view",
    "density_curves",
    "draw_hypervolume",
    "draw_view",
    "effort_view",
    "front_curves",
    "front_view",
    "highlighted_arms",
    "hypervolume_svg",
    "hypervolume_view",
    "javascript",
    "notebook_figure",
    "overlay_figure",
    "packed_javascript",
    "page_asset",
    "parse_size",
    "save_image",
    "sized_svg",
    "standalone_html",
    "standalone_picture",
    "standalone_svg",
    "svg_title",
    "trial_curves",
    "whole_curves",
]
