"""The picture of what tuning takes: hypervolume of the first trials' front."""

from collections.abc import Sequence
from dataclasses import replace

from sweeper.analysis.tuning_effort import AnytimeFront
from sweeper.plots.views import View, series_of


def effort_view(found: Sequence[AnytimeFront], chosen: Sequence[str], name: str) -> View:
    """Return mean hypervolume against trials, the arms in `chosen` in colour; `name` of the sweep.

    Where an arm has several repeats, a band from the worst to the best of them.
    """
    looks = series_of([one.arm for one in found], list(chosen))
    series = []
    heights = [0.0]
    for one in found:
        means = [round(height, 4) for height in one.mean()]
        ends = [(round(min(of), 4), round(max(of), 4)) for of in one.hypervolume]
        corners = tuple((count + 1.0, means[count]) for count in _rises(means))
        band = tuple((count + 1.0, *ends[count]) for count in _rises(ends))
        several = any(len(of) > 1 for of in one.hypervolume)
        heights += [height for of in one.hypervolume for height in of]
        look = looks[one.arm]
        own = replace(look, corners=corners, band=band if several and not look.grey else ())
        series.append(own)
    trials = max((len(one.seconds) for one in found), default=1)
    return View(
        title=f"{name}: effort of tuning",
        subtitle="hypervolume of the front of a search's first trials, mean over repeats · bands: "
        "worst to best repeat",
        series=tuple(sorted(series, key=lambda one: not one.grey)),
        line_name="hypervolume",
        mark_name="",
        stairs=True,
        x_range=(0.5, trials + 0.5),
        y_range=(0.0, max(heights) * 1.05 or 1.0),
        hidden=0,
        x_name="trials of one search",
        y_name="hypervolume",
        logarithmic=False,
    )


def _rises(heights: Sequence[object]) -> list[int]:
    """Return the places where a staircase rises: what stays as it was needs no corner."""
    return [place for place, of in enumerate(heights) if not place or of != heights[place - 1]]
