"""An arm of a study file: one method under comparison."""

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from sweeper.config.domains import (
    Domain,
    LogUniform,
    Number,
    SearchedScalar,
    Section,
    Strength,
    StrictBool,
)
from sweeper.config.penalty import (
    PLAIN_KEYS,
    PenaltySpec,
    Problem,
    hyper_problems,
    is_domain,
    largest_value,
    midpoint,
    resolve_domains,
    smallest_value,
    with_defaults,
)
from sweeper.config.registry import EXACT_ZEROS, METHODS, Family, MethodEntry, family_of, plugins
from sweeper.errors import choices
from sweeper.types import MethodConfig, Scalar


class SectionErrors(ValueError):
    """Several problems of one part, each with the key below that part ('' for the part)."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__("; ".join(message for _, message in problems))


def _written_out(penalty: Any) -> Any:
    """Turn the name of an installed plugin into its `module:function`.

    What is registered can then be read where the plugin is not installed.
    """
    return plugins().get(penalty, penalty) if isinstance(penalty, str) else penalty


def _keys_written_out(terms: Any) -> Any:
    return (
        {_written_out(key): term for key, term in terms.items()}
        if isinstance(terms, Mapping)
        else terms
    )


def _sparse(written: dict[str, Any]) -> dict[str, Any]:
    """Leave out what most arms do not use: a digest does not change with keys to come."""
    seldom = ("sum", "method", "shuffle", "during", "ramp")
    unused = {key for key in seldom if not written.get(key)}
    return {key: value for key, value in written.items() if key not in unused}


def _in_order(window: tuple[float, float]) -> tuple[float, float]:
    begin, end = window
    if begin >= end:
        raise ValueError(f"must begin before it ends, got [{begin:g}, {end:g}]")
    return window


Share = Annotated[Number, Field(ge=0, le=1)]
Window = Annotated[tuple[Share, Share], AfterValidator(_in_order)]


class PenaltyInSum(Section):
    """One penalty of a sum; its formula is the key that it stands under."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, SearchedScalar]

    apply: str | None = None
    strength: Strength | None = None
    shuffle: StrictBool = False
    during: Window | None = None
    """Shares of the training between which it acts; all of it unless given."""
    ramp: Share = 0.0
    """Share of that time over which its strength rises, linearly from 0."""

    @model_serializer(mode="wrap")
    def _without_what_is_not_used(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return _sparse(write(self))


class Arm(Section):
    """One method: a penalty or a sum of some, and what else it does to training."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, SearchedScalar]

    penalty: Annotated[str, BeforeValidator(_written_out)] = "none"
    apply: str | None = None
    strength: Strength | None = None
    shuffle: StrictBool = False
    during: Window | None = None
    ramp: Share = 0.0
    sum: Annotated[dict[str, PenaltyInSum], BeforeValidator(_keys_written_out)] = {}
    method: str | None = None

    @model_serializer(mode="wrap")
    def _without_what_is_not_used(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return _sparse(write(self))

    @property
    def terms(self) -> tuple[PenaltySpec, ...]:
        """The penalties; those of a sum by name."""
        found = []
        if self.penalty != "none":
            # A method that does not exist is told of later.
            method = METHODS.get(self.method or "")
            known = method.hyper if method else {}
            own = {key: value for key, value in self._extra.items() if key not in known}
            found.append(_penalised(self.penalty, self, own))
        # Sorted, as in the digest: the file's order must not decide a result.
        for name, term in sorted(self.sum.items()):
            found.append(_penalised(name, term, term.__pydantic_extra__ or {}, f"{name}."))
        return tuple(found)

    @property
    def entry(self) -> MethodEntry | None:
        """What is known of the method, or None for training as usual."""
        return METHODS[self.method] if self.method else None

    @property
    def method_hyper(self) -> dict[str, Scalar | Domain]:
        """The method's hyperparameters, defaults filled in."""
        return with_defaults(self.entry.hyper, self._extra) if self.entry else {}

    @property
    def domains(self) -> dict[str, Domain]:
        """The searched keys in a fixed order: those of the penalties, then of the method."""
        own: dict[str, Any] = dict(self.method_hyper)
        if self.entry and self.entry.has_strength:
            own = {"strength": self.strength, **own}
        found = [term.domains for term in self.terms]
        found.append({key: value for key, value in own.items() if is_domain(value)})
        return {key: value for part in found for key, value in part.items()}

    def config(self, params: Mapping[str, Scalar]) -> MethodConfig:
        """Return the method with the searched values filled in."""
        strength: Any = params.get("strength", self.strength)
        return MethodConfig(
            terms=tuple(term.term(params) for term in self.terms),
            name=self.method or "plain",
            own_strength=float(strength) if self.entry and self.entry.has_strength else 0.0,
            hyper=resolve_domains(self.entry.hyper, self.method_hyper, params)
            if self.entry
            else (),
        )

    def with_ranges(self, ranges: Mapping[str, tuple[float, float]]) -> Self:
        """Return the arm with `auto` replaced by ranges, by the name of the parameter."""
        changes: dict[str, Any] = {}
        if "strength" in ranges:
            changes["strength"] = LogUniform(log_uniform=ranges["strength"])
        terms = {}
        for name, term in self.sum.items():
            found = ranges.get(f"{name}.strength")
            update = {"strength": LogUniform(log_uniform=found)} if found else {}
            terms[name] = term.model_copy(update=update)
        return self.model_copy(update={**changes, "sum": terms})

    def probed(self, parameter: str) -> MethodConfig:
        """Return the method with that strength 1, one penalty alone, its other keys as usual."""
        for term in self.terms:
            if f"{term.prefix}strength" == parameter:
                return MethodConfig(terms=(term.example(),))
        params = {key: midpoint(value) for key, value in self.method_hyper.items()}
        return self.config({**params, parameter: 1.0})

    @property
    def penalty_text(self) -> str:
        """What it is in a few words, such as `gradual_magnitude + l2`."""
        names = [self.method] if self.method else []
        names += [term.penalty + term.note for term in self.terms]
        return " + ".join(names) or "none"

    @property
    def summary(self) -> str:
        """What it is, for a table of a report."""
        parts = [self.entry.summary] if self.entry else []
        parts += [term.formula.summary + term.remarks for term in self.terms]
        return "; ".join(parts) or "no penalty"

    @property
    def family(self) -> Family:
        """What it is compared as: its penalties decide, whatever else it does."""
        if any(term.shuffle for term in self.terms):
            return "shuffled"
        families = {family_of(term.penalty) for term in self.terms}
        if len(families) == 1:
            return families.pop()
        return "hybrid" if families and families <= {"lp", "entropy", "hybrid"} else "other"

    @property
    def sees_arrangement(self) -> bool:
        """Whether a penalty of it depends on which weight stands where."""
        return any(term.formula.sees_arrangement_of and not term.shuffle for term in self.terms)

    @property
    def mode_text(self) -> str:
        """How its penalties are applied, such as `prox + shrink`."""
        return " + ".join(term.way for term in self.terms)

    @property
    def gives_zeros(self) -> bool:
        """Whether training itself sets weights to exactly 0."""
        zeros = (term.way in EXACT_ZEROS and term.formula.gives_zeros for term in self.terms)
        return self.method is not None or any(zeros)

    @property
    def _extra(self) -> dict[str, Any]:
        return self.__pydantic_extra__ or {}

    @model_validator(mode="after")
    def _fits_the_catalogue(self) -> Self:
        if self.method is not None and self.method not in METHODS:
            allowed = choices(self.method, METHODS)
            raise SectionErrors([("method", f"no such method: {allowed}")])
        found = [
            *self._combination_problems(),
            *(
                (self._place(term, key), text)
                for term in self.terms
                for key, text in term.problems()
            ),
            *self._key_problems(),
        ]
        if found := found or self._schedule_problems():
            raise SectionErrors(found)
        return self

    def _combination_problems(self) -> list[Problem]:
        own = self.entry is not None and self.entry.has_strength
        found: list[Problem] = []
        if self.penalty != "none" and self.sum:
            found.append(("sum", "an arm has either a penalty or a sum of several"))
        if own and self.terms:
            found.append(("method", f"{self.method} stands by itself, without penalties"))
        if own and self.strength is None:
            found.append(("strength", "required: a number, a domain or auto"))
        if self.penalty == "none":
            found += [
                (key, "has no meaning without a penalty")
                for key in PLAIN_KEYS[1:]
                if getattr(self, key) and not (own and key == "strength")
            ]
        if "none" in self.sum:
            found.append(("sum.none", "is no penalty, and adds nothing"))
        if len(self.sum) == 1:
            found.append(("sum", "needs two or more penalties; for one say `penalty:`"))
        return found + self._prox_problems()

    @staticmethod
    def _place(term: PenaltySpec, key: str) -> str:
        if not term.prefix:
            return key
        return f"sum.{term.penalty}" if key == "penalty" else f"sum.{term.penalty}.{key}"

    def _schedule_problems(self) -> list[Problem]:
        hyper = self.method_hyper
        if not {"begin", "end"} <= set(hyper):
            return []
        begin, end = largest_value(hyper["begin"]), smallest_value(hyper["end"])
        return [] if begin < end else [("begin", f"must be < end {end:g}, got {begin:g}")]

    def _prox_problems(self) -> list[Problem]:
        """One exact proximal step: of one formula, or of l1, then a group lasso, then l2."""
        proximal = [term.penalty for term in self.terms if term.way == "prox"]
        others = [name for name in proximal if name not in {"l1", "l2", "group_lasso"}]
        shuffled = [t.penalty for t in self.terms if t.way == "prox" and t.shuffle]
        if len(proximal) < 2 or not (others or shuffled):
            return []
        text = (
            f"{', '.join(proximal)} cannot all be prox: the operator of a sum is exact for l1, l2 "
            "and group_lasso together only; apply others as shrink"
        )
        return [("sum", text)]

    def _key_problems(self) -> list[Problem]:
        # A plugin's keys are known once it is imported: see `tryout`.
        outside = any(":" in term.penalty for term in self.terms if not term.prefix)
        own = self.entry.hyper if self.entry else {}
        formula = self.terms[0].formula.hyper if self.terms and not self.sum else {}
        found: list[Problem] = []
        for name, value in self._extra.items():
            if name in own:
                found += [(name, text) for text in hyper_problems(own[name], value)]
            elif name not in formula and not outside:
                allowed = ["method", "sum", *PLAIN_KEYS, *own, *formula]
                found.append((name, f"unknown key: {choices(name, allowed)}"))
        for term in self.terms:
            if term.prefix and ":" not in term.penalty:
                allowed = [*PLAIN_KEYS[1:], *term.formula.hyper]
                found += [
                    (f"sum.{term.penalty}.{name}", f"unknown key: {choices(name, allowed)}")
                    for name in term.given
                    if name not in term.formula.hyper
                ]
        return found


def _penalised(
    name: str, of: Arm | PenaltyInSum, given: Mapping[str, Any], prefix: str = ""
) -> PenaltySpec:
    return PenaltySpec(name, of.apply, of.strength, of.shuffle, of.during, of.ramp, given, prefix)
