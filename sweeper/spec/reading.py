"""From YAML text to a checked value, with every problem as one line `file: key: what is wrong`."""

import re
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from sweeper.errors import SpecError, choices
from sweeper.spec.arms import Problems
from sweeper.spec.domains import DOMAIN_KEYS

_TAGS = frozenset({"fixed", *DOMAIN_KEYS})
_SCALARS = frozenset({"bool", "int", "float", "str"})
# PyYAML follows YAML 1.1, where 1e-5 (no dot) is a word, 010 is 8 and 1:30 is 90; to people and
# to YAML 1.2 the first is a number, the second is 10 and the third is a word.
_NUMBERS = {
    "tag:yaml.org,2002:int": re.compile(r"^[-+]?\d+(_\d+)*$"),
    "tag:yaml.org,2002:float": re.compile(
        r"^[-+]?(\d+\.\d*|\.\d+|\d+(?=[eE]))([eE][-+]?\d+)?$|^[-+]?\.(inf|Inf|INF)$|^\.(nan|NaN|NAN)$"
    ),
}

_NO_MAPPING = "must be a mapping of keys to values"
_NO_SCALAR = "must be a number, a word, true or false"
_NOT_FIXED = (
    "must be one fixed value (trials that differ here could not be trained as one pack or compared)"
)
_WANTED = {
    "bool_type": "must be true or false",
    "dict_type": _NO_MAPPING,
    "domain": f"must be a number or one of {', '.join(DOMAIN_KEYS)}",
    "strength": f"must be a number, auto or one of {', '.join(DOMAIN_KEYS)}",
    "float_type": "must be a number",
    "int_from_float": "must be a whole number",
    "int_type": "must be a whole number",
    "list_type": "must be a list",
    "model_attributes_type": _NO_MAPPING,
    "model_type": _NO_MAPPING,
    "string_type": "must be a word (put it in quotes)",
    "tuple_type": "must be a list",
}
"""pydantic's kind of error -> what is wanted there."""


class _Loader(yaml.SafeLoader):
    """SafeLoader that reads numbers as people do, and refuses a key that stands twice."""

    yaml_implicit_resolvers = {  # as PyYAML has it
        first: [(tag, pattern) for tag, pattern in some if tag not in _NUMBERS]
        for first, some in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                text = f"a key must be a word, got {_shown(key)}; put it in quotes"
                raise yaml.constructor.ConstructorError(None, None, text, key_node.start_mark)
            if key in seen:
                text = f"the key {key!r} stands twice"
                raise yaml.constructor.ConstructorError(None, None, text, key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


for _tag, _pattern in _NUMBERS.items():
    _Loader.add_implicit_resolver(_tag, _pattern, list("-+0123456789."))
_Loader.add_constructor("tag:yaml.org,2002:int", lambda _, node: int(node.value))


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
    except (yaml.YAMLError, ValueError) as error:  # a ValueError: such as a date that is none
        raise SpecError([f"{path}: {str(error).splitlines()[0]}"]) from error


def build(model: type[BaseModel], raw: Any, *, place: str) -> BaseModel:
    """Validate parsed YAML. Raises SpecError with all problems, in the order of the keys."""
    if not isinstance(raw, dict):
        raise SpecError(
            [f"{place}: {_NO_MAPPING}, got {'nothing' if raw is None else _shown(raw)}"]
        )
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        found = _without_echoes(error.errors())
        lines = [line for item in found for line in _lines(item, model, raw)]
        raise SpecError(f"{place}: {line}" for line in dict.fromkeys(lines)) from None


def _without_echoes(errors: list[ErrorDetails]) -> list[ErrorDetails]:
    """Leave out that a list is too short where only its wrong entries make it so."""

    def echoes(one: ErrorDetails) -> bool:
        depth = len(one["loc"])
        return one["type"] == "too_short" and any(
            len(other["loc"]) > depth and other["loc"][:depth] == one["loc"] for other in errors
        )

    return [error for error in errors if not echoes(error)]


class _Place(NamedTuple):
    path: list[str]
    given: Any
    """What stands there in the file."""
    in_range: bool
    """Whether it stands in the brackets of a domain."""


def _lines(error: ErrorDetails, model: type[BaseModel], raw: Any) -> list[str]:
    place = _place(error["loc"], raw)
    cause = error.get("ctx", {}).get("error")
    if isinstance(cause, Problems):
        found = [([*place.path, key] if key else place.path, text) for key, text in cause.problems]
    else:
        found = [(place.path, _message(error, place, model))]
    return [f"{'.'.join(path)}: {text}" if path else text for path, text in found]


def _place(location: tuple[int | str, ...], raw: Any) -> _Place:
    """Follow pydantic's location through the file, leaving out the names of union members."""
    path: list[str] = []
    in_range = False
    for part in location:
        if _is_domain(raw) and part in raw:
            # Once for the union member, which stands for the domain, once for its key.
            if in_range:
                raw = raw[part]
            in_range = True
        elif isinstance(raw, dict) and part in raw:
            path.append(str(part))
            raw = raw[part]
        elif isinstance(raw, list) and isinstance(part, int) and not in_range:
            path.append(str(part))
            raw = raw[part] if part < len(raw) else None
        elif part not in _TAGS | _SCALARS | {"[key]"} and not in_range:
            path.append(str(part))
    return _Place(path, raw, in_range)


def _is_domain(raw: Any) -> bool:
    if not isinstance(raw, dict) or len(raw) != 1:
        return False
    key, value = next(iter(raw.items()))
    return key in DOMAIN_KEYS and not isinstance(value, dict)


def _message(error: ErrorDetails, place: _Place, model: type[BaseModel]) -> str:
    kind = error["type"]
    if kind == "missing" and not place.in_range:
        return "required, but not given"
    if kind == "extra_forbidden":
        return f"unknown key: {choices(place.path[-1], _keys_beside(place.path, model))}"
    if kind == "value_error":
        return str(error.get("ctx", {}).get("error", error["msg"]))
    return f"{_wanted(error, place)}, got {_shown(place.given)}"


def _wanted(error: ErrorDetails, place: _Place) -> str:
    kind, scalar = error["type"], str(error["loc"][-1]) in _SCALARS
    if place.in_range and kind in {"missing", "too_long", "tuple_type"}:
        return "must be a list of values" if scalar else "must be [low, high]"
    if place.in_range and scalar:
        return f"each choice {_NO_SCALAR}"
    if (
        kind not in {"domain", "strength"}
        and isinstance(place.given, dict)
        and set(place.given) & set(DOMAIN_KEYS)
    ):
        return _NOT_FIXED
    if scalar:
        return _NO_SCALAR
    if kind in _WANTED:
        return _WANTED[kind]
    if kind == "too_short":
        return f"needs {error['ctx']['min_length']} or more"
    text = error["msg"].replace("Input should be", "must be")
    text = text.replace("greater than or equal to", ">=").replace("greater than", ">")
    return text.replace("less than or equal to", "<=").replace("less than", "<")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _keys_beside(path: list[str], model: type[BaseModel]) -> list[str]:
    """Return the keys that are known where the unknown key of `path` stands.

    One with `repr=False` is none of a study file.
    """
    current = model
    for part in path[:-1]:
        field = current.model_fields.get(part)
        inner = field.annotation if field else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            break
        current = inner
    return [name for name, field in current.model_fields.items() if field.repr]
