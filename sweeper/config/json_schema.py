"""JSON Schema of study files, for editors: built from the same models that read them."""

import re
from typing import Any

from sweeper.config.arm import NAME
from sweeper.config.ladder import MOST_RUNGS
from sweeper.config.registry import (
    DATASET_FORMS,
    DATASETS,
    FORMULAS,
    LOSSES,
    MEASURES,
    METHODS,
    MODELS,
    OPTIMIZERS,
    PLUGIN,
    PRECISIONS,
    RESERVED_FAMILIES,
    SAMPLERS,
    SCHEDULES,
    Formula,
    Hyperparameter,
    MethodEntry,
    dataset_plugins,
    method_plugins,
    plugins,
)
from sweeper.config.script_schema import add_scripts
from sweeper.config.sections import AUGMENTATION
from sweeper.config.sparsification import GRANULARITY
from sweeper.config.sweep import Sweep
from sweeper.config.teacher_choice import FILE

_DOMAINS = [{"$ref": f"#/$defs/{name}"} for name in ("Uniform", "LogUniform", "Integer", "Choice")]
_OUTSIDE = f"^{PLUGIN.pattern}$"
_WITH_WIDTHS = {name for name, entry in MODELS.items() if entry.with_widths}
_MODEL_TEXT = (
    rf"^\s*(({'|'.join(sorted(_WITH_WIDTHS))})\([\d\s,]*\)"
    r"|[A-Za-z_][\w.]*:[A-Za-z_][\w.]*)\s*$"
)


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12). What it refuses, `check` refuses too."""
    schema = Sweep.model_json_schema()
    parts, top = schema["$defs"], schema["properties"]
    top["name"]["pattern"] = f"^{NAME.pattern}$"
    del top["confirms"], parts["ConfirmationPlan"], parts["SelectedConfig"]
    del top["facts"], parts["DatasetFacts"]
    top["dataset"] = _dataset(parts.pop("DatasetChoice")["properties"])
    texts = {"enum": sorted(MODELS.keys() - _WITH_WIDTHS), "title": "Name"}
    top["model"] = {
        "anyOf": [
            texts,
            {"type": "string", "pattern": _MODEL_TEXT},
            {"$ref": "#/$defs/ModelChoice"},
        ]
    }
    parts["Training"]["properties"]["augment"]["items"]["pattern"] = f"^{AUGMENTATION.pattern}$"
    outside = {"type": "string", "pattern": rf"^\s*{PLUGIN.pattern}\s*$"}
    top["measure"] = {"anyOf": [{"enum": sorted(MEASURES)}, outside], "default": "accuracy"}
    teacher = parts["TeacherChoice"]["properties"]["network"]
    teacher["pattern"] = rf"^\s*({PLUGIN.pattern}|.*{re.escape(FILE)})\s*$"
    by_name = {"type": "string", "pattern": teacher["pattern"]}
    parts["Training"]["properties"]["teacher"]["anyOf"].append(by_name)
    parts["Training"]["properties"]["loss"] = _loss(parts.pop("LossChoice")["properties"])
    pruning = parts["Sparsification"]["properties"]
    pruning["granularity"]["pattern"] = f"^({GRANULARITY.pattern})$"
    pruning["prune"]["items"]["pattern"] = r"^!?\s*[^!\s]"
    pruning["densities"] = _ladder(pruning["densities"]["items"])
    parts["Training"]["properties"]["optimizer"]["enum"] = sorted(OPTIMIZERS)
    parts["Training"]["properties"]["precision"]["enum"] = sorted(PRECISIONS)
    parts["Training"]["properties"]["schedule"]["enum"] = sorted(SCHEDULES)
    decay = {"required": ["weight_decay"], "properties": {"weight_decay": {"not": {"const": 0}}}}
    parts["Training"]["allOf"] = [_when("optimizer", "adamw", decay)]
    parts["SearchSettings"]["properties"]["sampler"]["enum"] = sorted(SAMPLERS)
    top["arms"]["propertyNames"] = {"pattern": f"^{NAME.pattern}$", "not": {"const": "confirmed"}}
    names = {"type": "string", "pattern": f"^{NAME.pattern}$"}
    for side in parts["Comparison"]["properties"].values():
        side["anyOf"][0]["items"] = names
    parts["Arm"]["properties"]["family"] = {
        "anyOf": [{**names, "not": {"enum": [*RESERVED_FAMILIES]}}, {"type": "null"}],
        "default": None,
        "description": "The family that it is compared in: any name, or one of the catalogue's.",
    }
    parts["Arm"] = _arm(parts["Arm"], parts.pop("PenaltyKeys")["properties"])
    add_scripts(schema)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _ladder(density: Any) -> dict[str, Any]:
    """Return what a ladder may be: a list of densities, or its ends."""
    ends = {
        "type": "object",
        "properties": {
            "from": density,
            "to": density,
            "rungs": {"type": "integer", "minimum": 2, "maximum": MOST_RUNGS},
        },
        "required": ["from", "to", "rungs"],
        "additionalProperties": False,
    }
    listed = {
        "type": "array",
        "items": density,
        "minItems": 1,
        "maxItems": MOST_RUNGS,
        "uniqueItems": True,
    }
    return {"anyOf": [listed, ends]}


def _dataset(keys: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of `dataset`: a name, or a mapping with the keys that its name takes."""
    named = {"enum": sorted({*DATASETS, *dataset_plugins()})}
    own_function = {"type": "string", "pattern": rf"^\s*{PLUGIN.pattern}\s*$"}
    function = _keys({"name": {"anyOf": [named, own_function]}, "options": keys["options"]})
    forms = []
    for name, form in DATASET_FORMS.items():
        own_keys = {key: keys[key] for key in form.keys}
        required = [key for key, needed in form.keys.items() if needed]
        schema = _keys({"name": {"const": name}, **own_keys}, *required)
        forms.append({"description": form.summary, **schema})
    # What options a function takes, only its code can tell; a name of the registry takes none.
    function["if"] = {"properties": {"name": {"enum": sorted(DATASETS)}}}
    function["then"] = {"properties": {"options": {"maxProperties": 0}}}
    return {"anyOf": [named, own_function, function, *forms]}


