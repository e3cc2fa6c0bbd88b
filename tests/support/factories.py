"""Facts, sweeps and states of sweeps made by hand, for tests that train nothing."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sweeper.analysis.sweep_record import SweepRecord
from sweeper.config import Sweep
from sweeper.types import (
    ArmProgress,
    CurvePoint,
    Evaluation,
    LayerCount,
    LearningPoint,
    ProbePoint,
    Provenance,
    RecordedRange,
    ReproducibilityCheck,
    Scalar,
    Slot,
    StrengthRange,
    SweepStatus,
    TrialConfig,
    TrialRecord,
    TrialResult,
    TrialState,
    TrialTask,
)

TOTAL = 266_610
ARMS: Mapping[str, Mapping[str, Any]] = {
    "none": {"penalty": "none"},
    "l1": {"penalty": "l1", "strength": {"log_uniform": [1e-4, 1e-1]}},
}


def make_sweep(name: str = "toy", arms: Mapping[str, Any] = ARMS, **changes: Any) -> Sweep:
    """Return a small valid sweep; `changes` replace its top-level keys."""
    spec = {
        "name": name,
        "dataset": "mnist",
        "model": "lenet-300-100",
        "training": {"epochs": 2, "learning_rate": {"log_uniform": [0.01, 0.2]}},
        "sparsification": {"density": {"log_uniform": [0.002, 0.2]}},
        "search": {"trials": 4},
        "arms": arms,
    }
    return Sweep.model_validate({**spec, **changes})


SWEEP = make_sweep()


def make_provenance(**changes: Any) -> Provenance:
    """Return one machine; `changes` replace its fields."""
    usual = {
        "sweeper": "0.1.0",
        "python": "3.11.9",
        "torch": "2.15.0",
        "optuna": "5.0.0",
        "git_commit": "0123456789abcdef0123456789abcdef01234567",
        "device": "cpu",
        "processor": "Some CPU",
        "threads": 1,
        "data_hash": "d" * 64,
        "host": "node-1",
    }
    return Provenance(**{**usual, **changes})


def make_judged(nonzero: int, val: float, test: float | None = None) -> Evaluation:
    """Return a network of `nonzero` parameters, up to 410 of which are biases."""
    biases = min(nonzero, 410)
    layer = LayerCount("fc1", (300, 784), nonzero - biases, TOTAL - 410, biases, 410)
    return Evaluation(
        nonzero=nonzero,
        weights=nonzero - biases,
        biases=biases,
        effective=max(nonzero - 10, 0),
        val_accuracy=val,
        test_accuracy=val if test is None else test,
        layers=(layer,),
    )


def make_learning(*accuracies: float) -> tuple[LearningPoint, ...]:
    """Return a curve of a pack: validation accuracies after epoch 1, 2, ..."""
    return tuple(
        LearningPoint(float(epoch), (("val_accuracy", accuracy), ("val_loss", 1 - accuracy)))
        for epoch, accuracy in enumerate(accuracies, start=1)
    )


def make_tasks(sweep: Sweep, configs: Sequence[TrialConfig]) -> list[TrialTask]:
    """Return tasks of these configurations, one a slot of the first arm."""
    arm = next(iter(sweep.arms))
    return [
        TrialTask(Slot(sweep.name, arm, 0, number, sweep.study(arm, 0)), number, {}, config)
        for number, config in enumerate(configs)
    ]


def make_fact(
    *,
    sweep: Sweep | None = None,
    arm: str = "l1",
    repeat: int = 0,
    slot: int = 0,
    network: int = 0,
    nonzero: int = 4000,
    val: float = 0.97,
    test: float | None = None,
    as_trained: tuple[int, float, float] | None = None,
    state: TrialState = "complete",
    params: Mapping[str, Scalar] | None = None,
    curve: Sequence[CurvePoint] = (),
    finetuned: Sequence[CurvePoint] = (),
    learning: Sequence[LearningPoint] = (),
    provenance: Provenance | None = None,
    seconds: float = 10.0,
) -> TrialRecord:
    """Return one trial on record; `as_trained` is (nonzero, val, test), dense unless given."""
    sweep = sweep or SWEEP
    usual: dict[str, Scalar] = {"strength": 0.003, "density": 0.02}
    if sweep.rungs > 1:
        del usual["density"]
    given = usual if params is None else dict(params)
    searched: dict[str, Scalar] = {**usual, "learning_rate": 0.05, **given}
    diverged = state == "diverged"
    dense = as_trained or (TOTAL, min(val + 0.005, 1.0), min((test or val) + 0.005, 1.0))
    result = TrialResult(
        state=state,
        total=TOTAL,
        pruned=None if diverged else make_judged(nonzero, val, test),
        as_trained=None if diverged or network % sweep.rungs else make_judged(*dense),
        curve=() if diverged else tuple(curve),
        steps=780,
        seconds=seconds,
        pack=4,
        finetuned=() if diverged else tuple(finetuned),
        learning=tuple(learning),
    )
    return TrialRecord(
        slot=Slot(sweep.name, arm, repeat, slot, sweep.study(arm, repeat)),
        network=network,
        trial=slot * sweep.networks_of_slot + network,
        params=given,
        config=sweep.config(arm, repeat, slot, searched, network),
        result=result,
        provenance=provenance or make_provenance(),
        recorded_at=1_800_000_000.0 + slot,
    )


def make_bracket(
    arm: str = "l1", parameter: str = "strength", *, reused: bool = False, **changes: Any
) -> RecordedRange:
    """Return a range from 0.001 to 0.1: 0.0001 does nothing, at 1 the network collapses."""
    points = (
        ProbePoint(0.0, "complete", 0.981, TOTAL, 0.0),
        ProbePoint(1e-4, "complete", 0.981, TOTAL, 0.02),
        ProbePoint(1e-3, "complete", 0.980, 250_000, 0.1),
        ProbePoint(1e-2, "complete", 0.975, 60_000, 0.9),
        ProbePoint(1e-1, "complete", 0.911, 1_234, 1.1),
        ProbePoint(1e0, "collapsed", 0.113, 12, 1.2),
    )
    usual = {"low": 1e-3, "high": 1e-1, "points": points, "seconds": 12.34}
    open_ends = {"open_below": False, "open_above": False}
    bracket = StrengthRange(**{**usual, **open_ends, **changes})
    return RecordedRange(arm, parameter, bracket, make_provenance(), reused)


def make_facts(sweep: Sweep, seed: int = 0) -> tuple[TrialRecord, ...]:
    """Return a finished sweep of plausible networks: the later the arm, the better its front."""
    rng = np.random.default_rng(seed)
    facts = []
    for place, arm in enumerate(sweep.arms):
        knee = 4500 * 0.72**place
        for repeat in range(sweep.search.repeats):
            for slot in range(sweep.search.trials):
                density = float(np.exp(rng.uniform(np.log(0.0015), np.log(0.2))))
                nonzero = round(density * (TOTAL - 410)) + int(rng.integers(150, 410))
                luck = float(np.exp(rng.normal(-0.3, 0.5)))

                def reached(size: int, luck: float = luck, knee: float = knee) -> float:
                    error = 0.016 + 0.012 * luck * float(knee / size) ** 1.2 + 0.003 * luck
                    return float(round(max(1 - error, 0.1), 4))

                val = reached(nonzero)
                curve = tuple(
                    CurvePoint(
                        density=step,
                        nonzero=round(step * (TOTAL - 410)) + 380,
                        val_accuracy=max(reached(round(step * TOTAL * 0.4) + 1) - 0.004, 0.1),
                        test_accuracy=max(reached(round(step * TOTAL * 0.39) + 1) - 0.005, 0.1),
                    )
                    for step in sweep.sparsification.curve
                )
                state: TrialState = "complete" if val >= sweep.sparsification.floor else "collapsed"
                if rng.random() < 0.02:
                    state = "diverged"
                sparse = round(TOTAL / (1 + place * luck * 2))
                facts.append(
                    make_fact(
                        sweep=sweep,
                        arm=arm,
                        repeat=repeat,
                        slot=slot,
                        nonzero=nonzero,
                        val=val,
                        test=round(max(val - 0.001 + float(rng.normal(0, 0.0012)), 0.1), 4),
                        as_trained=(sparse, round(0.983 - 0.002 * luck, 4), 0.9805),
                        state=state,
                        params={
                            "strength": float(np.exp(rng.uniform(-9, -3))),
                            "density": density,
                            "learning_rate": float(np.exp(rng.uniform(-4, -2))),
                        },
                        curve=curve,
                        finetuned=[
                            CurvePoint(d, round(d * (TOTAL - 410)) + 380, val, val - 0.002)
                            for d in sweep.sparsification.finetuned_curve
                        ],
                    )
                )
    return tuple(facts)


def make_record(
    sweep: Sweep,
    facts: Sequence[TrialRecord] = (),
    *,
    ranges: Sequence[RecordedRange] = (),
    checks: Sequence[ReproducibilityCheck] = (),
    confirmation: tuple[Sweep, Sequence[TrialRecord]] | None = None,
) -> SweepRecord:
    """Return what a store would load of a sweep, and of its confirmation if one is given."""
    record = SweepRecord(
        sweep, make_status(sweep, facts), tuple(facts), tuple(ranges), tuple(checks)
    )
    return record.with_confirmation(*confirmation) if confirmation else record


def make_status(sweep: Sweep, facts: Sequence[TrialRecord]) -> SweepStatus:
    """Return the progress that a store would report for these facts."""
    arms = []
    for arm in sweep.arms:
        mine = [fact for fact in facts if fact.slot.arm == arm]
        judged = [fact.result.judged(sweep.sparsification.track) for fact in mine]
        networks = [network for network in judged if network is not None]
        arms.append(
            ArmProgress(
                arm=arm,
                budget=sweep.search.trials * sweep.search.repeats,
                done=len({fact.slot.place for fact in mine}),
                claimed=0,
                networks=len(mine),
                diverged=sum(fact.result.state == "diverged" for fact in mine),
                collapsed=sum(fact.result.state == "collapsed" for fact in mine),
                failures={},
                last_error=None,
                best_accuracy=max((network.val_accuracy for network in networks), default=None),
                smallest_nonzero=min((network.nonzero for network in networks), default=None),
                seconds=sum(fact.result.seconds for fact in mine),
                pace=None,
            )
        )
    return SweepStatus(
        name=sweep.name,
        digest=sweep.digest,
        state="open",
        created_at=1_800_000_000.0,
        now=1_800_003_600.0,
        arms=tuple(arms),
    )


def small_study(**changes: Any) -> tuple[Sweep, list[TrialRecord]]:
    sweep = make_sweep(search={"trials": 2}, **changes)
    facts = [
        make_fact(sweep=sweep, arm="none", slot=0, nonzero=20_000, val=0.981, test=0.979),
        make_fact(sweep=sweep, arm="none", slot=1, nonzero=30_000, val=0.983, test=0.980),
        make_fact(sweep=sweep, arm="l1", slot=0, nonzero=4000, val=0.976, test=0.975),
        make_fact(sweep=sweep, arm="l1", slot=1, nonzero=8000, val=0.981, test=0.982),
    ]
    return sweep, facts
