"""The ranges in which strengths were searched: what their probes saw, and where a front ends."""

import math
from collections.abc import Sequence
from html import escape

from sweeper.analysis import strength_range
from sweeper.analysis.sweep_record import SweepRecord
from sweeper.report.html_tables import cell, numeric_table
from sweeper.types import ProbePoint, RecordedRange, StrengthRange

WIDTH, HEIGHT, MARGIN = 168, 46, 3


def section(record: SweepRecord) -> str:
    """Return the section of the report; empty where there is nothing to say."""
    found, ends, total = record.ranges, record.edge_warnings, record.sweep.parameters
    if not (found or ends):
        return ""
    parts = ["<h2>Ranges of strengths</h2>"]
    if found:
        parts.append(
            "<p>Where the study file says <code>strength: auto</code>, one short training with "
            f"{len(strength_range.GRID)} strengths and without the penalty found the range that "
            "was then searched: from the largest that moves the weights no more than chance does, "
            "to the largest at which the network does not collapse.</p>"
        )
        parts.append(_table(found, total))
    if ends:
        lines = "".join(f"<li>{escape(line)}</li>" for line in ends)
        parts.append(f"<ul class=soft>{lines}</ul>")
    return "".join(parts)


def _table(found: Sequence[RecordedRange], total: int | None) -> str:
    head = ["arm, parameter", "from", "to", "lower end", "upper end"]
    head += ["next above", "probe", "seconds"]
    body = []
    for one in found:
        bracket = one.bracket
        beyond = _beyond(bracket)
        cells = [
            cell(f"{bracket.low:.3g}", "open below" if bracket.open_below else None),
            cell(f"{bracket.high:.3g}", "open above" if bracket.open_above else None),
            _seen(_at(bracket, bracket.low)),
            _seen(_at(bracket, bracket.high)),
            _seen(beyond) if beyond else cell("–"),
            f"<td>{_picture(bracket, total)}</td>",
            cell(f"{bracket.seconds:.1f}", "reused" if one.reused else None),
        ]
        body.append((one.arm, cells, one.parameter))
    caption = (
        "Lower and upper end: validation accuracy there, below it the nonzero parameters as "
        "trained; next above: what became of the network at the first strength beyond the range. "
        "In the pictures strength grows to the right (logarithmic) and the range is shaded; the "
        "line is validation accuracy from 0 to 100 %, the dashes are nonzero parameters from 0 "
        "to all. Reused: an equal probe was on record already."
    )
    return numeric_table(head, body, caption)


def _at(bracket: StrengthRange, strength: float) -> ProbePoint | None:
    return next((p for p in bracket.points if math.isclose(p.strength, strength)), None)


def _beyond(bracket: StrengthRange) -> ProbePoint | None:
    above = bracket.high * (1 + 1e-9)
    return next((point for point in bracket.points if point.strength > above), None)


def _seen(point: ProbePoint | None) -> str:
    if point is None:
        return cell("–")
    if point.state == "diverged":
        return cell("diverged", f"at {point.strength:.3g}")
    reached = f"{100 * point.val_accuracy:.1f} %"
    if point.state == "collapsed":
        return cell("collapsed", f"at {point.strength:.3g}: {reached}")
    return cell(reached, f"{point.nonzero:,}")


def _picture(bracket: StrengthRange, total: int | None) -> str:
    """Return what the probe saw as a small SVG."""
    tried = [point for point in bracket.points if point.strength > 0]
    ends = [math.log(point.strength) for point in (tried[0], tried[-1])]
    most = total or max(1, *(point.nonzero for point in bracket.points))

    def across(strength: float) -> float:
        share = (math.log(strength) - ends[0]) / ((ends[1] - ends[0]) or 1)
        return round(MARGIN + min(max(share, 0), 1) * (WIDTH - 2 * MARGIN), 1)

    def line(heights: Sequence[float], name: str) -> str:
        corners = [
            f"{across(point.strength)} {round(HEIGHT - MARGIN - y * (HEIGHT - 2 * MARGIN), 1)}"
            for point, y in zip(tried, heights, strict=True)
            if point.state != "diverged"
        ]
        return f'<path class="{name}" d="M{"L".join(corners)}"/>' if corners else ""

    low, high = across(bracket.low), across(bracket.high)
    label = f"searched from {bracket.low:.3g} to {bracket.high:.3g}"
    return (
        f'<svg class="probe" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">'
        f'<rect x="{low}" y="0" width="{round(high - low, 1)}" height="{HEIGHT}"/>'
        + line([point.nonzero / most for point in tried], "size")
        + line([point.val_accuracy for point in tried], "accuracy")
        + "</svg>"
    )
