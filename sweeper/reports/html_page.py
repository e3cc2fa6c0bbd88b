"""HTML page of the report: one file, with its tables, figures and plotly's own code inside."""

from collections import Counter
from functools import cache
from importlib.resources import files
from pathlib import Path

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from sweeper import plots
from sweeper.analysis import FEWEST, WIDEST, selection_metrics
from sweeper.analysis.strength_range import GRID, range_caveats, summarize_edges
from sweeper.analysis.sweep_record import SweepRecord
from sweeper.atomic_write import atomic_write
from sweeper.config import Sweep
from sweeper.config.loss import LossChoice
from sweeper.errors import pluralize
from sweeper.plots.labels import ACCURACY_NAMES, networks_text
from sweeper.plots.svg import draw_svg
from sweeper.reports import (
    confirmation_section,
    effort_section,
    first_layer,
    ranges_section,
    report_tables,
)
from sweeper.reports.summary import arm_rows, headline, standing
from sweeper.reports.sweep_figures import figures
from sweeper.types import SweepStatus, Track, dropped_lines

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
"""Replacement in a note where pruned networks are not trained on."""


MOST_DROPPED = 10
"""Dropped trials that have a line each."""
MOST_NAMES = 8
"""With more arms than this the question does not list them."""


def write_report(path: str | Path, record: SweepRecord) -> Path:
    """Write the report of a sweep and return its path. A reader sees the old file or the new one.

    Raises InputError where the path cannot be written to, SweeperError where writing fails.
    """
    return atomic_write(Path(path), page(record).encode())


def page(record: SweepRecord) -> str:
    """Return the report as one HTML document that loads nothing from anywhere."""
    sweep, rule, confirmation = record.sweep, record.sweep.sparsification, record.confirmation
    other: Track = "as_trained" if rule.track == "pruned" else "pruned"
    rows, views = arm_rows(record, rule.track), figures(record)
    edges = summarize_edges(record.edge_warnings)
    all_records = [*record.all_records, *record.confirmed_records]
    template = _templates().get_template("page.html")
    return template.render(
        sweep=sweep,
        rule=rule,
        measure=sweep.measure_label,
        objective=_objective(sweep),
        question=_question(sweep),
        progress=_progress(sweep, record.status),
        problems=record.problems,
        caveats=(*record.caveats, *([edges] if edges else ()), *range_caveats(record.ranges)),
        headline=headline(record),
        headline_caveat=_rests_on(record),
        views=views,
        sketches={name: draw_svg(view, f"{name}-data") for name, view in views.items()},
        figures_json={
            # plotly escapes `<`, so that no text in it ends the element.
            name: plots.draw_view(view).to_json()
            for name, view in views.items()
        },
        confirmation_tables=confirmation_section.tables(confirmation) if confirmation else (),
        first_layers=first_layer.gallery(confirmation) if confirmation else None,
        main_table=report_tables.accuracy_table(record, rows),
        sizes_table=report_tables.sizes_table(record, rows),
        other_title=_TITLES[other],
        other_note=_NOTES[other] if rule.finetune_epochs else _NOTES[other].replace(*_UNTUNED),
        other_table=None
        if sweep.script
        else report_tables.accuracy_table(record, arm_rows(record, other)),
        effort_table=effort_section.table(record),
        arms=report_tables.arms_table(record.ranged_sweep, views["fronts"]),
        ranges_table=ranges_section.table(record),
        probe_strengths=len(GRID),
        edge_warnings=record.edge_warnings,
        selected_on=ACCURACY_NAMES[selection_metrics(sweep)[0]],
        origins=report_tables.provenance_table(sweep, all_records),
        recorded_span=report_tables.recorded_span(all_records),
        failures_table=report_tables.failures_table(record.status),
        study=study_text(sweep),
        recorded=pluralize(len(record.all_records), sweep.record_noun),
        enqueued=_enqueued_lines(record),
        dropped=dropped_lines(
            [*record.dropped, *(confirmation.dropped if confirmation else ())], MOST_DROPPED
        ),
        widest=WIDEST,
        fewest=FEWEST,
        plotly=plots.packed_javascript(),
        css=plots.page_asset("theme.css") + plots.page_asset("sketch.css") + _asset("page.css"),
        js=plots.page_asset("draw_figure.js") + _asset("page.js"),
    )


