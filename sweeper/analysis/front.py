"""Pareto fronts of networks: those that no other one dominates, and their hypervolume.

A network dominates another if it is no larger and no less accurate, and better in one of the two.
Of several with the same size and accuracy the first by (repeat, slot) is kept. Candidates are
networks over the floor: on the track of the objective those of trials in state `complete`.
Membership is decided on one accuracy (`by`); the other (`show`)
is carried beside it and never selected on.
"""

import html
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sweeper.config import Sweep
from sweeper.types import Accuracy, Evaluation, Scalar, SizeMeasure, Track, TrialRecord

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class FrontPoint:
    """One network of a front: where it comes from, its size and its accuracies."""

    arm: str
    repeat: int
    slot: int
    study: str
    trial: int
    params: Mapping[str, Scalar]
    """The searched parameters."""
    nonzero: int
    total: int
    effective: int | None
    """None of a network whose effective parameters are not counted."""
    val_accuracy: float
    test_accuracy: float
    weights: int
    biases: int

    def size(self, measure: SizeMeasure) -> int:
        """Return one of the two counts of parameters by its name.

        Raises ValueError where the network has no such count.
        """
        size = self.nonzero if measure == "nonzero" else self.effective
        if size is None:
            raise ValueError("effective parameters were not counted")
        return size

    def accuracy(self, name: Accuracy) -> float:
        """Return one of the two accuracies by its name."""
        return self.val_accuracy if name == "val_accuracy" else self.test_accuracy

    def columns(self) -> dict[str, Scalar]:
        """Return its fields as a flat row; searched parameters are called `params_<name>`."""
        row = asdict(self)
        params = row.pop("params")
        return {**row, **{f"params_{name}": value for name, value in params.items()}}


@dataclass(frozen=True, slots=True)
class Front:
    """The undominated networks, ascending in `size` and so in the accuracy `by`."""

    points: tuple[FrontPoint, ...]
    candidates: int
    """Trials with a network over the floor and of a size, among which the points were chosen."""
    track: Track = "pruned"
    by: Accuracy = "val_accuracy"
    show: Accuracy = "test_accuracy"
    arm: str = ""
    size: SizeMeasure = "nonzero"

    @classmethod
    def of(
        cls,
        records: Iterable[TrialRecord],
        track: Track = "pruned",
        by: Accuracy = "val_accuracy",
        show: Accuracy = "test_accuracy",
        arm: str = "",
        size: SizeMeasure = "nonzero",
    ) -> "Front":
        """Return the front of an arm's records, or of all of them if no arm is named."""
        candidates = [
            point
            for record in records
            if (not arm or record.slot.arm == arm) and (point := _point(record, track)) is not None
        ]
        if size == "effective":
            candidates = [point for point in candidates if point.effective is not None]
        candidates.sort(key=lambda point: (point.repeat, point.slot))
        members = non_dominated(
            [point.size(size) for point in candidates], [point.accuracy(by) for point in candidates]
        )
        points = tuple(candidates[index] for index in members)
        return cls(points, len(candidates), track=track, by=by, show=show, arm=arm, size=size)

    def hypervolume(self, reference: tuple[int, float]) -> float:
        """Return the area of (log10 size, error) that the points dominate below `reference`.

        `reference` is (size, error). Points outside it contribute nothing. A network without
        any parameter left counts as one of size 1, since log10(0) is no number.
        """
        corner, worst = math.log10(reference[0]), reference[1]
        area = 0.0
        for point in self.points:
            width = corner - math.log10(max(point.size(self.size), 1))
            error = 1.0 - point.accuracy(self.by)
            if width > 0 and error < worst:
                area += width * (worst - error)
                worst = error
        return area

    @overload
    def at(self, *, accuracy: float) -> FrontPoint | None: ...

    @overload
    def at(self, *, nonzero: int) -> FrontPoint | None: ...

    def at(self, *, accuracy: float | None = None, nonzero: int | None = None) -> FrontPoint | None:
        """Return the smallest network of at least `accuracy`, or the best of at most `nonzero`.

        The accuracy is the one that decides membership. None means: not reached.
        """
        if (accuracy is None) == (nonzero is None):
            raise TypeError("give either accuracy= or nonzero=")
        if accuracy is not None:
            reached = (point for point in self.points if point.accuracy(self.by) >= accuracy)
            return next(reached, None)
        within = [point for point in self.points if nonzero is None or point.nonzero <= nonzero]
        return within[-1] if within else None

    def to_pandas(self) -> "pd.DataFrame":
        """Return one row per point; searched parameters are columns `params_<name>`.

        >>> front.to_pandas().to_csv("front.csv", index=False)  # doctest: +SKIP
        """
        import pandas as pd

        rows = [point.columns() for point in self.points]
        names = [field.name for field in fields(FrontPoint) if field.name != "params"]
        columns = [*dict.fromkeys([*names, *(k for r in rows for k in r)])]
        frame = pd.DataFrame(rows, columns=columns)
        if any(point.effective is None for point in self.points):
            counts = [point.effective for point in self.points]
            frame["effective"] = pd.array(counts, dtype="Int64")  # whole numbers, and none
        return frame

    def _repr_html_(self) -> str:
        head = ["nonzero", "of", self.by, self.show, "effective", "repeat", "slot", "configuration"]
        body = [
            [
                f"{point.nonzero:,}",
                f"{point.total:,}",
                f"{point.accuracy(self.by):.2%}",
                f"{point.accuracy(self.show):.2%}",
                "-" if point.effective is None else f"{point.effective:,}",
                str(point.repeat),
                str(point.slot),
                describe_point(point.params),
            ]
            for point in self.points
        ]
        title = f"{self.arm or 'all arms'}, {self.track.replace('_', ' ')}: {len(self.points)} of "
        title += f"{self.candidates} networks are on the front, chosen on {self.by}"
        rows = [_row(head, "th"), *(_row(cells, "td") for cells in body)]
        return f"<table><caption>{html.escape(title)}</caption>{''.join(rows)}</table>"


