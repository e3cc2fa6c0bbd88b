"""How far sweeps are and who works on them, as plain values that JSON can hold."""

from collections.abc import Iterable
from typing import Any

from sweeper.analysis.strength_range import range_caveats
from sweeper.analysis.sweep_record import SweepRecord
from sweeper.config import Sweep, confirmation_name, is_confirmation
from sweeper.config.registry import FAMILIES
from sweeper.plots.views import percent
from sweeper.types import (
    ArmProgress,
    RecordedRange,
    SweepStatus,
    WorkerStatus,
)

HOUR = 3600.0


def index_payload(sweeps: Iterable[tuple[Sweep, SweepStatus]]) -> dict[str, Any]:
    """Return every sweep with its progress, the newest first; confirmations stand with theirs."""
    rows = {
        status.name: {
            "name": status.name,
            "dataset": sweep.dataset,
            "model": sweep.model.name,
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
    shown = [row for name, row in rows.items() if not is_confirmation(name)]
    return {"sweeps": sorted(shown, key=lambda row: (-row["created_at"], row["name"]))}


def status_payload(record: SweepRecord) -> dict[str, Any]:
    """Return progress, arms, workers and ranges of a sweep, and what forbids to rank its arms."""
    sweep, status = record.sweep, record.status
    return {
        "name": sweep.name,
        "track": sweep.sparsification.track,
        "question": f"{len(sweep.arms)} arms, {sweep.search.trials} trials × "
        f"{sweep.search.repeats} repeats each; {sweep.model.name} on {sweep.dataset}, "
        f"{sweep.training.epochs} + {sweep.sparsification.finetune_epochs} epochs",
        **_progress(status),
        # While it runs, arms are unequal by a few trials: the counts show it.
        "warnings": [
            *(record.problems if status.finished or status.state != "open" else ()),
            *record.caveats,
            *range_caveats(record.ranges),
        ],
        "arms": [_arm(sweep, arm) for arm in status.arms],
        "workers": [_worker(one, status.now) for one in status.workers if one.alive],
        "workers_gone": sum(not one.alive for one in status.workers),
        "ranges": [_range(one) for one in record.ranges],
    }


def _progress(status: SweepStatus) -> dict[str, Any]:
    alive = [one for one in status.workers if one.alive]
    rate = sum(_rate(one, status.now) for one in alive)
    left = status.budget - status.done
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
        "lost": sum(status.failures.values()),
    }


def _rate(worker: WorkerStatus, now: float) -> float:
    """Trials an hour since the worker started; one that has just started says nothing yet."""
    spent = now - worker.started_at
    return HOUR * worker.done / spent if spent > 1.0 else 0.0


def _arm(sweep: Sweep, arm: ArmProgress) -> dict[str, Any]:
    return {
        "name": arm.arm,
        "family": FAMILIES[sweep.arms[arm.arm].family],
        "done": arm.done,
        "budget": arm.budget,
        "claimed": arm.claimed,
        "diverged": arm.diverged,
        "collapsed": arm.collapsed,
        "failures": dict(arm.failures),
        "last_error": arm.last_error.text if arm.last_error else "",
        "best_accuracy": None if arm.best_accuracy is None else percent(arm.best_accuracy),
        "smallest_nonzero": arm.smallest_nonzero,
        "seconds": round(arm.seconds, 1),
    }


def _worker(one: WorkerStatus, now: float) -> dict[str, Any]:
    return {
        "id": one.id[:8],
        "host": one.host,
        "pid": one.pid,
        "device": one.device,
        "slots": one.slots,
        "done": one.done,
        "progress": round(one.progress, 3),
        "trials_per_hour": round(_rate(one, now), 1),
        "minutes": round((now - one.started_at) / 60, 1),
    }


def _range(one: RecordedRange) -> dict[str, Any]:
    return {
        "arm": one.arm,
        "parameter": one.parameter,
        "low": one.bracket.low,
        "high": one.bracket.high,
        "open_below": one.bracket.open_below,
        "open_above": one.bracket.open_above,
        "reused": one.reused,
    }
