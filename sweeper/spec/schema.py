"""The JSON Schema of study files, for editors: built from the same models that read them."""

from typing import Any

from sweeper.catalogue import (
    DATASETS,
    FORMULAS,
    MODELS,
    OPTIMIZERS,
    SAMPLERS,
    SCHEDULES,
    Formula,
    Hyper,
)
from sweeper.spec.parts import NAME
from sweeper.spec.sweep import Sweep

_DOMAINS = [{"$ref": f"#/$defs/{name}"} for name in ("Uniform", "LogUniform", "Integer", "Choice")]
_MODEL_TEXT = r"^\s*(mlp\([\d\s,]*\)|[A-Za-z_][\w.]*:[A-Za-z_][\w.]*)\s*$"


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12). What it refuses, `check` refuses too."""
    schema = Sweep.model_json_schema()
    parts, top = schema["$defs"], schema["properties"]
    top["name"]["pattern"] = f"^{NAME.pattern}$"
    top["dataset"]["enum"] = sorted(DATASETS)
    texts = {"enum": sorted(set(MODELS) - {"mlp"}), "title": "Name"}
    top["model"] = {
        "anyOf": [
            texts,
            {"type": "string", "pattern": _MODEL_TEXT},
            {"$ref": "#/$defs/ModelChoice"},
        ]
    }
    parts["Training"]["properties"]["optimizer"]["enum"] = sorted(OPTIMIZERS)
    parts["Training"]["properties"]["schedule"]["enum"] = sorted(SCHEDULES)
    parts["Search"]["properties"]["sampler"]["enum"] = sorted(SAMPLERS)
    top["arms"]["propertyNames"] = {"pattern": f"^{NAME.pattern}$", "not": {"const": "confirmed"}}
    parts["Arm"] = _arm(parts["Arm"])
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _arm(base: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of an arm: its further keys depend on the penalty."""
    arm = {key: value for key, value in base.items() if key != "additionalProperties"}
    arm["properties"]["penalty"]["enum"] = sorted(FORMULAS)
    arm["allOf"] = [
        {
            "if": {"properties": {"penalty": {"const": name}}, "required": ["penalty"]},
            "then": _further(name, formula),
        }
        for name, formula in FORMULAS.items()
    ]
    arm["unevaluatedProperties"] = False
    return arm


def _further(name: str, formula: Formula) -> dict[str, Any]:
    properties = {
        "apply": {"enum": [*formula.ways, None], "description": "How the penalty is applied."},
        **{key: _hyper(hyper) for key, hyper in formula.hyper.items()},
    }
    required = {} if name == "none" else {"required": ["strength"]}
    return {"description": formula.summary, "properties": properties, **required}


def _hyper(hyper: Hyper) -> dict[str, Any]:
    if hyper.choices:
        allowed: list[dict[str, Any]] = [{"enum": list(hyper.choices)}, {"$ref": "#/$defs/Choice"}]
    else:
        allowed = [{"type": "number"}, *_DOMAINS]
    return {"anyOf": allowed, "default": hyper.default}
