"""JSON Schema of scripts: what a file with `trial` or `command` says, and what it cannot have."""

from typing import Any

from sweeper.config.arm import PARAMETER
from sweeper.config.registry import PLUGIN
from sweeper.config.script import GIVEN
from sweeper.config.script_sweep import PACKED, SCRIPTED

_TIME = r"^\s*\d+(\.\d*)?\s*(s|m|h|d)\s*$"
_MEMORY = r"^\s*\d+(\.\d*)?\s*([MGT]B|[MGT]iB)\s*$"


def add_scripts(schema: dict[str, Any]) -> None:
    """Add the keys of scripts to the schema of study files, and which keys go together."""
    top, parts = schema["properties"], schema["$defs"]
    top["trial"] |= {
        "anyOf": [{"type": "string", "pattern": rf"^\s*{PLUGIN.pattern}\s*$"}, {"type": "null"}],
        "description": "A function of yours that trains, package.module:function.",
    }
    argument = {"type": ["string", "number"]}
    top["command"] |= {
        "anyOf": [{"type": "array", "items": argument, "minItems": 1}, {"type": "null"}],
        "description": "A command of yours that trains; {name} stands for a value.",
    }
    top["time_limit"]["anyOf"].append({"type": "string", "pattern": _TIME})
    top["time_limit"]["description"] = "Seconds, or 90s, 10m, 2h: a longer attempt is ended."
    memory = parts["Resources"]["properties"]["memory"]
    memory["anyOf"].append({"type": "string", "pattern": _MEMORY})
    names = {"pattern": f"^{PARAMETER.pattern}$", "not": {"enum": [*GIVEN]}}
    for owner in (top, parts["Arm"]["properties"]):
        owner["parameters"]["propertyNames"] = names
    targets = parts["Targets"]
    qualities, sizes = (targets["properties"][key] for key in ("accuracy", "nonzero"))
    # Under the names of the measure and of the size, which may be a user's own.
    own_key = r"^(?!nonzero$)[A-Za-z_]\w*$"
    targets["patternProperties"] = {own_key: {"anyOf": [qualities, sizes]}}
    reference = parts["Reference"]
    corner = reference["properties"]["nonzero"]
    reference["patternProperties"] = {r"^(?!nonzero$|error$)[A-Za-z_]\w*$": corner}
    required = ("dataset", "model", "training")
    schema["required"] = [key for key in schema["required"] if key not in required]
    has_trial = {"properties": {"trial": {"type": "string"}}, "required": ["trial"]}
    has_command = {"properties": {"command": {"type": "array"}}, "required": ["command"]}
    no_auto = {"strength": {"not": {"const": "auto"}}}
    schema["if"] = {"anyOf": [has_trial, has_command]}
    schema["then"] = {
        "properties": {
            **dict.fromkeys(PACKED, False),
            "arms": _of_arms({"method": {"const": None}, **no_auto}, no_auto),
        },
        "not": {"allOf": [has_trial, has_command]},
    }
    schema["else"] = {
        "properties": {
            **dict.fromkeys(SCRIPTED, False),
            "arms": _of_arms({"parameters": {"maxProperties": 0}}),
            "targets": {"patternProperties": {own_key: qualities}},
            "reference": {"propertyNames": {"enum": ["nonzero", "error"]}},
        },
        "required": [*required],
    }


def _of_arms(
    properties: dict[str, Any], of_summands: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Return the schema of arms with such properties, and of the penalties in their sums."""
    if of_summands:
        properties["sum"] = {"additionalProperties": {"properties": of_summands}}
    return {"additionalProperties": {"properties": properties}}
