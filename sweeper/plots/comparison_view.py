"""View of several sweeps: their arms' fronts in one figure, and in it what is unequal."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from sweeper.analysis import Front, selection_metrics
from sweeper.config import Sweep
from sweeper.plots.arm_styles import series_of_sweeps
from sweeper.plots.front_view import choice_text, drawn_fronts
from sweeper.plots.labels import ACCURACY_NAMES, TRACK_NAMES
from sweeper.plots.views import TrialLink, View, no_link

MOST_KEYS = 3
"""Unequal keys that a subtitle names."""
MOST_LETTERS = 40
"""Of the sweeps' names in a title; arms are called `sweep/arm` anyway."""


def comparison_view(
    fronts: Mapping[str, Front],
    sweeps: Sequence[Sweep],
    repeats: Mapping[str, Sequence[Front]],
    unequal: Sequence[str] = (),
    *,
    link: TrialLink = no_link,
) -> View:
    """Return the fronts of arms `sweep/arm`, in one view.

    The first sweep's targets say which part of the heights is worth showing. `unequal` are keys of
    study files that differ, which the subtitle says.
    """
    first = sweeps[0]
    track = next((front.track for front in fronts.values()), first.sparsification.track)
    selected, other = selection_metrics(first)
    of, beside, measure = ACCURACY_NAMES[selected], ACCURACY_NAMES[other], first.measure_label
    repeated = {name: several for name, several in repeats.items() if len(several) > 1}
    lines = f"{of} {measure} of fronts"
    if repeated:
        lines = f"{of} {measure} that half of an arm's repeats attain, bands 25 to 75 %"
    subtitle = f"lines: {lines} · markers: {beside} {measure} of networks on the pooled fronts"
    if unequal:
        more = len(unequal) - MOST_KEYS
        named = f"{', '.join(unequal[:MOST_KEYS])}{f' and {more} more' if more > 0 else ''}"
        subtitle += f" · not ranked, since they differ in {named}"
    view = drawn_fronts(
        fronts,
        first,
        repeated,
        title=f"{_names(sweeps)}{'' if first.script else f': {TRACK_NAMES[track]}'}, "
        f"{choice_text(first)}",
        subtitle=subtitle,
        link=link,
        looks=partial(series_of_sweeps, sweeps=sweeps),
    )
    view = replace(view, sweeps=tuple(sweep.name for sweep in sweeps))
    same_network = all(sweep.model == first.model for sweep in sweeps)
    return view if same_network else replace(view, published=())


def _names(sweeps: Sequence[Sweep]) -> str:
    names = ", ".join(sweep.name for sweep in sweeps)
    return names if len(names) <= MOST_LETTERS else f"{len(sweeps)} sweeps"
