"""Styles of arms: each has one colour and one marker in all pictures, by its place in its file."""

from collections.abc import Callable, Mapping, Sequence
from itertools import count

from sweeper.analysis import Front
from sweeper.config import Sweep
from sweeper.plots.palette import COLORS, GREY, MORE_COLORS
from sweeper.plots.views import Filling, Series

SYMBOLS = ("circle", "square", "triangle-up", "x", "diamond", "cross", "triangle-down", "star")
DASHES = ("solid", "dash", "dot", "dashdot")
FILLINGS: tuple[Filling, ...] = ("filled", "open", "ringed", "pierced")
Looks = Callable[[Sequence[str], Sequence[str]], dict[str, Series]]
"""Series without dots of all names and the highlighted ones, such as `series_of` for a file."""
MOST = 8
"""With more arms than this, most are grey: nobody tells thirty lines apart by their look."""
_STEP = 3
"""Places by which the markers are turned against the colours after each round of these."""


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
    chosen = {*plain, *ranked[: MOST - len(plain)]}
    return tuple(name for name in fronts if name in chosen)


def is_plain(sweep: Sweep, name: str) -> bool:
    """Tell if an arm has neither a penalty nor a method."""
    arm = sweep.arms.get(name)
    return arm is not None and not arm.terms and arm.method is None


def look_of_arm(name: str, place: int, row: int = 0) -> Series:
    """Return the look of an arm by its place in its study file, in the `row`-th sweep of several.

    The place decides on colour and marker: 64 pairs, in which neighbours differ in both, and the
    first 16 in colour. The sweep decides on dashes and on what is within the marker: 16 pairs.

    >>> [(look.color, look.symbol) for look in (look_of_arm("dense", 0), look_of_arm("l1", 8))]
    [('#0072B2', 'circle'), ('#4A30F2', 'x')]
    >>> look_of_arm("l1", 1).dash, look_of_arm("l1", 1, row=1).dash
    ('solid', 'dash')
    """
    colors = COLORS + MORE_COLORS
    turn, column = divmod(place, len(SYMBOLS))
    again, step = divmod(row, len(FILLINGS))
    return Series(
        name=name,
        color=colors[place % len(colors)],
        symbol=SYMBOLS[(column + _STEP * turn) % len(SYMBOLS)],
        dash=DASHES[(step + again) % len(DASHES)],
        filling=FILLINGS[step],
    )


def series_of(
    names: Sequence[str], highlighted: Sequence[str], file: Sequence[str]
) -> dict[str, Series]:
    """Return each arm as a series without dots: the highlighted ones in colour, after the others.

    `file` are all arms of the study file, in its order.

    >>> looks = series_of(["l1", "dense"], ["l1"], ["dense", "l1"])
    >>> [(look.name, look.color) for look in looks.values()]
    [('dense', '#a3a8ae'), ('l1', '#E69F00')]
    """
    # A front of all arms together is of none of them: it comes after all.
    places = {name: place for place, name in enumerate(dict.fromkeys([*file, *names]))}
    grey = {name: _grey(name) for name in names if name not in highlighted}
    return grey | {name: look_of_arm(name, places[name]) for name in highlighted}


def series_of_sweeps(
    names: Sequence[str], highlighted: Sequence[str], sweeps: Sequence[Sweep]
) -> dict[str, Series]:
    """Return series of `sweep/arm`: the arm has colour and marker, the sweep dashes and filling.

    The arm's are those that it has in the first of the `sweeps` with it, unless another arm of an
    earlier one has them: then the next that are free, so that no two arms are taken for one.
    """
    places: dict[str, int] = {}
    for sweep in sweeps:
        new = {arm: place for place, arm in enumerate(sweep.arms) if arm not in places}
        taken = set(places.values())
        places |= {arm: place for arm, place in new.items() if place not in taken}
        for arm, place in new.items():
            free = (other for other in count(place) if other not in places.values())
            places.setdefault(arm, next(free))
    rows = {sweep.name: row for row, sweep in enumerate(sweeps)}
    looks = {name: _grey(name) for name in names if name not in highlighted}
    for name in highlighted:
        of, _, arm = name.partition("/")
        looks[name] = look_of_arm(name, places[arm], rows[of])
    return looks


def _grey(name: str) -> Series:
    return Series(name, GREY, SYMBOLS[0], DASHES[0], grey=True)
