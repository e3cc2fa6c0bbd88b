"""Pareto fronts of networks: those that no other one dominates, and their hypervolume.

A network dominates another if it is no larger and no less accurate, and better in one of the two.
Of several with the same size and accuracy the first by (repeat, slot) is kept. Candidates are
networks over the floor: on the track of the objective those of trials in state `complete`.
Membership is decided on one accuracy (`by`); the other (`show`)
is carried beside it and never selected on.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from numbers import Integral
from typing import TYPE_CHECKING, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sweeper.analysis.front_point import FrontPoint, describe_point, network_params
from sweeper.analysis.notebook_table import notebook_table
from sweeper.config import Sweep
from sweeper.errors import InputError, meant_share, shown
from sweeper.types import Accuracy, Evaluation, SizeMeasure, Track, TrialRecord

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True, repr=False)
class Front:
    """The undominated networks, ascending in `size` and so in the accuracy `by`.

    A sequence of `FrontPoint`: `len(front)`, `front[0]`, `for point in front`.
    """

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
            (record, network)
            for record in records
            if (not arm or record.slot.arm == arm)
            and (network := _candidate(record, track)) is not None
            and (size == "nonzero" or network.effective is not None)
        ]
        candidates.sort(key=lambda pair: (pair[0].slot.repeat, pair[0].slot.number))
        members = non_dominated(
            [getattr(network, size) for _, network in candidates],
            [getattr(network, by) for _, network in candidates],
        )
        # Points of the members alone: with those of 10,000 candidates fronts took 8 times as long.
        points = tuple(_point(*candidates[index]) for index in members)
        return cls(points, len(candidates), track=track, by=by, show=show, arm=arm, size=size)

    def hypervolume(self, reference: tuple[int, float]) -> float:
        """Return the area of (log10 size, error) that the points dominate below `reference`.

        `reference` is (size, error). Points outside it contribute nothing. A network without
        any parameter left counts as one of size 1, since log10(0) is no number.
        """
        return hypervolume(
            [(point.size(self.size), point.accuracy(self.by)) for point in self.points], reference
        )

    @overload
    def at(self, accuracy: float) -> FrontPoint | None: ...

    @overload
    def at(self, *, nonzero: int) -> FrontPoint | None: ...

    def at(self, accuracy: float | None = None, *, nonzero: int | None = None) -> FrontPoint | None:
        """Return the smallest network of at least `accuracy`, or the best of at most `nonzero`.

        The accuracy is the one that decides membership, a share such as 0.97. None means: not
        reached. Raises InputError for an accuracy that is no share, or a size that is no count.
        """
        if (accuracy is None) == (nonzero is None):
            raise TypeError("give either an accuracy or nonzero=")
        if accuracy is not None:
            share = _share(accuracy)
            return next((point for point in self if point.accuracy(self.by) >= share), None)
        most = _count(nonzero or 0)
        within = [point for point in self if point.nonzero <= most]
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

    def __len__(self) -> int:
        return len(self.points)

    def __iter__(self) -> Iterator[FrontPoint]:
        return iter(self.points)

    @overload
    def __getitem__(self, place: int) -> FrontPoint: ...

    @overload
    def __getitem__(self, place: slice) -> tuple[FrontPoint, ...]: ...

    def __getitem__(self, place: int | slice) -> FrontPoint | tuple[FrontPoint, ...]:
        return self.points[place]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._title}{self._ends}>"

    @property
    def measure_label(self) -> str:
        """The measure as people write it."""
        return "accuracy"

    @property
    def size_label(self) -> str:
        """The size as it stands behind a number."""
        return self.size

    @property
    def has_tracks(self) -> bool:
        """Whether its networks are pruned ones, or those as trained."""
        return True

    @property
    def _title(self) -> str:
        track = f", {self.track.replace('_', ' ')}" if self.has_tracks else ""
        return f"{self.arm or 'all arms'}{track}: {len(self)} of {self.candidates} networks"

    @property
    def _ends(self) -> str:
        """Sizes and accuracies of the smallest and the largest network, for one line."""
        if not self:
            return ""
        ends = (self[0], self[-1])
        sizes = " to ".join(f"{point.size(self.size):,}" for point in ends)
        shares = " to ".join(f"{point.accuracy(self.by):.4g}" for point in ends)
        return f", {sizes} {self.size_label}, {self._name(self.by)} {shares}"

    def _name(self, accuracy: Accuracy) -> str:
        """Return what people call one of the two accuracies, such as `test F1`."""
        return f"{accuracy.removesuffix('_accuracy')} {self.measure_label}"

    def _repr_html_(self) -> str:
        accuracies = [self._name(self.by), self._name(self.show)]
        counts = (["nonzero", "of"], ["effective"]) if self.has_tracks else ([self.size_label], [])
        head = [*counts[0], *accuracies, *counts[1], "repeat", "slot", "configuration"]
        body = [
            [
                f"{point.nonzero:,}",
                *([f"{point.total:,}"] if self.has_tracks else []),
                f"{point.accuracy(self.by):.2%}",
                f"{point.accuracy(self.show):.2%}",
                *([_shown(point.effective)] if self.has_tracks else []),
                str(point.repeat),
                str(point.slot),
                describe_point(point.params),
            ]
            for point in self
        ]
        title = f"{self._title} are on the front, chosen on {self._name(self.by)}"
        return notebook_table(title, head, body)


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
    by = by or selection_metrics(sweep)[0]
    track = track or sweep.sparsification.track
    show = other_accuracy(by)
    of_arm: dict[str, list[TrialRecord]] = {name: [] for name in sweep.arms}
    for record in records:
        of_arm.setdefault(record.slot.arm, []).append(record)
    return {name: Front.of(of_arm[name], track, by, show, name, size) for name in sweep.arms}


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


def hypervolume(points: Iterable[tuple[float, float]], reference: tuple[int, float]) -> float:
    """Return the area of (log10 size, error) below `reference`, of sizes with accuracies.

    As `Front.hypervolume`; the points may dominate each other.
    """
    corner, worst = math.log10(max(reference[0], 1)), reference[1]
    area = 0.0
    for size, accuracy in sorted(points):
        width = corner - math.log10(max(size, 1))
        error = 1.0 - accuracy
        if width > 0 and error < worst:
            area += width * (worst - error)
            worst = error
    return area


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


def _candidate(record: TrialRecord, track: Track) -> Evaluation | None:
    network = record.result.judged(track)
    return network if network and _over_the_floor(record, network, track) else None


def _point(record: TrialRecord, network: Evaluation) -> FrontPoint:
    return FrontPoint(
        arm=record.slot.arm,
        repeat=record.slot.repeat,
        slot=record.slot.number,
        study=record.slot.study,
        trial=record.trial,
        params=network_params(record),
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


def _share(accuracy: float) -> float:
    """Return an accuracy that is a share. Raises InputError for another, such as 97."""
    if isinstance(accuracy, bool) or not 0.0 <= accuracy <= 1.0:
        wanted = "must be a share from 0 to 1"
        raise InputError(f"accuracy: {wanted}, got {shown(accuracy)}{meant_share(accuracy)}")
    return accuracy


def _count(nonzero: int) -> int:
    """Return a size that is a count. Raises InputError for another, such as 0.97."""
    if isinstance(nonzero, bool) or not isinstance(nonzero, Integral) or nonzero < 0:
        raise InputError(f"nonzero: must be a whole number >= 0, got {shown(nonzero)}")
    return nonzero


def _shown(count: int | None) -> str:
    return "-" if count is None else f"{count:,}"
