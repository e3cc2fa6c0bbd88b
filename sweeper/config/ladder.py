"""Ladder: the densities at which each training is cut and fine-tuned."""

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

from sweeper.config.arm import SectionErrors
from sweeper.config.penalty import Problem
from sweeper.config.sections import Density
from sweeper.errors import shown

MOST_RUNGS = 32
EXAMPLE = "{from: 0.1, to: 0.005, rungs: 5}"


def _from_ends(value: Any) -> Any:
    """Return a list of densities as it is, of `{from, to, rungs}` so many at equal ratios.

    >>> _from_ends({"from": 0.1, "to": 0.001, "rungs": 3})
    [0.1, 0.01, 0.001]
    """
    if not isinstance(value, dict):
        return value
    if problems := _problems(value):
        raise SectionErrors(problems)
    first, last, count = float(value["from"]), float(value["to"]), int(value["rungs"])
    return [float(f"{first * (last / first) ** (rung / (count - 1)):.3g}") for rung in range(count)]


def _problems(value: dict[Any, Any]) -> list[Problem]:
    keys = ("from", "to", "rungs")
    problems = [
        (str(key), f"is no part of a ladder such as {EXAMPLE}") for key in value if key not in keys
    ]
    problems += [(key, f"required, as in {EXAMPLE}") for key in keys if key not in value]
    for key in ("from", "to"):
        if key in value and not (_is_number(value[key]) and 0 < value[key] <= 1):
            problems.append((key, f"must be > 0 and <= 1, got {shown(value[key])}"))
    rungs = value.get("rungs", 2)
    if not isinstance(rungs, int) or isinstance(rungs, bool) or not 2 <= rungs <= MOST_RUNGS:
        text = f"must be a whole number from 2 to {MOST_RUNGS}, got {shown(rungs)}"
        problems.append(("rungs", text))
    if not problems and not value["to"] < value["from"]:
        problems.append(("to", f"must be < from, {value['from']:g}, got {value['to']:g}"))
    return problems


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _descending(densities: tuple[float, ...]) -> tuple[float, ...]:
    """Return the densities from the largest on. Raises ValueError for none, or too many."""
    if not 1 <= len(densities) <= MOST_RUNGS:
        raise ValueError(f"must be 1 to {MOST_RUNGS} densities, got {len(densities)}")
    if len(set(densities)) < len(densities):
        raise ValueError("must name no density twice")
    return tuple(sorted(densities, reverse=True))


Ladder = Annotated[tuple[Density, ...], BeforeValidator(_from_ends), AfterValidator(_descending)]
"""Densities of a list, or so many from one to another, descending."""
