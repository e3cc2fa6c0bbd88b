"""Domains: numbers of a study file that are fixed or searched, as at `strength:`.

In a study file a domain is a mapping with one key: `{log_uniform: [1e-4, 1e-1]}`,
`{uniform: [0, 1]}`, `{integer: [1, 9]}` or `{choice: [1, 2, 4]}`.
"""

import math
import sys
from collections.abc import Callable
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    RootModel,
    Strict,
    Tag,
    model_validator,
)

from sweeper.errors import shown
from sweeper.types import Scalar

Number = Annotated[float, Strict()]
"""A number; `true` and `'0.1'` are none."""

StrictInt = Annotated[int, Strict()]

StrictBool = Annotated[bool, Strict()]


class Section(BaseModel):
    """A frozen part of a study file; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=False)


class _Range(Section):
    @property
    def bounds(self) -> tuple[float, float]:
        raise NotImplementedError

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        low, high = self.bounds
        if not low < high:
            raise ValueError(f"low must be < high, got [{low}, {high}]")
        return self


class Uniform(_Range):
    """Every value in [low, high] is as likely as another."""

    uniform: tuple[Number, Number]

    @property
    def bounds(self) -> tuple[float, float]:
        return self.uniform


class LogUniform(_Range):
    """The logarithm is uniform: for strengths, learning rates and densities."""

    log_uniform: tuple[Number, Number]

    @property
    def bounds(self) -> tuple[float, float]:
        return self.log_uniform

    @model_validator(mode="after")
    def _positive(self) -> Self:
        if self.log_uniform[0] <= 0:
            raise ValueError(f"low must be > 0, got {self.log_uniform[0]}")
        return self


class Integer(_Range):
    """Every whole number from low to high, both included."""

    integer: tuple[StrictInt, StrictInt]

    @property
    def bounds(self) -> tuple[float, float]:
        return self.integer


class Choice(Section):
    """One of the listed values; no order is assumed between them."""

    choice: tuple[Scalar, ...]

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        if len(self.choice) < 2 or len(set(self.choice)) < len(self.choice):
            raise ValueError(f"needs two or more different values, got {shown(list(self.choice))}")
        return self


class Auto(RootModel[Literal["auto"]]):
    """Searched in a range that is probed before the first trial: see `strength_probe`."""

    model_config = ConfigDict(frozen=True)


AUTO = Auto("auto")
Domain = Uniform | LogUniform | Integer | Choice | Auto
DOMAIN_KEYS = ("uniform", "log_uniform", "integer", "choice")


def _kind(value: Any) -> str | None:
    if isinstance(value, dict):
        return next(iter(value)) if len(value) == 1 and next(iter(value)) in DOMAIN_KEYS else None
    for key in DOMAIN_KEYS:
        if hasattr(value, key):
            return key
    return "fixed"


def from_text(value: Any, key: str, cls: type, what: str) -> Any:
    """Turn a part that is written as text alone into the mapping of its first key.

    Raises ValueError for what is neither text nor a mapping; `what` says what it should be.
    """
    if isinstance(value, str):
        return {key: value.strip()}
    if not isinstance(value, dict | cls):
        raise ValueError(f"must be {what}, got {shown(value)}")
    return value


def omit_defaults(written: dict[str, Any], **unused: object) -> dict[str, Any]:
    """Leave out keys with the values of those who do not use them: digests outlive new keys."""
    return {k: v for k, v in written.items() if k not in unused or v != unused[k]}


_Tagged = (
    Annotated[Uniform, Tag("uniform")]
    | Annotated[LogUniform, Tag("log_uniform")]
    | Annotated[Integer, Tag("integer")]
    | Annotated[Choice, Tag("choice")]
)
Searched = Annotated[
    Annotated[Number, Tag("fixed")] | _Tagged,
    Discriminator(_kind, custom_error_type="domain", custom_error_message="not a domain"),
]
"""A number, or a domain of numbers."""

SearchedScalar = Annotated[
    Annotated[bool | int | float | str, Tag("fixed")] | _Tagged,
    Discriminator(_kind, custom_error_type="domain", custom_error_message="not a domain"),
]
"""A number, a word, a truth value, or a domain of such."""


def _kind_or_auto(value: Any) -> str | None:
    return "auto" if isinstance(value, Auto) or value == "auto" else _kind(value)


_SearchedOrAuto = Annotated[
    Annotated[Number, Tag("fixed")] | _Tagged | Annotated[Auto, Tag("auto")],
    Discriminator(
        _kind_or_auto, custom_error_type="strength", custom_error_message="not a strength"
    ),
]


def values(searched: "Scalar | Domain") -> tuple[Scalar, ...]:
    """Return the values that tell a domain's extent: ends, choices, the number; none for auto."""
    if isinstance(searched, Choice):
        return searched.choice
    if isinstance(searched, _Range):
        return searched.bounds
    return () if isinstance(searched, Auto) else (searched,)


def check_range(
    low: float, high: float = math.inf, *, above: bool = False
) -> Callable[["Scalar | Domain"], "Scalar | Domain"]:
    """Return a check that all values lie in [low, high], or in (low, high] with `above`."""
    sign = ">" if above else ">="

    def check(searched: "Scalar | Domain") -> "Scalar | Domain":
        for value in values(searched):
            if isinstance(value, str | bool):
                raise ValueError(f"must be a number, got {shown(value)}")
            if isinstance(value, int) and abs(value) > sys.float_info.max:
                raise ValueError("is too large a number")
            if value < low or (above and value == low):
                raise ValueError(f"must be {sign} {low:g}, got {value:g}")
            if value > high:
                raise ValueError(f"must be <= {high:g}, got {value:g}")
        return searched

    return check


Positive = Annotated[Searched, AfterValidator(check_range(0, above=True))]
NotNegative = Annotated[Searched, AfterValidator(check_range(0))]
Strength = Annotated[_SearchedOrAuto, AfterValidator(check_range(0))]
Fraction = Annotated[Searched, AfterValidator(check_range(0, 1, above=True))]
UnitInterval = Annotated[Searched, AfterValidator(check_range(0, 1))]


def grid_size(domains: "dict[str, Domain]") -> int | None:
    """Return the number of points of a grid, or None if a domain is continuous."""
    size = 1
    for domain in domains.values():
        if isinstance(domain, Choice):
            size *= len(domain.choice)
        elif isinstance(domain, Integer):
            size *= domain.integer[1] - domain.integer[0] + 1
        else:
            return None
    return size
