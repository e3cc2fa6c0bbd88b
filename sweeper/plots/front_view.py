"""View of fronts: the networks on each arm's front, and the lines that its repeats attain."""

from collections.abc import Mapping, Sequence

from sweeper.analysis import (
    LEVELS,
    Front,
    FrontPoint,
    Surface,
    attainment,
    describe_point,
    selection_metrics,
)
from sweeper.config import Sweep
from sweeper.plots.accuracy_view import Band, Line, accuracy_view
from sweeper.plots.arm_styles import highlighted_arms
from sweeper.plots.labels import ACCURACY_NAMES, TRACK_NAMES, percent
from sweeper.plots.views import Dot, TrialLink, View, no_link
from sweeper.types import Accuracy, SizeMeasure


def front_view(
    fronts: Mapping[str, Front],
    sweep: Sweep,
    repeats: Mapping[str, Sequence[Front]] | None = None,
    *,
    link: TrialLink = no_link,
) -> View:
    """Return the fronts of the arms in one view, in their order.

    With the fronts of an arm's `repeats`, two or more, its line is what half of them attain, amid
    a band from a quarter to three quarters. With a `link` a network leads to its trial.
    """
    selected, other = selection_metrics(sweep)
    track = next((front.track for front in fronts.values()), sweep.sparsification.track)
    size: SizeMeasure = next((front.size for front in fronts.values()), "nonzero")
    of, beside = ACCURACY_NAMES[selected], ACCURACY_NAMES[other]
    measure = sweep.measure_label
    choice = f"chosen on {of}, {beside} beside"
    if selected == "test_accuracy":
        choice = f"chosen on TEST {measure} (select_on: test)"
    repeated = {name: several for name, several in (repeats or {}).items() if len(several) > 1}
    surfaces = {
        name: [attainment(several, level) for level in LEVELS] for name, several in repeated.items()
    }
    lines = f"lines: fronts on {of} {measure} · markers: {beside} {measure} of the same"
    if repeated:
        count = max(len(several) for several in repeated.values())
        lines = (
            f"lines: {of} {measure} that half of {count} repeats attain, bands 25 to 75 % · "
            f"markers: {beside} {measure} of the pooled front's"
        )
    return accuracy_view(
        {
            name: [_dot(point, selected, other, link) for point in front.points]
            for name, front in fronts.items()
        },
        sweep,
        highlighted_arms(fronts, sweep),
        title=f"{sweep.name}: {TRACK_NAMES[track]}, {choice}",
        subtitle=f"{lines} networks",
        stairs=True,
        size=size,
        lines={name: _line(half) for name, (_, half, _) in surfaces.items()},
        bands={name: _band(most, few) for name, (few, _, most) in surfaces.items()},
    )


def _dot(point: FrontPoint, selected: Accuracy, other: Accuracy, link: TrialLink) -> Dot:
    return Dot(
        nonzero=point.nonzero,
        selected_accuracy=percent(point.accuracy(selected)),
        other_accuracy=percent(point.accuracy(other)),
        repeat=point.repeat,
        trial=point.trial,
        label=describe_point(point.params),
        effective=point.effective,
        link=link(point.study, point.trial),
    )


def _line(surface: Surface) -> Line:
    return tuple((float(size), percent(height)) for size, height in surface.corners)


def _band(low: Surface, high: Surface) -> Band:
    """Return the borders at each size where one of them rises, from where both begin.

    `low` is what most repeats attain, `high` what a few do.
    """
    sizes = sorted({size for surface in (low, high) for size, _ in surface.corners})
    heights = ((size, low.at(size), high.at(size)) for size in sizes)
    return tuple(
        (float(size), percent(below), percent(above))
        for size, below, above in heights
        if below is not None and above is not None
    )
