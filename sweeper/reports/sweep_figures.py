"""Figures of a sweep by kind: those of its report, and pictures of a size for papers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from sweeper import plots
from sweeper.analysis.sweep_record import SweepRecord
from sweeper.errors import InputError, choices
from sweeper.plots import PictureSize, View
from sweeper.reports.effort_section import SHARES, shown_efforts

Reason = Callable[[SweepRecord], str]
_REASONS: Mapping[str, Reason] = {
    "fronts": lambda _: "no trial of these arms is complete yet",
    "confirmed": lambda record: f"nothing is confirmed yet: sweeper confirm {record.sweep.name}",
    "hypervolume": lambda _: "no network is on the near side of the reference corner yet",
    "effort": lambda _: f"no arm has more than {len(SHARES)} trials yet",
    "curves": lambda record: (
        "a script has no density curves" if record.sweep.script else "no trial is complete yet"
    ),
    "finetuned": lambda _: "sparsification.finetuned_curve is not set",
    "learning": lambda _: "no learning curves are on record",
}
"""Why a sweep may have nothing to show, by kind of figure."""
KINDS = tuple(_REASONS)


def figures(record: SweepRecord, arms: Sequence[str] = ()) -> dict[str, View]:
    """Return every figure of the report that has something to show, by kind.

    Of all arms, unless some are named. The fronts are there before anything is.
    """
    sweep, records = record.sweep, record.records
    arms = [arm for arm in sweep.arms if arm in arms or not arms]
    fronts = {arm: record.fronts()[arm] for arm in arms}
    views = {"fronts": plots.front_view(fronts, sweep, record.fronts_by_repeat)}
    if sweep.script is None:
        views["curves"] = plots.curve_view(records, sweep, arms=arms)
    if sweep.sparsification.finetuned_curve:
        views["finetuned"] = plots.curve_view(records, sweep, finetuned=True, arms=arms)
    if record.confirmation:
        views["confirmed"] = plots.confirmed_view(record.confirmation, arms=arms)
    if learning := plots.front_curves(records, fronts, sweep):
        views["learning"] = learning
    if efforts := [effort for effort in shown_efforts(record) if effort.arm in arms]:
        views["effort"] = plots.effort_view(efforts, plots.highlighted_arms(fronts, sweep), sweep)
    return views


def sized_figure(
    record: SweepRecord,
    kind: str,
    size: PictureSize,
    arms: Sequence[str] = (),
    *,
    published: bool = True,
) -> str:
    """Return a figure of a size as an SVG file, of all arms or of those named.

    Published networks stand beside those of a front or a confirmation, unless they are not wanted.

    Raises InputError for another kind or arm, where there is nothing to show, and for a size in
    which nothing could be read.
    """
    name = record.sweep.name
    if kind not in KINDS:
        raise InputError(f"{kind}: not a kind of figure: {choices(kind, KINDS)}")
    for arm in arms:
        if arm not in record.sweep.arms:
            raise InputError(f"--arms: {name} has no such arm: {choices(arm, record.sweep.arms)}")
    if kind == "hypervolume":
        view = _hypervolume(record, arms)
        if not view.empty:
            return plots.hypervolume_svg(view, size)
    else:
        known = figures(record, arms).get(kind)
        if known is not None and not known.empty:
            return plots.sized_svg(known if published else replace(known, published=()), size)
    raise InputError(f"{name}: no figure of {kind}: {_REASONS[kind](record)}")


def _hypervolume(record: SweepRecord, arms: Sequence[str]) -> plots.HypervolumeView:
    fronts = {arm: front for arm, front in record.fronts().items() if arm in arms or not arms}
    return plots.hypervolume_view(
        {arm: record.fronts_by_repeat[arm] for arm in fronts},
        plots.highlighted_arms(fronts, record.sweep),
        record.sweep,
        record.reference_corner,
        {(trial.slot.arm, trial.slot.repeat) for trial in record.records},
    )
