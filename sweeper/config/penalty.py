"""One penalty of an arm: its formula, the way it is applied, its strength, its own keys."""

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard, cast

from sweeper.config.domains import Auto, Choice, Domain, Integer, LogUniform, Uniform, values
from sweeper.config.registry import FORMULAS, PLUGIN, Formula, Hyperparameter, formula_of, plugins
from sweeper.errors import choices, shown
from sweeper.types import PenaltyConfig, Scalar

Given = Mapping[str, "Scalar | Domain"]
Problem = tuple[str, str]
"""The key below the part of the file, and what is wrong there."""
PLAIN_KEYS = ("penalty", "apply", "strength", "shuffle", "during", "ramp")
_SMOOTH = frozenset({"loss", "decoupled"})


@dataclass(frozen=True, slots=True)
class PenaltySpec:
    """A penalty as a study file has it."""

    penalty: str
    apply: str | None
    strength: "float | Domain | None"
    shuffle: bool
    during: tuple[float, float] | None
    """Shares of the training; None for all of it."""
    ramp: float
    given: Given
    """The formula's own keys that the file has."""
    prefix: str = ""
    """Before the names of its searched parameters: `l1.` in a sum, else nothing."""

    @property
    def formula(self) -> Formula:
        return formula_of(self.penalty)

    @property
    def way(self) -> str:
        """How the penalty is applied: the file's choice, or the formula's usual way."""
        return self.apply or self.formula.default_mode

    @property
    def hyper(self) -> "dict[str, Scalar | Domain]":
        """The formula's hyperparameters, defaults filled in; of a plugin those given."""
        return with_defaults(self.formula.hyper, self.given) if self._known else dict(self.given)

    @property
    def domains(self) -> dict[str, Domain]:
        """The searched keys in a fixed order: strength, then the formula's own."""
        everything = {"strength": self.strength, **self.hyper}
        return {self.prefix + key: value for key, value in everything.items() if is_domain(value)}

    def term(self, params: Mapping[str, Scalar]) -> PenaltyConfig:
        """Return the term with the searched values filled in."""
        strength = params.get(f"{self.prefix}strength", cast(Scalar, self.strength))
        return PenaltyConfig(
            penalty=self.penalty,
            apply=self.way,
            strength=float(strength),
            hyper=resolve_domains(self.formula.hyper, self.hyper, params, self.prefix),
            shuffled=self.shuffle,
            during=self.during or (0.0, 1.0),
            ramp=self.ramp,
        )

    @property
    def note(self) -> str:
        """What it does other than usual in a few words, to be put after its name."""
        found = ", shuffled" if self.shuffle else ""
        if self.during:
            begin, end = self.during
            found += f", {100 * begin:g}-{100 * end:g}%"  # no space: a narrow table breaks there
        return found + (", rising" if self.ramp else "")

    @property
    def remarks(self) -> str:
        """What it does other than usual, to be put after its name; mostly nothing."""
        found = ", entries in a fixed random order" if self.shuffle else ""
        if self.during:
            begin, end = (f"{part:.0%}".replace("%", " %") for part in self.during)
            found += f", from {begin} to {end} of training"
        if self.ramp:
            found += f", rising over {self.ramp:.0%}".replace("%", " %") + " of its time"
        return found

    def example(self) -> PenaltyConfig:
        """Return the term at strength 1, with values from the middle of its other domains."""
        params = {self.prefix + key: midpoint(value) for key, value in self.hyper.items()}
        return self.term({**params, f"{self.prefix}strength": 1.0})

    def examples(self) -> tuple[PenaltyConfig, ...]:
        """Return the term with each value that tells the extent of a searched key."""
        usual = {self.prefix + key: midpoint(value) for key, value in self.hyper.items()}
        usual[f"{self.prefix}strength"] = 1.0
        ends = [
            self.term({**usual, self.prefix + key: value})
            for key, domain in self.hyper.items()
            if is_domain(domain)
            for value in values(domain)
        ]
        return (self.example(), *ends)

    def problems(self) -> list[Problem]:
        """Return what does not fit the catalogue, unknown keys apart."""
        if not self._known and not PLUGIN.fullmatch(self.penalty):
            allowed = [*FORMULAS, *plugins(), "package.module:function"]
            return [("penalty", f"no such formula: {choices(self.penalty, allowed)}")]
        found = self._way_problems()
        if self.strength is None:
            found.append(("strength", "required: a number, a domain or auto"))
        for name, value in self.given.items():
            if name in self.formula.hyper:
                found += [(name, text) for text in hyper_problems(self.formula.hyper[name], value)]
        return found or self._smoothness_problems()

    @property
    def _known(self) -> bool:
        return self.penalty in FORMULAS

    def _way_problems(self) -> list[Problem]:
        formula = self.formula
        if self.apply is None or self.apply in formula.modes:
            return []
        reason = {str(way): why for way, why in formula.unsupported.items()}.get(self.apply)
        if reason:
            return [("apply", f"{self.penalty} cannot be applied as {self.apply}: {reason}")]
        return [("apply", f"no such way for {self.penalty}: {choices(self.apply, formula.modes)}")]

    def _smoothness_problems(self) -> list[Problem]:
        if self.way not in _SMOOTH:
            return []
        return [
            (
                name,
                f"must be >= {known.differentiable_from:g} as {self.way}: below it the gradient is "
                "infinite at a weight of 0; use shrink",
            )
            for name, known in self.formula.hyper.items()
            if not known.choices and smallest_value(self.hyper[name]) < known.differentiable_from
        ]


def is_domain(value: Any) -> TypeGuard[Domain]:
    """Tell a domain from a fixed value."""
    return isinstance(value, Domain)


def with_defaults(
    known: Mapping[str, Hyperparameter], given: Given
) -> "dict[str, Scalar | Domain]":
    """Return all hyperparameters, with the defaults of those that are not given."""
    return {name: given.get(name, hyper.default) for name, hyper in known.items()}


def resolve_domains(
    known: Mapping[str, Hyperparameter],
    hyper: Given,
    params: Mapping[str, Scalar],
    prefix: str = "",
) -> tuple[tuple[str, Scalar], ...]:
    """Return hyperparameters with the searched values filled in.

    A whole number given for a float stands for a float: floats may differ within a pack. So does
    one beside floats in a choice, where the formula comes from outside.
    """
    found = []
    for name, value in hyper.items():
        scalar = params.get(prefix + name, cast(Scalar, value))
        mixed = isinstance(value, Choice) and any(isinstance(one, float) for one in value.choice)
        number = mixed and isinstance(scalar, int) and not isinstance(scalar, bool)
        is_float = not known[name].choices if name in known else number
        found.append((name, float(scalar) if is_float else scalar))
    return tuple(found)


def hyper_problems(known: Hyperparameter, value: "Scalar | Domain") -> list[str]:
    """Return what is wrong with the value of a hyperparameter."""
    given = values(value)
    if known.choices:
        if isinstance(value, Uniform | LogUniform | Integer | Auto):
            return [f"must be one of {list(known.choices)} or a choice of them"]
        # 1 == True in Python, but not in a study file.
        wrong = [item for item in given if repr(item) not in map(repr, known.choices)]
        return [f"must be one of {list(known.choices)}, got {shown(wrong[0])}"] if wrong else []
    for item in given:
        if isinstance(item, int) and abs(item) > sys.float_info.max:
            return ["is too large a number"]
        if isinstance(item, str | bool) or not math.isfinite(item):
            return [f"must be a number, got {shown(item)}"]
        if not known.low <= item <= known.high or (known.above and item == known.low):
            return [f"must lie in {known.allowed}, got {item:g}"]
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
