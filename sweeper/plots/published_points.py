"""Published points: results of papers on the same network and data, drawn beside, never re-run."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from sweeper.config import Sweep

BIASES: Mapping[str, str] = {
    "no": "weights only",
    "yes": "with biases",
    "unknown": "biases unknown",
}
"""Parameters that papers count, by the word in the tables."""
MARKERS: Mapping[str, str] = {"no": "circle", "yes": "square", "unknown": "diamond"}
"""Outlines of their markers, by the same."""
_FILES = {"lenet-300-100": "published_lenet300.csv", "lenet-5": "published_lenet5.csv"}
"""Tables of published networks, on MNIST, by the model's name."""


@dataclass(frozen=True, slots=True)
class Published:
    """One published network. Most papers count weights alone."""

    method: str
    first_author: str
    """Or unknown, where a table's source names none."""
    year: int
    nonzero: int
    biases: str
    """Biases are among them: yes, no or unknown."""
    accuracy: float
    """On test images, in %."""
    source: str
    note: str

    @property
    def label(self) -> str:
        """Method, year, count and source, in a line."""
        return f"{self.method}, {self.year}; {self.counted}; {self.source}; {self.note}"

    @property
    def counted(self) -> str:
        """The parameters that are counted, in words."""
        return BIASES.get(self.biases, BIASES["unknown"])

    @property
    def short_name(self) -> str:
        """First author, or else the method, and year: beside the marker."""
        author = self.method if self.first_author == "unknown" else self.first_author
        return f"{author} {self.year}"


def published_points(sweep: Sweep) -> tuple[Published, ...]:
    """Return the networks published for the sweep's model and data; for most there are none."""
    file = _FILES.get(sweep.model.name) if sweep.dataset.name == "mnist" else None
    return _table(file) if file else ()


def published_numbers(points: Sequence[Published]) -> dict[str, int]:
    """Return numbers of published networks by their short names, from the smallest one on."""
    ordered = sorted(points, key=lambda point: point.nonzero)
    names = dict.fromkeys(point.short_name for point in ordered)
    return {name: number for number, name in enumerate(names, start=1)}


def by_count(points: Sequence[Published]) -> dict[str, tuple[Published, ...]]:
    """Return published networks by what they count, each under its entry of the legend."""
    return {
        f"published ({counted})": of_kind
        for counted in BIASES.values()
        if (of_kind := tuple(point for point in points if point.counted == counted))
    }


@cache
def _table(file: str) -> tuple[Published, ...]:
    text = files("sweeper.plots").joinpath(file).read_text(encoding="utf-8")
    return tuple(
        Published(
            method=row["method"],
            first_author=row["first_author"],
            year=int(row["year"]),
            nonzero=int(row["nonzero_parameters"]),
            biases=row["biases_included"],
            accuracy=round(100 - float(row["test_error_percent"]), 3),
            source=row["source"],
            note=row["note"],
        )
        for row in csv.DictReader(text.splitlines())
    )
