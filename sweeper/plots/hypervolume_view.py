"""View of hypervolumes: of each arm's fronts, one dot for each repeat."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from sweeper.analysis import Front
from sweeper.config import Sweep
from sweeper.plots.arm_styles import series_of
from sweeper.plots.palette import GREY
from sweeper.plots.plotly_figures import axis, frame
from sweeper.plots.views import Series

ROWS = 16
"""Arms that fit, the best of them."""


@dataclass(frozen=True, slots=True)
class HypervolumeRow:
    """One arm."""

    name: str
    look: Series
    """Its colour and marker."""
    values: tuple[float, ...]
    """Hypervolume by repeat."""

    @property
    def mean(self) -> float:
        """Mean over repeats."""
        return round(float(np.mean(self.values)), 4)


@dataclass(frozen=True, slots=True)
class HypervolumeView:
    """Rows from the best arm to the worst."""

    title: str
    subtitle: str
    rows: tuple[HypervolumeRow, ...]

    @property
    def empty(self) -> bool:
        """No arm has a network on the near side of the reference corner."""
        return not any(row.mean for row in self.rows)


def hypervolume_view(
    repeats: Mapping[str, Sequence[Front]],
    highlighted: Sequence[str],
    sweep: Sweep,
    corner: tuple[int, float],
    begun: Collection[tuple[str, int]],
) -> HypervolumeView:
    """Return the hypervolume of each arm's fronts by repeat, the `highlighted` arms in colour.

    `begun` are the arms and repeats that have a trial: one whose trials all collapsed is worth 0,
    one without any yet says nothing and is left out.
    """
    looks = series_of(list(repeats), list(highlighted), list(sweep.arms))
    rows = [
        HypervolumeRow(
            arm, looks[arm], tuple(round(front.hypervolume(corner), 4) for front in fronts)
        )
        for arm, of_arm in repeats.items()
        if (fronts := [front for repeat, front in enumerate(of_arm) if (arm, repeat) in begun])
    ]
    best = sorted(rows, key=lambda row: -row.mean)[:ROWS]
    several = any(len(row.values) > 1 for row in rows)
    size, error = corner
    counted = sweep.size_unit if sweep.script else "parameters"
    subtitle = (
        f"area of (log10 {sweep.size_unit}, error) within {size:,} {counted} and "
        f"{100 * error:.3g} % error"
        f" · more is better; {'dots: repeats, tick: their mean' if several else 'one repeat'}"
    )
    if len(rows) > ROWS:
        subtitle += f"; the best {ROWS} of {len(rows)} arms"
    return HypervolumeView(f"{sweep.name}: hypervolume of fronts", subtitle, tuple(best))


def draw_hypervolume(view: HypervolumeView, *, small: bool = False) -> go.Figure:
    """Draw rows of dots, the best on top: a line from the worst to the best repeat, their mean."""
    rows = view.rows
    dots = [(value, row) for row in rows for value in row.values]
    ends = [(end, row.name) for row in rows for end in (min(row.values), max(row.values), None)]
    spread = go.Scatter(
        x=[end for end, _ in ends],
        y=[name for _, name in ends],
        mode="lines",
        line={"color": GREY, "width": 1.5},
        hoverinfo="skip",
    )
    repeats = go.Scatter(
        x=[value for value, _ in dots],
        y=[row.name for _, row in dots],
        mode="markers",
        marker={
            "color": [row.look.color for _, row in dots],
            "symbol": [row.look.symbol for _, row in dots],
            "size": 7,
            "opacity": 0.7,
        },
        hovertemplate="<b>%{y}</b><br>%{x:.4f}<extra></extra>",
    )
    means = go.Scatter(
        x=[row.mean for row in rows],
        y=[row.name for row in rows],
        mode="markers",
        marker={
            "symbol": "line-ns-open",
            "size": 13,
            "color": [row.look.color for row in rows],
            "line": {"width": 2.5},
        },
        hovertemplate="<b>%{y}</b><br>mean %{x:.4f}<extra></extra>",
    )
    layout = frame(view.title, view.subtitle, small=small) | {
        "showlegend": False,
        "xaxis": {**axis(), "title": {"text": "hypervolume", "font": {"size": 13}}},
        "yaxis": {
            **axis(),
            "categoryorder": "array",
            "categoryarray": [row.name for row in reversed(rows)],
            "range": [-0.7, len(rows) - 0.3],
            "automargin": True,
            "tickmode": "linear",
            "tickfont": {"size": 11},
        },
    }
    return go.Figure(data=[spread, repeats, means], layout=layout)
