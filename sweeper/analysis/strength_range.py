"""Range of a strength, read off a probe: from "does nothing" to "collapses"."""

import math
from collections.abc import Mapping, Sequence

from sweeper.analysis.front import Front
from sweeper.config import LogUniform, Sweep, Uniform
from sweeper.errors import InputError
from sweeper.types import ProbePoint, RecordedRange, StrengthRange

GRID: tuple[float, ...] = tuple(10 ** (exponent / 2) for exponent in range(-13, 2))
"""Strengths of a probe, 3e-7 to 3, for a formula whose mean |dR/dw| is 1 at the start.

Divided by that mean they suit every formula: the push on a weight is what counts, and the values
of R differ by a factor of 10^6.
"""

UNMOVED = 0.2
"""A network that ends nearer than this to the one without penalty has not been touched."""
NOISE = 1.2
"""Or nearer than this times the largest distance that the weakest strengths of the probe make:
training is chaotic, and on MNIST the smallest change moves a network by 0.2 to 0.4 in an epoch."""
TOUCHED = 0.7
"""Beyond this no chaos is an excuse."""
WEAKEST = 4
"""How many of the strengths those are: up to a push of 1e-5, which adds up to less than a hundredth
of a usual weight."""

EDGE = 0.05
"""Share of its range within which a strength counts as lying on the edge."""
UNEVEN = 2.0
"""Ranges that differ by this factor, in decades, spend equal budgets unequally."""


def range_from_probe(points: Sequence[ProbePoint], seconds: float) -> StrengthRange:
    """Return the range that a probe shows; `points` ascend, the first at strength 0.

    High is the largest strength before the first that collapses or diverges; low the largest
    before the first that moves the network. Raises InputError if none is left between.
    """
    tried = points[1:]
    healthy = []
    for point in tried:
        if point.state != "complete":
            break
        healthy.append(point)
    if points[0].state != "complete":
        text = f"nothing is learnt without any penalty ({100 * points[0].val_accuracy:.1f} %"
        raise InputError(f"{text} accuracy after the probe); look at training.learning_rate")
    if not healthy:
        worst, least = tried[0].state, tried[0].strength
        raise InputError(f"{worst} at {least:.3g} already, the weakest strength of the probe")
    chaos = NOISE * max(point.moved for point in healthy[:WEAKEST])
    bound = min(max(UNMOVED, chaos), TOUCHED)
    untouched = []
    for point in healthy[:-1]:
        if point.moved > bound:
            break
        untouched.append(point)
    # At least two steps of the grid: a range of one point is none to search. Below the weakest
    # strength that holds there is nothing to fear.
    most = max(0, len(healthy) - 3)
    low = healthy[min(max(len(untouched) - 1, 0), most)].strength
    high = healthy[-1].strength
    return StrengthRange(
        low=low if low < high else high / 10**0.5,
        high=high,
        points=tuple(points),
        open_below=not untouched,
        open_above=len(healthy) == len(tried),
        seconds=seconds,
    )


def ranges(recorded: Sequence[RecordedRange]) -> dict[tuple[str, str], tuple[float, float]]:
    """Return (low, high) by (arm, parameter), for `Sweep.with_ranges`."""
    return {(each.arm, each.parameter): (each.range.low, each.range.high) for each in recorded}


def edge_warnings(sweep: Sweep, fronts: Mapping[str, Front]) -> tuple[str, ...]:
    """Return warnings of fronts with an end on the edge of a searched strength.

    Better networks may lie beyond it. `sweep` has its ranges filled in.
    """
    warnings: list[str] = []
    for arm, front in fronts.items():
        points = [point.params for point in front.points]
        for key, domain in sweep.domains(arm).items():
            if not key.endswith("strength") or not isinstance(domain, Uniform | LogUniform):
                continue
            ends = [points[0], points[-1]] if len(points) > 1 else points
            places = {_edge(domain, float(params[key])) for params in ends if key in params}
            warnings += [
                f"{arm}: an end of its front lies on the {place} edge of {key} "
                f"({domain.bounds[0]:.3g} to {domain.bounds[1]:.3g}): better networks may lie "
                "beyond it"
                for place in ("lower", "upper")
                if place in places
            ]
    return tuple(warnings)


def _edge(domain: Uniform | LogUniform, value: float) -> str | None:
    low, high = domain.bounds
    if isinstance(domain, LogUniform):
        low, high, value = math.log(low), math.log(high), math.log(value)
    place = (value - low) / (high - low)
    return "lower" if place < EDGE else "upper" if place > 1 - EDGE else None


def summarize_edges(warnings: Sequence[str]) -> str:
    """Return the warnings of `edge_warnings` as one sentence that names the arms; empty for none.

    >>> summarize_edges(["l1: an end of its front lies on the lower edge of strength (0.1 to 1)"])
    'The front of l1 ends on the edge of a searched strength: better networks may lie beyond it.'
    """
    arms = list(dict.fromkeys(line.partition(":")[0] for line in warnings))
    if not arms:
        return ""
    who = f"The fronts of {', '.join(arms)} end" if arms[1:] else f"The front of {arms[0]} ends"
    return f"{who} on the edge of a searched strength: better networks may lie beyond it."


def range_caveats(ranges: Sequence[RecordedRange]) -> tuple[str, ...]:
    """Return the caveats of ranges, to be read before the numbers, as sentences."""
    caveats = []
    below = [range_name(recorded) for recorded in ranges if recorded.range.open_below]
    above = [range_name(recorded) for recorded in ranges if recorded.range.open_above]
    if below:
        caveats.append(
            f"Even the weakest strength of the probe changes the networks of {', '.join(below)}: "
            "the range may go on below."
        )
    if above:
        caveats.append(
            f"No strength of the probe makes {', '.join(above)} collapse: the range may go on "
            "above."
        )
    return (*caveats, *_uneven_widths(ranges))


def _uneven_widths(ranges: Sequence[RecordedRange]) -> list[str]:
    """Return a sentence if one arm's trials are spread over a far wider range than another's."""
    if not ranges:
        return []
    narrow, wide = min(ranges, key=_decades), max(ranges, key=_decades)
    if _decades(wide) < UNEVEN * _decades(narrow):
        return []
    return [
        f"Searched were {_decades(narrow):.1f} decades of strengths for {range_name(narrow)} and "
        f"{_decades(wide):.1f} decades for {range_name(wide)}: of as many trials, fewer of the "
        "second fall where it counts. A higher sparsification.floor ends ranges where networks "
        "are too bad to matter."
    ]


def _decades(recorded: RecordedRange) -> float:
    return math.log10(recorded.range.high / recorded.range.low)


def range_name(recorded: RecordedRange) -> str:
    """Return the arm of a range, with the parameter where it is not the arm's only strength.

    A sum of penalties has several: `l1_and_entropy (l1.strength)`.
    """
    if recorded.parameter == "strength":
        return recorded.arm
    return f"{recorded.arm} ({recorded.parameter})"
