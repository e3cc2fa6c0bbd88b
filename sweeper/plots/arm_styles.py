"""Styles of arms: colours, symbols and dashes, and the arms that stand out among many."""

from collections.abc import Mapping, Sequence

from sweeper.analysis import Front
from sweeper.config import Sweep
from sweeper.plots.palette import COLORS, GREY
from sweeper.plots.views import Series

SYMBOLS = ("circle", "square", "diamond", "triangle-up", "triangle-down", "cross", "x", "star")
DASHES = ("solid", "dash", "dot", "dashdot")
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
