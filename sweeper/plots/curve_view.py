"""View of density curves: at each density the trial that is best on the selected accuracy."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from sweeper.analysis import describe_point, fronts, selection_metrics
from sweeper.config import Sweep
from sweeper.plots.accuracy_view import accuracy_view
from sweeper.plots.arm_styles import highlighted_arms
from sweeper.plots.front_view import front_key
from sweeper.plots.labels import ACCURACY_NAMES, percent
from sweeper.plots.views import Dot, View
from sweeper.types import Accuracy, CurvePoint, TrialRecord

Best = tuple[CurvePoint, TrialRecord]
"""A point of a curve, and its trial."""


def curve_view(
    records: Iterable[TrialRecord],
    sweep: Sweep,
    *,
    finetuned: bool = False,
    arms: Sequence[str] = (),
) -> View:
    """Return the density curves: at each density the trial that is best on validation.

    Pruned without fine-tuning, or at the densities at which all were fine-tuned. Of all arms,
    unless some are named.
    """
    arms = arms or list(sweep.arms)
    selected, other = selection_metrics(sweep)
    complete = [
        record
        for record in records
        if record.result.state == "complete" and record.slot.arm in arms
    ]
    of_arms = fronts(complete, sweep)
    dots = {
        arm: [
            _dot(best, selected, other)
            for best in _best(
                (record for record in complete if record.slot.arm == arm), selected, finetuned
            )
        ]
        for arm in arms
    }
    points = [point for record in complete for point in _points(record, finetuned)]
    view = accuracy_view(
        dots,
        sweep,
        highlighted_arms({arm: of_arms[arm] for arm in arms}, sweep),
        title=f"{sweep.name}: density curves, pruned {'and' if finetuned else 'without'} "
        f"fine-tun{'ed' if finetuned else 'ing'}",
        subtitle=f"at each density the trial that is best on {ACCURACY_NAMES[selected]} "
        f"{sweep.measure_label} "
        f"(line) · markers: its {ACCURACY_NAMES[other]} {sweep.measure_label}{_examples(points)}",
        stairs=False,
        key=front_key(ACCURACY_NAMES[selected], ACCURACY_NAMES[other], repeated=False),
    )
    # Published networks are finished ones, fine-tuned by means of their own.
    return replace(view, published=())


def _best(records: Iterable[TrialRecord], selected: Accuracy, finetuned: bool) -> list[Best]:
    """Return the best point of each density, by size."""
    best: dict[float, Best] = {}
    for record in records:
        for point in _points(record, finetuned):
            before = best.get(point.density)
            if before is None or getattr(point, selected) > getattr(before[0], selected):
                best[point.density] = (point, record)
    return sorted(best.values(), key=lambda pair: pair[0].nonzero)


def _points(record: TrialRecord, finetuned: bool) -> tuple[CurvePoint, ...]:
    return record.result.finetuned if finetuned else record.result.curve


def _examples(points: Iterable[CurvePoint]) -> str:
    """Return how many examples points were judged on, for the caption; nothing if on all."""
    counts = sorted({(point.val_examples, point.test_examples) for point in points} - {(0, 0)})
    if not counts:
        return ""
    texts = [f"{val:,} validation and {test:,} test" for val, test in counts]
    return f" · points judged on {', or '.join(texts)} examples, evenly spaced"


def _dot(best: Best, selected: Accuracy, other: Accuracy) -> Dot:
    point, record = best
    return Dot(
        nonzero=point.nonzero,
        selected_accuracy=percent(getattr(point, selected)),
        other_accuracy=percent(getattr(point, other)),
        repeat=record.slot.repeat,
        trial=record.trial,
        label=f"pruned to density {point.density:.3g}; {describe_point(record.params)}",
    )
