"""Plan of a script: what is run, what each trial is given, where it fits, how long at most."""

from collections.abc import Mapping
from dataclasses import dataclass

from sweeper.config import Domain, Sweep
from sweeper.errors import InputError
from sweeper.operations.plan import ArmPlan, arm_plans
from sweeper.operations.study_warnings import script_warnings
from sweeper.types import Scalar
from sweeper.worker.launch.machine import Machine, WorkerResources
from sweeper.worker.launch.placement import script_places, worker_share


@dataclass(frozen=True, slots=True)
class ScriptPlan:
    """The content of `sweeper check` for a script."""

    arms: tuple[ArmPlan, ...]
    fixed: tuple[tuple[str, Scalar], ...]
    """What every trial is given that does not search or change it."""
    own_values: dict[str, tuple[tuple[str, Scalar], ...]]
    """What the trials of an arm alone are given, fixed."""
    share: WorkerResources
    workers: int
    """Of this machine, as many as fit; 0 if none does."""
    most_seconds: float | None
    """By the time limit, with so many workers and no attempt failing; None: nobody can tell."""
    warnings: tuple[str, ...]

    @property
    def trials(self) -> int:
        return sum(arm.trials for arm in self.arms)


def script_plan(sweep: Sweep, machine: Machine) -> ScriptPlan:
    """Return the plan of a sweep of a script on a machine."""
    share, warnings = worker_share(sweep), script_warnings(sweep)
    try:
        workers = len(script_places(machine, share, most=sweep.trials))
    except InputError as error:
        workers = 0
        warnings.append(f"{error}: run it where there is more")
    if machine.gpus and not share.gpus:
        number = "its GPU" if machine.gpus == 1 else f"its {machine.gpus} GPUs"
        text = f"a trial sees no GPU, {number} would be idle here: say gpus: 1, or a fraction"
        warnings.append(f"resources.gpus: {text}")
    rounds = -(-sweep.trials // workers) if workers else 0
    return ScriptPlan(
        arms=arm_plans(sweep),
        fixed=tuple(_fixed(sweep.parameters)),
        own_values={name: tuple(_fixed(arm.parameters)) for name, arm in sweep.arms.items()},
        share=share,
        workers=workers,
        most_seconds=rounds * sweep.time_limit if sweep.time_limit and workers else None,
        warnings=tuple(warnings),
    )


def _fixed(values: Mapping[str, Scalar | Domain]) -> list[tuple[str, Scalar]]:
    return [(name, value) for name, value in values.items() if not isinstance(value, Domain)]
