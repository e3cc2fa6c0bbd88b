"""Note and figures of a sweep, shown in its Optuna study: Markdown and Plotly JSON."""

from collections.abc import Mapping, Sequence

from sweeper.analysis import selection_metrics, strength_range
from sweeper.analysis.conclusion import ConfirmationResult
from sweeper.analysis.confirmation import accuracy_at_size
from sweeper.analysis.sweep_record import SweepRecord
from sweeper.analysis.tuning_effort import anytime_fronts
from sweeper.config import Sweep
from sweeper.errors import pluralize
from sweeper.plots import (
    confirmed_view,
    draw_hypervolume,
    draw_view,
    effort_view,
    highlighted_arms,
    hypervolume_view,
    overlay_figure,
)
from sweeper.plots.labels import capitalised
from sweeper.reports.summary import headline
from sweeper.search.note_texts import fronts_page, study_page
from sweeper.types import ArmProgress

FRONTS = "sweeper-fronts"
HYPERVOLUME = "sweeper-hypervolume"
EFFORT = "sweeper-effort"
CONFIRMED = "sweeper-confirmed"
_SPACE = 3 * "\N{NO-BREAK SPACE}"
Figures = dict[str, str | None]
"""Id of a figure in the study of a sweep -> its Plotly JSON; None: it has nothing to show."""
Studies = Mapping[str, int]
"""Name of an Optuna study -> its id, for links."""


def figures(record: SweepRecord) -> Figures:
    """Return the fronts of a sweep, what they are worth and what tuning took; small ones.

    The fronts are there from the start, the others once there is something to see.
    """
    sweep, records, fronts = record.sweep, record.records, record.fronts()
    chosen = highlighted_arms(fronts, sweep)
    begun = {(trial.slot.arm, trial.slot.repeat) for trial in records}
    worth = hypervolume_view(record.fronts_by_repeat, chosen, sweep, record.reference_corner, begun)
    efforts = anytime_fronts(records, sweep)
    grows = not worth.empty and any(len(effort.seconds) > 1 for effort in efforts)
    effort = draw_view(effort_view(efforts, chosen, sweep), small=True) if grows else None
    return {
        FRONTS: overlay_figure(fronts, sweep, small=True).to_json(),
        HYPERVOLUME: None if worth.empty else draw_hypervolume(worth, small=True).to_json(),
        EFFORT: effort.to_json() if effort else None,
        CONFIRMED: confirmed_figure(record.confirmation) if record.confirmation else None,
    }


def confirmed_figure(confirmation: ConfirmationResult) -> str | None:
    """Return the confirmed networks as a small figure; None without any."""
    view = confirmed_view(confirmation)
    return None if view.empty else str(draw_view(view, small=True).to_json())


def _networks(arm: ArmProgress) -> str:
    return f", {arm.networks} networks" if arm.networks > arm.done else ""


def note(record: SweepRecord, *, studies: Studies) -> str:
    """Return the table of the arms in Markdown: budget, best accuracy, size at the targets.

    `studies` are those that can be linked to.
    """
    sweep, status, fronts = record.sweep, record.status, record.fronts()
    part, _, _ = selection_metrics(sweep)[0].partition("_")
    by = f"{part} {sweep.measure_label}"
    targets = sweep.targets.accuracy
    head = ["arm", "trials", "diverged", "collapsed", f"best {by}"]
    head += [*(f"{sweep.size_unit} at {100 * target:g} %" for target in targets), "studies"]
    rows = []
    for arm in status.arms:
        front = fronts[arm.arm]
        at = [front.at(accuracy=target) for target in targets]
        rows.append(
            [
                arm.arm,
                f"{arm.done} / {arm.budget}{_networks(arm)}",
                str(arm.diverged),
                str(arm.collapsed),
                f"{front.points[-1].accuracy(front.by):.2%}" if front.points else "–",
                *(f"{point.nonzero:,}" if point else "not reached" for point in at),
                _links(sweep, arm.arm, studies),
            ]
        )
    track = "after pruning" if sweep.sparsification.track == "pruned" else "as trained"
    size = f" of {sweep.total_parameters:,}" if sweep.total_parameters else ""
    counted = f"Nonzero parameters{size}, biases included, {track}"
    if sweep.script is not None:
        counted = capitalised(sweep.size_label)
    parts = [
        f"## {sweep.name}",
        f"[Live fronts]({fronts_page(sweep)}). {status.done:,} of "
        f"{pluralize(status.budget, 'trial')} done.",
        "\n".join(f"- {problem}" for problem in record.problems),
        "" if record.confirmation else f"**{headline(record)}**",
        _table(head, rows),
        f"{counted}: the smallest network of at least "
        f"that {by}, over all repeats. Networks were selected on {by}.",
        strength_range.summarize_edges(record.edge_warnings),
        record.dropped_sentence,
    ]
    if confirmation := record.confirmation:
        home = _link(confirmation.sweep.name, studies)
        parts += [f"### Confirmed: {home}", *_confirmed(confirmation)]
    return "\n\n".join(part for part in parts if part) + "\n"


def confirmed_note(confirmation: ConfirmationResult, *, studies: Studies) -> str:
    """Return the answer and test accuracies of confirmed networks at each size, in Markdown."""
    sweep, plan = confirmation.sweep, confirmation.sweep.confirms
    search = f" · search: {_link(plan.of, studies)}" if plan else ""
    links = " · ".join(_link(sweep.study(arm, 0), studies, arm) for arm in sweep.arms)
    return "\n\n".join(
        [
            f"## {sweep.name}",
            f"[Live fronts]({fronts_page(sweep)}){search}",
            *_confirmed(confirmation),
            f"Studies: {links}\n",
        ]
    )


def _confirmed(confirmation: ConfirmationResult) -> list[str]:
    sweep, configs, sizes = confirmation.sweep, confirmation.configs, confirmation.sizes
    rows = []
    for arm in sweep.arms:
        means = [
            accuracy_at_size(sweep, configs, arm, size, "test_accuracy").mean for size in sizes
        ]
        rows.append([arm, *(f"{mean.center:.2%}" if mean else "–" for mean in means)])
    return [
        f"**{confirmation.answer}**",
        _table(["arm", *(f"within {size:,}" for size in sizes)], rows),
        f"Test {sweep.measure_label} of networks trained again with "
        f"{pluralize(confirmation.seeds, 'fresh seed')} each, mean over repeats if all have "
        f"one. Chosen by the search on validation {sweep.measure_label}, the best within each "
        f"number of {sweep.size_label}; nothing was chosen on test.",
    ]


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
