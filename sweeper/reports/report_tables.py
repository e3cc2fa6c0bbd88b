"""Tables of the report as plain values; the template `tables.html` draws and escapes them."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sweeper.analysis import FrontPoint, selection_metrics
from sweeper.analysis.sweep_record import SweepRecord
from sweeper.config import Auto, Choice, Domain, Integer, LogUniform, Sweep, Uniform
from sweeper.errors import pluralize
from sweeper.plots import View
from sweeper.plots.labels import ACCURACY_NAMES, capitalised
from sweeper.plots.svg_shapes import swatch
from sweeper.reports.summary import ArmSummary
from sweeper.types import Accuracy, Provenance, SweepStatus, TrialRecord

_DATA, _CODE = "data (sha256 of tensors and split)", "script (sha256 of its code)"
_ORIGINS: tuple[tuple[str, Callable[[Provenance], str]], ...] = (
    ("sweeper", lambda origin: origin.sweeper),
    ("commit", lambda origin: origin.git_commit or "unknown"),
    ("Python", lambda origin: origin.python),
    ("torch", lambda origin: origin.torch),
    ("Optuna", lambda origin: origin.optuna),
    ("device", lambda origin: origin.device),
    ("processor", lambda origin: origin.processor),
    ("threads of a worker", lambda origin: str(origin.threads)),
    (_DATA, lambda origin: origin.data_hash),
    ("host", lambda origin: origin.host),
)


@dataclass(frozen=True, slots=True)
class ProbePicture:
    """A probe as a small SVG: a shaded range, a line of accuracies, one of sizes."""

    label: str
    width: float
    height: float
    low: float
    """Left edge of the range."""
    span: float
    """Width of the range."""
    size_path: str
    """Path data; empty without any point."""
    accuracy_path: str


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell: its text, and what stands below it in small letters, each line for itself."""

    text: str
    below: str = ""
    best: bool = False
    picture: ProbePicture | None = None
    """Drawn in place of the text."""


NOTHING = Cell("–")
"""The cell of a value that is not there."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of numbers."""

    name: str
    cells: Sequence[Cell]
    below: str = ""
    """Stands below the name in small letters."""


@dataclass(frozen=True, slots=True)
class ReportTable:
    """A table of numbers with its caption."""

    head: Sequence[str]
    rows: Sequence[Row]
    caption: str


@dataclass(frozen=True, slots=True)
class ArmRow:
    """One arm of a study file in words, with the marker that its front has."""

    name: str
    swatch: str
    """An SVG element."""
    cells: tuple[str, str, str]
    """Penalty, how it is applied, searched parameters."""


@dataclass(frozen=True, slots=True)
class OriginRow:
    """One kind of provenance: its values, each with the number of trials where they differ."""

    name: str
    values: Sequence[tuple[str, int]]


def accuracy_table(record: SweepRecord, rows: Sequence[ArmSummary]) -> ReportTable:
    """Return the table of arms: budget, failures, nonzeros at accuracies, best, hypervolume."""
    sweep, ranked = record.sweep, not record.problems
    measure = sweep.measure_label
    by, show = selection_metrics(sweep)
    head = ["arm", "trials", "diverged", "collapsed"]
    head += [f"at {100 * value:.4g} %" for value in sweep.targets.accuracy]
    head += [f"best {ACCURACY_NAMES[by]}", "hypervolume"]
    columns = [[row.at_accuracy[i] for row in rows] for i in range(len(sweep.targets.accuracy))]
    smallest = [min((p.nonzero for p in column if p), default=None) for column in columns]
    largest = max((row.hypervolume for row in rows), default=0.0)
    body = []
    for row in rows:
        # A training is cut to its networks, and they failed: not it, of which this track tells.
        before = sweep.rungs > 1 and row.front.track == "as_trained"
        failed = [NOTHING] * 2 if before else [Cell(str(row.diverged)), Cell(str(row.collapsed))]
        cells = [_trials(row, sweep.rungs if before else 1), *failed]
        for point, least in zip(row.at_accuracy, smallest, strict=True):
            best = ranked and point is not None and point.nonzero == least
            cells.append(_size(point, show, best))
        top = "–" if row.best is None else _percent(row.best.accuracy(by))
        beside = (
            ""
            if row.best is None
            else f"{ACCURACY_NAMES[show]} {_percent(row.best.accuracy(show))}"
        )
        cells.append(Cell(top, beside))
        leads = ranked and row.hypervolume == largest > 0
        cells.append(Cell(f"{row.hypervolume:.4f}", best=leads))
        body.append(Row(row.arm, cells))
    corner, error = record.reference_corner
    caption = (
        f"{sized(sweep)} of the smallest network that reaches a "
        f"{ACCURACY_NAMES[by]} {measure}; below it the {ACCURACY_NAMES[show]} {measure} of that "
        f"same network; – is not reached. Hypervolume: area on (log10 {sweep.size_unit}, error) "
        "below the "
        f"corner ({corner:,}; {100 * error:.4g} %)."
    )
    return ReportTable(head, body, caption)


