"""Plan of a script: what is run, what each trial is given, where it fits, how long at most."""

from dataclasses import dataclass

from sweeper.config import Domain, Sweep
from sweeper.errors import InputError
from sweeper.operations.plan import ArmPlan, arm_plans
from sweeper.operations.reachability import unreachable
from sweeper.operations.study_warnings import script_warnings
from sweeper.types import Scalar
from sweeper.worker.launch.machine import Machine, WorkerResources
from sweeper.worker.launch.placement import idle_gpus, script_places, worker_share


@dataclass(frozen=True, slots=True)
class ScriptPlan:
    """The content of `sweeper check` for a script."""

    arms: tuple[ArmPlan, ...]
    fixed: tuple[tuple[str, Scalar], ...]
    """What all trials are given alike."""
    own_values: dict[str, tuple[tuple[str, Scalar], ...]]
    """What the trials of an arm are given beside it, fixed."""
    share: WorkerResources
    workers: int
    """Of this machine, as many as fit; 0 if none does."""
    most_seconds: float | None
    """By the time limit, with so many workers and no attempt failing; None: nobody can tell."""
    warnings: tuple[str, ...]

    @property
    def searched(self) -> tuple[str, ...]:
        """What all arms search."""
        first, *others = self.arms
        return tuple(key for key in first.searched if all(key in arm.searched for arm in others))

    @property
    def trials(self) -> int:
        return sum(arm.trials for arm in self.arms)


def script_plan(sweep: Sweep, machine: Machine) -> ScriptPlan:
    """Return the plan of a sweep of a script on a machine."""
    share, warnings = worker_share(sweep), [*script_warnings(sweep), *unreachable(sweep)]
    try:
        workers = len(script_places(machine, share, most=sweep.trials))
    except InputError as error:
        workers = 0
        warnings.append(f"{error}: run it where there is more")
    if line := idle_gpus(machine, share):
        warnings.append(line)
    values = {name: _fixed(sweep, name) for name in sweep.arms}
    all_values = [set(given.items()) for given in values.values()]
    fixed = dict(item for item in all_values[0] if all(item in given for given in all_values))
    rounds = -(-sweep.trials // workers) if workers else 0
    return ScriptPlan(
        arms=arm_plans(sweep),
        fixed=tuple(sorted(fixed.items())),
        own_values={
            name: tuple((key, value) for key, value in given.items() if key not in fixed)
            for name, given in values.items()
        },
        share=share,
        workers=workers,
        most_seconds=rounds * sweep.time_limit if sweep.time_limit and workers else None,
        warnings=tuple(warnings),
    )


def _fixed(sweep: Sweep, arm: str) -> dict[str, Scalar]:
    """Return what the trials of an arm are given that nobody searches."""
    given = {**sweep.parameters, **sweep.arms[arm].parameters}
    return {name: value for name, value in given.items() if not isinstance(value, Domain)}
