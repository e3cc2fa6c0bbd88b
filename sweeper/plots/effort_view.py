"""View of tuning effort: hypervolume of the front of a search's first trials."""

from collections.abc import Sequence
from dataclasses import replace

from sweeper.analysis.tuning_effort import AnytimeFront
from sweeper.config import Sweep
from sweeper.plots.arm_styles import series_of
from sweeper.plots.labels import FEWEST_TICKS
from sweeper.plots.views import KeyEntry, View


def effort_view(efforts: Sequence[AnytimeFront], highlighted: Sequence[str], sweep: Sweep) -> View:
    """Return mean hypervolume against trials, the `highlighted` arms in colour.

    Where an arm has several repeats, a band from the worst to the best of them.
    """
    repeated = any(len(at) > 1 for effort in efforts for at in effort.hypervolume)
    looks = series_of([effort.arm for effort in efforts], list(highlighted), list(sweep.arms))
    series = []
    heights = [0.0]
    for effort in efforts:
        look = looks[effort.arm]
        means = [round(height, 4) for height in effort.mean()]
        ends = [(round(min(at), 4), round(max(at), 4)) for at in effort.hypervolume]
        several = any(len(at) > 1 for at in effort.hypervolume)
        heights += [height for at in effort.hypervolume for height in at]
        series.append(
            replace(
                look,
                corners=tuple((step + 1.0, means[step]) for step in _rises(means)),
                band=tuple((step + 1.0, *ends[step]) for step in _rises(ends))
                if several and not look.grey
                else (),
            )
        )
    trials = max((len(effort.seconds) for effort in efforts), default=1)
    key = (KeyEntry("line", "mean of repeats"), KeyEntry("band", "worst to best repeat"))
    of = "mean over repeats · bands: worst to best repeat" if repeated else "of 1 repeat"
    return View(
        title=f"{sweep.name}: effort of tuning",
        subtitle=f"hypervolume of the front of a search's first trials, {of}",
        series=tuple(sorted(series, key=lambda arm: not arm.grey)),
        selected_name="hypervolume",
        other_name="",
        stairs=True,
        x_range=(0.5, max(trials, FEWEST_TICKS) + 0.5),
        y_range=(0.0, max(heights) * 1.05 or 1.0),
        hidden=0,
        x_name="trials of one search",
        y_name="hypervolume",
        y_short="hypervolume",
        key=key if any(arm.band for arm in series) else (),
        logarithmic=False,
    )


def _rises(heights: Sequence[object]) -> list[int]:
    """Return the steps at which a staircase rises: elsewhere it needs no corner."""
    return [step for step, at in enumerate(heights) if not step or at != heights[step - 1]]
