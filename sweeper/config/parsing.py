"""Parsing of study files: YAML text to a checked value, each problem a line `file: key: fault`."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from sweeper.config import file_limits
from sweeper.config.arm import SectionErrors
from sweeper.config.domains import DOMAIN_KEYS
from sweeper.errors import SHOWN, SpecError, choices, meant_share, shown

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


MOST_PROBLEMS = 20
"""Lines that are said of one file; how many more there are is said in one."""
_LONGEST = 1500
"""Characters of one of them; lists of what is allowed take most."""
_NO_TAGS = frozenset({"binary", "omap", "pairs", "set"})
"""Of YAML 1.1, and of no study file. A set has no order, so that no two runs would agree on it."""


# libyaml's parser, where PyYAML was built with it, takes a fifth of the time.
class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """SafeLoader that reads numbers as people do, and refuses a key that stands twice."""

    yaml_implicit_resolvers = {  # as PyYAML has it
        first: [(tag, pattern) for tag, pattern in some if tag not in _NUMBERS]
        for first, some in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    yaml_constructors = {
        tag: made
        for tag, made in yaml.SafeLoader.yaml_constructors.items()
        if str(tag).rpartition(":")[2] not in _NO_TAGS
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                text = f"a key must be a word, got {shown(key)}; put it in quotes"
                raise yaml.constructor.ConstructorError(None, None, text, key_node.start_mark)
            if key in seen:
                text = f"the key {shown(key)} stands twice"
                raise yaml.constructor.ConstructorError(None, None, text, key_node.start_mark)
            seen.add(key)
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping


def _whole(_: Any, node: yaml.ScalarNode) -> int:
    try:
        return int(node.value)
    except ValueError:  # Python reads 4,300 digits
        text = f"a number of {len(node.value):,} digits is too large"
        raise yaml.constructor.ConstructorError(None, None, text, node.start_mark) from None


for _tag, _pattern in _NUMBERS.items():
    _Loader.add_implicit_resolver(_tag, _pattern, list("-+0123456789."))
_Loader.add_constructor("tag:yaml.org,2002:int", _whole)


def parse(path: Path) -> Any:
    """Read a YAML file. Raises SpecError with the place of a syntax error, or of what is too much.

    All that is refused is refused before the file takes more memory than its text does.
    """
    return parse_text(file_limits.read(path), str(path))


def parse_text(text: str, source: str) -> Any:
    """Read YAML. Raises SpecError as `parse` does; `source` is the place that it names."""
    try:
        file_limits.refuse_too_much(text, _Loader)
        return yaml.load(text, _Loader)  # noqa: S506  # a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise SpecError([f"{source}: {place}{_cut(str(error.problem), 300)}"]) from error
    except yaml.reader.ReaderError as error:
        place = f"line {text.count(chr(10), 0, error.position) + 1}: "
        raise SpecError([f"{source}: {place}{str(error).splitlines()[0]}"]) from error
    except (yaml.YAMLError, ValueError) as error:  # a ValueError: such as a date that is none
        raise SpecError([f"{source}: {_cut(str(error).splitlines()[0], 300)}"]) from error


def build(
    model: type[BaseModel], raw: Any, *, place: str, place_of: Callable[[str], str] | None = None
) -> BaseModel:
    """Validate parsed YAML. Raises SpecError with its problems, in the order of the keys.

    `place_of` returns how a line about a key begins, where that is not `place` and the key.
    """
    if not isinstance(raw, dict):
        raise SpecError([f"{place}: {_NO_MAPPING}, got {'nothing' if raw is None else shown(raw)}"])
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        raise SpecError(_problems(error, model, raw, place, place_of)) from None


def _problems(
    error: ValidationError,
    model: type[BaseModel],
    raw: Any,
    place: str,
    place_of: Callable[[str], str] | None,
) -> list[str]:
    begin = place_of or (lambda key: f"{place}: {key}" if key else place)
    errors = _without_echoes(error.errors(include_url=False))
    lines: dict[str, None] = {}
    for number, item in enumerate(errors):
        lines |= dict.fromkeys(
            _cut(f"{begin(key)}: {text}", _LONGEST) for key, text in _faults(item, model, raw)
        )
        if len(lines) > MOST_PROBLEMS:
            more = len(lines) - MOST_PROBLEMS + len(errors) - number - 1
            first = [*lines][:MOST_PROBLEMS]
            return [*first, f"{place}: and {more:,} more problems"]
    return [*lines]


def _without_echoes(errors: list[ErrorDetails]) -> list[ErrorDetails]:
    """Leave out that a list is too short where only its wrong entries make it so."""
    outer = {error["loc"][:depth] for error in errors for depth in range(len(error["loc"]))}
    return [error for error in errors if error["type"] != "too_short" or error["loc"] not in outer]


class _Place(NamedTuple):
    path: list[str]
    value: Any
    """The value there in the file."""
    in_range: bool
    """Whether it stands in the brackets of a domain."""


def _faults(error: ErrorDetails, model: type[BaseModel], raw: Any) -> list[tuple[str, str]]:
    """Return the keys that an error is about, and what is wrong with each."""
    place = _place(error["loc"], raw)
    cause = error.get("ctx", {}).get("error")
    if isinstance(cause, SectionErrors):
        problems = [
            ([*place.path, key] if key else place.path, text) for key, text in cause.problems
        ]
    else:
        problems = [(place.path, _message(error, place, model))]
    return [(".".join(_cut(part, SHOWN) for part in path), text) for path, text in problems]


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
    is_share = error.get("ctx", {}).get("lt") == 1
    meant = meant_share(place.value) if is_share else ""
    return f"{_wanted(error, place)}, got {shown(place.value)}{meant}"


def _wanted(error: ErrorDetails, place: _Place) -> str:
    kind, scalar = error["type"], str(error["loc"][-1]) in _SCALARS
    if place.in_range and kind in {"missing", "too_long", "tuple_type"}:
        return "must be a list of values" if scalar else "must be [low, high]"
    if place.in_range and scalar:
        return f"each choice {_NO_SCALAR}"
    if (
        kind not in {"domain", "strength"}
        and isinstance(place.value, dict)
        and set(place.value) & set(DOMAIN_KEYS)
    ):
        return _NOT_FIXED
    if scalar:
        return _NO_SCALAR
    return allowed(error)


def allowed(error: ErrorDetails) -> str:
    """Return the demand of pydantic at a place, in our own words."""
    kind = error["type"]
    if kind in _WANTED:
        return _WANTED[kind]
    if kind == "too_short":
        return f"needs {error['ctx']['min_length']} or more"
    if kind == "too_long":
        return f"must have {error['ctx']['max_length']} entries or fewer"
    text = error["msg"].replace("Input should be", "must be")
    text = text.replace("greater than or equal to", ">=").replace("greater than", ">")
    return text.replace("less than or equal to", "<=").replace("less than", "<")


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 3]}..."


def _keys_beside(path: list[str], model: type[BaseModel]) -> list[str]:
    """Return the keys that are known where the unknown key of `path` stands.

    One with `repr=False` is none of a study file.
    """
    current = model
    for part in path[:-1]:
        field = current.model_fields.get(part)
        inner = field.annotation if field else None
        if len(parts := [part for part in get_args(inner) if part is not type(None)]) == 1:
            inner = parts[0]  # of a section that may be left out
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            break
        current = inner
    return [field.alias or name for name, field in current.model_fields.items() if field.repr]
