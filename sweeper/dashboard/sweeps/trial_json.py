"""A trial as JSON: what it was given, what it measured, its learning curve, its attempts, its log.

Qualities are in %.
"""

from collections.abc import Mapping
from typing import Any

from sweeper import plots
from sweeper.config import Sweep
from sweeper.config.domains import Domain
from sweeper.dashboard.sweeps.fronts_json import figure_frame
from sweeper.plots import View
from sweeper.plots.labels import TRACK_NAMES, percent
from sweeper.redact import visible
from sweeper.search.note_texts import trial_page as optuna_page
from sweeper.trainers.trial_log import TrialLog
from sweeper.types import Evaluation, LostAttempt, Place, SlotHistory, Track, TrialRecord

STATES = {"open": "open", "claimed": "in work", "recorded": "on record", "told": "on record"}


def trial_payload(
    sweep: Sweep,
    place: Place,
    history: SlotHistory,
    record: TrialRecord | None,
    *,
    studies: Mapping[str, int],
    log: TrialLog | None,
) -> dict[str, Any]:
    """Return all that is known of a slot; `record` is None before its trial has ended."""
    arm, repeat, slot = place
    study = sweep.study(arm, repeat)
    trial = history.trial if record is None else record.trial
    is_ours = study in studies and trial is not None
    return {
        "sweep": sweep.name.partition("/")[0],
        "is_confirmation": sweep.confirms is not None,
        "subject": sweep.subject,
        "arm": arm,
        "repeat": repeat,
        "slot": slot,
        "study": study,
        "trial": trial,
        "optuna": optuna_page(studies[study], trial or 0) if is_ours else None,
        "state": STATES[history.state] if record is None else record.result.state,
        "is_done": record is not None,
        "host": history.host,
        "method": sweep.arms[arm].summary,
        "values": _values(sweep, arm, record),
        "sizes": _sizes(sweep, record),
        "layers": _layers(sweep, record),
        "numbers": [] if record is None else [*record.result.numbers],
        "facts": _facts(record),
        "curves": [figure_frame(view) for view in _curves(sweep, place, record, log)],
        "attempts": [_attempt(number, lost) for number, lost in enumerate(history.lost, start=1)],
        "log": _log(log) if log and log.text.strip() else None,
    }


def _values(sweep: Sweep, arm: str, record: TrialRecord | None) -> list[dict[str, Any]]:
    """Return what the trial was given by name: what was searched first, then what is fixed."""
    searched = {} if record is None else dict(record.params)
    given = {**sweep.shared_domains(), **sweep.arms[arm].parameters}
    fixed = {
        key: value
        for key, value in given.items()
        if key not in searched and not isinstance(value, Domain)
    }
    if record is not None:
        config = record.config
        fixed |= {"seed": config.init_seed, "order_seed": config.recipe.order_seed}
    rows = ((searched, True), (fixed, False))
    return [
        {"name": name, "value": value, "searched": was_searched}
        for values, was_searched in rows
        for name, value in values.items()
    ]


def _curves(
    sweep: Sweep, place: Place, record: TrialRecord | None, log: TrialLog | None
) -> tuple[View, ...]:
    """Return what is on record, or before that what a script has reported so far."""
    arm, repeat, _ = place
    if record is not None:
        return plots.trial_curves(record.result.learning, sweep, arm, record.config.recipe)
    return plots.trial_curves(log.learning if log else (), sweep, arm, sweep.recipe(repeat))


def _sizes(sweep: Sweep, record: TrialRecord | None) -> dict[str, Any] | None:
    """Return the networks of a trial as a table: a script has one, a pack one on each track."""
    if record is None or record.result.pruned is None or record.result.as_trained is None:
        return None
    result, objective = record.result, sweep.sparsification.track
    qualities = [f"{part} {sweep.measure_label} %" for part in ("validation", "test")]
    if sweep.script is not None:
        network = record.result.pruned
        return {"head": ["", sweep.size_unit, *qualities], "rows": [["", *_measured(network)]]}
    other: Track = "as_trained" if objective == "pruned" else "pruned"
    rows = []
    for track in (objective, other):
        judged = result.judged(track)
        if judged is not None:
            size, *measured = _measured(judged)
            counts = [size, judged.effective, result.total]
            rows.append([TRACK_NAMES[track], *counts, *measured])
    return {"head": ["network", "nonzero", "effective", "of", *qualities], "rows": rows}


def _measured(network: Evaluation) -> list[float]:
    return [network.nonzero, percent(network.val_accuracy), percent(network.test_accuracy)]


def _layers(sweep: Sweep, record: TrialRecord | None) -> list[dict[str, Any]]:
    """Return the weights that are left in each layer, on the track that is searched for."""
    network = record and record.result.judged(sweep.sparsification.track)
    return [
        {
            "name": layer.name,
            "shape": " x ".join(map(str, layer.shape)),
            "weights": layer.weights,
            "of": layer.total_weights,
            "biases": layer.biases,
        }
        for layer in (network.layers if network else ())
    ]


def _facts(record: TrialRecord | None) -> list[tuple[str, str]]:
    """Return where and when it was trained, in words."""
    if record is None:
        return []
    result, origin = record.result, record.provenance
    packed = [("steps", f"{result.steps:,}"), ("pack", str(result.pack))]
    return [
        ("seconds", f"{result.seconds:,.1f}"),
        *(packed if record.config.recipe.script is None else []),
        ("device", f"{origin.device}, {origin.processor}"),
        ("host", origin.host),
        ("commit", origin.git_commit or "unknown"),
    ]


def _attempt(number: int, lost: LostAttempt) -> dict[str, Any]:
    return {
        "number": number,
        "kind": lost.kind,
        "error": lost.error,
        "at": lost.at,
        "host": lost.host,
    }


def _log(log: TrialLog) -> dict[str, Any]:
    # Control characters, such as colours, are shown as what they are.
    text = "\n".join(visible(line) for line in log.text.splitlines())
    return {
        "path": str(log.path),
        "attempt": log.attempt,
        "text": text,
        "is_whole": log.is_whole,
    }
