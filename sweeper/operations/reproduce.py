"""Reproducibility check: trials of other machines trained again here, the outcome on record."""

from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from sweeper.analysis.reproducibility import Platform
from sweeper.errors import InputError
from sweeper.store import Store
from sweeper.trainers.open_trainer import open_trainer
from sweeper.trainers.trainer import Train, Trainer
from sweeper.types import (
    ReproducibilityCheck,
    RetrainedTrial,
    SharedConfig,
    TrialRecord,
    TrialResult,
    nothing,
)

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
    sweep = store.sweep(name)
    with (
        TemporaryDirectory(prefix="sweeper-") as files,  # a script's own are left as they are
        closing(
            open_trainer(
                sweep,
                device=device,
                pack=trials,
                folder=folder,
                train=train,
                trials=Path(files),
            )
        ) as trainer,
    ):
        return _reproduce(name, store, trainer, trials, on_trial)


def _reproduce(
    name: str,
    store: Store,
    trainer: Trainer,
    trials: int,
    on_trial: Callable[[int, int], None],
) -> ReproducibilityCheck:
    records = store.records(name)
    noun = f"{store.sweep(name).record_noun}s"
    here = Platform.of(trainer.provenance)
    foreign = [record for record in records if Platform.of(record.provenance) != here]
    if not foreign:
        raise InputError(
            f"{name}: all {len(records)} {noun} on record come from a machine like this one "
            f"({here}): there is nothing to reproduce"
        )
    retrained_places = {
        trial.place
        for check in store.reproducibility_checks(name)
        if Platform.of(check.provenance) == here
        for trial in check.redone
    }
    left = [record for record in foreign if record.place not in retrained_places]
    if not left:
        raise InputError(
            f"{name}: all {len(foreign)} {noun} of other machines were trained again on one like "
            f"this ({here}): nothing more can be measured here"
        )
    # Collapsed ones too: of networks near the floor only the lucky ones lie above it.
    selected = _spread(
        [record for record in left if record.result.state != "diverged"] or left, trials
    )
    by_recipe: dict[SharedConfig, list[TrialRecord]] = {}
    for record in selected:
        by_recipe.setdefault(record.config.recipe, []).append(record)
    retrained: list[RetrainedTrial] = []
    for group in by_recipe.values():
        on_trial(len(retrained), len(selected))
        results = trainer.train(group, nothing)
        pairs = zip(group, results, strict=True)
        retrained += [_retrained_trial(record, result) for record, result in pairs]
    on_trial(len(selected), len(selected))
    check = ReproducibilityCheck(trainer.provenance, tuple(retrained))
    store.record_reproducibility_check(name, check)
    return check


def _spread(records: Sequence[TrialRecord], count: int) -> list[TrialRecord]:
    """Return some records at equal distances, in the order of slots, repeats and arms."""
    ordered = sorted(
        records, key=lambda record: (record.slot.number, record.slot.repeat, *record.place)
    )
    if len(ordered) <= count:
        return ordered
    return [ordered[place * len(ordered) // count] for place in range(count)]


def _retrained_trial(record: TrialRecord, result: TrialResult) -> RetrainedTrial:
    network = result.judged(record.config.track)
    return RetrainedTrial(
        arm=record.slot.arm,
        repeat=record.slot.repeat,
        slot=record.slot.number,
        state=result.state,
        nonzero=network.nonzero if network else 0,
        val_accuracy=network.val_accuracy if network else 0.0,
        network=record.network,
    )
