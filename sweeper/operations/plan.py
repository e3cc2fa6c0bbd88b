"""Plan of a study file: its arms, trials, probes, seconds and warnings, before it is run."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from sweeper.analysis import strength_range
from sweeper.config import Sweep
from sweeper.config.probe_plan import probe_config, probe_key
from sweeper.operations.measured_network import MeasuredNetwork
from sweeper.operations.reachability import unreachable
from sweeper.operations.study_warnings import study_warnings
from sweeper.operations.time_estimate import (
    matmul_rate,
    seconds_per_trial,
    start_seconds,
    training_seconds,
)


@dataclass(frozen=True, slots=True)
class ArmPlan:
    """One arm as it would be run."""

    name: str
    penalty: str
    way: str
    searched: tuple[str, ...]
    auto_parameters: tuple[str, ...]
    """The part of `searched` whose ranges have to be found first."""
    trials: int
    """Over all repeats."""


@dataclass(frozen=True, slots=True)
class ProbePlan:
    """Trainings before the first trial, which find the ranges of strengths."""

    ranges: int
    probes: int
    """Equal ones are trained once."""
    steps: int
    """Of one network; all networks of a probe together are one pack."""
    networks: int = len(strength_range.GRID) + 1


@dataclass(frozen=True, slots=True)
class Plan:
    """The content of `sweeper check`."""

    arms: tuple[ArmPlan, ...]
    parameters: int | None
    weights: int | None
    """Those of the parameters that are pruned; None where only the code can tell."""
    steps_in_all: int
    probe: ProbePlan
    seconds: float | None
    """For start, probes and trials on this CPU; None for a network that nobody measured."""
    warnings: tuple[str, ...]

    @property
    def trials(self) -> int:
        return sum(arm.trials for arm in self.arms)

    @property
    def steps(self) -> int:
        return self.trials * self.steps_in_all


def plan(
    sweep: Sweep,
    rate: Callable[[], float] | None = None,
    network: MeasuredNetwork | None = None,
) -> Plan:
    """Return the plan of a study; `rate` measures this machine's flop a second.

    `network` is the study's, if that is not in the registry.
    """
    arms = arm_plans(sweep)
    probe = probe_plan(sweep)
    flops = (rate or matmul_rate)()
    seconds = seconds_per_trial(sweep, flops, network)
    if seconds is not None:
        seconds *= sum(arm.trials for arm in arms)
        each = training_seconds(sweep, flops, probe.steps, network)
        seconds += probe.probes * probe.networks * each + start_seconds()
    parameters = sweep.total_parameters
    if parameters is None and network is not None:
        parameters = network.parameters
    shapes = sweep.prunable
    weights = network.weights if network else None
    if shapes is not None:
        weights = sum(math.prod(shape) for shape in shapes.values())
    return Plan(
        arms=arms,
        parameters=parameters,
        weights=weights,
        steps_in_all=sweep.steps_in_all,
        probe=probe,
        seconds=seconds,
        warnings=(*study_warnings(sweep), *unreachable(sweep, network)),
    )


def arm_plans(sweep: Sweep) -> tuple[ArmPlan, ...]:
    """Return each arm as it would be run."""
    return tuple(
        ArmPlan(
            name=name,
            penalty=arm.penalty_text,
            way=arm.mode_text,
            searched=tuple(sweep.domains(name)),
            auto_parameters=sweep.auto_parameters(name),
            trials=sweep.search.trials * sweep.search.repeats,
        )
        for name, arm in sweep.arms.items()
    )


def probe_plan(sweep: Sweep) -> ProbePlan:
    """Return the probes of a study, as if no range were on record."""
    strengths = [(arm, parameter) for arm in sweep.arms for parameter in sweep.auto_parameters(arm)]
    epochs = max(
        (probe_config(sweep, *strength).recipe.epochs for strength in strengths), default=0
    )
    return ProbePlan(
        ranges=len(strengths),
        probes=len({probe_key(sweep, *strength) for strength in strengths}),
        steps=epochs * sweep.steps_per_epoch,
    )
