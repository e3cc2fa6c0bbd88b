"""What kind of penalty a formula is, so that like can be set against like."""

from typing import Literal

from sweeper.catalogue.entropies import ENTROPIES

Family = Literal["lp", "entropy", "arrangement", "hybrid", "shuffled", "other"]
FAMILIES: dict[Family, str] = {
    "lp": "L_p penalties",
    "entropy": "pure entropies",
    "arrangement": "pure entropies that see arrangement",
    "hybrid": "entropies with L_p",
    "shuffled": "shuffled controls",
    "other": "other arms",
}
"""What people call them. `arrangement` is the part of `entropy` that the claim is about, and is set
against others as a family of its own. `hybrid` contains an L_p penalty, and tunes one thing more;
`shuffled` evaluates a penalty on entries in a fixed random order, so that it sees no arrangement.
"""

LP = frozenset({"l1", "l2", "elastic_net", "l_half", "smoothed_lp"})
_MIXED = frozenset({"l1_marginal_entropy", "l1_joint_entropy"})


def family_of(penalty: str) -> Family:
    """Return the family of a formula; what is not in the catalogue is `other`."""
    if penalty in LP:
        return "lp"
    if penalty in _MIXED:
        return "hybrid"
    return "entropy" if penalty in ENTROPIES else "other"
