"""Probe plan: what is trained to find the range of a strength, and when two probes are the same."""

import hashlib
import json
from dataclasses import MISSING, asdict, fields, replace
from typing import Any

from sweeper.config.domains import omit_defaults
from sweeper.config.penalty import midpoint
from sweeper.config.sweep import Sweep
from sweeper.types import PruneConfig, SharedConfig, TrialConfig

PROBE_VERSION = 2
"""To be raised with any change of what a probe trains or how its range is read."""
PROBE_STEPS = 380
"""Training steps that the probe of a strength takes at least, whole epochs."""
_ALWAYS = frozenset({"precision", "finetuned_curve"})
"""Keys with a default that were there before keys at their defaults were left out."""


def probe_config(sweep: Sweep, arm: str, parameter: str) -> TrialConfig:
    """Return the configuration of a probe, at strength 1 and with nothing else searched.

    It is the same for every sweep that asks the same of it: seeds and density do not enter.
    """
    usual: dict[str, Any] = {
        key: float(midpoint(value))
        for key, value in sweep.shared_domains().items()
        if key != "density"
    }
    epochs = min(sweep.training.epochs, -(-PROBE_STEPS // sweep.steps_per_epoch))
    recipe = replace(
        sweep.recipe(0),
        epochs=epochs,
        finetune_epochs=0,
        order_seed=0,
        curve=(),
        finetuned_curve=(),
        # Nothing is cut; but penalties see the weights that are pruned alone.
        prune=PruneConfig(sweep.sparsification.prune),
    )
    return TrialConfig(
        recipe=recipe,
        init_seed=0,
        method=sweep.arms[arm].probed(parameter),
        floor=sweep.sparsification.floor,
        track="as_trained",
        density=1.0,
        **{**usual, "finetune_learning_rate_factor": 1.0},
    )


def probe_key(sweep: Sweep, arm: str, parameter: str) -> str:
    """Return the sha256 of what a probe trains: equal for probes that give the same.

    What code from outside computes may change: ranges stay with their sweep.
    """
    config = probe_config(sweep, arm, parameter)
    names = [term.penalty for term in config.method.terms]
    names += [config.recipe.model, config.recipe.loss.name, config.recipe.measure]
    outside = any(":" in name for name in names) or not sweep.dataset.in_registry
    known = asdict(config)
    # Keys that came later are left out at their defaults: what is on record stays known.
    usual = {
        field.name: field.default for field in fields(SharedConfig) if field.name not in _ALWAYS
    }
    newer = {
        key: asdict(value) if hasattr(value, "__dataclass_fields__") else value
        for key, value in usual.items()
        if value is not MISSING
    }
    known["recipe"] = omit_defaults(known["recipe"], **newer)
    known = omit_defaults(known, values=())
    parts = [PROBE_VERSION, sweep.name if outside else "", known]
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
