"""Tables of the report as HTML. Everything that comes from outside is escaped here."""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from html import escape

from sweeper.analysis import FrontPoint, selection_metrics
from sweeper.analysis.sweep_record import SweepRecord
from sweeper.config import Auto, Choice, Domain, Integer, LogUniform, Sweep, Uniform
from sweeper.plots import View
from sweeper.plots.views import SHORT
from sweeper.report.summary import ArmSummary
from sweeper.types import Accuracy, Provenance, SweepStatus, TrialRecord

_ORIGINS: tuple[tuple[str, Callable[[Provenance], str]], ...] = (
    ("sweeper", lambda origin: origin.sweeper),
    ("commit", lambda origin: origin.git_commit or "unknown"),
    ("Python", lambda origin: origin.python),
    ("torch", lambda origin: origin.torch),
    ("Optuna", lambda origin: origin.optuna),
    ("device", lambda origin: origin.device),
    ("processor", lambda origin: origin.processor),
    ("threads of a worker", lambda origin: str(origin.threads)),
    ("data (sha256 of tensors and split)", lambda origin: origin.data_hash),
    ("host", lambda origin: origin.host),
)


def accuracy_table(record: SweepRecord, rows: Sequence[ArmSummary]) -> str:
    """Return the table of arms: budget, failures, nonzeros at accuracies, best, hypervolume."""
    sweep, ranked = record.sweep, not record.problems
    by, show = selection_metrics(sweep)
    head = ["arm", "trials", "diverged", "collapsed"]
    head += [f"at {100 * value:.4g} %" for value in sweep.targets.accuracy]
    head += [f"best {SHORT[by]}", "hypervolume"]
    columns = [[row.at_accuracy[i] for row in rows] for i in range(len(sweep.targets.accuracy))]
    smallest = [min((p.nonzero for p in column if p), default=None) for column in columns]
    largest = max((row.hypervolume for row in rows), default=0.0)
    body = []
    for row in rows:
        cells = [
            cell(f"{row.done}" if row.done == row.budget else f"{row.done} of {row.budget}"),
            cell(str(row.diverged)),
            cell(str(row.collapsed)),
        ]
        for point, least in zip(row.at_accuracy, smallest, strict=True):
            best = ranked and point is not None and point.nonzero == least
            cells.append(_size(point, show, best))
        top = "–" if row.best is None else _percent(row.best.accuracy(by))
        beside = None if row.best is None else f"{SHORT[show]} {_percent(row.best.accuracy(show))}"
        cells.append(cell(top, beside))
        leads = ranked and row.hypervolume == largest > 0
        cells.append(cell(f"{row.hypervolume:.4f}", best=leads))
        body.append((row.arm, cells, ""))
    corner, error = record.reference_corner
    caption = (
        f"Nonzero parameters, biases included, of the smallest network that reaches a "
        f"{SHORT[by]} accuracy; below it the {SHORT[show]} accuracy of that same network; – is "
        f"not reached. Hypervolume: area on (log10 nonzero, error) below the corner "
        f"({corner:,}; {100 * error:.4g} %)."
    )
    return numeric_table(head, body, caption)


def sizes_table(record: SweepRecord, rows: Sequence[ArmSummary]) -> str:
    """Return the accuracies that are reached within each of the file's target sizes."""
    sweep, ranked = record.sweep, not record.problems
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
                cells.append(cell("–"))
                continue
            best = ranked and point.accuracy(by) == most
            beside = f"{SHORT[show]} {_percent(point.accuracy(show))}"
            cells.append(cell(_percent(point.accuracy(by)), beside, best))
        body.append((row.arm, cells, ""))
    caption = (
        f"Best {SHORT[by]} accuracy within a number of nonzero parameters; below it the "
        f"{SHORT[show]} accuracy of that same network."
    )
    return numeric_table(head, body, caption)


