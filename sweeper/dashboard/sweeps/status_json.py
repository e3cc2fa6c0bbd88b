"""Status of sweeps as JSON: progress, workers, ranges, and problems of comparing arms."""

from collections.abc import Iterable
from typing import Any

from sweeper.analysis.strength_range import range_caveats
from sweeper.analysis.sweep_record import SweepRecord
from sweeper.config import Sweep, confirmation_name, is_confirmation
from sweeper.config.registry import family_title
from sweeper.dashboard.sweeps.trial_links import trial_page
from sweeper.errors import pluralize
from sweeper.plots.labels import networks_text, percent
from sweeper.types import ArmProgress, RecordedRange, SweepStatus, WorkerStatus

HOUR = 3600.0


def index_payload(sweeps: Iterable[tuple[Sweep, SweepStatus]]) -> dict[str, Any]:
    """Return every sweep with its progress, the newest first; confirmations stand with theirs."""
    rows = {
        status.name: {
            "name": status.name,
            "dataset": sweep.dataset.text,
            "model": sweep.model.text,
            "subject": f"{sweep.subject}{_epochs(sweep)}",
            "arms": len(sweep.arms),
            "repeats": sweep.search.repeats,
            "created_at": status.created_at,
            **_progress(status),
        }
        for sweep, status in sweeps
    }
    for name, row in rows.items():
        if not is_confirmation(name):
            row["confirmed"] = rows.get(confirmation_name(name))
    searches = [row for name, row in rows.items() if not is_confirmation(name)]
    return {"sweeps": sorted(searches, key=lambda row: (-row["created_at"], row["name"]))}


def status_payload(record: SweepRecord, status: SweepStatus) -> dict[str, Any]:
    """Return progress, arms, workers and ranges of a sweep, and problems that forbid to rank.

    `status` may be newer than the record.
    """
    sweep = record.sweep
    return {
        "name": sweep.name,
        "track": sweep.sparsification.track,
        "script": sweep.script is not None,
        "question": f"{pluralize(len(sweep.arms), 'arm')}, "
        f"{pluralize(sweep.search.trials, 'trial')} × "
        f"{pluralize(sweep.search.repeats, 'repeat')} each; "
        f"{sweep.subject}{_epochs(sweep)}{_each(sweep)}",
        **_progress(status),
        # While it runs, arms are unequal by a few trials: the counts show it.
        "warnings": [
            *(record.problems if status.finished or status.state != "open" else ()),
            *record.caveats,
            *range_caveats(record.ranges),
        ],
        "arms": [_arm(sweep, arm) for arm in status.arms],
        "workers": [_worker(worker, status.now) for worker in status.workers if worker.alive],
        "workers_gone": sum(not worker.alive for worker in status.workers),
        "ranges": [_range(recorded) for recorded in record.ranges],
    }


def _epochs(sweep: Sweep) -> str:
    if sweep.script is not None:
        return ""
    return f", {sweep.training.epochs} + {sweep.sparsification.finetune_epochs} epochs"


def _each(sweep: Sweep) -> str:
    brings = networks_text(sweep)
    return f"; each trial: {brings}" if brings else ""


def _progress(status: SweepStatus) -> dict[str, Any]:
    alive = [worker for worker in status.workers if worker.alive]
    rate = sum(_rate(worker, status.now) for worker in alive)
    # Nobody knows when a paused arm goes on.
    left = sum(arm.budget - arm.done for arm in status.arms if not arm.paused)
    return {
        "state": "finished" if status.finished else status.state,
        "error": status.error,
        "done": status.done,
        "budget": status.budget,
        "probes": status.probes,
        "probed": status.probed,
        "workers_alive": len(alive),
        "trials_per_hour": round(rate, 1),
        "seconds_left": round(HOUR * left / rate) if rate and left else None,
        "lost": sum(status.lost.values()),
        "paused": status.paused,
        "waits": status.waits,
    }


def _rate(worker: WorkerStatus, now: float) -> float:
    """Return trials an hour since the worker started; one that has just started says nothing."""
    seconds = now - worker.started_at
    return HOUR * worker.done / seconds if seconds > 1.0 else 0.0


def _arm(sweep: Sweep, arm: ArmProgress) -> dict[str, Any]:
    return {
        "name": arm.arm,
        "family": family_title(sweep.arms[arm.arm].family_name),
        "done": arm.done,
        "budget": arm.budget,
        "paused": arm.paused and arm.done < arm.budget,
        "dropped": arm.dropped,
        "claimed": arm.claimed,
        "networks": arm.networks,
        "diverged": arm.diverged,
        "collapsed": arm.collapsed,
        "failures": arm.lost,
        "last_error": arm.last_error.text if arm.last_error else "",
        "last_error_link": _place_of(sweep.name, arm),
        "best_accuracy": None if arm.best_accuracy is None else percent(arm.best_accuracy),
        "smallest_nonzero": arm.smallest_nonzero,
        "seconds": round(arm.seconds, 1),
    }


def _place_of(sweep: str, arm: ArmProgress) -> str | None:
    """Return the page of the trial that failed last."""
    error = arm.last_error
    if error is None or error.repeat is None or error.slot is None:
        return None
    return trial_page(sweep, (arm.arm, error.repeat, error.slot))


def _worker(worker: WorkerStatus, now: float) -> dict[str, Any]:
    return {
        "id": worker.id[:8],
        "host": worker.host,
        "pid": worker.pid,
        "device": worker.device,
        "slots": worker.slots,
        "done": worker.done,
        "progress": round(worker.progress, 3),
        "trials_per_hour": round(_rate(worker, now), 1),
        "minutes": round((now - worker.started_at) / 60, 1),
    }


def _range(recorded: RecordedRange) -> dict[str, Any]:
    return {
        "arm": recorded.arm,
        "parameter": recorded.parameter,
        "low": recorded.range.low,
        "high": recorded.range.high,
        "open_below": recorded.range.open_below,
        "open_above": recorded.range.open_above,
        "reused": recorded.reused,
    }
