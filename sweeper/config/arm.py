"""Arm of a study file: one method under comparison."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    model_validator,
)

from sweeper.config.domains import (
    Domain,
    LogUniform,
    SearchedScalar,
)
from sweeper.config.penalty import (
    PLAIN_KEYS,
    PenaltyKeys,
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
from sweeper.config.registry import (
    EXACT_ZEROS,
    METHODS,
    PLUGIN,
    RESERVED_FAMILIES,
    MethodEntry,
    family_of,
    formula_of,
    method_of,
    method_plugins,
    plugins,
)
from sweeper.errors import choices, shown
from sweeper.types import MethodConfig, Scalar

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,53}")
"""Of sweeps, arms and families."""
PARAMETER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
"""Of what a script is given."""


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


def _method_written_out(method: Any) -> Any:
    return method_plugins().get(method, method) if isinstance(method, str) else method


def _keys_written_out(terms: Any) -> Any:
    return (
        {_written_out(key): term for key, term in terms.items()}
        if isinstance(terms, Mapping)
        else terms
    )


def _family(name: str | None) -> str | None:
    """Return the name of a family. Raises ValueError."""
    if name is not None and not NAME.fullmatch(name):
        raise ValueError(f"must be 1-54 letters, digits, '.', '_' or '-', got {shown(name)}")
    if name in RESERVED_FAMILIES:
        raise ValueError(f"{shown(name)} {RESERVED_FAMILIES[name]}")
    return name


class Arm(PenaltyKeys):
    """One method: a penalty or a sum of some, and what else it does to training."""

    penalty: Annotated[str, BeforeValidator(_written_out)] = "none"
    sum: Annotated[dict[str, PenaltyKeys], BeforeValidator(_keys_written_out)] = {}
    """Penalties by formula, each with its own keys."""
    method: Annotated[str | None, BeforeValidator(_method_written_out)] = None
    """Name in the registry, or `package.module:Class`."""
    family: Annotated[str | None, AfterValidator(_family)] = None
    """The family that it is compared in, where the file says so."""
    parameters: dict[str, SearchedScalar] = {}
    """Of a script: values of this arm, before those that all arms share."""
    usual_keys: ClassVar[tuple[str, ...]] = ("method", "sum", "family", "parameters", *PLAIN_KEYS)
    """Those that any arm may have, as an error line lists them."""

    @property
    def terms(self) -> tuple[PenaltySpec, ...]:
        """The penalties; those of a sum by name."""
        specs = []
        if self.penalty != "none":
            of_method = self.method_hyper if self._names_a_method else {}
            own_keys = {key: value for key, value in self.extra.items() if key not in of_method}
            specs.append(PenaltySpec(self.penalty, self, own_keys))
        # Sorted, as in the digest: the file's order must not decide a result.
        for name, keys in sorted(self.sum.items()):
            specs.append(PenaltySpec(name, keys, keys.extra, f"{name}."))
        return tuple(specs)

    @property
    def entry(self) -> MethodEntry | None:
        """The method's entry in the registry, or None for training as usual."""
        return method_of(self.method) if self.method else None

    @property
    def _names_a_method(self) -> bool:
        """Whether there is such a method; one that does not exist is reported."""
        return self.method in METHODS or self.has_outside_method

    @property
    def has_outside_method(self) -> bool:
        """Whether its method is one of a user's own, `package.module:Class`."""
        return self.method not in METHODS and bool(PLUGIN.fullmatch(self.method or ""))

    @property
    def method_hyper(self) -> dict[str, Scalar | Domain]:
        """The method's hyperparameters, defaults filled in."""
        if self.has_outside_method:
            # Its keys are known once it is imported; those of a known formula are not its.
            of_formula = formula_of(self.penalty).hyper
            return {key: self.extra[key] for key in sorted(self.extra) if key not in of_formula}
        return with_defaults(self.entry.hyper, self.extra) if self.entry else {}

    @property
    def domains(self) -> dict[str, Domain]:
        """The searched keys in a fixed order: those of the penalties, then of the method."""
        of_method: dict[str, Any] = dict(self.method_hyper)
        if self.entry and self.entry.has_strength:
            of_method = {"strength": self.strength, **of_method}
        parts = [term.domains for term in self.terms]
        parts.append({key: value for key, value in of_method.items() if is_domain(value)})
        parts.append({key: value for key, value in self.parameters.items() if is_domain(value)})
        return {key: value for part in parts for key, value in part.items()}

    def config(self, params: Mapping[str, Scalar]) -> MethodConfig:
        """Return the method with the searched values filled in."""
        strength: Any = params.get("strength", self.strength)
        return MethodConfig(
            terms=tuple(term.config(params) for term in self.terms),
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
        penalties = {}
        for name, keys in self.sum.items():
            bounds = ranges.get(f"{name}.strength")
            update = {"strength": LogUniform(log_uniform=bounds)} if bounds else {}
            penalties[name] = keys.model_copy(update=update)
        return self.model_copy(update={**changes, "sum": penalties})

    def probed(self, parameter: str) -> MethodConfig:
        """Return the method with that strength 1, one penalty alone, its other keys as usual."""
        for term in self.terms:
            if f"{term.prefix}strength" == parameter:
                return MethodConfig(terms=(term.example(),))
        params = {key: midpoint(value) for key, value in self.method_hyper.items()}
        return self.config({**params, parameter: 1.0})

    @property
    def penalty_text(self) -> str:
        """The arm in a few words, such as `gradual_magnitude + l2`."""
        names = [self.method] if self.method else []
        names += [term.penalty + term.note for term in self.terms]
        return " + ".join(names) or "none"

    @property
    def summary(self) -> str:
        """The arm in words, for a table of a report."""
        parts = [self.entry.summary] if self.entry else []
        parts += [term.formula.summary + term.remarks for term in self.terms]
        return "; ".join(parts) or "no penalty"

    @property
    def family_name(self) -> str:
        """Family that it is compared in: the file's, else what its penalties are."""
        if self.family is not None:
            return self.family
        if any(term.keys.shuffle for term in self.terms):
            return "shuffled"
        families: set[str] = {family_of(term.penalty) for term in self.terms}
        if len(families) == 1:
            return families.pop()
        return "hybrid" if families and families <= {"lp", "entropy", "hybrid"} else "other"

    @property
    def sees_arrangement(self) -> bool:
        """Whether a penalty of it depends on which weight stands where."""
        return any(
            term.formula.sees_arrangement_of and not term.keys.shuffle for term in self.terms
        )

    @property
    def mode_text(self) -> str:
        """Modes of its penalties, such as `prox + shrink`."""
        return " + ".join(term.mode for term in self.terms)

    @property
    def gives_zeros(self) -> bool:
        """Whether training itself sets weights to exactly 0."""
        zeros = (term.mode in EXACT_ZEROS and term.formula.gives_zeros for term in self.terms)
        return self.method is not None or any(zeros)

    @model_validator(mode="after")
    def _fits_the_registry(self) -> Self:
        if self.method is not None and not self._names_a_method:
            names = [*METHODS, *method_plugins(), "package.module:Class"]
            allowed = choices(self.method, names)
            raise SectionErrors([("method", f"no such method: {allowed}")])
        problems = [
            *self._combination_problems(),
            *(
                (self._place(term, key), text)
                for term in self.terms
                for key, text in term.problems()
            ),
            *self._key_problems(),
        ]
        if problems := problems or self._schedule_problems():
            raise SectionErrors(problems)
        return self

    def _combination_problems(self) -> list[Problem]:
        has_strength = self.entry is not None and self.entry.has_strength
        problems: list[Problem] = []
        if self.penalty != "none" and self.sum:
            problems.append(("sum", "an arm has either a penalty or a sum of several"))
        if has_strength and self.terms:
            problems.append(("method", f"{self.method} stands by itself, without penalties"))
        if has_strength and self.strength is None:
            problems.append(("strength", "required: a number, a domain or auto"))
        if self.penalty == "none":
            problems += [
                (key, "has no meaning without a penalty")
                for key in PLAIN_KEYS[1:]
                if getattr(self, key) and not (has_strength and key == "strength")
            ]
        if "none" in self.sum:
            problems.append(("sum.none", "is no penalty, and adds nothing"))
        if len(self.sum) == 1:
            problems.append(("sum", "needs two or more penalties; for one say `penalty:`"))
        return problems + self._prox_problems()

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
        proximal = [term.penalty for term in self.terms if term.mode == "prox"]
        others = [name for name in proximal if name not in {"l1", "l2", "group_lasso"}]
        shuffled = [
            term.penalty for term in self.terms if term.mode == "prox" and term.keys.shuffle
        ]
        if len(proximal) < 2 or not (others or shuffled):
            return []
        text = (
            f"{', '.join(proximal)} cannot all be prox: the operator of a sum is exact for l1, l2 "
            "and group_lasso together only; apply others as shrink"
        )
        return [("sum", text)]

    def _key_problems(self) -> list[Problem]:
        # A plugin's keys are known once it is imported: see `operations.try_out`.
        outside = any(":" in term.penalty for term in self.terms if not term.prefix)
        of_method = self.entry.hyper if self.entry else {}
        if outside and self.has_outside_method and self.extra:
            text = "may be the formula's or the method's, both from outside; allowed: no keys"
            return [(name, text) for name in self.extra]
        outside |= self.has_outside_method
        of_formula = self.terms[0].formula.hyper if self.terms and not self.sum else {}
        problems: list[Problem] = []
        for name, value in self.extra.items():
            if name in of_method:
                problems += [(name, text) for text in hyper_problems(of_method[name], value)]
            elif name not in of_formula and not outside:
                allowed = [*self.usual_keys, *of_method, *of_formula]
                problems.append((name, f"unknown key: {choices(name, allowed)}"))
        for term in self.terms:
            if term.prefix and ":" not in term.penalty:
                allowed = [*PLAIN_KEYS[1:], *term.formula.hyper]
                problems += [
                    (f"sum.{term.penalty}.{name}", f"unknown key: {choices(name, allowed)}")
                    for name in term.own_keys
                    if name not in term.formula.hyper
                ]
        return problems
