"""Fronts as Python gets them: with the sweep they are of, drawn, saved, shown by notebooks."""

import html
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Self

from sweeper import plots
from sweeper.analysis import (
    Front,
    fronts,
    fronts_by_repeat,
    fronts_to_pandas,
    other_accuracy,
    selection_metrics,
)
from sweeper.analysis.notebook_table import notebook_table
from sweeper.analysis.sweep_comparability import (
    inequalities,
    named_arms,
    refuse_other_questions,
    unequal_keys,
)
from sweeper.analysis.sweep_record import SweepRecord
from sweeper.atomic_write import atomic_write
from sweeper.config import Sweep
from sweeper.errors import InputError, choices
from sweeper.plots import View
from sweeper.plots.images import FORMATS
from sweeper.plots.views import TrialLink, no_link
from sweeper.types import Accuracy, SizeMeasure, Track, TrialRecord

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go


@dataclass(frozen=True, slots=True, repr=False)
class SweepFront(Front):
    """A front that knows its sweep, and so can be drawn.

    >>> from sweeper import front
    >>> best = front("tiny", "l1")[-1]
    >>> [point.nonzero for point in front("tiny", "l1")][-1] == best.nonzero
    True
    """

    sweep: Sweep = field(kw_only=True, compare=False)

    @classmethod
    def within(cls, sweep: Sweep, front: Front) -> "SweepFront":
        """Return a front of a sweep as one that knows it."""
        values = {place.name: getattr(front, place.name) for place in fields(Front)}
        return cls(**values, sweep=sweep)

    @classmethod
    def of_record(
        cls,
        record: SweepRecord,
        arm: str = "",
        *,
        track: Track | None = None,
        by: Accuracy | None = None,
    ) -> "SweepFront":
        """Return the front of an arm, or of all arms together. Raises InputError for another."""
        sweep = record.sweep
        if arm and arm not in sweep.arms:
            raise InputError(f"{sweep.name}: no such arm: {choices(arm, sweep.arms)}")
        by = by or selection_metrics(sweep)[0]
        track = track or sweep.sparsification.track
        front = Front.of(record.records, track, by, other_accuracy(by), arm)
        return cls.within(sweep, front)

    @property
    def measure_label(self) -> str:
        """The measure as people write it, such as `F1`."""
        return self.sweep.measure_label

    @property
    def size_label(self) -> str:
        """The size as it stands behind a number, such as `nonzero`."""
        return self.sweep.size_unit if self.size == "nonzero" else self.size

    @property
    def has_tracks(self) -> bool:
        """Whether its networks are pruned ones, or those as trained: a script's are neither."""
        return self.sweep.script is None

    def plot(self) -> "go.Figure":
        """Return a Plotly figure of the front: line and markers, accuracy against size."""
        view = plots.front_view({self.arm or "all arms": self}, self.sweep)
        return plots.notebook_figure(view)


