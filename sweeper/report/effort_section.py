"""What tuning each arm took: a table of hypervolume by trials, and of how wide strengths may be."""

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
from sweeper.report.html_tables import cell, numeric_table

SHARES = (0.25, 0.5, 0.75)
"""Parts of the budget after which the front is looked at."""


def shown_efforts(record: SweepRecord) -> list[AnytimeFront]:
    """Return the effort of the arms that have enough trials to speak of."""
    efforts = anytime_fronts(record.records, record.sweep)
    return [effort for effort in efforts if len(effort.seconds) > len(SHARES)]


def _share(found: float) -> str:
    return "–" if math.isnan(found) else f"{100 * found:.1f} %"


def _interval(found: Estimate) -> str:
    if found.low is None or found.high is None:
        return f"n = {found.n}"
    return f"{found.low:.4f} to {found.high:.4f}"


def section(record: SweepRecord, figure: str) -> str:
    """Return the section of the report; empty while there are few trials."""
    found = shown_efforts(record)
    if not found:
        return ""
    facts, known = record.records, record.ranged_sweep
    total = min(len(one.seconds) for one in found)
    counts = [max(1, round(share * total)) for share in SHARES]
    widths = {one.arm: one for one in reversed(strength_sensitivities(facts, known))}
    reached = trials_reaching_target(facts, known)
    body = []
    for one in found:
        cells = [cell(_share(one.share(count, total))) for count in counts]
        last = mean(one.hypervolume[total - 1])
        cells.append(cell("–") if last is None else cell(f"{last.center:.4f}", _interval(last)))
        cells.append(cell(f"{one.seconds[total - 1]:,.0f} s"))
        cells.append(cell("{} of {}".format(*reached[one.arm])))
        width = widths.get(one.arm)
        if width is None:
            cells += [cell("–"), cell("–")]
        else:
            near = f"{width.low:.2g} to {width.high:.2g}"
            cells.append(cell(f"{width.decades:.1f} decades", near))
            cells.append(cell(f"{100 * width.within / max(width.trials, 1):.0f} %"))
        body.append((one.arm, cells, ""))
    head = [
        "arm",
        *(f"after {count}" for count in counts),
        f"after {total} trials",
        "training",
        f"trials at {100 * min(known.targets.accuracy):.4g} %",
        "strength may vary",
        "such trials",
    ]
    caption = (
        "Hypervolume of the front of a search's first trials, as a share of the last one, mean "
        "over repeats; below the last one its 95 % t-interval over repeats; training is what one "
        "search took. An arm that has nearly all early is easy to tune; one that still rises had "
        "too small a budget, and one of which few trials reach the lowest target had fewer than "
        f"others where it counts. On the right: the strengths of trials that lose at most "
        f"{100 * TOLERANCE:g} points to the best of their arm at their size or below, and how many "
        "trials those are."
    )
    return f"<h2>Effort of tuning</h2>{figure}{numeric_table(head, body, caption)}"
