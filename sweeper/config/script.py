"""Script of a study file: a training of a user's own, what it is given, and what it measures."""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from sweeper.config.arm import PARAMETER, SectionErrors
from sweeper.config.domains import Number, Section, omit_defaults
from sweeper.config.registry import PLUGIN
from sweeper.errors import choices, shown

GIVEN = ("folder", "device", "data", "seed", "order_seed", "arm", "repeat", "slot", "attempt")
"""What every trial is given beside its values; no parameter can be called so."""
SIZE, QUALITY = "nonzero parameters", "accuracy"
_PLACE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_TIME = re.compile(r"\s*(\d+(?:\.\d*)?)\s*(s|m|h|d)\s*")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_MEMORY = re.compile(r"\s*(\d+(?:\.\d*)?)\s*(MB|GB|TB|MiB|GiB|TiB)\s*")
_BYTES = {"MB": 10**6, "GB": 10**9, "TB": 10**12, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
LONGEST = 365 * 86400.0


def seconds_of(text: Any) -> Any:
    """Turn a time such as `90s`, `10m`, `2h` into seconds; numbers are seconds. Raises ValueError.

    >>> seconds_of("1.5h"), seconds_of(90)
    (5400.0, 90)
    """
    if not isinstance(text, str):
        return text
    match = _TIME.fullmatch(text)
    if not match:
        raise ValueError(f"must be seconds, or a time such as 90s, 10m or 2h, got {shown(text)}")
    return float(match[1]) * _SECONDS[match[2]]


def bytes_of(text: Any) -> Any:
    """Turn an amount of memory such as `16GiB` into bytes; numbers are bytes. Raises ValueError.

    >>> bytes_of("1.5GiB")
    1610612736
    """
    if not isinstance(text, str):
        return text
    match = _MEMORY.fullmatch(text)
    if not match:
        raise ValueError(f"must be bytes, or an amount such as 512MiB or 16GiB, got {shown(text)}")
    return int(float(match[1]) * _BYTES[match[2]])


def _function(name: str) -> str:
    if not PLUGIN.fullmatch(name.strip()):
        raise ValueError(f"must be package.module:function, got {shown(name)}")
    return name.strip()


def _argument(value: Any) -> Any:
    """Return a number of a command as the text that it is in the file."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return str(value) if is_number else value


FunctionName = Annotated[str, AfterValidator(_function)]
Argument = Annotated[str, BeforeValidator(_argument)]
Command = Annotated[tuple[Argument, ...], Field(min_length=1)]
TimeLimit = Annotated[
    Annotated[Number, Field(gt=0, le=LONGEST)] | None, BeforeValidator(seconds_of)
]


class Resources(Section):
    """Resources of one trial: a worker is placed where they are free, and has them to itself."""

    cpus: Annotated[Number, Field(gt=0, le=4096)] = 1.0
    gpus: Annotated[Number, Field(ge=0, le=64)] = 0.0
    """A fraction of one, or a whole number of them."""
    memory: Annotated[int | None, Field(gt=0, le=2**50), BeforeValidator(bytes_of)] = None
    """In bytes; None: no matter how much."""

    @model_validator(mode="after")
    def _whole_beyond_one(self) -> Self:
        if self.gpus > 1 and self.gpus != int(self.gpus):
            text = f"must be a fraction of one or a whole number, got {self.gpus:g}"
            raise SectionErrors([("gpus", text)])
        return self

    @model_serializer(mode="wrap")
    def _without_what_is_not_used(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return omit_defaults(write(self), cpus=1.0, gpus=0.0, memory=None)


def _label(text: str) -> str:
    if not text.strip() or not text.isprintable() or len(text) > 40 or not key_of(text):
        raise ValueError(f"must be 1-40 printable characters with a letter, got {shown(text)}")
    return text.strip()


def key_of(label: str) -> str:
    """Return a label as a key of files: small letters, digits and `_`.

    >>> key_of("FLOPs"), key_of("top-5 accuracy")
    ('flops', 'top_5_accuracy')
    """
    return re.sub(r"[^a-z0-9]+", "_", label.lower()).strip("_").lstrip("0123456789_")


class Objectives(Section):
    """Names of the two things that a script measures: the axes of all fronts."""

    size: Annotated[str, AfterValidator(_label)] = SIZE
    quality: Annotated[str, AfterValidator(_label)] = QUALITY
    floor: Annotated[Number, Field(ge=0, lt=1)] = 0.0
    """Quality under which a trial has collapsed."""

    @model_validator(mode="after")
    def _told_apart(self) -> Self:
        if key_of(self.size) == key_of(self.quality):
            raise SectionErrors([("quality", f"must not be called as the size is, {self.size!r}")])
        return self

    @model_serializer(mode="wrap")
    def _without_what_is_not_used(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return omit_defaults(write(self), size=SIZE, quality=QUALITY, floor=0.0)

    @property
    def size_key(self) -> str:
        """Key of the size in files and in Optuna; that of nonzero parameters is `nonzero`."""
        return "nonzero" if self.size == SIZE else key_of(self.size)

    @property
    def quality_key(self) -> str:
        return key_of(self.quality)


def filled(arguments: tuple[str, ...], values: Mapping[str, object]) -> list[str]:
    """Return a command with values in the places of their names; `{{` stands for `{`.

    >>> filled(("--rate={rate}", "{{}}"), {"rate": 0.1})
    ['--rate=0.1', '{}']
    """

    def value(match: re.Match[str]) -> str:
        if match[1] is None:
            return match[0][0]
        return str(values[match[1].strip()])

    return [_PLACE.sub(value, argument) for argument in arguments]


def command_problems(arguments: tuple[str, ...], names: tuple[str, ...]) -> Iterator[str]:
    """Yield what is wrong with the places of a command: names that no trial is given."""
    for argument in arguments:
        for match in _PLACE.finditer(argument):
            if match[0] in "{}":
                yield f"a single {match[0]} in {shown(argument)}: write {match[0] * 2} for one"
            elif match[1] is not None and match[1].strip() not in names:
                yield f"no such value: {choices(match[1].strip(), names)}"


def parameter_problems(
    names: tuple[str, ...], taken: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with names of parameters; `taken` says whose a name is already."""
    for name in names:
        if not PARAMETER.fullmatch(name):
            text = "must be letters, digits and '_', at most 64, and begin with no digit"
            yield name, f"{text}, got {shown(name)}"
        elif name in GIVEN:
            yield name, f"every trial is given it already: {', '.join(GIVEN)}"
        elif name in taken:
            yield name, f"is {taken[name]} already; give it another name"
