"""Sweep of networks that are trained in packs: the recipe and the trials that its file says."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sweeper.config.seeds import derive_seed
from sweeper.types import Scalar, SharedConfig, TrialConfig

if TYPE_CHECKING:
    from sweeper.config.sweep import Sweep


def packed_recipe(sweep: "Sweep", repeat: int, order_seed: int) -> SharedConfig:
    """Return the settings that all trials of a repeat share."""
    training, rule = sweep.training, sweep.sparsification
    return SharedConfig(
        model=sweep.model.name,
        model_options=sweep.model.arguments,
        dataset=sweep.dataset.name,
        batch_size=training.batch_size,
        epochs=training.epochs,
        finetune_epochs=rule.finetune_epochs,
        optimizer=training.optimizer,
        schedule=training.schedule,
        repeat=repeat,
        order_seed=order_seed,
        curve=rule.curve,
        precision=training.precision,
        finetuned_curve=rule.finetuned_curve,
        dataset_options=sweep.dataset.arguments,
        split=sweep.split.config(derive_seed(sweep.seed, "split", repeat)),
        augment=training.augment,
        loss=training.loss.config,
        measure=sweep.measure,
        teacher=None if training.teacher is None else training.teacher.config,
        prune=rule.prune_config,
    )


def packed_config(
    sweep: "Sweep",
    arm: str,
    recipe: SharedConfig,
    init_seed: int,
    params: Mapping[str, Scalar],
    rung: int,
) -> TrialConfig:
    """Return a trial with the searched values filled in, its network at a rung of the ladder."""
    shared: dict[str, Any] = {
        key: float(params.get(key, value)) for key, value in sweep.shared_domains().items()
    }
    if densities := sweep.sparsification.densities:
        entry = sweep.arms[arm].entry
        passes = entry is not None and entry.passes_densities
        told = densities[-1] if passes else densities[0]
        shared |= {"density": densities[rung], "training_density": told}
    return TrialConfig(
        recipe=recipe,
        init_seed=init_seed,
        method=sweep.arms[arm].config(params),
        floor=sweep.sparsification.floor,
        track=sweep.sparsification.track,
        **shared,
    )
