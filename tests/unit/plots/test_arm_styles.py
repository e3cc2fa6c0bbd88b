"""Looks of arms: one colour and one marker for each, by its place in its study file."""

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from support.factories import make_fact, make_sweep
from sweeper.analysis import fronts
from sweeper.plots import front_view
from sweeper.plots.arm_styles import look_of_arm
from sweeper.plots.palette import BLACK, COLORS, MORE_COLORS, PAPER

Matrix = NDArray[np.float64]
NORMAL = np.eye(3)
# Oracle: Machado, Oliveira and Fernandes (2009), table 1, severity 1.0; on linear RGB.
DEUTERANOPIA = np.array(
    [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ]
)
PROTANOPIA = np.array(
    [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ]
)
XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)


def linear(color: str) -> Matrix:
    values = np.array([int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)])
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def lab(color: str, vision: Matrix) -> Matrix:
    """Return CIE L*a*b* of a colour, white D65, as such an eye sees it."""
    scaled = XYZ @ np.clip(vision @ linear(color), 0, 1) / np.array([0.95047, 1.0, 1.08883])
    root = np.where(scaled > 216 / 24389, np.cbrt(scaled), (24389 / 27 * scaled + 16) / 116)
    return np.array([116 * root[1] - 16, 500 * (root[0] - root[1]), 200 * (root[1] - root[2])])


@pytest.mark.parametrize("vision", [NORMAL, DEUTERANOPIA, PROTANOPIA])
def test_the_first_eight_colours_are_told_apart_with_any_vision(vision: Matrix) -> None:
    # 2.3 is just noticeable; thin lines need several times that.
    pairs = itertools.combinations(COLORS, 2)
    assert min(float(np.linalg.norm(lab(a, vision) - lab(b, vision))) for a, b in pairs) > 15


def test_neighbours_differ_in_grey_too() -> None:
    lightness = [float(lab(color, NORMAL)[0]) for color in (*COLORS, *MORE_COLORS)]
    assert min(abs(a - b) for a, b in itertools.pairwise(lightness)) > 10


@pytest.mark.parametrize("paper", [PAPER, "#14171b"])
def test_every_colour_is_seen_on_a_light_page_and_on_a_dark_one(paper: str) -> None:
    def luminance(color: str) -> float:
        return float((XYZ @ linear(color))[1]) + 0.05

    for color in {*COLORS, *MORE_COLORS} - {BLACK}:  # black is the ink of either page
        ends = sorted((luminance(color), luminance(paper)))
        assert ends[1] / ends[0] > 2.2, color


def test_sixty_four_arms_have_sixty_four_looks_and_neighbours_share_nothing() -> None:
    looks = [(look.color, look.symbol) for look in (look_of_arm("x", n) for n in range(64))]
    assert len({*looks}) == 64
    assert len({color for color, _ in looks[:16]}) == 16
    assert all(a[0] != b[0] and a[1] != b[1] for a, b in itertools.pairwise(looks))


def test_an_arm_keeps_its_look_whichever_others_stand_out() -> None:
    arms = {f"arm-{n}": {"penalty": "l1", "strength": 1} for n in range(20)}
    sweep = make_sweep(arms=arms)
    seen: dict[str, set[tuple[str, str]]] = {}
    for best in (0, 9):  # another part of the arms is in colour
        facts = [
            make_fact(sweep=sweep, arm=arm, nonzero=1000 + 100 * ((place - best) % 20))
            for place, arm in enumerate(arms)
        ]
        for series in front_view(fronts(facts, sweep), sweep).coloured:
            seen.setdefault(series.name, set()).add((series.color, series.symbol))
    few = fronts(facts, sweep)
    for name in ("arm-3", "arm-12"):
        [series] = front_view({name: few[name]}, sweep).series
        seen.setdefault(name, set()).add((series.color, series.symbol))
    assert len(seen) > 14
    for place, name in enumerate(arms):
        look = look_of_arm(name, place)
        assert seen.get(name, {(look.color, look.symbol)}) == {(look.color, look.symbol)}
