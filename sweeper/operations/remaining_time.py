"""Remaining time of a running sweep, of each arm, by the pace of its workers."""

from sweeper.types import ArmProgress, SweepStatus


def seconds_left(status: SweepStatus, arm: ArmProgress) -> float | None:
    """Return the estimated time until an arm is done; None before its first trial's end.

    Slots are claimed in turn, so that until then every arm gets as many trials as this one. None
    of one that is paused, for which the others do not wait.
    """
    if arm.paused:
        return None
    alive = sum(worker.alive for worker in status.workers)
    if not status.done or (not alive and arm.done < arm.budget):
        return None
    seconds = _seconds(status)
    left = arm.budget - arm.done
    work = sum(
        min(other.budget - other.done, left) * duration
        for other, duration in zip(status.arms, seconds, strict=True)
        if not other.paused
    )
    return work / max(alive, 1)


def _seconds(status: SweepStatus) -> list[float]:
    """Return the seconds of each arm's next trial: at the present pace, else at that of all."""
    recent = [arm.pace for arm in status.arms]
    overall = [arm.seconds / arm.done if arm.done else None for arm in status.arms]
    paces = recent if any(recent) else overall
    measured = [pace for pace in paces if pace is not None]
    mean = sum(measured) / max(len(measured), 1)
    return [mean if pace is None else pace for pace in paces]
