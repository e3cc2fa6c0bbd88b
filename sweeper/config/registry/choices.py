"""Choices of a study file by name: formulas and their families, optimizers, schedules, samplers."""

from collections.abc import Mapping

from sweeper.config.registry.adjacency_entries import ADJACENCY
from sweeper.config.registry.entries import Family, Formula
from sweeper.config.registry.entropy_entries import ENTROPIES
from sweeper.config.registry.penalty_entries import PENALTIES

FORMULAS: Mapping[str, Formula] = {**PENALTIES, **ENTROPIES, **ADJACENCY}
"""All penalties R(W), in the order in which they are listed to people."""

FAMILIES: dict[Family, str] = {
    "lp": "L_p penalties",
    "entropy": "pure entropies",
    "arrangement": "pure entropies that see arrangement",
    "hybrid": "entropies with L_p",
    "shuffled": "shuffled controls",
    "other": "other arms",
}
"""Titles of families. `arrangement` is the part of `entropy` that the claim is about, and is set
against others as a family of its own. `hybrid` contains an L_p penalty, and tunes one thing more;
`shuffled` evaluates a penalty on entries in a fixed random order, so that it sees no arrangement.
"""

OPTIMIZERS = ("sgd", "adam", "adamw")
PRECISIONS = ("float32", "bfloat16", "tf32")
"""Precisions of matrix products: tf32, on NVIDIA GPUs only, rounds factors to 11 bits; bfloat16
rounds them and what they give to 8 bits. Weights and sums are float32."""
SCHEDULES = ("constant", "cosine", "linear")

SAMPLERS: Mapping[str, int] = {
    "tpe": 10,
    "nsga2": 50,
    "gp": 10,
    "qmc": 0,
    "random": 0,
    "grid": 0,
}
"""Sampler -> trials before it learns: its start-up or population; 0 for those that never do."""

SLOT_SAMPLERS = frozenset({"qmc", "random", "grid"})
"""Samplers whose parameters are a function of the slot alone."""

RESERVED_FAMILIES = {
    "arrangement": "is the part of `entropy` that sees arrangement; name another",
}
"""Families that no arm names as its own, with the reason."""


def family_title(family: str) -> str:
    """Return the title of a family; one that a study file made up is its own."""
    return next((title for name, title in FAMILIES.items() if name == family), family)


def family_of(penalty: str) -> Family:
    """Return the family of a formula; one that is not in the registry is `other`."""
    return FORMULAS[penalty].family if penalty in FORMULAS else "other"
