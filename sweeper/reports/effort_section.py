"""Effort of tuning in the report: hypervolume by trials, and how wide strengths may vary."""

import math

from sweeper.analysis import Estimate, mean
from sweeper.analysis.sweep_record import SweepRecord
from sweeper.analysis.tuning_effort import (
    TOLERANCE,
    AnytimeFront,
    anytime_fronts,
    strength_sensitivities,
    trials_reaching_target,
)
from sweeper.errors import pluralize
from sweeper.reports.report_tables import NOTHING, Cell, ReportTable, Row

SHARES = (0.25, 0.5, 0.75)
"""Parts of the budget after which the front is looked at."""


def shown_efforts(record: SweepRecord) -> list[AnytimeFront]:
    """Return the effort of the arms that have enough trials to speak of."""
    efforts = anytime_fronts(record.records, record.sweep)
    return [effort for effort in efforts if len(effort.seconds) > len(SHARES)]


def table(record: SweepRecord) -> ReportTable | None:
    """Return the table of effort; None while there are few trials."""
    efforts = shown_efforts(record)
    if not efforts:
        return None
    records, sweep = record.records, record.ranged_sweep
    total = min(len(effort.seconds) for effort in efforts)
    counts = [max(1, round(share * total)) for share in SHARES]
    widths = {width.arm: width for width in reversed(strength_sensitivities(records, sweep))}
    reached = trials_reaching_target(records, sweep)
    rows = []
    for effort in efforts:
        cells = [Cell(_share(effort.share(count, total))) for count in counts]
        last = mean(effort.hypervolume[total - 1])
        cells.append(NOTHING if last is None else Cell(f"{last.center:.4f}", _interval(last)))
        cells.append(Cell(f"{effort.seconds[total - 1]:,.0f} s"))
        cells.append(Cell("{} of {}".format(*reached[effort.arm])))
        width = widths.get(effort.arm)
        if width is None:
            cells += [NOTHING, NOTHING]
        else:
            near = f"{width.low:.2g} to {width.high:.2g}"
            cells.append(Cell(f"{width.decades:.1f} decades", near))
            cells.append(Cell(f"{100 * width.within / max(width.trials, 1):.0f} %"))
        rows.append(Row(effort.arm, cells))
    head = [
        "arm",
        *(f"after {count}" for count in counts),
        f"after {pluralize(total, 'trial')}",
        "training",
        f"trials at {100 * min(sweep.targets.accuracy):.4g} %",
        "strength may vary",
        f"such {sweep.record_noun}s",
    ]
    caption = (
        "Hypervolume of the front of a search's first trials, as a share of the last one, mean "
        "over repeats; below the last one its 95 % t-interval over repeats; training is what one "
        "search took. An arm that has nearly all early is easy to tune; one that still rises had "
        "too small a budget, and one of which few trials reach the lowest target had fewer than "
        f"others where it counts. On the right: the strengths of {sweep.record_noun}s that lose at "
        f"most {100 * TOLERANCE:g} points to the best of their arm at their size or below, and how "
        f"many {sweep.record_noun}s those are."
    )
    return ReportTable(head, rows, caption)


def _share(share: float) -> str:
    return "–" if math.isnan(share) else f"{100 * share:.1f} %"


def _interval(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return f"n = {estimate.n}"
    return f"{estimate.low:.4f} to {estimate.high:.4f}"
