"""Sizes of pictures, as people write them."""

import pytest

from sweeper.errors import InputError
from sweeper.plots.picture_size import PRESETS, UNITS, parse_size


@pytest.mark.parametrize("text", ["3.3x2.4in", "3.3 X 2.4 in", "3.3×2.4in", "column"])
def test_a_size_may_be_written_in_several_ways(text: str) -> None:
    size = parse_size(text)
    assert (size.width, size.height, size.unit) == (3.3, 2.4, "in")


def test_the_same_length_has_the_same_pixels_in_every_unit() -> None:
    for text in ("2.54x5.08cm", "25.4x50.8mm", "1x2in", "96x192px"):
        assert parse_size(text).pixels == pytest.approx((96, 192))
    assert parse_size("96x192px").dots == 1
    assert parse_size("1x2in").dots == pytest.approx(300 / 96)
    assert all(parse_size(name).unit in UNITS for name in PRESETS)


@pytest.mark.parametrize("text", ["3.3in", "3.3x2.4", "3.3x2.4ft", "axb in", "wide", "-1x2in", ""])
def test_anything_else_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(InputError, match=r"^--size: must be as 3.3x2.4in, in in, cm, mm, px, or"):
        parse_size(text)


@pytest.mark.parametrize("text", ["0x2in", "900x900in"])
def test_sizes_that_nobody_can_draw_are_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"--size: no side may be 0 or more than 20,000 pixels"):
        parse_size(text)
