"""A trial as JSON: what it was given, what it measured, its learning curve, its attempts, its log.

Qualities are in %.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sweeper import plots
from sweeper.config import Sweep
from sweeper.config.domains import Domain
from sweeper.dashboard.sweeps.fronts_json import figure_frame
from sweeper.plots import View
from sweeper.plots.labels import TRACK_NAMES, layer_names, percent
from sweeper.redact import visible
from sweeper.search.note_texts import trial_page as optuna_page
from sweeper.trainers.trial_log import TrialLog
from sweeper.types import Evaluation, LostAttempt, Place, SlotHistory, Track, TrialRecord

STATES = {"open": "open", "claimed": "in work", "recorded": "on record", "told": "on record"}


def trial_payload(
    sweep: Sweep,
    place: Place,
    history: SlotHistory,
    records: Sequence[TrialRecord],
    *,
    studies: Mapping[str, int],
    log: TrialLog | None,
    file: Sequence[str],
) -> dict[str, Any]:
    """Return all that is known of a slot; `records` are its networks, none before it has ended.

    `file` are the arms of the study file: a confirmation may have but some of them.
    """
    arm, repeat, slot = place
    record = records[0] if records else None
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
        "last_trial": records[-1].trial if records else None,
        "optuna": optuna_page(studies[study], trial or 0) if is_ours else None,
        "state": _state(history, records),
        "is_done": record is not None,
        "host": history.host,
        "method": sweep.arms[arm].summary,
        "values": _values(sweep, arm, records),
        "sizes": _sizes(sweep, records, studies.get(study)),
        "layers": _layers(sweep, record),
        "layers_of": network_name(sweep, record) if record else "",
        "numbers": [] if record is None else [*record.result.numbers],
        "facts": _facts(records),
        "curves": [figure_frame(view) for view in _curves(sweep, place, records, log, file)],
        "attempts": [_attempt(number, lost) for number, lost in enumerate(history.lost, start=1)],
        "log": _log(log) if log and log.text.strip() else None,
    }


def _values(sweep: Sweep, arm: str, records: Sequence[TrialRecord]) -> list[dict[str, Any]]:
    """Return what the trial was given by name: what was searched first, then what is fixed."""
    searched = dict(records[0].params) if records else {}
    given = {**sweep.shared_domains(), **sweep.arms[arm].parameters}
    fixed = {
        key: value
        for key, value in given.items()
        if key not in searched and not isinstance(value, Domain)
    }
    if sweep.rungs > 1:
        fixed["densities"] = ", ".join(f"{density:g}" for density in sweep.sparsification.densities)
    for number, first in enumerate(records[:: sweep.rungs]):
        name = f"seed {number}" if sweep.seeds > 1 else "seed"
        fixed[name] = first.config.init_seed
    if records:
        fixed["order_seed"] = records[0].config.recipe.order_seed
    rows = ((searched, True), (fixed, False))
    return [
        {"name": name, "value": value, "searched": was_searched}
        for values, was_searched in rows
        for name, value in values.items()
    ]


def _state(history: SlotHistory, records: Sequence[TrialRecord]) -> str:
    """Return the state of a slot: complete if one of its networks is."""
    states = [record.result.state for record in records]
    if not states:
        return STATES[history.state]
    return min(states, key=("complete", "collapsed", "diverged").index)


def network_name(sweep: Sweep, record: TrialRecord) -> str:
    """Return what tells a network from the others of its slot; empty for the only one.

    Such as `density 0.05` or `seed 1, density 0.05`.
    """
    seed = f"seed {record.network // sweep.rungs}" if sweep.seeds > 1 else ""
    density = f"density {record.config.density:g}" if sweep.rungs > 1 else ""
    return ", ".join(filter(None, (seed, density)))


def _curves(
    sweep: Sweep,
    place: Place,
    records: Sequence[TrialRecord],
    log: TrialLog | None,
    file: Sequence[str],
) -> tuple[View, ...]:
    """Return what is on record, or before that what a script has reported so far."""
    arm, repeat, _ = place
    if not records:
        running = {"": log.learning if log else ()}
        return plots.trial_curves(running, sweep, arm, sweep.recipe(repeat), file)
    curves = {
        network_name(sweep, record): record.result.learning
        for record in plots.whole_curves(records)
    }
    return plots.trial_curves(curves, sweep, arm, records[0].config.recipe, file)


def _sizes(
    sweep: Sweep, records: Sequence[TrialRecord], study: int | None
) -> dict[str, Any] | None:
    """Return the networks of a slot as a table: a script has one, a pack one on each track.

    Of several each leads to its own trial in Optuna's dashboard.
    """
    qualities = [f"{part} {sweep.measure_label} %" for part in ("validation", "test")]
    objective = sweep.sparsification.track
    other: Track = "as_trained" if objective == "pruned" else "pruned"
    tracks = (objective,) if sweep.script else (objective, other)
    rows: list[list[Any]] = []
    links: list[str | None] = []
    for track in tracks:
        for record in records:
            judged = record.result.judged(track)
            if judged is None:
                continue
            size, *measured = _measured(judged)
            counts = [] if sweep.script else [judged.effective, record.result.total]
            rows.append([_row_name(sweep, record, track), size, *counts, *measured])
            is_alone = study is None or len(records) == 1
            links.append(None if is_alone else optuna_page(study or 0, record.trial))
    if not rows:
        return None
    counted = [sweep.size_unit] if sweep.script else ["nonzero", "effective", "of"]
    name = "network" if rows[0][0] else ""
    return {"head": [name, *counted, *qualities], "rows": rows, "links": links}


def _row_name(sweep: Sweep, record: TrialRecord, track: Track) -> str:
    """Return the name of a network: what tells it from others, and its track where it has one."""
    if sweep.script is not None:
        return network_name(sweep, record)
    if track == "pruned" and sweep.rungs > 1:
        return network_name(sweep, record)
    seed = f"seed {record.network // sweep.rungs}, " if sweep.seeds > 1 else ""
    return seed + TRACK_NAMES[track]


def _measured(network: Evaluation) -> list[float]:
    return [network.nonzero, percent(network.val_accuracy), percent(network.test_accuracy)]


def _layers(sweep: Sweep, record: TrialRecord | None) -> list[dict[str, Any]]:
    """Return the weights that are left in each layer, on the track that is searched for."""
    network = record and record.result.judged(sweep.sparsification.track)
    layers = network.layers if network else ()
    return [
        {
            "name": name,
            "shape": " x ".join(map(str, layer.shape)),
            "weights": layer.weights,
            "of": layer.total_weights,
            "biases": layer.biases,
        }
        for name, layer in zip(layer_names(layers), layers, strict=True)
    ]


def _facts(records: Sequence[TrialRecord]) -> list[tuple[str, str]]:
    """Return where and when it was trained, in words."""
    if not records:
        return []
    result, origin = records[0].result, records[0].provenance
    packed = [("steps", f"{result.steps:,}"), ("pack", str(result.pack))]
    return [
        ("seconds", f"{sum(record.result.seconds for record in records):,.1f}"),
        *(packed if records[0].config.recipe.script is None else []),
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
