"""What the Optuna study of a sweep shows: figures and a Markdown note, from plain facts."""

from collections.abc import Mapping, Sequence

from sweeper.analysis import Front, fronts_by_repeat, reference_corner, strength_range
from sweeper.analysis.conclusion import ConfirmationResult
from sweeper.analysis.confirmation import accuracy_at_size
from sweeper.analysis.tuning_effort import anytime_fronts
from sweeper.config import Sweep
from sweeper.plots import (
    confirmed_view,
    draw_hypervolume,
    draw_view,
    effort_view,
    highlighted_arms,
    hypervolume_view,
    overlay_figure,
)
from sweeper.search.note_texts import fronts_page, study_page
from sweeper.types import RecordedRange, SweepStatus, TrialRecord

FRONTS = "sweeper-fronts"
HYPERVOLUME = "sweeper-hypervolume"
EFFORT = "sweeper-effort"
CONFIRMED = "sweeper-confirmed"
_SPACE = 3 * "\N{NO-BREAK SPACE}"
Figures = dict[str, str | None]
"""Id of a figure in the study of a sweep -> its Plotly JSON; None: it has nothing to show."""
Studies = Mapping[str, int]
"""Name of an Optuna study -> its id, for links."""


def figures(
    facts: Sequence[TrialRecord],
    found: Mapping[str, Front],
    sweep: Sweep,
    again: ConfirmationResult | None = None,
) -> Figures:
    """Return the fronts of a sweep, what they are worth and what tuning took; small ones.

    The fronts are there from the start, the others once there is something to see.
    """
    corner = reference_corner(sweep, facts)
    chosen = highlighted_arms(found, sweep)
    begun = {(fact.slot.arm, fact.slot.repeat) for fact in facts}
    worth = hypervolume_view(fronts_by_repeat(facts, sweep), chosen, sweep, corner, begun)
    tuning = anytime_fronts(facts, sweep)
    grows = not worth.empty and any(len(one.seconds) > 1 for one in tuning)
    effort = draw_view(effort_view(tuning, chosen, sweep.name), small=True) if grows else None
    return {
        FRONTS: overlay_figure(found, sweep, small=True).to_json(),
        HYPERVOLUME: None if worth.empty else draw_hypervolume(worth, small=True).to_json(),
        EFFORT: effort.to_json() if effort else None,
        CONFIRMED: confirmed_figure(again) if again else None,
    }


def confirmed_figure(again: ConfirmationResult) -> str | None:
    """Return the confirmed networks as a small figure; None without any."""
    view = confirmed_view(again.found, again.sweep)
    return None if view.empty else str(draw_view(view, small=True).to_json())


def note(
    sweep: Sweep,
    status: SweepStatus,
    found: Mapping[str, Front],
    ranges: Sequence[RecordedRange] = (),
    *,
    studies: Studies,
    again: ConfirmationResult | None = None,
) -> str:
    """Return the table of the arms in Markdown: budget, best accuracy, size at the targets.

    `ranges` are those of the strengths that were found; `studies` those that can be linked to.
    """
    by = next(iter(found.values())).by.replace("_", " ")
    targets = sweep.targets.accuracy
    head = ["arm", "trials", "diverged", "collapsed", f"best {by}"]
    head += [*(f"nonzero at {100 * target:g} %" for target in targets), "studies"]
    rows = []
    for arm in status.arms:
        if arm.arm not in found:
            continue  # added by `--extend` after the fronts were read
        front = found[arm.arm]
        at = [front.at(accuracy=target) for target in targets]
        rows.append(
            [
                arm.arm,
                f"{arm.done} / {arm.budget}",
                str(arm.diverged),
                str(arm.collapsed),
                f"{front.points[-1].accuracy(front.by):.2%}" if front.points else "–",
                *(f"{point.nonzero:,}" if point else "not reached" for point in at),
                _links(sweep, arm.arm, studies),
            ]
        )
    track = "after pruning" if sweep.sparsification.track == "pruned" else "as trained"
    size = f" of {sweep.parameters:,}" if sweep.parameters else ""
    parts = [
        f"## {sweep.name}",
        f"[Live fronts]({fronts_page(sweep)}). {status.done} of {status.budget} trials are done.",
        _table(head, rows),
        f"Nonzero parameters{size}, biases included, {track}: the smallest network of at least "
        f"that {by}, over all repeats. Networks were selected on {by}.",
        _edges(sweep, found, ranges),
    ]
    if again:
        parts += [f"### Confirmed: {_link(again.sweep.name, studies)}", *_confirmed(again)]
    return "\n\n".join(part for part in parts if part) + "\n"


def confirmed_note(again: ConfirmationResult, *, studies: Studies) -> str:
    """Return the answer and test accuracies of confirmed networks at each size, in Markdown."""
    sweep, confirms = again.sweep, again.sweep.confirms
    searched = f" · search: {_link(confirms.of, studies)}" if confirms else ""
    links = " · ".join(_link(sweep.study(arm, 0), studies, arm) for arm in sweep.arms)
    return "\n\n".join(
        [
            f"## {sweep.name}",
            f"[Live fronts]({fronts_page(sweep)}){searched}",
            *_confirmed(again),
            f"Studies: {links}\n",
        ]
    )


def _confirmed(again: ConfirmationResult) -> list[str]:
    sweep, found = again.sweep, again.found
    rows = []
    for arm in sweep.arms:
        cells = [
            accuracy_at_size(sweep, found, arm, size, "test_accuracy").mean for size in again.sizes
        ]
        rows.append([arm, *(f"{cell.center:.2%}" if cell else "–" for cell in cells)])
    return [
        f"**{again.answer}**",
        _table(["arm", *(f"within {size:,}" for size in again.sizes)], rows),
        f"Test accuracy of networks trained again with {again.seeds} fresh "
        f"{'seed' if again.seeds == 1 else 'seeds'} each, mean over repeats if all have one. "
        "Chosen by the search on validation accuracy, the best within each number of nonzero "
        "parameters; nothing was chosen on test.",
    ]


def _edges(sweep: Sweep, found: Mapping[str, Front], ranges: Sequence[RecordedRange]) -> str:
    known = sweep.with_ranges(strength_range.ranges(ranges))
    ends = {arm: [point.params for point in front.points] for arm, front in found.items()}
    return strength_range.summarize_edges(strength_range.edges(known, ends))


def _links(sweep: Sweep, arm: str, studies: Studies) -> str:
    """Return a link to each study of an arm, named by its repeat."""
    links = []
    for name, (of, _) in sweep.studies().items():
        if of == arm and name in studies:
            links.append(f"[{name.rpartition('/')[2]}]({study_page(studies[name])})")
    return " ".join(links) or "–"


def _link(name: str, studies: Studies, text: str = "") -> str:
    return f"[{text or name}]({study_page(studies[name])})" if name in studies else text or name


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    rule = ["---", *["---:"] * (len(head) - 1)]
    # The dashboard leaves no room between columns; it keeps spaces that do not break.
    spaced = [[line[0], *(f"{_SPACE}{cell}" for cell in line[1:])] for line in (head, *rows)]
    lines = [spaced[0], rule, *spaced[1:]]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
