"""Penalty of an arm: its formula, how it is applied, its strength, its formula's own keys.

`PenaltyKeys` is what a study file says of one, `PenaltySpec` that with its formula, and
`types.PenaltyConfig` the same once the searched values are filled in.
"""

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeGuard, cast

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
)

from sweeper.config.domains import (
    Auto,
    Choice,
    Domain,
    Integer,
    LogUniform,
    Number,
    SearchedScalar,
    Section,
    Strength,
    StrictBool,
    Uniform,
    values,
)
from sweeper.config.registry import FORMULAS, PLUGIN, Formula, Hyperparameter, formula_of, plugins
from sweeper.errors import choices, shown
from sweeper.types import PenaltyConfig, Scalar

Hyperparameters = Mapping[str, "Scalar | Domain"]
"""Fixed or searched, by name."""
Problem = tuple[str, str]
"""The key below the part of the file, and what is wrong there."""
PLAIN_KEYS = ("penalty", "apply", "strength", "shuffle", "during", "ramp")
_SMOOTH = frozenset({"loss", "decoupled"})


def _in_order(window: tuple[float, float]) -> tuple[float, float]:
    begin, end = window
    if begin >= end:
        raise ValueError(f"must begin before it ends, got [{begin:g}, {end:g}]")
    return window


Share = Annotated[Number, Field(ge=0, le=1)]
Window = Annotated[tuple[Share, Share], AfterValidator(_in_order)]


class PenaltyKeys(Section):
    """The keys of one penalty in a study file, its formula's own among the extra ones."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, SearchedScalar]

    apply: str | None = None
    strength: Strength | None = None
    shuffle: StrictBool = False
    during: Window | None = None
    """Shares of the training between which it acts; all of it unless given."""
    ramp: Share = 0.0
    """Share of that time over which its strength rises, linearly from 0."""

    @property
    def extra(self) -> dict[str, Any]:
        """The keys that depend on the formula, and in an arm on the method."""
        return self.__pydantic_extra__ or {}

    @model_serializer(mode="wrap")
    def _without_what_is_not_used(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what most arms do not use: a digest does not change with keys to come."""
        written: dict[str, Any] = write(self)
        # An arm's formula first, as in files: pydantic has the fields of a subclass last.
        ordered = {key: written[key] for key in ("penalty",) if key in written} | written
        seldom = ("sum", "method", "family", "parameters", "shuffle", "during", "ramp")
        return {key: value for key, value in ordered.items() if value or key not in seldom}


@dataclass(frozen=True, slots=True)
class PenaltySpec:
    """A penalty as a study file has it: some values fixed, others to be searched."""

    penalty: str
    """Name in the registry, or `package.module:function`."""
    keys: PenaltyKeys
    """Its section of the file."""
    own_keys: Hyperparameters
    """Those of the formula that the section holds."""
    prefix: str = ""
    """Before the names of its searched parameters: `l1.` in a sum, else nothing."""

    @property
    def formula(self) -> Formula:
        return formula_of(self.penalty)

    @property
    def mode(self) -> str:
        """Mode of the penalty: the file's choice, or the formula's usual one."""
        return self.keys.apply or self.formula.default_mode

    @property
    def hyper(self) -> "dict[str, Scalar | Domain]":
        """The formula's hyperparameters, defaults filled in; of a plugin those of the file."""
        if not self._is_registered:
            return dict(self.own_keys)
        return with_defaults(self.formula.hyper, self.own_keys)

    @property
    def domains(self) -> dict[str, Domain]:
        """The searched keys in a fixed order: strength, then the formula's own."""
        searchable = {"strength": self.keys.strength, **self.hyper}
        return {self.prefix + key: value for key, value in searchable.items() if is_domain(value)}

    def config(self, params: Mapping[str, Scalar]) -> PenaltyConfig:
        """Return the penalty with the searched values filled in."""
        strength = params.get(f"{self.prefix}strength", cast(Scalar, self.keys.strength))
        return PenaltyConfig(
            penalty=self.penalty,
            apply=self.mode,
            strength=float(strength),
            hyper=resolve_domains(self.formula.hyper, self.hyper, params, self.prefix),
            shuffled=self.keys.shuffle,
            during=self.keys.during or (0.0, 1.0),
            ramp=self.keys.ramp,
        )

    @property
    def note(self) -> str:
        """Deviations from the usual in a few words, to be put after its name."""
        note = ", shuffled" if self.keys.shuffle else ""
        if self.keys.during:
            begin, end = self.keys.during
            note += f", {100 * begin:g}-{100 * end:g}%"  # no space: a narrow table breaks there
        return note + (", rising" if self.keys.ramp else "")

    @property
    def remarks(self) -> str:
        """Deviations from the usual, to be put after its name; mostly none."""
        remarks = ", entries in a fixed random order" if self.keys.shuffle else ""
        if self.keys.during:
            begin, end = (f"{part:.0%}".replace("%", " %") for part in self.keys.during)
            remarks += f", from {begin} to {end} of training"
        if self.keys.ramp:
            remarks += f", rising over {self.keys.ramp:.0%}".replace("%", " %") + " of its time"
        return remarks

    def example(self) -> PenaltyConfig:
        """Return the penalty at strength 1, with values from the middle of its other domains."""
        params = {self.prefix + key: midpoint(value) for key, value in self.hyper.items()}
        return self.config({**params, f"{self.prefix}strength": 1.0})

    def examples(self) -> tuple[PenaltyConfig, ...]:
        """Return the penalty with each value that tells the extent of a searched key."""
        usual = {self.prefix + key: midpoint(value) for key, value in self.hyper.items()}
        usual[f"{self.prefix}strength"] = 1.0
        ends = [
            self.config({**usual, self.prefix + key: value})
            for key, domain in self.hyper.items()
            if is_domain(domain)
            for value in values(domain)
        ]
        return (self.example(), *ends)

    def problems(self) -> list[Problem]:
        """Return the problems of the penalty against the registry, unknown keys apart."""
        if not self._is_registered and not PLUGIN.fullmatch(self.penalty):
            allowed = [*FORMULAS, *plugins(), "package.module:function"]
            return [("penalty", f"no such formula: {choices(self.penalty, allowed)}")]
        problems = self._mode_problems()
        if self.keys.strength is None:
            problems.append(("strength", "required: a number, a domain or auto"))
        entries = self.formula.hyper
        for name, value in self.own_keys.items():
            if name in entries:
                problems += [(name, text) for text in hyper_problems(entries[name], value)]
        return problems or self._smoothness_problems()

    @property
    def _is_registered(self) -> bool:
        return self.penalty in FORMULAS

    def _mode_problems(self) -> list[Problem]:
        formula, mode = self.formula, self.keys.apply
        if mode is None or mode in formula.modes:
            return []
        reason = {str(other): why for other, why in formula.unsupported.items()}.get(mode)
        if reason:
            return [("apply", f"{self.penalty} cannot be applied as {mode}: {reason}")]
        return [("apply", f"no such way for {self.penalty}: {choices(mode, formula.modes)}")]

    def _smoothness_problems(self) -> list[Problem]:
        if self.mode not in _SMOOTH:
            return []
        return [
            (
                name,
                f"must be >= {entry.differentiable_from:g} as {self.mode}: below it the gradient "
                "is infinite at a weight of 0; use shrink",
            )
            for name, entry in self.formula.hyper.items()
            if not entry.choices and smallest_value(self.hyper[name]) < entry.differentiable_from
        ]


