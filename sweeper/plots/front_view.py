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
from sweeper.plots.arm_styles import Looks, highlighted_arms
from sweeper.plots.labels import ACCURACY_NAMES, percent, titled
from sweeper.plots.views import Dot, KeyEntry, TrialLink, View, no_link
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
    repeated = {name: several for name, several in (repeats or {}).items() if len(several) > 1}
    of, beside, measure = ACCURACY_NAMES[selected], ACCURACY_NAMES[other], sweep.measure_label
    lines = f"lines: fronts on {of} {measure} · markers: {beside} {measure} of the same"
    if repeated:
        count = max(len(several) for several in repeated.values())
        lines = (
            f"lines: {of} {measure} that half of {count} repeats attain, bands 25 to 75 % · "
            f"markers: {beside} {measure} of the pooled front's"
        )
    return drawn_fronts(
        fronts,
        sweep,
        repeated,
        title=f"{titled(sweep, track)}, {choice_text(sweep)}",
        subtitle=f"{lines} networks",
        link=link,
    )


def front_key(selected: str, other: str, *, repeated: bool) -> tuple[KeyEntry, ...]:
    """Return what lines and markers of fronts show, by the names of the two accuracies."""
    line = KeyEntry("line", f"{selected} (selected on){', median' if repeated else ''}")
    marker = KeyEntry("marker", other)
    return (line, KeyEntry("band", "25 to 75 % of repeats"), marker) if repeated else (line, marker)


def choice_text(sweep: Sweep) -> str:
    """Return what decides who is on a front, and what stands beside, in words."""
    selected, other = selection_metrics(sweep)
    if selected == "test_accuracy":
        return f"chosen on TEST {sweep.measure_label} (select_on: test)"
    return f"chosen on {ACCURACY_NAMES[selected]}, {ACCURACY_NAMES[other]} beside"


def drawn_fronts(
    fronts: Mapping[str, Front],
    sweep: Sweep,
    repeated: Mapping[str, Sequence[Front]],
    *,
    title: str,
    subtitle: str,
    link: TrialLink = no_link,
    looks: Looks | None = None,
) -> View:
    """Return the view of fronts, each with the line and the band that its repeats attain.

    Those without `repeated` fronts have a line through their networks. `looks` are those of the
    arms of the sweep's file, unless others are given.
    """
    selected, other = selection_metrics(sweep)
    size: SizeMeasure = next((front.size for front in fronts.values()), "nonzero")
    surfaces = {
        name: [attainment(several, level) for level in LEVELS] for name, several in repeated.items()
    }
    return accuracy_view(
        {
            name: [_dot(point, selected, other, link) for point in front]
            for name, front in fronts.items()
        },
        sweep,
        highlighted_arms(fronts, sweep),
        title=title,
        subtitle=subtitle,
        stairs=True,
        size=size,
        lines={name: _line(half) for name, (_, half, _) in surfaces.items()},
        bands={name: _band(most, few) for name, (few, _, most) in surfaces.items()},
        key=front_key(ACCURACY_NAMES[selected], ACCURACY_NAMES[other], repeated=bool(repeated)),
        looks=looks,
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
        link=link(point.study.partition("/")[0], (point.arm, point.repeat, point.slot)),
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
