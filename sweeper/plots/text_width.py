"""Width of text without a font at hand: as wide as the widest usual sans-serif font draws it."""

_NARROW, _WIDE = frozenset("fijlrtI.,:;'|!()[]/- "), frozenset("mwMW@%—…→–")
_WIDTHS = {False: 0.63, True: 0.41}
"""Of a letter, and of a narrow one, as a share of the font's size, as in DejaVu Sans."""
_WIDEST = 0.98


def text_width(text: str, size: float) -> float:
    """Return at most how many pixels a line of text takes at a font size in pixels.

    >>> text_width("l1", 10) < text_width("dense", 10) < text_width("entropy", 10) < 50
    True
    """
    return size * sum(_WIDEST if letter in _WIDE else _WIDTHS[letter in _NARROW] for letter in text)


def shortened(text: str, size: float, room: float) -> str:
    """Return text without its middle where that does not fit: ends tell names apart.

    >>> shortened("l1_marginal_entropy_shuffled", 10, 100)
    'l1_marg…shuffled'
    """
    left, right = (len(text) + 1) // 2, len(text) // 2
    short = text
    while text_width(short, size) > room and right > 1:
        left, right = left - (left >= right), right - (right > left)
        short = f"{text[:left]}…{text[-right:]}"
    return short
