"""Comparison of a report: the families or arms that it speaks of, and what they are set against."""

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from sweeper.config.domains import Section
from sweeper.config.penalty import Problem
from sweeper.config.registry import FAMILIES
from sweeper.config.sections import Name
from sweeper.errors import choices

if TYPE_CHECKING:
    from sweeper.config.sweep import Sweep

FAMILIES_COMPARED = ("entropy", "arrangement", "hybrid", "shuffled")
AGAINST = ("lp", "other", "shuffled")
"""Against its shuffled control, a penalty shows what it owes to the arrangement of weights."""
Sides = Annotated[tuple[Name, ...] | None, Field(min_length=1)]


class Comparison(Section):
    """Families, or arms by name, that a report sets against each other; a family before an arm."""

    families: Sides = None
    """Unless given: those that arms name themselves, then the entropies, hybrids and controls."""
    against: Sides = None
    """Unless given: L_p penalties, other arms, controls. The first is what the answer is about."""


def compared(sweep: "Sweep") -> tuple[str, ...]:
    """Return the families or arms that a report speaks of."""
    if sweep.compare.families:
        return sweep.compare.families
    named = (arm.family for arm in sweep.arms.values() if arm.family)
    new = (name for name in named if name not in FAMILIES)
    return tuple(dict.fromkeys([*new, *FAMILIES_COMPARED]))


def against(sweep: "Sweep") -> tuple[str, ...]:
    """Return the families or arms that those are set against."""
    return sweep.compare.against or AGAINST


def yardsticks(sweep: "Sweep") -> tuple[str, ...]:
    """Return what the answer may be about: of these the first that it can speak of."""
    usual = sweep.compare == Comparison() and compared(sweep) == FAMILIES_COMPARED
    return ("lp",) if usual else against(sweep)


def members(sweep: "Sweep", name: str) -> tuple[str, ...]:
    """Return the arms of a family, or the arm of that name where it is no family's."""
    if name == "arrangement":
        return tuple(
            key
            for key, arm in sweep.arms.items()
            if arm.family_name == "entropy" and arm.sees_arrangement
        )
    arms = tuple(key for key, arm in sweep.arms.items() if arm.family_name == name)
    return arms or ((name,) if name in sweep.arms and name not in FAMILIES else ())


def problems(sweep: "Sweep") -> list[Problem]:
    """Return the names that neither a family nor an arm of the file has."""
    # Of a confirmation: arms of which nothing was chosen are not in it.
    if sweep.confirms is not None:
        return []
    families = [arm.family_name for arm in sweep.arms.values()]
    seeing = ["arrangement"] if members(sweep, "arrangement") else []
    allowed = list(dict.fromkeys([*families, *seeing, *sweep.arms]))
    sides = {"families": sweep.compare.families or (), "against": sweep.compare.against or ()}
    return [
        (f"compare.{key}.{place}", f"no such family or arm: {choices(name, allowed)}")
        for key, names in sides.items()
        for place, name in enumerate(names)
        if not members(sweep, name)
    ]
