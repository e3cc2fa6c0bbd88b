"""Summary of a sweep: a row for each arm, the headline of its report, and the standing."""

from collections.abc import Sequence
from dataclasses import dataclass

from sweeper.analysis import Front, FrontPoint, selection_metrics
from sweeper.analysis.family_comparison import TRACKS
from sweeper.analysis.missing_evidence import missing_confirmation
from sweeper.analysis.sweep_record import SweepRecord
from sweeper.config import Sweep
from sweeper.errors import pluralize
from sweeper.types import Track

_NAMED = 3
"""With more arms than this, of networks that are as small, their number stands in the headline."""


@dataclass(frozen=True, slots=True)
class ArmSummary:
    """One arm on one track: its budget, its failures and what its front reaches."""

    arm: str
    done: int
    budget: int
    networks: int
    """On record."""
    diverged: int
    collapsed: int
    failed_text: str
    """Networks that did either, for a cell of a table."""
    front: Front
    at_accuracy: tuple[FrontPoint | None, ...]
    """The smallest network at each of the file's target accuracies."""
    at_nonzero: tuple[FrontPoint | None, ...]
    """The most accurate network within each of the file's target sizes."""
    hypervolume: float

    @property
    def best(self) -> FrontPoint | None:
        return self.front.points[-1] if self.front.points else None


def arm_rows(record: SweepRecord, track: Track) -> tuple[ArmSummary, ...]:
    """Return a row for each arm in file order."""
    targets = record.sweep.targets
    progress = {arm.arm: arm for arm in record.status.arms}
    return tuple(
        ArmSummary(
            arm=name,
            done=progress[name].done,
            budget=progress[name].budget,
            networks=progress[name].networks,
            diverged=progress[name].diverged,
            collapsed=progress[name].collapsed,
            failed_text=progress[name].failed_text,
            front=front,
            at_accuracy=tuple(front.at(accuracy=value) for value in targets.accuracy),
            at_nonzero=tuple(front.at(nonzero=value) for value in targets.nonzero),
            hypervolume=front.hypervolume(record.reference_corner),
        )
        for name, front in record.fronts(track).items()
    )


def headline(record: SweepRecord) -> str:
    """Return the answer of a confirmation; without one what it takes, and by which commands."""
    if record.problems:
        return "The arms are not ranked, for the reasons given above."
    if record.confirmation:
        return record.confirmation.answer
    return missing_confirmation(record.sweep, record.status).sentence


def standing(record: SweepRecord) -> str:
    """Return the smallest networks of the search on both tracks, the objective's first.

    A penalty that makes zeros by itself can lead on one track and be far behind on the other. No
    multiples are told: every network may be a lucky one. Empty where arms are not ranked.
    """
    sweep, status, rule = record.sweep, record.status, record.sweep.sparsification
    other: Track = "as_trained" if rule.track == "pruned" else "pruned"
    rows, beside = arm_rows(record, rule.track), arm_rows(record, other)
    if record.problems:
        return ""
    if not any(row.front.points for row in rows):
        return "No network that counts is on record yet."
    done = f"after {status.done:,} of {pluralize(status.budget, 'trial')}"
    so_far = "" if status.finished else f", {done}"
    searches = pluralize(sweep.search.repeats, "repeat")
    text = f"Of the search alone ({searches}{so_far}): {_smallest(sweep, rows)}"
    if sweep.script is not None or not any(point for row in beside for point in row.at_accuracy):
        return text
    on = TRACKS["as_trained"]
    if rule.track == "as_trained":
        on = TRACKS["pruned"] if rule.finetune_epochs else "Pruned"
    return f"{text} {on}: {_smallest(sweep, beside)}"


def _smallest(sweep: Sweep, rows: Sequence[ArmSummary]) -> str:
    """Return the sentence on the smallest network at the highest accuracy that several reach."""
    reached = [
        (len(points), accuracy, points)
        for index, accuracy in enumerate(sweep.targets.accuracy)
        if (points := [point for row in rows if (point := row.at_accuracy[index])])
    ]
    measure = sweep.measure_label
    split = "validation" if selection_metrics(sweep)[0] == "val_accuracy" else "test"
    if not reached:
        lowest = min(sweep.targets.accuracy)
        return f"no arm reaches {100 * lowest:.4g} % {split} {measure}, the lowest target."
    # The highest target at which there is something to compare, else the highest one reached.
    shared = [level for level in reached if level[0] > 1] or reached
    _, accuracy, points = max(shared, key=lambda level: level[1])
    first, *others = sorted(points, key=lambda point: point.nonzero)
    show = selection_metrics(sweep)[1]
    beside = "test" if show == "test_accuracy" else "validation"
    text = (
        f"at {100 * accuracy:.4g} % {split} {measure} the smallest network is "
        f"{first.arm}'s with {_counted(sweep, first)} "
        f"({beside} {100 * first.accuracy(show):.2f} %)"
    )
    if not others:
        return f"{text}; no other arm reaches that {measure}."
    second = others[0]
    alike = [point.arm for point in others if point.nonzero == first.nonzero]
    if len(alike) > 1:
        names = f"{', '.join(alike[:-1])} and {alike[-1]}"
        whose = names if len(alike) <= _NAMED else f"{len(alike)} other arms"
        return f"{text}; those of {whose} are as small."
    if alike:
        return f"{text}; {second.arm}'s is as small."
    return (
        f"{text}, then {second.arm}'s with {second.nonzero:,} "
        f"({beside} {100 * second.accuracy(show):.2f} %)."
    )


def _counted(sweep: Sweep, point: FrontPoint) -> str:
    if sweep.script is not None:
        return f"{point.nonzero:,} {sweep.size_label}"
    return f"{point.nonzero:,} of {point.total:,} parameters nonzero"
