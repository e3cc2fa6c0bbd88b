"""The picture of confirmed networks: test accuracy of fresh seeds against size."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from sweeper.analysis import describe_point
from sweeper.analysis.confirmation import ConfirmedConfig, accuracy_at_size
from sweeper.config import Sweep
from sweeper.plots.views import MOST, SHORT, Dot, View, make_view, percent
from sweeper.types import Accuracy

_TEST: Accuracy = "test_accuracy"


def confirmed_view(found: Sequence[ConfirmedConfig], sweep: Sweep) -> View:
    """Return every confirmed configuration, and the mean over repeats at each size as a line.

    `sweep` is the confirmation. Of many arms those are in colour that reach most at the sizes, and
    of each family the one that does.
    """
    dots: dict[str, list[Dot]] = {arm: [] for arm in sweep.arms}
    for one in found:
        if one.nonzero is not None:
            dots[one.arm].append(_dot(one))
    corners = {arm: _line(sweep, [one for one in found if one.arm == arm]) for arm in sweep.arms}
    ranked = sorted(sweep.arms, key=lambda arm: -sum(height for _, height in corners[arm]))
    first = {sweep.arms[arm].family: arm for arm in reversed(ranked)}
    chosen = set(list(dict.fromkeys([*first.values(), *ranked]))[:MOST])
    seeds = sweep.confirms.seeds if sweep.confirms else 0
    seed = "seed" if seeds == 1 else "seeds"
    view = make_view(
        {arm: sorted(some, key=lambda dot: dot.nonzero) for arm, some in dots.items()},
        sweep,
        [arm for arm in sweep.arms if arm in chosen],
        title=f"{sweep.name.partition('/')[0]}: confirmed networks",
        subtitle=f"markers: test accuracy, mean of {seeds} fresh {seed} of one repeat's choice · "
        "lines: mean over repeats at each size that all have",
        stairs=False,
        corners=corners,
        why="best, one of each family at least,",
    )
    # Whatever the search selected on.
    of, beside = SHORT["val_accuracy"], SHORT[_TEST]
    return replace(view, y_name="test accuracy (%)", line_name=of, mark_name=beside)


def _dot(one: ConfirmedConfig) -> Dot:
    return Dot(
        nonzero=round(one.nonzero or 0),
        line=percent(one.accuracy("val_accuracy")),
        mark=percent(one.accuracy(_TEST)),
        repeat=one.repeat,
        trial=one.searched.trial,
        label=(
            f"{describe_point(one.params)}; within {', '.join(f'{size:,}' for size in one.sizes)}"
        ),
    )


def _line(sweep: Sweep, mine: Sequence[ConfirmedConfig]) -> tuple[tuple[float, float], ...]:
    """Return (nonzero, test accuracy in %) at each size within which all repeats have a network."""
    corners = []
    for size in sorted({size for one in mine for size in one.sizes}):
        sizes = [one.nonzero for one in mine if size in one.sizes and one.nonzero is not None]
        reached = accuracy_at_size(sweep, mine, mine[0].arm, size, _TEST).mean
        if sizes and reached:
            corners.append((float(np.exp(np.mean(np.log(sizes)))), percent(reached.center)))
    return tuple(corners)
