"""View of confirmed networks: test accuracy of fresh seeds against size."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from sweeper.analysis import FEWEST, describe_point, mean
from sweeper.analysis.conclusion import ConfirmationResult
from sweeper.analysis.confirmation import ConfirmedConfig, accuracy_at_size
from sweeper.config import Sweep
from sweeper.plots.accuracy_view import Band, accuracy_view
from sweeper.plots.arm_styles import MOST, series_of
from sweeper.plots.labels import ACCURACY_NAMES, percent
from sweeper.plots.views import Dot, KeyEntry, TrialLink, View, no_link
from sweeper.types import Accuracy

_TEST: Accuracy = "test_accuracy"
FEWEST_SEEDS = 3
"""Seeds under which a configuration has no bar: two say nothing on how they scatter."""
Corner = tuple[float, float, float | None, float | None]
"""Size, mean accuracy in %, and the ends of its interval where there are repeats enough."""


def confirmed_view(
    confirmation: ConfirmationResult, *, arms: Sequence[str] = (), link: TrialLink = no_link
) -> View:
    """Return every confirmed configuration, and the mean over repeats at each size as a line.

    With t-intervals: bars over the seeds of a configuration, bands over repeats. Of many arms those
    are in colour that reach most at the sizes, and of each family the one that does; all arms are
    shown unless some are named. With a `link` a configuration leads to the trial of its first seed.
    """
    sweep, configs = confirmation.sweep, confirmation.configs
    arms = [arm for arm in sweep.arms if arm in arms or not arms]
    of_arm = {arm: [config for config in configs if config.arm == arm] for arm in arms}
    means = {arm: _means(sweep, of_this) for arm, of_this in of_arm.items()}
    lines = {arm: tuple(corner[:2] for corner in corners) for arm, corners in means.items()}
    ranked = sorted(arms, key=lambda arm: -sum(height for _, height in lines[arm]))
    best_of_family = {sweep.arms[arm].family_name: arm for arm in reversed(ranked)}
    highlighted = set(list(dict.fromkeys([*best_of_family.values(), *ranked]))[:MOST])
    dots = {arm: [_dot(config, link) for config in by_size(of_arm[arm])] for arm in of_arm}
    bands = {arm: _band(corners) for arm, corners in means.items()}
    key, words = _spread_words(
        confirmation,
        has_bars=any(dot.interval for of_this in dots.values() for dot in of_this),
        has_lines=any(len(line) > 1 for line in lines.values()),
        has_bands=any(bands.values()),
    )
    view = accuracy_view(
        dots,
        sweep,
        [arm for arm in arms if arm in highlighted],
        title=f"{sweep.name.partition('/')[0]}: confirmed networks",
        subtitle=words,
        stairs=False,
        lines=lines,
        bands=bands,
        reason="best, one of each family at least,",
        key=key,
        # Those of the search: a confirmation has but the arms in which something was chosen.
        looks=partial(series_of, file=list((confirmation.search or sweep).arms)),
    )
    # Whatever the search selected on.
    return replace(
        view,
        y_name=f"test {sweep.measure_label} (%)",
        y_short=f"test {sweep.measure_label} (%)",
        selected_name=ACCURACY_NAMES["val_accuracy"],
        other_name=ACCURACY_NAMES[_TEST],
    )


def _spread_words(
    confirmation: ConfirmationResult, *, has_bars: bool, has_lines: bool, has_bands: bool
) -> tuple[tuple[KeyEntry, ...], str]:
    """Return legend and caption: what markers and lines are, and what their intervals rest on."""
    measure, seeds = confirmation.sweep.measure_label, confirmation.seeds
    seed = "seed" if seeds == 1 else "seeds"
    marker, line = f"mean of {seeds} {seed}", "mean of repeats"
    bars, bands = "95 % t-intervals over seeds", "95 % t-intervals over repeats"
    if has_bars and has_bands:
        spread = "bars and bands: 95 % t-intervals over seeds and over repeats"
    else:
        few = [] if has_bars else [f"under {FEWEST_SEEDS} seeds no bars"]
        few += [] if has_bands else [f"under {FEWEST} repeats no bands"]
        known = [f"bars: {bars}"] if has_bars else [f"bands: {bands}"] if has_bands else []
        spread = " · ".join([*known, *few])
    key = (
        KeyEntry("marker", marker if has_bars else f"{marker}, no interval"),
        *([KeyEntry("bar", bars.replace("intervals", "interval"))] if has_bars else []),
        *([KeyEntry("line", line if has_bands else f"{line}, no interval")] if has_lines else []),
        *([KeyEntry("band", bands.replace("intervals", "interval"))] if has_bands else []),
    )
    return key, (
        f"markers: test {measure}, mean of {seeds} fresh {seed} of one repeat's choice · lines: "
        f"mean over repeats at each size that all have · {spread}"
    )


def by_size(configs: Sequence[ConfirmedConfig]) -> list[ConfirmedConfig]:
    """Return the configurations that left a network, by their size as the view rounds it."""
    counted = [config for config in configs if config.nonzero is not None]
    return sorted(counted, key=lambda config: round(config.nonzero or 0))


def _dot(config: ConfirmedConfig, link: TrialLink) -> Dot:
    sizes = ", ".join(f"{size:,}" for size in config.sizes)
    return Dot(
        nonzero=round(config.nonzero or 0),
        selected_accuracy=percent(config.accuracy("val_accuracy")),
        other_accuracy=percent(config.accuracy(_TEST)),
        repeat=config.repeat,
        trial=config.searched[0].trial,
        label=f"{describe_point(config.params)}; within {sizes}",
        link=link(config.records[0].slot.sweep, config.records[0].slot.place),
        interval=_interval(config),
    )


def _interval(config: ConfirmedConfig) -> tuple[float, float] | None:
    """Return the 95 % t-interval of the test accuracy over seeds, in %; None for too few seeds."""
    estimate = mean(config.accuracies(_TEST), fewest=FEWEST_SEEDS)
    if estimate is None or estimate.low is None or estimate.high is None:
        return None
    return percent(estimate.low), percent(estimate.high)


def _band(corners: Sequence[Corner]) -> Band:
    return tuple(
        (size, low, high) for size, _, low, high in corners if low is not None and high is not None
    )


def _means(sweep: Sweep, configs: Sequence[ConfirmedConfig]) -> tuple[Corner, ...]:
    """Return the corners at the sizes within which all repeats have a network."""
    corners = []
    for size in sorted({size for config in configs for size in config.sizes}):
        within = [config for config in configs if size in config.sizes]
        sizes = [config.nonzero for config in within if config.nonzero is not None]
        at = accuracy_at_size(sweep, configs, configs[0].arm, size, _TEST).mean
        if sizes and at:
            middle = float(np.exp(np.mean(np.log(sizes))))
            low, high = (None if end is None else percent(end) for end in (at.low, at.high))
            corners.append((middle, percent(at.center), low, high))
    return tuple(corners)
