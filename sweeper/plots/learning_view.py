"""Views of learning curves: what was measured of networks while they were trained."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from sweeper.analysis import Front, describe_point, network_params
from sweeper.config import Sweep
from sweeper.plots.arm_styles import highlighted_arms, series_of
from sweeper.plots.labels import percent
from sweeper.plots.views import Series, Stroke, TrialLink, View, no_link
from sweeper.types import LearningPoint, SharedConfig, Slot, TrialRecord

MOST = 48
"""Curves in one figure: of more nobody tells one from another."""
CUT = "pruned, then fine-tuned"
"""Name of the line between the two phases of a pack."""
_TAIL = 0.1
"""Share of all values that lie outside a figure of many: first epochs say little."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """One of the values of learning curves."""

    key: str
    """Its name in `LearningPoint.values`."""
    label: str
    """Its name for people, with its unit."""
    is_quality: bool
    """Whether it is the measure, in [0, 1], which is shown in %."""

    def of(self, learning: Iterable[LearningPoint]) -> tuple[tuple[float, float], ...]:
        """Return the points (epoch, value) of a curve that have it."""
        points = ((point.epoch, dict(point.values).get(self.key)) for point in learning)
        known = [(epoch, value) for epoch, value in points if value is not None]
        if self.is_quality:
            return tuple((epoch, percent(value)) for epoch, value in known)
        return tuple((epoch, float(f"{value:.5g}")) for epoch, value in known)


def quantities(sweep: Sweep, curves: Iterable[Sequence[LearningPoint]]) -> tuple[Quantity, ...]:
    """Return what learning curves hold: the measure on validation first, all else by name.

    A value under a measure's name that is no share, as a script may report it, is shown as it is.
    """
    values: dict[str, list[float]] = {}
    for curve in curves:
        for point in curve:
            for name, value in point.values:
                values.setdefault(name, []).append(value)
    key, label = sweep.measure_key, sweep.measure_label
    names = {f"val_{key}": f"validation {label}", key: label, f"test_{key}": f"test {label}"}
    first = [name for name in names if name in values]
    others = [name for name in sorted(values) if name not in names]
    known = []
    for name in (*first, *others):
        is_share = name in names and all(0 <= value <= 1 for value in values[name])
        text = names.get(name, name.replace("val_", "validation ").replace("_", " "))
        known.append(Quantity(name, f"{text} (%)" if is_share else text, is_share))
    return tuple(known)


def front_curves(
    records: Iterable[TrialRecord],
    fronts: Mapping[str, Front],
    sweep: Sweep,
    *,
    link: TrialLink = no_link,
) -> View | None:
    """Return the learning curves of the networks on fronts, the arms in colour; None without any.

    Of many the same number of each arm, evenly spaced in size.
    """
    records = tuple(records)
    highlighted = highlighted_arms(fronts, sweep)
    on_fronts = {(point.study, point.slot) for arm in highlighted for point in fronts[arm]}
    members_slots = (r for r in records if (r.slot.study, r.slot.number) in on_fronts)
    by_trial = {(r.slot.study, r.trial): r for r in whole_curves(members_slots)}
    most = max(1, MOST // max(len(highlighted), 1))
    chosen: dict[str, list[TrialRecord]] = {}
    left_out = 0
    for arm in highlighted:
        members = [by_trial[point.study, point.trial] for point in fronts[arm]]
        members = [record for record in members if record.result.learning]
        chosen[arm] = _spaced(members, most)
        left_out += len(members) - len(chosen[arm])
    everybody = [record for of_arm in chosen.values() for record in of_arm]
    known = quantities(sweep, [record.result.learning for record in everybody])
    if not known:
        return None
    subtitle = "networks on the fronts while they were trained"
    if sweep.script is None:
        subtitle += f", on a fixed share of the validation examples · dotted: {CUT}"
    if left_out:
        subtitle += f" · {len(everybody)} of {len(everybody) + left_out}, evenly spaced in size"
    looks = series_of(list(chosen), list(chosen), list(sweep.arms))
    series = [
        replace(looks[arm], strokes=tuple(_stroke(known[0], one, link) for one in of_arm))
        for arm, of_arm in chosen.items()
    ]
    title = f"{sweep.name}: learning curves"
    recipes = [record.config.recipe for record in everybody]
    return _view(known[0], series, recipes, title=title, subtitle=subtitle, hides=_TAIL)


def trial_curves(
    curves: Mapping[str, Sequence[LearningPoint]],
    sweep: Sweep,
    arm: str,
    recipe: SharedConfig,
    file: Sequence[str],
) -> tuple[View, ...]:
    """Return the learning curves of a trial's networks, a view for each thing that was measured.

    `curves` are by what tells one network from another, empty for the only one. `file` are the arms
    of the study file.
    """
    look = series_of([arm], [arm], file)[arm]
    return tuple(
        _view(
            quantity,
            [
                replace(
                    look,
                    strokes=tuple(
                        Stroke(quantity.of(curve), label) for label, curve in curves.items()
                    ),
                )
            ],
            [recipe],
            title=arm,
            subtitle=quantity.label,
        )
        for quantity in quantities(sweep, list(curves.values()))
    )


def whole_curves(records: Iterable[TrialRecord]) -> list[TrialRecord]:
    """Return records with the learning curve of each from its beginning.

    What networks of one training have in common stands with one of them.
    """
    records = list(records)
    whole: dict[tuple[Slot, int], tuple[LearningPoint, ...]] = {}
    for record in records:
        curve, key = record.result.learning, (record.slot, record.config.init_seed)
        if curve and (key not in whole or curve[0].epoch < whole[key][0].epoch):
            whole[key] = curve
    return [
        _with_beginning(record, whole.get((record.slot, record.config.init_seed), ()))
        for record in records
    ]


def _with_beginning(record: TrialRecord, whole: tuple[LearningPoint, ...]) -> TrialRecord:
    learning = record.result.learning
    if record.config.training_density is None or not learning or learning == whole:
        return record
    beginning = tuple(point for point in whole if point.epoch < learning[0].epoch)
    return replace(record, result=replace(record.result, learning=beginning + learning))


def _spaced(members: Sequence[TrialRecord], most: int) -> list[TrialRecord]:
    """Return at most so many, evenly spaced, the last one among them."""
    count = min(most, len(members))
    return [members[(place + 1) * len(members) // count - 1] for place in range(count)]


def _stroke(quantity: Quantity, record: TrialRecord, link: TrialLink) -> Stroke:
    slot = record.slot
    label = f"repeat {slot.repeat}, trial {record.trial}: {describe_point(network_params(record))}"
    return Stroke(quantity.of(record.result.learning), label, link(slot.sweep, slot.place))


def _view(
    quantity: Quantity,
    series: Sequence[Series],
    recipes: Iterable[SharedConfig],
    *,
    title: str,
    subtitle: str,
    hides: float = 0.0,
) -> View:
    points = [point for look in series for stroke in look.strokes for point in stroke.points]
    epochs = [epoch for epoch, _ in points]
    last = max(epochs, default=1.0) or 1.0
    return View(
        title=title,
        subtitle=subtitle,
        series=tuple(series),
        selected_name=quantity.label,
        other_name="",
        stairs=False,
        x_range=(min(0.0, *epochs), last + 0.02 * abs(last)),
        y_range=_heights([height for _, height in points], hides, rises=quantity.is_quality),
        hidden=0,
        x_name="epoch",
        unit="%" if quantity.is_quality else "",
        y_name=quantity.label,
        y_short=quantity.label,
        logarithmic=False,
        cut=_cut(recipes),
        cut_name=CUT,
    )


def _cut(recipes: Iterable[SharedConfig]) -> float | None:
    """Return after which epoch packs were pruned; None if none was fine-tuned then."""
    cuts = {recipe.epochs for recipe in recipes if recipe.finetune_epochs}
    return float(cuts.pop()) if len(cuts) == 1 else None


def _heights(heights: Sequence[float], hides: float, *, rises: bool) -> tuple[float, float]:
    """Return the part of the heights that is shown: without the share `hides`, the worst."""
    if not heights:
        return 0.0, 1.0
    low, high = min(heights), max(heights)
    if rises:
        low = float(np.quantile(heights, hides))
    else:
        high = float(np.quantile(heights, 1 - hides))
    margin = 0.06 * (high - low) or max(0.01 * abs(high), 1e-6)
    return low - margin, high + margin
