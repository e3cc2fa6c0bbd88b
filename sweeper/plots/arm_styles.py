"""Styles of arms: colours, symbols and dashes, and the arms that stand out among many."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from sweeper.analysis import Front
from sweeper.config import Sweep
from sweeper.plots.palette import COLORS, GREY
from sweeper.plots.views import Series

SYMBOLS = ("circle", "square", "diamond", "triangle-up", "triangle-down", "cross", "x", "star")
DASHES = ("solid", "dash", "dot", "dashdot")
Looks = Callable[[Sequence[str], Sequence[str]], dict[str, Series]]
"""Series without dots of all names and the highlighted ones, such as `series_of`."""
MOST = 8
"""With more arms than this, most are grey: nobody tells thirty lines apart by their look."""


def highlighted_arms(fronts: Mapping[str, Front], sweep: Sweep) -> tuple[str, ...]:
    """Return the arms that are drawn in colour, in the order of `fronts`.

    All of them if they are few. Else as many as there are colours: the first arm that neither has
    a penalty nor a method, to compare with, and those of the largest hypervolume.
    """
    if len(fronts) <= MOST:
        return tuple(fronts)
    sizes = [point.total for front in fronts.values() for point in front.points]
    size = sweep.reference.nonzero or sweep.total_parameters or max(sizes, default=1)
    corner = (size, sweep.reference.error)
    hypervolumes = {name: front.hypervolume(corner) for name, front in fronts.items()}
    plain = [name for name in fronts if is_plain(sweep, name)][:1]
    ranked = sorted((name for name in fronts if name not in plain), key=lambda n: -hypervolumes[n])
    chosen = {*plain, *ranked[: len(COLORS) - len(plain)]}
    return tuple(name for name in fronts if name in chosen)


def is_plain(sweep: Sweep, name: str) -> bool:
    """Tell if an arm has neither a penalty nor a method."""
    arm = sweep.arms.get(name)
    return arm is not None and not arm.terms and arm.method is None


def series_of(names: Sequence[str], highlighted: Sequence[str]) -> dict[str, Series]:
    """Return each arm as a series without dots: the highlighted ones in colour, after the others.

    >>> [series.color for series in series_of(["l1", "dense"], ["l1"]).values()]
    ['#a3a8ae', '#0072B2']
    """
    grey = {
        name: Series(name, GREY, SYMBOLS[0], DASHES[0], grey=True)
        for name in names
        if name not in highlighted
    }
    coloured = {
        name: Series(
            name=name,
            color=COLORS[index % len(COLORS)],
            symbol=SYMBOLS[index % len(SYMBOLS)],
            dash=DASHES[index // len(COLORS) % len(DASHES)],
        )
        for index, name in enumerate(highlighted)
    }
    return grey | coloured


def series_of_sweeps(names: Sequence[str], highlighted: Sequence[str]) -> dict[str, Series]:
    """Return series of `sweep/arm`: the arm has a colour, the sweep has a marker and dashes.

    >>> [(look.color, look.dash) for look in series_of_sweeps(["a/l1", "b/l1"], ["a/l1", "b/l1"])
    ...  .values()]
    [('#0072B2', 'solid'), ('#0072B2', 'dash')]
    """
    looks = series_of(names, highlighted)
    places = [tuple(name.split("/", 1)) for name in highlighted]
    sweeps = [*dict.fromkeys(sweep for sweep, _ in places)]
    arms = [*dict.fromkeys(arm for _, arm in places)]
    for name, (sweep, arm) in zip(highlighted, places, strict=True):
        row, (turn, column) = sweeps.index(sweep), divmod(arms.index(arm), len(COLORS))
        looks[name] = replace(
            looks[name],
            color=COLORS[column],
            # Two steps of the dashes for three of the markers: no two of up to 14 arms in up to 8
            # sweeps look alike.
            symbol=SYMBOLS[(row + 3 * turn) % len(SYMBOLS)],
            dash=DASHES[(row + 2 * turn) % len(DASHES)],
        )
    return looks
