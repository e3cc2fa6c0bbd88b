"""Sweep of a script: what stands in place of dataset, model, training and sparsification."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from sweeper.config.arm import SectionErrors
from sweeper.config.dataset import NO_DATASET, DatasetChoice
from sweeper.config.measure import rename_corner, rename_targets
from sweeper.config.penalty import Problem, is_domain
from sweeper.config.script import GIVEN, Objectives, command_problems, parameter_problems
from sweeper.config.sections import NO_MODEL, ModelChoice, Training
from sweeper.config.sparsification import Sparsification
from sweeper.errors import shown
from sweeper.types import Scalar, ScriptConfig, SharedConfig, TrialConfig

if TYPE_CHECKING:
    from sweeper.config.sweep import Sweep

PACKED = ("dataset", "split", "model", "measure", "training", "sparsification")
"""Keys of sweeps whose networks are trained in packs."""
SCRIPTED = ("time_limit", "resources", "objectives", "parameters")
"""Keys of sweeps of scripts, beside `trial` and `command`."""


def is_script(raw: Any) -> bool:
    """Tell whether the parts of a study file are those of a script."""
    return isinstance(raw, Mapping) and any(raw.get(key) for key in ("trial", "command"))


def with_packed_keys(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parts of a study file of a script with what other sweeps have, empty.

    Raises SectionErrors for keys that are not for scripts.
    """
    key = "trial" if raw.get("trial") else "command"
    text = f"is not for a sweep with `{key}`, which brings its own"
    problems = [(name, text) for name in PACKED if name in raw]
    if raw.get("trial") and raw.get("command"):
        problems.append(("command", "a sweep has either a trial or a command"))
    if problems:
        raise SectionErrors(problems)
    named = raw.get("objectives")
    labels = dict(named) if isinstance(named, Mapping) else {}
    try:
        objectives = Objectives.model_validate(labels)
    except ValueError:  # said when the section is read
        objectives = Objectives()
    keys = {objectives.quality_key: "accuracy", objectives.size_key: "nonzero"}
    return {
        **rename_corner(rename_targets(raw, keys), {objectives.size_key: "nonzero"}),
        "dataset": DatasetChoice.model_construct(name=NO_DATASET),
        "model": ModelChoice.model_construct(name=NO_MODEL),
        "training": Training(epochs=1),
        "sparsification": Sparsification(density=1.0, finetune_epochs=0, curve=()),
    }


def without_packed_keys(written: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is written of a sweep of a script, without what `with_packed_keys` added."""
    return {key: value for key, value in written.items() if key not in PACKED}


def problems(sweep: "Sweep") -> list[Problem]:
    """Return what a script cannot have, and the names that it cannot be given."""
    problems: list[Problem] = []
    if "targets" not in sweep.model_fields_set and sweep.size_key != "nonzero":
        text = f"required: {sweep.size_key} and {sweep.measure_key} at which fronts are read off"
        problems.append(("targets", text))
    problems += [
        (f"parameters.{name}", text) for name, text in parameter_problems((*sweep.parameters,), {})
    ]
    for name, arm in sweep.arms.items():
        taken = {key: "searched of the penalty" for term in arm.terms for key in term.domains}
        problems += [
            (f"arms.{name}.parameters.{key}", text)
            for key, text in parameter_problems((*arm.parameters,), taken)
        ]
        problems += [
            (f"parameters.{key}", f"is searched of the penalty of {name} already; rename it")
            for key in sweep.parameters
            if key in taken
        ]
        if arm.method is not None:
            text = "is for networks that are trained in packs; a script trains as it likes"
            problems.append((f"arms.{name}.method", text))
        for parameter in sweep.auto_parameters(name):
            text = "auto is for networks that are trained in packs: write a number or a domain"
            problems.append((f"arms.{name}.{_key(parameter)}", text))
        if sweep.command:
            known = (*GIVEN, *values_of(sweep, name))
            problems += [("command", text) for text in command_problems(sweep.command, known)]
    return list(dict.fromkeys(problems))


def packed_problems(sweep: "Sweep") -> list[Problem]:
    """Return the keys of scripts in a sweep that has none."""
    problems = [
        (key, "is for sweeps with `trial` or `command`")
        for key in SCRIPTED
        if key in sweep.model_fields_set
    ]
    problems += [
        (f"arms.{name}.parameters", "is for sweeps with `trial` or `command`")
        for name, arm in sweep.arms.items()
        if arm.parameters
    ]
    for key, name in (("dataset", sweep.dataset.name), ("model", sweep.model.name)):
        if name == NO_DATASET:
            problems.append((key, f"must be one, got {shown(name)}; see `trial` and `command`"))
    return problems


def _key(parameter: str) -> str:
    return f"sum.{parameter}" if "." in parameter else parameter


def values_of(sweep: "Sweep", arm: str) -> tuple[str, ...]:
    """Return the names of all values that a trial of an arm is given."""
    return tuple(sorted({*sweep.parameters, *sweep.arms[arm].parameters, *sweep.domains(arm)}))


def script_recipe(script: ScriptConfig, repeat: int, order_seed: int) -> SharedConfig:
    """Return what all trials of a repeat share: the script and a seed, all else is empty."""
    return SharedConfig(
        model="",
        model_options=(),
        dataset="",
        batch_size=0,
        epochs=0,
        finetune_epochs=0,
        optimizer="",
        schedule="",
        repeat=repeat,
        order_seed=order_seed,
        curve=(),
        script=script,
    )


def script_config(
    sweep: "Sweep", arm: str, recipe: SharedConfig, init_seed: int, params: Mapping[str, Scalar]
) -> TrialConfig:
    """Return the trial of a script: its method, and all that it is given by name."""
    fixed = {**sweep.parameters, **sweep.arms[arm].parameters}
    given = {key: value for key, value in fixed.items() if not is_domain(value)} | dict(params)
    return TrialConfig(
        recipe=recipe,
        init_seed=init_seed,
        method=sweep.arms[arm].config(params),
        values=tuple(sorted((key, cast(Scalar, value)) for key, value in given.items())),
        floor=sweep.objectives.floor,
        track=sweep.sparsification.track,
        learning_rate=0.0,
        momentum=0.0,
        finetune_learning_rate_factor=0.0,
        density=1.0,
    )
