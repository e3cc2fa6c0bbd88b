"""Entropies of the magnitudes of a weight matrix, by name.

In the formulas A = |W|, S = sum A, P = A / S, r and c are the row and column sums of P, and
H(q) = -sum q log q.
"""

from collections.abc import Mapping

from sweeper.config.registry.entries import Formula, Hyperparameter
from sweeper.types import ApplyMode

_ENTROPIES = "sweeper.regularizers.entropies"
_ARRANGEMENT = "sweeper.regularizers.structural_entropies"
_WINDOWS = "sweeper.regularizers.window_entropy"
FAMILY_OF_THE_ABSTRACT = (
    "in the family that the abstract of arXiv 2301.07285 describes; the formula of that paper is "
    "not at hand"
)
SCALED = Hyperparameter(
    default=True,
    choices=(True, False),
    summary="whether the entropy is multiplied by S = sum |w|, held constant in the gradient",
)
NO_PROX: Mapping[ApplyMode, str] = {"prox": "its proximal operator has no closed form; use shrink"}

ENTROPIES: Mapping[str, Formula] = {
    "joint_entropy": Formula(
        family="entropy",
        summary="entropy of the magnitudes of a matrix; blind to their arrangement",
        formula="R(W) = H(P), times S if scaled",
        reference="Shannon 1948, A mathematical theory of communication",
        value=f"{_ENTROPIES}:joint_entropy",
        shrinkage=f"{_ENTROPIES}:joint_entropy_shrinkage",
        default_mode="shrink",
        hyper={"scaled": SCALED},
        scale_invariant=True,
        unsupported=NO_PROX,
    ),
    "renyi_entropy": Formula(
        family="entropy",
        summary="Rényi entropy of the magnitudes; blind to their arrangement",
        formula="R(W) = log(sum P^order) / (1 - order), times S if scaled; order 1: H(P)",
        reference="Rényi 1961, On measures of entropy and information",
        value=f"{_ENTROPIES}:renyi_entropy",
        shrinkage=f"{_ENTROPIES}:renyi_entropy_shrinkage",
        default_mode="shrink",
        hyper={
            "order": Hyperparameter(
                default=2.0,
                low=0.0,
                high=20.0,
                above=True,
                differentiable_from=1.0,
                summary="1 is Shannon's entropy, 2 the logarithm of hoyer_square",
            ),
            "scaled": SCALED,
        },
        scale_invariant=True,
        unsupported=NO_PROX,
    ),
    "marginal_entropy": Formula(
        family="entropy",
        summary="entropies of the row sums and of the column sums of the magnitudes",
        formula="R(W) = H(r) + H(c), times S if scaled",
        reference=FAMILY_OF_THE_ABSTRACT,
        value=f"{_ARRANGEMENT}:marginal_entropy",
        shrinkage=f"{_ARRANGEMENT}:marginal_entropy_shrinkage",
        default_mode="shrink",
        hyper={"scaled": SCALED},
        sees_arrangement_of="rows and columns",
        scale_invariant=True,
        unsupported=NO_PROX,
    ),
    "conditional_entropy": Formula(
        family="entropy",
        summary="entropy of the magnitudes within rows, or within columns",
        formula="R(W) = H(P) - H(r) or H(P) - H(c), times S if scaled",
        reference=FAMILY_OF_THE_ABSTRACT,
        value=f"{_ARRANGEMENT}:conditional_entropy",
        shrinkage=f"{_ARRANGEMENT}:conditional_entropy_shrinkage",
        default_mode="shrink",
        hyper={
            "given": Hyperparameter(
                default="rows",
                choices=("rows", "columns"),
                summary="what is known: rows subtracts H(r), columns subtracts H(c)",
            ),
            "scaled": SCALED,
        },
        sees_arrangement_of="rows or columns",
        scale_invariant=True,
        unsupported=NO_PROX,
    ),
    "mutual_information": Formula(
        family="entropy",
        summary="what the row of a weight tells of its column; 0 on a uniform matrix",
        formula="R(W) = H(r) + H(c) - H(P), times S if scaled",
        reference=FAMILY_OF_THE_ABSTRACT,
        value=f"{_ARRANGEMENT}:mutual_information",
        shrinkage=f"{_ARRANGEMENT}:mutual_information_shrinkage",
        default_mode="shrink",
        hyper={"scaled": SCALED},
        sees_arrangement_of="rows and columns",
        scale_invariant=True,
        unsupported=NO_PROX,
    ),
    "local_entropy": Formula(
        family="entropy",
        summary="entropy of the masses in square windows that slide over the matrix",
        formula="R(W) = H(m), m = sums of A in all windows, over their sum; times S if scaled",
        reference=FAMILY_OF_THE_ABSTRACT,
        value=f"{_WINDOWS}:local_entropy",
        shrinkage=f"{_WINDOWS}:local_entropy_shrinkage",
        default_mode="shrink",
        hyper={
            "window": Hyperparameter(
                default=3, choices=(2, 3, 5, 7), summary="rows and columns of a window"
            ),
            "scaled": SCALED,
        },
        sees_arrangement_of="neighbourhood",
        scale_invariant=True,
        unsupported=NO_PROX,
    ),
    "l1_marginal_entropy": Formula(
        family="hybrid",
        summary="L1 with the entropies of the row and column sums",
        formula="R(W) = S + mix x S x (H(r) + H(c)), the second S held constant in the gradient",
        reference=FAMILY_OF_THE_ABSTRACT,
        value=f"{_ARRANGEMENT}:l1_marginal_entropy",
        shrinkage=f"{_ARRANGEMENT}:l1_marginal_entropy_shrinkage",
        default_mode="shrink",
        hyper={"mix": Hyperparameter(default=0.5, low=0.0, high=10.0, summary="0 is L1")},
        sees_arrangement_of="rows and columns",
        unsupported=NO_PROX,
    ),
    "l1_joint_entropy": Formula(
        family="hybrid",
        summary="L1 with the entropy of the magnitudes; blind to their arrangement",
        formula="R(W) = S + mix x S x H(P), the second S held constant in the gradient",
        reference="Shannon 1948, A mathematical theory of communication",
        value=f"{_ENTROPIES}:l1_joint_entropy",
        shrinkage=f"{_ENTROPIES}:l1_joint_entropy_shrinkage",
        default_mode="shrink",
        hyper={"mix": Hyperparameter(default=0.3, low=0.0, high=10.0, summary="0 is L1")},
        unsupported=NO_PROX,
    ),
}
