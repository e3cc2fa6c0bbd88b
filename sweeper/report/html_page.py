"""The page put together from its template, its tables, its figures and plotly's own code."""

from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from string import Template

import yaml

from sweeper import plots
from sweeper.analysis import fronts, fronts_by_repeat, selection_metrics, strength_range
from sweeper.analysis.conclusion import ConfirmationResult, comparability_problems
from sweeper.config import Sweep
from sweeper.plots import View
from sweeper.plots.svg import draw_svg
from sweeper.plots.views import SHORT
from sweeper.report import confirmation_section, effort_section, html_tables, ranges_section
from sweeper.report.summary import arm_rows, caveats, headline
from sweeper.types import RecordedRange, ReproducibilityCheck, SweepStatus, Track, TrialRecord

_TITLES: dict[Track, str] = {
    "pruned": "The pruned track beside",
    "as_trained": "The as-trained track beside",
}
_NOTES: dict[Track, str] = {
    "pruned": "The same trials, pruned by magnitude to their density and fine-tuned.",
    "as_trained": "The same trials before any pruning: only weights that training itself made "
    "exactly 0 count as gone.",
}
_UNTUNED = (" and fine-tuned", "")
"""What is not so where pruned networks are not trained on."""


MOST_NAMES = 8
"""With more arms than this the question does not list them."""


def page(
    sweep: Sweep,
    status: SweepStatus,
    facts: Sequence[TrialRecord],
    found: Sequence[RecordedRange] = (),
    again: ConfirmationResult | None = None,
    checks: Sequence[ReproducibilityCheck] = (),
) -> str:
    """Return the report as one HTML document that loads nothing from anywhere.

    `found` are the ranges of strengths that probes found, `again` is the confirmation, `checks`
    are trials of other machines that were trained again.
    """
    rule = sweep.sparsification
    track = rule.track
    other: Track = "as_trained" if track == "pruned" else "pruned"
    confirmed = again.facts if again else ()
    reasons = comparability_problems(sweep, facts, checks, confirmed)
    rows = arm_rows(sweep, status, facts, track)
    beside = arm_rows(sweep, status, facts, other)
    made = fronts(facts, sweep)
    known = sweep.with_ranges(strength_range.ranges(found))
    ends = ranges_section.edges(known, made)
    views = figures(sweep, facts, again)
    if again and not reasons:
        said, but = again.answer, confirmation_section.headline_caveat(again)
    else:
        said, but = headline(sweep, status, rows, reasons, beside), _hedge(sweep)
    parts = {
        "name": escape(sweep.name),
        "question": escape(_question(sweep)),
        "progress": escape(_progress(sweep, status)),
        "warnings": _warnings(
            reasons,
            [*caveats(sweep, facts, checks, confirmed), *ranges_section.range_caveats(found, ends)],
        ),
        "standing": escape(said),
        "hedge": escape(but),
        "confirmed": confirmation_section.section(again, _figure(views, "confirmed")),
        "effort": effort_section.section(facts, known, _figure(views, "effort")),
        "fronts_figure": _figure(views, "fronts"),
        "main_table": html_tables.accuracy_table(sweep, rows, facts, ranked=not reasons),
        "sizes_table": html_tables.sizes_table(sweep, rows, ranked=not reasons),
        "other_title": _TITLES[other],
        "other_note": _NOTES[other] if rule.finetune_epochs else _NOTES[other].replace(*_UNTUNED),
        "other_table": html_tables.accuracy_table(sweep, beside, facts, ranked=not reasons),
        "curves_figure": _figure(views, "curves"),
        "finetuned_figure": _figure(views, "finetuned"),
        "arms": html_tables.arms_table(known, views["fronts"]),
        "ranges": ranges_section.section(found, ends, sweep.parameters),
        "protocol": _list(_protocol(sweep)),
        "provenance": html_tables.provenance_table([*facts, *confirmed]),
        "failures": html_tables.failures_table(status),
        "digest": sweep.digest,
        "study": escape(study_text(sweep)),
        "footer": escape(f"Written by sweeper. {len(facts)} trials on record."),
        "figures_data": "\n".join(_embedded(name, view) for name, view in views.items()),
        "plotly": plots.packed_javascript(),
        "css": _asset("page.css"),
        "js": _asset("page.js"),
    }
    return Template(_asset("page.html")).substitute(parts)


