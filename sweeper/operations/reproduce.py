"""Trials of other machines trained again on this one, and what came out put on record."""

from collections.abc import Callable, Sequence
from pathlib import Path

from sweeper.analysis.reproducibility import Platform
from sweeper.errors import InputError
from sweeper.store import Store
from sweeper.types import (
    ReproducibilityCheck,
    RetrainedTrial,
    SharedConfig,
    TrialRecord,
    TrialResult,
)
from sweeper.worker.trainer import Train, Trainer

TRIALS = 8


def reproduce(
    name: str,
    store: Store,
    *,
    trials: int = TRIALS,
    device: str = "auto",
    folder: Path | None = None,
    train: Train | None = None,
    on_trial: Callable[[int, int], None] = lambda done, all_: None,
) -> ReproducibilityCheck:
    """Train some trials again that come from another kind of machine, and record the outcome.

    They are spread over those of the sweep that were not yet trained again here. Raises InputError
    if there are none, and what training raises.
    """
    sweep, facts = store.sweep(name), store.records(name)
    trainer = Trainer(sweep, device=device, pack=trials, folder=folder, train=train)
    here = Platform.of(trainer.provenance)
    foreign = [fact for fact in facts if Platform.of(fact.provenance) != here]
    if not foreign:
        raise InputError(
            f"{name}: all {len(facts)} trials on record come from a machine like this one "
            f"({here}): there is no drift to check"
        )
    again = {
        (one.arm, one.repeat, one.slot)
        for check in store.reproducibility_checks(name)
        if Platform.of(check.provenance) == here
        for one in check.redone
    }
    left = [fact for fact in foreign if (fact.arm, fact.repeat, fact.slot) not in again]
    if not left:
        raise InputError(
            f"{name}: all {len(foreign)} trials of other machines were trained again on one like "
            f"this ({here}): nothing more can be measured here"
        )
    # Collapsed ones too: of networks near the floor only the lucky ones lie above it.
    chosen = _spread([fact for fact in left if fact.result.state != "diverged"] or left, trials)
    by_recipe: dict[SharedConfig, list[TrialRecord]] = {}
    for fact in chosen:
        by_recipe.setdefault(fact.config.recipe, []).append(fact)
    redone: list[RetrainedTrial] = []
    for group in by_recipe.values():
        on_trial(len(redone), len(chosen))
        results = trainer.train([fact.config for fact in group], lambda: None)
        redone += [_redone(fact, result) for fact, result in zip(group, results, strict=True)]
    on_trial(len(chosen), len(chosen))
    check = ReproducibilityCheck(trainer.provenance, tuple(redone))
    store.record_reproducibility_check(name, check)
    return check


def _spread(facts: Sequence[TrialRecord], count: int) -> list[TrialRecord]:
    """Return some facts at equal distances, in the order of slots, repeats and arms."""
    ordered = sorted(facts, key=lambda fact: (fact.slot, fact.repeat, fact.arm))
    if len(ordered) <= count:
        return ordered
    return [ordered[place * len(ordered) // count] for place in range(count)]


def _redone(fact: TrialRecord, result: TrialResult) -> RetrainedTrial:
    network = result.judged(fact.config.track)
    return RetrainedTrial(
        arm=fact.arm,
        repeat=fact.repeat,
        slot=fact.slot,
        state=result.state,
        nonzero=network.nonzero if network else 0,
        val_accuracy=network.val_accuracy if network else 0.0,
    )
