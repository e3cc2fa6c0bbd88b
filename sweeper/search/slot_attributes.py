"""Attributes of a trial of a slot in Optuna's study: which slot it is of, and what it is given."""

from collections.abc import Mapping

from sweeper.config import Sweep
from sweeper.search.objectives import ENQUEUED
from sweeper.types import EnqueuedConfig, Place, Scalar, Slot, TrialConfig


def slot_attributes(
    sweep: Sweep,
    enqueued: Mapping[Place, EnqueuedConfig],
    slot: Slot,
    network: int,
    config: TrialConfig,
    device: str,
) -> dict[str, Scalar]:
    """Return the attributes of a network of a slot; those of its result come when it is told."""
    # A study of confirmed networks holds all repeats; elsewhere its name says which.
    repeat = {"repeat": slot.repeat} if sweep.confirms else {}
    where: dict[str, Scalar] = {"arm": slot.arm, **repeat, "slot": slot.number, "device": device}
    if given := enqueued.get(slot.place):
        where[ENQUEUED] = given.source
    if sweep.seeds > 1:
        where["seed"] = network // sweep.rungs
    if config.recipe.script is None:
        return {**where, "strength": config.method.strength, "density": config.density}
    return where | ({"strength": config.method.strength} if config.method.terms else {})