def figures(
    sweep: Sweep, facts: Sequence[TrialRecord], again: ConfirmationResult | None = None
) -> dict[str, View]:
    """Return every figure of the report that has something to show, by a short name."""
    made = fronts(facts, sweep)
    found = {
        "fronts": plots.front_view(made, sweep, fronts_by_repeat(facts, sweep)),
        "curves": plots.curve_view(facts, sweep),
    }
    if sweep.sparsification.finetuned_curve:
        found["finetuned"] = plots.curve_view(facts, sweep, finetuned=True)
    if again:
        found["confirmed"] = plots.confirmed_view(again.found, again.sweep)
    if spent := effort_section.worth_showing(facts, sweep):
        found["effort"] = plots.effort_view(spent, plots.highlighted_arms(made, sweep), sweep.name)
    return found


def study_text(sweep: Sweep) -> str:
    """Return the study file with its defaults filled in; reading it gives the same digest."""
    values = sweep.model_dump(mode="json", exclude_none=True)
    return yaml.safe_dump(values, sort_keys=False, default_flow_style=None, width=88)


def _question(sweep: Sweep) -> str:
    network = sweep.model.name
    if sweep.model.widths:
        network = f"{network}({', '.join(str(width) for width in sweep.model.widths)})"
    size = f" ({sweep.parameters:,} parameters)" if sweep.parameters else ""
    names = f": {', '.join(sweep.arms)}" if len(sweep.arms) <= MOST_NAMES else ""
    return (
        f"Which of these {len(sweep.arms)} arms gives the smallest {network}{size} at a given "
        f"accuracy on {sweep.dataset}{names}?"
    )


def _progress(sweep: Sweep, status: SweepStatus) -> str:
    search = sweep.search
    several = f"{search.repeats} repeat{'s' if search.repeats > 1 else ''}"
    return (
        f"{status.done} of {status.budget} trials finished; {search.trials} trials × {several} "
        f"for each arm, sampler {search.sampler}; {sweep.training.epochs} + "
        f"{sweep.sparsification.finetune_epochs} epochs."
    )


def _hedge(sweep: Sweep) -> str:
    count = sweep.search.repeats
    searches = "one search" if count == 1 else f"{count} searches"
    return (
        f"A standing, not a verdict: {searches} per arm, every network trained once, the best "
        f"ones not confirmed with fresh seeds: sweeper confirm {sweep.name} does so."
    )


def _protocol(sweep: Sweep) -> list[str]:
    by, _ = selection_metrics(sweep)
    rule = sweep.sparsification
    epochs = f"{rule.finetune_epochs} epoch{'' if rule.finetune_epochs == 1 else 's'}"
    text = Template(_asset("protocol.txt")).substitute(
        train=f"{sweep.data.train:,}",
        validation=f"{sweep.data.validation:,}",
        test=f"{sweep.data.test:,}",
        chosen=f"{SHORT[by]} accuracy",
        finetune_epochs=epochs,
        track=rule.track.replace("_", "-"),
        floor=f"{100 * rule.floor:.4g}",
    )
    return [" ".join(part.split()) for part in text.split("\n\n")]


def _warnings(reasons: Sequence[str], more: Sequence[str]) -> str:
    if not (reasons or more):
        return ""
    head = "<p><b>These arms are not ranked.</b></p>" if reasons else ""
    return f'<div class="warnings" role="note">{head}{_list([*reasons, *more])}</div>'


def _list(sentences: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences) + "</ul>"


def _figure(views: Mapping[str, View], name: str) -> str:
    """Return the place of a figure, with what is seen before scripts run; empty without it."""
    if name not in views:
        return ""
    view = views[name]
    return (
        f'<figure data-figure="{name}-data"><div class="drawn"></div>'
        f'<div class="draw_svg">{draw_svg(view, f"{name}-data")}</div>'
        f"<figcaption><b>{escape(view.title)}.</b> {escape(_sentence(view.subtitle))}"
        f'<span class="screen"> Double-click shows everything.</span></figcaption></figure>'
    )


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].replace(' · ', '; ')}."


def _embedded(name: str, view: View) -> str:
    """Return a figure as JSON; plotly escapes `<`, so that no text in it ends the element."""
    figure = plots.draw_view(view).to_json()
    return f'<script type="application/json" id="{name}-data">{figure}</script>'


def _asset(name: str) -> str:
    return files("sweeper.report").joinpath(name).read_text(encoding="utf-8")
