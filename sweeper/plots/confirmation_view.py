"""View of confirmed networks: test accuracy of fresh seeds against size."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from sweeper.analysis import describe_point
from sweeper.analysis.confirmation import ConfirmedConfig, accuracy_at_size
from sweeper.config import Sweep
from sweeper.plots.accuracy_view import Line, accuracy_view
from sweeper.plots.arm_styles import MOST
from sweeper.plots.labels import ACCURACY_NAMES, percent
from sweeper.plots.views import Dot, TrialLink, View, no_link
from sweeper.types import Accuracy

_TEST: Accuracy = "test_accuracy"


def confirmed_view(
    configs: Sequence[ConfirmedConfig], sweep: Sweep, *, link: TrialLink = no_link
) -> View:
    """Return every confirmed configuration, and the mean over repeats at each size as a line.

    `sweep` is the confirmation. Of many arms those are in colour that reach most at the sizes, and
    of each family the one that does. With a `link` a configuration leads to the trial of its first
    seed.
    """
    of_arm = {arm: [config for config in configs if config.arm == arm] for arm in sweep.arms}
    lines = {arm: _line(sweep, of_this) for arm, of_this in of_arm.items()}
    ranked = sorted(sweep.arms, key=lambda arm: -sum(height for _, height in lines[arm]))
    best_of_family = {sweep.arms[arm].family_name: arm for arm in reversed(ranked)}
    highlighted = set(list(dict.fromkeys([*best_of_family.values(), *ranked]))[:MOST])
    seeds = sweep.confirms.seeds if sweep.confirms else 0
    seed = "seed" if seeds == 1 else "seeds"
    view = accuracy_view(
        {arm: [_dot(config, link) for config in by_size(of_arm[arm])] for arm in of_arm},
        sweep,
        [arm for arm in sweep.arms if arm in highlighted],
        title=f"{sweep.name.partition('/')[0]}: confirmed networks",
        subtitle=f"markers: test {sweep.measure_label}, mean of {seeds} fresh {seed} of one "
        "repeat's choice · lines: mean over repeats at each size that all have",
        stairs=False,
        lines=lines,
        reason="best, one of each family at least,",
    )
    # Whatever the search selected on.
    return replace(
        view,
        y_name=f"test {sweep.measure_label} (%)",
        selected_name=ACCURACY_NAMES["val_accuracy"],
        other_name=ACCURACY_NAMES[_TEST],
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
    )


def _line(sweep: Sweep, configs: Sequence[ConfirmedConfig]) -> Line:
    """Return (nonzero, test accuracy in %) at each size within which all repeats have a network."""
    corners = []
    for size in sorted({size for config in configs for size in config.sizes}):
        within = [config for config in configs if size in config.sizes]
        sizes = [config.nonzero for config in within if config.nonzero is not None]
        mean = accuracy_at_size(sweep, configs, configs[0].arm, size, _TEST).mean
        if sizes and mean:
            corners.append((float(np.exp(np.mean(np.log(sizes)))), percent(mean.center)))
    return tuple(corners)