def fronts(
    records: Iterable[TrialRecord],
    sweep: Sweep,
    track: Track | None = None,
    by: Accuracy | None = None,
    size: SizeMeasure = "nonzero",
) -> dict[str, Front]:
    """Return the front of every arm in file order, pooled over its repeats.

    `track` is the objective's unless named. Membership is decided on the accuracy `by`, unless
    named on what the study file selects on: validation accuracy, or test accuracy if it says
    `select_on: test`.
    """
    records = tuple(records)
    by = by or selection_metrics(sweep)[0]
    track = track or sweep.sparsification.track
    show = other_accuracy(by)
    return {name: Front.of(records, track, by, show, name, size) for name in sweep.arms}


def fronts_to_pandas(fronts: Mapping[str, Front], *, plain: bool = False) -> "pd.DataFrame":
    """Return the networks of all fronts, one in a row, as `Front.to_pandas` has them.

    With `plain`, values stay Python's own: a whole number of one arm does not become a float where
    other arms have none.
    """
    import pandas as pd

    frames = [front.to_pandas() for front in fronts.values()]
    if plain:
        frames = [frame.astype(object) for frame in frames]
    frames = [frame for frame in frames if len(frame)] or frames[:1]
    return pd.concat(frames, ignore_index=True)


def fronts_by_repeat(
    records: Iterable[TrialRecord],
    sweep: Sweep,
    track: Track | None = None,
    size: SizeMeasure = "nonzero",
) -> dict[str, tuple[Front, ...]]:
    """Return the front of every repeat of every arm; those without any trial are empty."""
    records = tuple(records)
    by, show = selection_metrics(sweep)
    track = track or sweep.sparsification.track
    of_repeat: dict[tuple[str, int], list[TrialRecord]] = {}
    for record in records:
        of_repeat.setdefault((record.slot.arm, record.slot.repeat), []).append(record)
    return {
        arm: tuple(
            Front.of(of_repeat.get((arm, repeat), ()), track, by, show, arm, size)
            for repeat in range(sweep.search.repeats)
        )
        for arm in sweep.arms
    }


def selection_metrics(sweep: Sweep) -> tuple[Accuracy, Accuracy]:
    """Return the accuracy that a sweep selects on, and the one shown beside it."""
    by: Accuracy = "test_accuracy" if sweep.select_on == "test" else "val_accuracy"
    return by, other_accuracy(by)


def other_accuracy(by: Accuracy) -> Accuracy:
    """Return the accuracy that is shown beside the one that decides."""
    return "val_accuracy" if by == "test_accuracy" else "test_accuracy"


def reference_corner(sweep: Sweep, records: Iterable[TrialRecord]) -> tuple[int, float]:
    """Return the corner for hypervolumes: the file's, or the dense network's size."""
    named = sweep.reference.nonzero or sweep.total_parameters
    size = named or max((record.result.total for record in records), default=1)
    return size, sweep.reference.error


def non_dominated(nonzero: ArrayLike, accuracy: ArrayLike) -> NDArray[np.intp]:
    """Return the indices of the undominated, ascending in `nonzero`; of equal ones the first.

    Sorted by size, and by falling accuracy within a size, exactly those points stay that beat the
    best accuracy before them: n log n instead of comparing all pairs.
    """
    sizes = np.asarray(nonzero, dtype=np.int64)
    scores = np.asarray(accuracy, dtype=np.float64)
    order = np.lexsort((-scores, sizes))  # stable: equal points stay in the order given
    best_before = np.maximum.accumulate(np.concatenate(([-np.inf], scores[order])))[:-1]
    return order[scores[order] > best_before]


def describe_point(params: Mapping[str, Scalar]) -> str:
    """Return searched parameters as short text, such as `strength 0.003, density 0.02`."""
    return ", ".join(
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in params.items()
    )


def _point(record: TrialRecord, track: Track) -> FrontPoint | None:
    network = record.result.judged(track)
    if network is None or not _over_the_floor(record, network, track):
        return None
    return FrontPoint(
        arm=record.slot.arm,
        repeat=record.slot.repeat,
        slot=record.slot.number,
        study=record.slot.study,
        trial=record.trial,
        params=record.params,
        nonzero=network.nonzero,
        total=record.result.total,
        effective=network.effective,
        val_accuracy=network.val_accuracy,
        test_accuracy=network.test_accuracy,
        weights=network.weights,
        biases=network.biases,
    )


def _over_the_floor(record: TrialRecord, network: Evaluation, track: Track) -> bool:
    """Return True for a network of a track that is a candidate.

    A trial's state tells of the objective's track alone: cut too far there, it has collapsed, and
    may have trained a good network all the same. Of 120 trials of each arm on MNIST up to 32 are
    of that kind; without them joint_entropy / l_half as trained read 1.30 in place of 1.37.
    """
    if track == record.config.track:
        return record.result.state == "complete"
    return network.val_accuracy >= record.config.floor


def _row(cells: list[str], tag: str) -> str:
    return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"
