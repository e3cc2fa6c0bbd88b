"""From YAML text to a checked value, with every problem as one line `file: key: what is wrong`."""

import math
import re
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from sweeper.errors import SpecError, choices
from sweeper.spec.arms import Problems
from sweeper.spec.domains import DOMAIN_KEYS

_UNION_TAGS = frozenset({"fixed", *DOMAIN_KEYS})
# PyYAML follows YAML 1.1, where 1e-5 (no dot) is a word; YAML 1.2 and people say it is a number.
_FLOAT = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?")


class _Loader(yaml.SafeLoader):
    """SafeLoader that reads 1e-5 as a number and refuses a key that stands twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)  # type: ignore[no-untyped-call]
            if isinstance(key, list | dict):
                raise yaml.constructor.ConstructorError(None, None, "a key must be a word")
            if key in seen:
                text = f"the key {key!r} stands twice"
                raise yaml.constructor.ConstructorError(None, None, text, key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(  # type: ignore[no-untyped-call]
    "tag:yaml.org,2002:float", re.compile(rf"^{_FLOAT.pattern}$"), list("-+0123456789.")
)


def parse(path: Path) -> Any:
    """Read a YAML file. Raises SpecError with the place of a syntax error."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise SpecError([f"{path}: cannot be read: {error.strerror}"]) from error
    except UnicodeDecodeError as error:
        raise SpecError([f"{path}: is not UTF-8 text (byte {error.start})"]) from error
    try:
        return yaml.load(text, _Loader)  # noqa: S506  # a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise SpecError([f"{path}: {place}{error.problem}"]) from error
    except yaml.YAMLError as error:
        raise SpecError([f"{path}: {str(error).splitlines()[0]}"]) from error


def build(model: type[BaseModel], raw: Any, *, place: str) -> BaseModel:
    """Validate parsed YAML. Raises SpecError with all problems, in the order of the keys."""
    if not isinstance(raw, dict):
        kind = "empty" if raw is None else type(raw).__name__
        raise SpecError([f"{place}: must be a mapping of keys to values, got {kind}"])
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        lines = [line for item in error.errors() for line in _lines(item, model)]
        raise SpecError(f"{place}: {line}" for line in dict.fromkeys(lines)) from None


def _lines(error: ErrorDetails, model: type[BaseModel]) -> list[str]:
    path = [str(part) for part in error["loc"] if str(part) not in _UNION_TAGS]
    cause = error.get("ctx", {}).get("error")
    if isinstance(cause, Problems):
        return [_line([*path, key] if key else path, text) for key, text in cause.problems]
    return [_line(path, _message(error, path, model))]


def _line(path: list[str], message: str) -> str:
    key = ".".join(path)
    return f"{key}: {message}" if key else message


def _message(error: ErrorDetails, path: list[str], model: type[BaseModel]) -> str:
    kind, given = error["type"], error["input"]
    shown = _shown(given)
    match kind:
        case "missing":
            return "required, but not given"
        case "extra_forbidden":
            return f"unknown key: {choices(path[-1], _keys_beside(path, model))}"
        case "domain":
            return f"must be a number or one of {', '.join(DOMAIN_KEYS)}, got {shown}"
        case "value_error":
            return str(error.get("ctx", {}).get("error", error["msg"]))
        case "literal_error":
            return f"{error['msg'].replace('Input should be', 'must be')}, got {shown}"
        case _ if isinstance(given, dict) and set(given) & set(DOMAIN_KEYS):
            return (
                f"must be one fixed value, got the domain {shown}; "
                "trials that differ here could not be trained as one pack or compared"
            )
        case _:
            text = error["msg"].replace("Input should be", "must be")
            text = text.replace("greater than or equal to", ">=").replace("greater than", ">")
            text = text.replace("less than or equal to", "<=").replace("less than", "<")
            return f"{text}, got {shown}"


def _shown(value: Any) -> str:
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:g}"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _keys_beside(path: list[str], model: type[BaseModel]) -> list[str]:
    """Return the keys that are known where the unknown key of `path` stands."""
    current = model
    for part in path[:-1]:
        field = current.model_fields.get(part)
        inner = field.annotation if field else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            break
        current = inner
    return list(current.model_fields)