@cache
def _templates() -> Environment:
    """Return the templates beside this module; whatever they are given is escaped."""
    templates = Environment(
        loader=PackageLoader("sweeper.reports", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    templates.filters["as_sentence"] = _sentence
    return templates


def _rests_on(record: SweepRecord) -> str:
    """Return what an answer rests on, or the standing of a search without one."""
    if record.confirmation and not record.problems:
        return confirmation_section.headline_caveat(record.confirmation)
    return standing(record)


def study_text(sweep: Sweep) -> str:
    """Return the study file with its defaults filled in; reading it gives the same digest.

    Without the facts of a dataset of one's own, which come from the data again.
    """
    values = sweep.model_dump(mode="json", exclude_none=True, exclude={"facts"})
    return yaml.safe_dump(values, sort_keys=False, default_flow_style=None, width=88)


def _question(sweep: Sweep) -> str:
    names = f": {', '.join(sweep.arms)}" if len(sweep.arms) <= MOST_NAMES else ""
    if sweep.script is not None:
        return (
            f"Which of these {len(sweep.arms)} arms needs the least {sweep.size_label} for a given "
            f"{sweep.measure_label}, trained by {sweep.subject}{names}?"
        )
    size = f" ({sweep.total_parameters:,} parameters)" if sweep.total_parameters else ""
    return (
        f"Which of these {len(sweep.arms)} arms gives the smallest {sweep.model.text}{size} "
        f"at a given {sweep.measure_label} on {sweep.dataset.text}{names}?"
    )


def _objective(sweep: Sweep) -> str:
    """Return what training minimises in words; empty where it is the usual loss alone."""
    loss, teacher = sweep.training.loss, sweep.training.teacher
    if loss == LossChoice() and teacher is None:
        return ""
    text = loss.name.replace("_", " ")
    if loss.label_smoothing:
        text += f" with labels smoothed by {loss.label_smoothing:g}"
    if teacher is not None:
        share, temperature = f"{teacher.weight:g}", f"{teacher.temperature:g}"
        text += (
            f", and with weight {share} the distance from the outputs of {teacher.network} at "
            f"temperature {temperature}"
        )
    return text


def _progress(sweep: Sweep, status: SweepStatus) -> str:
    search = sweep.search
    repeats = pluralize(search.repeats, "repeat")
    epochs = f"; {sweep.training.epochs} + {sweep.sparsification.finetune_epochs} epochs"
    each = f"; each trial: {brings}" if (brings := networks_text(sweep)) else ""
    return (
        f"{status.done:,} of {pluralize(status.budget, 'trial')} finished; "
        f"{pluralize(search.trials, 'trial')} × {repeats} for each arm, sampler "
        f"{search.sampler}{'' if sweep.script else epochs}{each}."
    )


def _enqueued_lines(record: SweepRecord) -> list[str]:
    """Return which arms were given configurations, how many in each repeat, and by whom."""
    counts = Counter((one.source, one.arm, one.repeat) for one in record.enqueued)
    by_arm: dict[tuple[str, str], dict[int, int]] = {}
    for (source, arm, repeat), count in counts.items():
        by_arm.setdefault((source, arm), {})[repeat] = count
    repeats = range(record.sweep.search.repeats)
    start = record.sweep.warm_start
    lines = [start.text.replace("begins", "began")] if start else []
    for (source, arm), of_arm in by_arm.items():
        if start and source == start.mark:
            continue
        texts = [str(of_arm.get(repeat, 0)) for repeat in repeats]
        number = texts[0] if len(set(texts)) == 1 else f"{', '.join(texts)} by repeat"
        each = " in each repeat" if len(repeats) > 1 and len(set(texts)) == 1 else ""
        lines.append(f"{arm}: {number}{each}, {source}")
    return lines


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].replace(' · ', '; ')}."


def _asset(name: str) -> str:
    return files("sweeper.reports").joinpath(name).read_text(encoding="utf-8")