def sized(sweep: Sweep) -> str:
    """Return what sizes in a table are, for the beginning of its caption."""
    counted = "" if sweep.script else ", biases included,"
    return capitalised(sweep.size_label) + counted


def sizes_table(record: SweepRecord, rows: Sequence[ArmSummary]) -> ReportTable:
    """Return the accuracies that are reached within each of the file's target sizes."""
    sweep, ranked = record.sweep, not record.problems
    measure = sweep.measure_label
    by, show = selection_metrics(sweep)
    head = ["arm", *(f"≤ {value:,}" for value in sweep.targets.nonzero)]
    body = []
    highest = [
        max((p.accuracy(by) for row in rows if (p := row.at_nonzero[index])), default=None)
        for index in range(len(sweep.targets.nonzero))
    ]
    for row in rows:
        cells = []
        for point, most in zip(row.at_nonzero, highest, strict=True):
            if point is None:
                cells.append(NOTHING)
                continue
            best = ranked and point.accuracy(by) == most
            beside = f"{ACCURACY_NAMES[show]} {_percent(point.accuracy(show))}"
            cells.append(Cell(_percent(point.accuracy(by)), beside, best))
        body.append(Row(row.arm, cells))
    caption = (
        f"Best {ACCURACY_NAMES[by]} {measure} within a number of {sweep.size_label}; below it "
        "the "
        f"{ACCURACY_NAMES[show]} {measure} of that same network."
    )
    return ReportTable(head, body, caption)


def arms_table(sweep: Sweep, view: View) -> list[ArmRow]:
    """Return a line for each arm: its penalty, how it is applied, and what was searched."""
    swatches = {series.name: swatch(series) for series in view.series}
    rows = []
    for name, arm in sweep.arms.items():
        values = {key: _domain(domain) for key, domain in sweep.domains(name).items()}
        fixed = {**sweep.parameters, **arm.parameters}
        values = {key: str(value) for key, value in fixed.items() if key not in values} | values
        searched = ", ".join(f"{key} {text}" for key, text in values.items())
        rows.append(ArmRow(name, swatches[name], (arm.summary, arm.mode_text, searched or "–")))
    return rows


def failures_table(status: SweepStatus) -> ReportTable | None:
    """Return the attempts that were lost and tried again, by arm and class; None without any."""
    kinds = tuple(status.lost)
    if not kinds:
        return None
    body = []
    for arm in (arm for arm in status.arms if arm.lost):
        cells = [Cell(str(arm.lost.get(kind, 0))) for kind in kinds]
        body.append(Row(arm.arm, cells, arm.last_error.text if arm.last_error else ""))
    caption = (
        "Attempts that came to nothing, each tried again; below an arm's name the last error that "
        "its training raised. No result was lost, and none counts twice."
    )
    return ReportTable(("arm", *kinds), body, caption)


def provenance_table(sweep: Sweep, records: Sequence[TrialRecord]) -> list[OriginRow]:
    """Return every version, device, host and data hash, with its number of trials."""
    return [
        OriginRow(
            _CODE if sweep.script and name == _DATA else name,
            Counter(value(record.provenance) for record in records).most_common(),
        )
        for name, value in _ORIGINS
    ]


def recorded_span(records: Sequence[TrialRecord]) -> str:
    """Return when the records were made and how long training took; empty without any."""
    if not records:
        return ""
    first, last = (choose(record.recorded_at for record in records) for choose in (min, max))
    hours = sum(record.result.seconds for record in records) / 3600
    span = f"{_time(first)} to {_time(last)}"
    trials = len({(record.slot.sweep, *record.slot.place) for record in records})
    networks = f" with {pluralize(len(records), 'network')}" if len(records) > trials else ""
    return f"{span}; {hours:.2f} hours of training in {pluralize(trials, 'trial')}{networks}"


def _trials(row: ArmSummary, share: int) -> Cell:
    """Return the trials of an arm, with their networks, of which `share` are the same here."""
    networks = row.networks // share
    text = f"{row.done}" if row.done == row.budget else f"{row.done} of {row.budget}"
    return Cell(text, pluralize(networks, "network") if networks > row.done else "")


def _size(point: FrontPoint | None, show: Accuracy, best: bool) -> Cell:
    if point is None:
        return NOTHING
    return Cell(
        f"{point.nonzero:,}", f"{ACCURACY_NAMES[show]} {_percent(point.accuracy(show))}", best
    )


def _percent(accuracy: float) -> str:
    return f"{100 * accuracy:.2f}"


def _domain(domain: Domain) -> str:
    match domain:
        case Integer(integer=ends):
            return f"{ends[0]} … {ends[1]}"
        case Uniform(uniform=ends):
            return f"{ends[0]:.4g} … {ends[1]:.4g}"
        case LogUniform(log_uniform=ends):
            return f"{ends[0]:.4g} … {ends[1]:.4g} (log)"
        case Auto():
            return "automatic, not known yet"
        case Choice(choice=values):
            return "one of " + ", ".join(str(value) for value in values)


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