def is_domain(value: Any) -> TypeGuard[Domain]:
    """Tell a domain, which is searched, from a fixed value."""
    return isinstance(value, Domain)


def with_defaults(
    entries: Mapping[str, Hyperparameter], written: Hyperparameters
) -> "dict[str, Scalar | Domain]":
    """Return all hyperparameters, with the defaults of those that are not written."""
    return {name: written.get(name, entry.default) for name, entry in entries.items()}


def resolve_domains(
    entries: Mapping[str, Hyperparameter],
    hyper: Hyperparameters,
    params: Mapping[str, Scalar],
    prefix: str = "",
) -> tuple[tuple[str, Scalar], ...]:
    """Return hyperparameters with the searched values filled in.

    A whole number given for a float stands for a float: floats may differ within a pack. So does
    one beside floats in a choice, where the formula comes from outside.
    """
    resolved = []
    for name, value in hyper.items():
        scalar = params.get(prefix + name, cast(Scalar, value))
        mixed = isinstance(value, Choice) and any(isinstance(item, float) for item in value.choice)
        number = mixed and isinstance(scalar, int) and not isinstance(scalar, bool)
        is_float = not entries[name].choices if name in entries else number
        resolved.append((name, float(scalar) if is_float else scalar))
    return tuple(resolved)


def hyper_problems(entry: Hyperparameter, value: "Scalar | Domain") -> list[str]:
    """Return the faults of a hyperparameter's value, as texts."""
    items = values(value)
    if entry.choices:
        if isinstance(value, Uniform | LogUniform | Integer | Auto):
            return [f"must be one of {list(entry.choices)} or a choice of them"]
        # 1 == True in Python, but not in a study file.
        wrong = [item for item in items if repr(item) not in map(repr, entry.choices)]
        return [f"must be one of {list(entry.choices)}, got {shown(wrong[0])}"] if wrong else []
    for item in items:
        if isinstance(item, int) and abs(item) > sys.float_info.max:
            return ["is too large a number"]
        if isinstance(item, str | bool) or not math.isfinite(item):
            return [f"must be a number, got {shown(item)}"]
        if not entry.low <= item <= entry.high or (entry.above and item == entry.low):
            return [f"must lie in {entry.allowed}, got {item:g}"]
    return []


def midpoint(value: "Scalar | Domain") -> Scalar:
    """Return the value, or one from the middle of a domain."""
    match value:
        case Choice(choice=many):
            return many[0]
        case LogUniform(log_uniform=(low, high)):
            return math.sqrt(low * high)
        case Uniform(uniform=(low, high)):
            return (low + high) / 2
        case Integer(integer=(low, high)):
            return (low + high) // 2
        case Auto():
            raise ValueError("auto has no middle before its probe")
    return value


def largest_value(value: "Scalar | Domain") -> float:
    """Return the largest number that a value or domain can be."""
    return max(float(item) for item in values(value))


def smallest_value(value: "Scalar | Domain") -> float:
    """Return the smallest number that a value or domain can be."""
    return min(float(item) for item in values(value))