def arms_table(sweep: Sweep, view: View) -> str:
    """Return what each arm is: its penalty, how it is applied, and what was searched."""
    colors = {one.name: "var(--faint)" if one.grey else one.color for one in view.series}
    lines = []
    for name, arm in sweep.arms.items():
        color = colors.get(name, "#000000")
        ink = "var(--ink)" if color == "#000000" else color
        domains = sweep.domains(name)
        searched = ", ".join(f"{key} {_domain(value)}" for key, value in domains.items())
        chip = f'<span class="chip" style="background:{ink}"></span>'
        cells = "".join(
            f"<td>{escape(text)}</td>" for text in (arm.summary, arm.mode_text, searched or "–")
        )
        lines.append(f"<tr><th scope=row>{chip}{escape(name)}</th>{cells}</tr>")
    head = "<tr><th>arm</th><th>penalty</th><th>applied as</th><th>searched</th></tr>"
    return f'<div class="wide"><table class="text">{_body(head, lines)}</table></div>'


def failures_table(status: SweepStatus) -> str:
    """Return the attempts that were lost and tried again, by arm and class; empty without any."""
    kinds = tuple(status.failures)
    if not kinds:
        return ""
    body = []
    for arm in (arm for arm in status.arms if arm.failures):
        cells = [cell(str(arm.failures.get(kind, 0))) for kind in kinds]
        body.append((arm.arm, cells, arm.last_error.text if arm.last_error else ""))
    caption = (
        "Attempts that came to nothing, each tried again; below an arm's name the last error that "
        "its training raised. No result was lost, and none counts twice."
    )
    return numeric_table(("arm", *kinds), body, caption)


def provenance_table(facts: Sequence[TrialRecord]) -> str:
    """Return every version, device, host and data hash, with its number of trials if several."""
    if not facts:
        return "<p>No trial is on record yet.</p>"
    lines = []
    for what, value in _ORIGINS:
        counts = Counter(value(fact.provenance) for fact in facts)
        shown = "<br>".join(
            f'<span class="code">{escape(text)}</span>'
            + (f" ({count} trials)" if len(counts) > 1 else "")
            for text, count in counts.most_common()
        )
        lines.append(f"<tr><th scope=row>{what}</th><td>{shown}</td></tr>")
    first, last = (choose(fact.recorded_at for fact in facts) for choose in (min, max))
    seconds = sum(fact.result.seconds for fact in facts)
    span = f"{_time(first)} to {_time(last)}"
    work = f"{seconds / 3600:.2f} hours of training in {len(facts)} trials"
    lines.append(f"<tr><th scope=row>recorded</th><td>{span}; {work}</td></tr>")
    return f'<div class="wide"><table class="text">{_body("", lines)}</table></div>'


def numeric_table(
    head: Sequence[str], body: Sequence[tuple[str, list[str], str]], caption: str
) -> str:
    """Return a table of numbers: of each row a name, cells in HTML, and what is below the name."""
    top = "<tr>" + "".join(f"<th scope=col>{escape(text)}</th>" for text in head) + "</tr>"
    lines = [
        f"<tr><th scope=row>{_named(name, below)}</th>{''.join(cells)}</tr>"
        for name, cells, below in body
    ]
    table = f"<caption>{escape(caption)}</caption>{_body(top, lines)}"
    return f'<div class="wide"><table class="numbers">{table}</table></div>'


def _named(name: str, below: str) -> str:
    return escape(name) + (f"<small>{escape(below)}</small>" if below else "")


def _body(head: str, lines: Sequence[str]) -> str:
    top = f"<thead>{head}</thead>" if head else ""
    return f"{top}<tbody>{''.join(lines)}</tbody>"


def _size(point: FrontPoint | None, show: Accuracy, best: bool) -> str:
    if point is None:
        return cell("–")
    return cell(f"{point.nonzero:,}", f"{SHORT[show]} {_percent(point.accuracy(show))}", best)


def cell(text: str, beside: str | None = None, best: bool = False) -> str:
    """Return a cell; `beside` stands below in small letters, each line for itself."""
    small = "".join(f"<small>{escape(line)}</small>" for line in (beside or "").splitlines())
    return f"<td{' class=best' if best else ''}>{escape(text)}{small}</td>"


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
