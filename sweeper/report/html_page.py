"""The page put together from its template, its tables, its figures and plotly's own code."""

from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

import yaml

from sweeper import plots
from sweeper.analysis import selection_metrics
from sweeper.analysis.strength_range import range_caveats, summarize_edges
from sweeper.analysis.sweep_record import SweepRecord
from sweeper.atomic_write import atomic_write
from sweeper.config import Sweep
from sweeper.plots import View
from sweeper.plots.svg import draw_svg
from sweeper.plots.views import SHORT
from sweeper.report import confirmation_section, effort_section, html_tables, ranges_section
from sweeper.report.summary import arm_rows, headline
from sweeper.types import SweepStatus, Track

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


def write_report(path: str | Path, record: SweepRecord) -> Path:
    """Write the report of a sweep and return its path. A reader sees the old file or the new one.

    Raises InputError where the path cannot be written to, SweeperError where writing fails.
    """
    return atomic_write(Path(path), page(record).encode())


def page(record: SweepRecord) -> str:
    """Return the report as one HTML document that loads nothing from anywhere."""
    sweep, records, again = record.sweep, record.records, record.confirmation
    rule = sweep.sparsification
    track = rule.track
    other: Track = "as_trained" if track == "pruned" else "pruned"
    rows, beside = arm_rows(record, track), arm_rows(record, other)
    ranked = not record.problems
    views = figures(record)
    if again and ranked:
        said, but = again.answer, confirmation_section.headline_caveat(again)
    else:
        said, but = headline(record), _hedge(sweep)
    warnings = [*record.caveats, *range_caveats(record.ranges)]
    if record.edge_warnings:
        warnings.insert(len(record.caveats), summarize_edges(record.edge_warnings))
    parts = {
        "name": escape(sweep.name),
        "question": escape(_question(sweep)),
        "progress": escape(_progress(sweep, record.status)),
        "warnings": _warnings(record.problems, warnings),
        "standing": escape(said),
        "hedge": escape(but),
        "confirmed": confirmation_section.section(again, _figure(views, "confirmed")),
        "effort": effort_section.section(record, _figure(views, "effort")),
        "fronts_figure": _figure(views, "fronts"),
        "main_table": html_tables.accuracy_table(record, rows),
        "sizes_table": html_tables.sizes_table(record, rows),
        "other_title": _TITLES[other],
        "other_note": _NOTES[other] if rule.finetune_epochs else _NOTES[other].replace(*_UNTUNED),
        "other_table": html_tables.accuracy_table(record, beside),
        "curves_figure": _figure(views, "curves"),
        "finetuned_figure": _figure(views, "finetuned"),
        "arms": html_tables.arms_table(record.ranged_sweep, views["fronts"]),
        "ranges": ranges_section.section(record),
        "protocol": _list(_protocol(sweep)),
        "provenance": html_tables.provenance_table([*records, *record.confirmed_records]),
        "failures": html_tables.failures_table(record.status),
        "digest": sweep.digest,
        "study": escape(study_text(sweep)),
        "footer": escape(f"Written by sweeper. {len(records)} trials on record."),
        "figures_data": "\n".join(_embedded(name, view) for name, view in views.items()),
        "plotly": plots.packed_javascript(),
        "css": _asset("page.css"),
        "js": _asset("page.js"),
    }
    return Template(_asset("page.html")).substitute(parts)


def figures(record: SweepRecord) -> dict[str, View]:
    """Return every figure of the report that has something to show, by a short name."""
    sweep, records = record.sweep, record.records
    views = {
        "fronts": plots.front_view(record.fronts(), sweep, record.fronts_by_repeat),
        "curves": plots.curve_view(records, sweep),
    }
    if sweep.sparsification.finetuned_curve:
        views["finetuned"] = plots.curve_view(records, sweep, finetuned=True)
    if record.confirmation:
        confirmation = record.confirmation
        views["confirmed"] = plots.confirmed_view(confirmation.configs, confirmation.sweep)
    if efforts := effort_section.shown_efforts(record):
        highlighted = plots.highlighted_arms(record.fronts(), sweep)
        views["effort"] = plots.effort_view(efforts, highlighted, sweep.name)
    return views


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
        f'<div class="sketch">{draw_svg(view, f"{name}-data")}</div>'
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
