"""An arm of a study file: one method under comparison."""

import math
from typing import Any, Self, cast

from pydantic import ConfigDict, model_validator

from sweeper.catalogue import FORMULAS, Formula, Hyper
from sweeper.errors import choices
from sweeper.results import MethodConfig, Scalar
from sweeper.spec.domains import (
    Domain,
    Frozen,
    Integer,
    LogUniform,
    NotNegative,
    SearchedScalar,
    Uniform,
    values,
)


class Problems(ValueError):
    """Several problems of one part, each with the key below that part ('' for the part)."""

    def __init__(self, problems: list[tuple[str, str]]) -> None:
        self.problems = problems
        super().__init__("; ".join(message for _, message in problems))


class Arm(Frozen):
    """One method: a penalty, how it is applied, its strength, and the formula's own keys."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, SearchedScalar]

    penalty: str = "none"
    apply: str | None = None
    strength: NotNegative | None = None

    @property
    def formula(self) -> Formula:
        return FORMULAS[self.penalty]

    @property
    def way(self) -> str:
        """How the penalty is applied: the file's choice, or the formula's usual way."""
        return self.apply or self.formula.default_way

    @property
    def hyper(self) -> dict[str, Scalar | Domain]:
        """The formula's hyperparameters, defaults filled in."""
        given = self.__pydantic_extra__ or {}
        return {name: given.get(name, known.default) for name, known in self.formula.hyper.items()}

    @property
    def domains(self) -> dict[str, Domain]:
        """The searched keys of this arm in a fixed order: strength, then the formula's own."""
        everything = {"strength": self.strength, **self.hyper}
        return {key: value for key, value in everything.items() if isinstance(value, Domain)}

    def method(self, params: dict[str, Scalar]) -> MethodConfig:
        """Return the method with the searched values filled in."""
        strength = params.get("strength", self.strength or 0.0)
        known = self.formula.hyper
        given = ((name, params.get(name, value)) for name, value in self.hyper.items())
        # A whole number given for a float stands for a float: floats may differ within a pack.
        hyper = tuple(
            (name, value if known[name].choices else float(cast(float, value)))
            for name, value in given
        )
        return MethodConfig(
            penalty=self.penalty,
            apply=self.way,
            strength=float(cast(float, strength)),
            hyper=cast(tuple[tuple[str, Scalar], ...], hyper),
        )

    @model_validator(mode="after")
    def _fits_the_catalogue(self) -> Self:
        formula = FORMULAS.get(self.penalty)
        if formula is None:
            raise Problems([("penalty", f"no such formula: {choices(self.penalty, FORMULAS)}")])
        found = [*_way_problems(self, formula), *_strength_problems(self)]
        given: dict[str, Any] = self.__pydantic_extra__ or {}
        for name, value in given.items():
            if name in formula.hyper:
                found += [(name, text) for text in _hyper_problems(formula.hyper[name], value)]
            else:
                allowed = ["penalty", "apply", "strength", *formula.hyper]
                found.append((name, f"unknown key: {choices(name, allowed)}"))
        if found:
            raise Problems(found)
        return self


def _way_problems(arm: Arm, formula: Formula) -> list[tuple[str, str]]:
    if arm.apply is None or arm.apply in formula.ways:
        return []
    reason = formula.why_not.get(arm.apply)
    if reason:
        return [("apply", f"{arm.penalty} cannot be applied as {arm.apply}: {reason}")]
    return [("apply", f"no such way for {arm.penalty}: {choices(arm.apply, formula.ways)}")]


def _strength_problems(arm: Arm) -> list[tuple[str, str]]:
    if arm.penalty == "none":
        return [("strength", "has no meaning without a penalty")] if arm.strength else []
    if arm.strength is None:
        return [("strength", "required: a number or a domain")]
    return []


def _hyper_problems(known: Hyper, value: Scalar | Domain) -> list[str]:
    given = values(value)
    if known.choices:
        if isinstance(value, Uniform | LogUniform | Integer):
            return [f"must be one of {list(known.choices)} or a choice of them"]
        # 1 == True in Python, but not in a study file.
        wrong = [item for item in given if repr(item) not in map(repr, known.choices)]
        return [f"must be one of {list(known.choices)}, got {wrong[0]!r}"] if wrong else []
    for item in given:
        if isinstance(item, str | bool) or not math.isfinite(item):
            return [f"must be a number, got {item!r}"]
        if not known.low <= item <= known.high:
            return [f"must lie in [{known.low:g}, {known.high:g}], got {item:g}"]
    return []
