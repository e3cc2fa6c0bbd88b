"""Ranges of strengths in the report: what their probes saw at both ends, and beyond."""

import math
from collections.abc import Sequence

from sweeper.analysis.sweep_record import SweepRecord
from sweeper.reports.report_tables import NOTHING, Cell, ProbePicture, ReportTable, Row
from sweeper.types import ProbePoint, StrengthRange

WIDTH, HEIGHT, MARGIN = 168, 46, 3


def table(record: SweepRecord) -> ReportTable | None:
    """Return the table of recorded ranges; None without any."""
    if not record.ranges:
        return None
    head = ["arm, parameter", "from", "to", "lower end", "upper end"]
    head += ["next above", "probe", "seconds"]
    rows = []
    for recorded in record.ranges:
        measured = recorded.range
        cells = [
            Cell(f"{measured.low:.3g}", "open below" if measured.open_below else ""),
            Cell(f"{measured.high:.3g}", "open above" if measured.open_above else ""),
            _outcome(_point_at(measured, measured.low)),
            _outcome(_point_at(measured, measured.high)),
            _outcome(_point_above(measured)),
            Cell("", picture=_picture(measured, record.sweep.total_parameters)),
            Cell(f"{measured.seconds:.1f}", "reused" if recorded.reused else ""),
        ]
        rows.append(Row(recorded.arm, cells, recorded.parameter))
    measure = record.sweep.measure_label
    caption = (
        f"Lower and upper end: validation {measure} there, below it the nonzero parameters as "
        "trained; next above: what became of the network at the first strength beyond the range. "
        "In the pictures strength grows to the right (logarithmic) and the range is shaded; the "
        f"line is validation {measure} from 0 to 100 %, the dashes are nonzero parameters from 0 "
        "to all. Reused: an equal probe was on record already."
    )
    return ReportTable(head, rows, caption)


def _point_at(measured: StrengthRange, strength: float) -> ProbePoint | None:
    return next((p for p in measured.points if math.isclose(p.strength, strength)), None)


def _point_above(measured: StrengthRange) -> ProbePoint | None:
    """Return the first point of the probe beyond the range."""
    above = measured.high * (1 + 1e-9)
    return next((point for point in measured.points if point.strength > above), None)


def _outcome(point: ProbePoint | None) -> Cell:
    """Return the outcome of the probe at a strength: accuracy and size, or the failure."""
    if point is None:
        return NOTHING
    if point.state == "diverged":
        return Cell("diverged", f"at {point.strength:.3g}")
    accuracy = f"{100 * point.val_accuracy:.1f} %"
    if point.state == "collapsed":
        return Cell("collapsed", f"at {point.strength:.3g}: {accuracy}")
    return Cell(accuracy, f"{point.nonzero:,}")


def _picture(measured: StrengthRange, total: int | None) -> ProbePicture:
    """Return the accuracies and sizes of a probe as a picture.

    `total` is the number of parameters of the network, or None where only its code can tell.
    """
    tried = [point for point in measured.points if point.strength > 0]
    ends = [math.log(point.strength) for point in (tried[0], tried[-1])]
    most = total or max(1, *(point.nonzero for point in measured.points))

    def across(strength: float) -> float:
        share = (math.log(strength) - ends[0]) / ((ends[1] - ends[0]) or 1)
        return round(MARGIN + min(max(share, 0), 1) * (WIDTH - 2 * MARGIN), 1)

    def path(heights: Sequence[float]) -> str:
        corners = [
            f"{across(point.strength)} {round(HEIGHT - MARGIN - y * (HEIGHT - 2 * MARGIN), 1)}"
            for point, y in zip(tried, heights, strict=True)
            if point.state != "diverged"
        ]
        return f"M{'L'.join(corners)}" if corners else ""

    low, high = across(measured.low), across(measured.high)
    return ProbePicture(
        label=f"searched from {measured.low:.3g} to {measured.high:.3g}",
        width=WIDTH,
        height=HEIGHT,
        low=low,
        span=round(high - low, 1),
        size_path=path([point.nonzero / most for point in tried]),
        accuracy_path=path([point.val_accuracy for point in tried]),
    )
