"""Published points: results of papers on the same network and data, drawn beside, never re-run."""

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from sweeper.config import Sweep

LEGEND = "published: reported, not re-run"
_FILES = {"lenet-300-100": "published_lenet300.csv", "lenet-5": "published_lenet5.csv"}
"""Tables of published networks, on MNIST, by the model's name."""


@dataclass(frozen=True, slots=True)
class Published:
    """One published network. Most papers count weights alone."""

    method: str
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
        counted = {"yes": "biases included", "no": "weights only"}.get(
            self.biases, "biases unknown"
        )
        return f"{self.method}, {self.year}; {counted}; {self.source}; {self.note}"


def published_points(sweep: Sweep) -> tuple[Published, ...]:
    """Return the networks published for the sweep's model and data; for most there are none."""
    file = _FILES.get(sweep.model.name) if sweep.dataset.name == "mnist" else None
    return _table(file) if file else ()


@cache
def _table(file: str) -> tuple[Published, ...]:
    text = files("sweeper.plots").joinpath(file).read_text(encoding="utf-8")
    return tuple(
        Published(
            method=row["method"],
            year=int(row["year"]),
            nonzero=int(row["nonzero_parameters"]),
            biases=row["biases_included"],
            accuracy=round(100 - float(row["test_error_percent"]), 3),
            source=row["source"],
            note=row["note"],
        )
        for row in csv.DictReader(text.splitlines())
    )