@dataclass(frozen=True, eq=False, repr=False)
class SweepFronts(Mapping[str, SweepFront]):
    """The fronts of arms by their names, in one figure: of a sweep, or of several compared.

    Those of several sweeps are called `sweep/arm`.

    >>> from sweeper import compare
    >>> both = compare("tiny", "longer")
    >>> len(both), [*both][0]
    (4, 'tiny/dense')
    >>> set(both.to_pandas()["sweep"]) == {"tiny", "longer"}
    True
    """

    fronts: Mapping[str, SweepFront]
    sweeps: tuple[Sweep, ...]
    repeats: Mapping[str, tuple[Front, ...]]
    """The front of every repeat of every arm."""
    unequal: tuple[str, ...] = ()
    """Keys of study files that differ between the sweeps."""
    notes: tuple[str, ...] = ()
    """Sentences about what is unequal between them: they are not ranked then."""

    @classmethod
    def of(cls, records: Sequence[TrialRecord], sweep: Sweep) -> Self:
        """Return the fronts of a sweep's arms, as its study file chooses them."""
        return cls(
            {arm: SweepFront.within(sweep, front) for arm, front in fronts(records, sweep).items()},
            (sweep,),
            fronts_by_repeat(records, sweep),
        )

    @classmethod
    def compared(
        cls,
        records: Sequence[SweepRecord],
        *,
        arms: Sequence[str] = (),
        track: Track | None = None,
        size: SizeMeasure = "nonzero",
    ) -> Self:
        """Return the fronts of several sweeps, of all arms or of those named.

        An arm is named for all sweeps that have it, or as `sweep/arm` for one. The track is what
        the first sweep searches for, unless given. Raises InputError for sweeps of other data,
        another measure or other selection, and for an arm that none of them has.
        """
        sweeps = tuple(record.sweep for record in records)
        refuse_other_questions(sweeps)
        chosen = named_arms(sweeps, arms)
        track = track or sweeps[0].sparsification.track
        of_arms: dict[str, SweepFront] = {}
        repeats: dict[str, tuple[Front, ...]] = {}
        for record in records:
            sweep = record.sweep
            pooled = fronts(record.records, sweep, track, size=size)
            apart = fronts_by_repeat(record.records, sweep, track, size)
            for arm, front in pooled.items():
                if (name := f"{sweep.name}/{arm}") in chosen:
                    of_arms[name] = SweepFront.within(sweep, front)
                    repeats[name] = apart[arm]
        unequal = tuple(unequal_keys(sweeps))
        return cls(of_arms, sweeps, repeats, unequal, inequalities(records))

    def __getitem__(self, name: str) -> SweepFront:
        return self.fronts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.fronts)

    def __len__(self) -> int:
        return len(self.fronts)

    def __repr__(self) -> str:
        names = ", ".join(sweep.name for sweep in self.sweeps)
        return f"<{type(self).__name__} {names}: {', '.join(self)}>"

    def view(self, *, link: TrialLink = no_link) -> View:
        """Return everything that the figure says; with a `link` a network leads to its trial."""
        if len(self.sweeps) == 1 and not any("/" in name for name in self):
            return plots.front_view(self.fronts, self.sweeps[0], self.repeats, link=link)
        return plots.comparison_view(
            self.fronts, self.sweeps, self.repeats, self.unequal, link=link
        )

    def plot(self) -> "go.Figure":
        """Return a Plotly figure of all fronts."""
        return plots.notebook_figure(self.view())

    def to_pandas(self) -> "pd.DataFrame":
        """Return one row per network; the column `sweep` says whose it is."""
        frame = fronts_to_pandas(self.fronts)
        frame.insert(0, "sweep", frame["study"].str.partition("/")[0])
        return frame

    def save(self, path: str | Path) -> Path:
        """Write the figure as .svg, .html or an image, or the networks as .csv; return the path.

        SVG and HTML need no browser, other images do (sweeper[figures]). Raises InputError for
        another ending.
        """
        path = Path(path)
        ending = path.suffix.lstrip(".").lower()
        if ending == "html":
            return atomic_write(
                path, plots.standalone_html(self.view(), self._repr_html_()).encode()
            )
        if ending == "csv":
            text = self.to_pandas().to_csv(index=False, lineterminator="\n")
            return atomic_write(path, text.encode())
        if ending not in FORMATS:
            allowed = choices(ending, {*FORMATS, "html", "csv"})
            raise InputError(f"{path}: not a kind of figure: {allowed}")
        return plots.save_image(*plots.standalone_picture(self.view()), path, dots=2)

    @property
    def targets(self) -> tuple[float, ...]:
        """Accuracies at which sizes are read off: those of the first sweep."""
        return self.sweeps[0].targets.accuracy

    @property
    def table_title(self) -> str:
        """What the sizes at the targets are, in words."""
        first = next(iter(self.fronts.values()))
        split = plots.ACCURACY_NAMES[first.by]
        sizes = self.sweeps[0].size_label if first.sweep.script else f"{first.size} parameters"
        return f"{sizes} of the smallest network at a {split} {first.measure_label}"

    def _repr_html_(self) -> str:
        head = ["arm", "networks", *(f"{100 * target:g} %" for target in self.targets)]
        body = [
            [name, f"{len(front)} of {front.candidates}", *map(_shown, self.sizes(name))]
            for name, front in self.items()
        ]
        notes = "".join(f"<li>{html.escape(note)}</li>" for note in self.notes)
        return notebook_table(self.table_title, head, body) + (f"<ul>{notes}</ul>" if notes else "")

    def sizes(self, name: str) -> tuple[int | None, ...]:
        """Return the size of an arm's smallest network at each target; None: not reached."""
        front = self[name]
        points = (front.at(target) for target in self.targets)
        return tuple(None if point is None else point.size(front.size) for point in points)


def _shown(size: int | None) -> str:
    return "-" if size is None else f"{size:,}"
