"""Best configurations of a sweep, which another begins with: those that cover most together.

One after the other, each is the one that adds most to the hypervolume of those before it, by the
accuracy that its sweep selects on; networks of a ladder count all, of several seeds their means.
When none adds anything, the rest is gone through in the same way from the start. A front alone
would be too few, and the most accurate ones would all be large.
"""

from collections.abc import Iterable, Mapping, Sequence

from sweeper.analysis.front import hypervolume, reference_corner, selection_metrics
from sweeper.analysis.sweep_record import SweepRecord
from sweeper.config import Sweep
from sweeper.config.given_params import Params, value_in
from sweeper.errors import InputError, pluralize
from sweeper.types import Place, TrialRecord

Points = tuple[tuple[float, float], ...]
"""Sizes and qualities of the networks of a configuration."""
Corner = tuple[int, float]


def warm_start_configs(
    sweep: Sweep, old: SweepRecord, arms: Iterable[str]
) -> dict[str, list[Params]]:
    """Return of each arm what it begins with, the best first; none where nothing is searched.

    Of an old configuration the parameters count that the arm searches too; it is passed over where
    one lies outside of what the arm searches. Raises InputError, with a line for each arm.
    """
    start = sweep.warm_start
    if start is None:
        return {}
    key = f"{sweep.name}: warm_start"
    source = old.sweep
    if source.confirms:
        raise InputError(f"{key}.from: {source.name} is a confirmation, which searched nothing")
    if (source.script is None) != (sweep.script is None):
        kinds = "a script", "packs of networks"
        its, other = kinds if sweep.script else kinds[::-1]
        raise InputError(f"{key}.from: {source.name} trained {other}, {sweep.name} trains {its}")
    if not old.status.finished:
        done = f"{old.status.done} of {old.status.budget} trials are done"
        raise InputError(f"{key}.from: {source.name} must be finished, {done}")
    chosen: dict[str, list[Params]] = {}
    problems = []
    for arm in (arm for arm in arms if sweep.domains(arm)):
        if arm not in source.arms:
            problems.append(f"{key}: arms.{arm}: {source.name} has no such arm")
            continue
        if not sweep.domains(arm).keys() & source.domains(arm).keys():
            problems.append(
                f"{key}: arms.{arm}: searches nothing that it searched in {source.name}"
            )
            continue
        chosen[arm] = best_configs(sweep, old, arm, start.top)
        if len(chosen[arm]) < start.top:
            fit = f"{pluralize(len(chosen[arm]), 'configuration')} of {source.name} with a result"
            problems.append(f"{key}.top: arms.{arm}: {fit} fit its ranges, got {start.top}")
    if problems:
        raise InputError("\n".join(problems))
    return chosen


def best_configs(sweep: Sweep, old: SweepRecord, arm: str, top: int) -> list[Params]:
    """Return up to `top` different configurations that `sweep` may try, the best first."""
    corner = reference_corner(old.sweep, old.all_records)
    candidates: list[tuple[Params, Points]] = []
    for records in _by_slot(old.records, arm).values():
        params, points = _fitting(sweep, arm, records[0]), _points(old.sweep, records)
        if params and points and params not in [known for known, _ in candidates]:
            candidates.append((params, points))
    chosen: list[Params] = []
    covered: Points = ()
    while candidates and len(chosen) < top:
        here = hypervolume(covered, corner)

        def worth(candidate: tuple[Params, Points], here: float = here) -> tuple[float, float]:
            _, points = candidate
            gain = hypervolume((*covered, *points), corner) - here  # noqa: B023
            return gain, max(quality for _, quality in points)

        best = max(candidates, key=worth)  # the first of equal ones
        if worth(best)[0] <= 0 and covered:
            covered = ()
            continue
        candidates.remove(best)
        chosen.append(best[0])
        covered = (*covered, *best[1])
    return chosen


def _by_slot(records: Iterable[TrialRecord], arm: str) -> Mapping[Place, list[TrialRecord]]:
    slots: dict[Place, list[TrialRecord]] = {}
    for record in records:
        if record.slot.arm == arm:
            slots.setdefault(record.slot.place, []).append(record)
    return slots


def _fitting(sweep: Sweep, arm: str, record: TrialRecord) -> Params | None:
    """Return the parameters that an arm searches too; None if one lies outside of its domains."""
    params: Params = {}
    for name, domain in sweep.domains(arm).items():
        if name in record.params:
            value = value_in(domain, record.params[name])
            if value is None:
                return None
            params[name] = value
    return params


def _points(sweep: Sweep, records: Sequence[TrialRecord]) -> Points:
    """Return mean size and quality of each rung; rungs without any result are left out."""
    by, _ = selection_metrics(sweep)
    points = []
    for rung in range(sweep.rungs):
        of_rung = [record for record in records if record.network % sweep.rungs == rung]
        complete = [record for record in of_rung if record.result.state == "complete"]
        judged = [
            network
            for record in complete
            if (network := record.result.judged(sweep.sparsification.track))
        ]
        if judged:
            size = sum(network.nonzero for network in judged) / len(judged)
            quality = sum(getattr(network, by) for network in judged) / len(of_rung)
            points.append((size, quality))
    return tuple(points)