def _loss(keys: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of `training.loss`: a name, or a mapping with what its name takes."""
    smooth = sorted(name for name, entry in LOSSES.items() if entry.takes_smoothing)
    outside = {"type": "string", "pattern": rf"^\s*{PLUGIN.pattern}\s*$"}
    named = {"anyOf": [{"enum": sorted(LOSSES)}, outside]}
    return {
        "anyOf": [
            *named["anyOf"],
            _keys({"name": named}),
            _keys({"name": {"enum": smooth}, "label_smoothing": keys["label_smoothing"]}),
        ],
        "default": "cross_entropy",
    }


def _keys(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": ["name", *required],
        "additionalProperties": False,
    }


def _arm(base: dict[str, Any], shared: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of an arm: its further keys depend on the penalty and the method.

    `shared` are the keys of every penalty in a sum.
    """
    arm = {key: value for key, value in base.items() if key != "additionalProperties"}
    outside = {"anyOf": [{"enum": sorted(plugins())}, {"type": "string", "pattern": _OUTSIDE}]}
    properties = arm["properties"]
    properties["penalty"] = {
        "anyOf": [{"enum": sorted(FORMULAS)}, outside],
        "default": "none",
        "description": "A formula: see `sweeper regularizers`.",
    }
    outside_method = {
        "anyOf": [{"enum": sorted(method_plugins())}, {"type": "string", "pattern": _OUTSIDE}]
    }
    properties["method"] = {
        "anyOf": [{"enum": [*METHODS, None]}, outside_method],
        "default": None,
        "description": "What else the arm does to training: see `sweeper regularizers`.",
    }
    properties["sum"] = {
        "type": "object",
        "description": "Two or more formulas in place of `penalty`, each with its own strength.",
        "properties": {
            name: _summand(shared, formula) for name, formula in FORMULAS.items() if name != "none"
        },
        "patternProperties": {_OUTSIDE: {"type": "object"}},
        "additionalProperties": False,
    }
    for name in plugins():
        properties["sum"]["properties"][name] = {"type": "object"}
    of_its_own = {"properties": {"penalty": outside}, "required": ["penalty"]}
    arm["allOf"] = [
        *(_when("penalty", name, _further(formula)) for name, formula in FORMULAS.items()),
        *(_when("method", name, _method(entry)) for name, entry in METHODS.items()),
        # What keys it takes, only its code can tell.
        {"if": of_its_own, "then": {"unevaluatedProperties": True}},
        {
            "if": {"properties": {"method": outside_method}, "required": ["method"]},
            "then": {"unevaluatedProperties": True},
        },
    ]
    arm["unevaluatedProperties"] = False
    return arm


def _summand(shared: dict[str, Any], formula: Formula) -> dict[str, Any]:
    schema = _further(formula)
    return {
        **schema,
        "type": "object",
        "properties": {**shared, **schema["properties"]},
        "additionalProperties": False,
    }


def _when(key: str, name: str, then: dict[str, Any]) -> dict[str, Any]:
    return {"if": {"properties": {key: {"const": name}}, "required": [key]}, "then": then}


def _further(formula: Formula) -> dict[str, Any]:
    required = {} if formula is FORMULAS["none"] else {"required": ["strength"]}
    properties = {
        "apply": {"enum": [*formula.modes, None], "description": "How the penalty is applied."},
        **{key: _hyper(hyper) for key, hyper in formula.hyper.items()},
    }
    return {"description": formula.summary, "properties": properties, **required}


def _method(entry: MethodEntry) -> dict[str, Any]:
    properties = {key: _hyper(hyper) for key, hyper in entry.hyper.items()}
    required = {"required": ["strength"]} if entry.has_strength else {}
    return {"description": entry.summary, "properties": properties, **required}


def _hyper(hyper: Hyperparameter) -> dict[str, Any]:
    if hyper.choices:
        allowed: list[dict[str, Any]] = [{"enum": list(hyper.choices)}, {"$ref": "#/$defs/Choice"}]
    else:
        allowed = [{"type": "number"}, *_DOMAINS]
    return {"anyOf": allowed, "default": hyper.default, "description": hyper.summary}
