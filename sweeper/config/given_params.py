"""Given parameters: values that a person, or an earlier sweep, has a trial try.

They lie in the domains of the study file. For a strength whose range a probe has yet to find any
positive number does; one that lies outside of the range in the end moves to the nearest end of it.
"""

import math
from collections.abc import Mapping

from sweeper.config.domains import Auto, Choice, Domain, Integer
from sweeper.config.sweep import Sweep
from sweeper.errors import choices, shown
from sweeper.types import Scalar

Params = dict[str, Scalar]


def given_params(
    sweep: Sweep, arm: str, params: Mapping[str, Scalar]
) -> tuple[Params, tuple[str, ...]]:
    """Return parameters as a sampler would propose them, and a line for each that cannot be."""
    domains = sweep.domains(arm)
    values: Params = {}
    problems: list[str] = []
    for name, value in params.items():
        if name not in domains:
            searched = choices(name, domains) if domains else "it searches nothing"
            problems.append(f"{name}: {arm} does not search it: {searched}")
        elif (inside := value_in(domains[name], value)) is None:
            problems.append(f"{name}: must be {_allowed(domains[name])}, got {shown(value)}")
        else:
            values[name] = inside
    return {name: values[name] for name in domains if name in values}, tuple(problems)


def value_in(domain: Domain, value: Scalar) -> Scalar | None:
    """Return a value as a domain has it; None if it lies outside."""
    if isinstance(domain, Choice):
        same = (each for each in domain.choice if each == value and _alike(each, value))
        return next(same, None)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    if isinstance(domain, Auto):
        return float(value) if value > 0 else None
    low, high = domain.bounds
    if isinstance(domain, Integer):
        return int(value) if value == int(value) and low <= value <= high else None
    return float(value) if low <= value <= high else None


def moved_into_ranges(sweep: Sweep, arm: str, params: Mapping[str, Scalar]) -> Params:
    """Return given parameters with each number moved to the nearest end of its range."""
    domains = sweep.domains(arm)

    def moved(domain: Domain, value: Scalar) -> Scalar:
        if isinstance(domain, Auto | Choice) or isinstance(value, str):
            return value
        low, high = domain.bounds
        return min(max(value, low), high)

    return {name: moved(domains[name], value) for name, value in params.items()}


def _alike(choice: Scalar, value: Scalar) -> bool:
    """Tell whether equal values are of one kind: True equals 1, and is none."""
    return isinstance(choice, bool) == isinstance(value, bool)


def _allowed(domain: Domain) -> str:
    if isinstance(domain, Choice):
        return f"one of {', '.join(map(str, domain.choice))}"
    if isinstance(domain, Auto):
        return "a number > 0"
    low, high = domain.bounds
    kind = "a whole number" if isinstance(domain, Integer) else "a number"
    return f"{kind} from {low:.4g} to {high:.4g}"
