"""Penalties that see which weights are neighbours, by name; and one of competing groups.

Letters as in the other entries. D are the differences between neighbours in W, down and across.
"""

from collections.abc import Mapping

from sweeper.config.registry.entries import Formula, Hyperparameter
from sweeper.config.registry.entropy_entries import FAMILY_OF_THE_ABSTRACT, NO_PROX, SCALED
from sweeper.config.registry.penalty_entries import BY

_DIFFERENCES = "sweeper.regularizers.differences"
_TILES = "sweeper.regularizers.tiles"
_EXCLUSIVE = "sweeper.regularizers.exclusive"
_TOPOGRAPHY = "sweeper.regularizers.topography"
_WIRING = "sweeper.regularizers.wiring"

ADJACENCY: Mapping[str, Formula] = {
    "difference_entropy": Formula(
        family="entropy",
        summary="entropy of the differences between neighbours: few edges",
        formula="R(W) = H(|D| / sum |D|), times S if scaled",
        reference=FAMILY_OF_THE_ABSTRACT,
        value=f"{_DIFFERENCES}:difference_entropy",
        shrinkage=f"{_DIFFERENCES}:difference_entropy_shrinkage",
        default_mode="shrink",
        hyper={"scaled": SCALED},
        sees_arrangement_of="neighbourhood",
        scale_invariant=True,
        unsupported=NO_PROX,
    ),
    "tile_entropy": Formula(
        family="entropy",
        summary="entropies of the masses of square tiles of several sizes",
        formula="R(W) = sum over sizes of H(m), m = sums of A in tiles, over S; times S if scaled",
        reference=FAMILY_OF_THE_ABSTRACT,
        value=f"{_TILES}:tile_entropy",
        shrinkage=f"{_TILES}:tile_entropy_shrinkage",
        default_mode="shrink",
        hyper={
            "sizes": Hyperparameter(
                default="2 4 8",
                choices=("2 4", "4 8", "2 4 8", "2 4 8 16"),
                summary="rows and columns of tiles, of each size in turn",
            ),
            "scaled": SCALED,
        },
        sees_arrangement_of="neighbourhood",
        scale_invariant=True,
        unsupported=NO_PROX,
    ),
    "fused_lasso": Formula(
        summary="L1 of weights and of the differences between neighbours",
        formula="R(W) = sum |w| + smooth x sum |D|",
        reference="Tibshirani et al. 2005, Sparsity and smoothness via the fused lasso",
        value=f"{_DIFFERENCES}:fused_lasso",
        shrinkage=f"{_DIFFERENCES}:fused_lasso_shrinkage",
        default_mode="shrink",
        hyper={"smooth": Hyperparameter(default=0.5, low=0.0, high=100.0, summary="0 is L1")},
        sees_arrangement_of="neighbourhood",
        unsupported={
            "prox": "of a matrix, unlike that of a row, it has no closed form; use shrink"
        },
    ),
    "tile_group_lasso": Formula(
        summary="L2 norms of square tiles",
        formula="R(W) = sum over tiles g of d weights of sqrt(d) |w_g|_2",
        reference="Yuan and Lin 2006, Model selection and estimation in regression with grouped "
        "variables; Wen et al. 2016, Learning structured sparsity in deep neural networks",
        value=f"{_TILES}:tile_group_lasso",
        shrinkage=f"{_TILES}:tile_group_lasso_shrinkage",
        prox=f"{_TILES}:tile_group_lasso_prox",
        default_mode="prox",
        hyper={
            "tile": Hyperparameter(
                default=4, choices=(2, 4, 8), summary="rows and columns of a tile"
            )
        },
        sees_arrangement_of="neighbourhood",
        unsupported={"shrink": "it would be the same step as prox; use prox"},
    ),
    "topographic_cosine": Formula(
        summary="how unlike the neurons of a sheet are to their neighbours",
        formula="R(W) = 1 - mean cos(u, v), times S if scaled",
        reference="Deb et al. 2025, TopoNets: high performing vision and language models with "
        "brain-like topography, arXiv 2501.16396",
        value=f"{_TOPOGRAPHY}:topographic_cosine",
        shrinkage=f"{_TOPOGRAPHY}:topographic_cosine_shrinkage",
        default_mode="loss",
        hyper={
            "shrink": Hyperparameter(
                default=3, choices=(2, 3, 4, 5), summary="rows and columns of a cell of the sheet"
            ),
            "scaled": SCALED,
        },
        sees_arrangement_of="neurons",
        scale_invariant=True,
        unsupported=NO_PROX,
    ),
    "wiring_cost": Formula(
        summary="lengths of connections between neurons that have places",
        formula="R(W) = sum P L, times S if scaled",
        reference="Liu et al. 2023, Seeing is believing: brain-inspired modular training for "
        "mechanistic interpretability, arXiv 2305.08746",
        value=f"{_WIRING}:wiring_cost",
        shrinkage=f"{_WIRING}:wiring_cost_shrinkage",
        default_mode="shrink",
        hyper={
            "places": Hyperparameter(
                default="grid",
                choices=("line", "grid"),
                summary="where neurons and inputs lie: in a line, or in rows and columns",
            ),
            "scaled": SCALED,
        },
        sees_arrangement_of="places",
        scale_invariant=True,
        unsupported=NO_PROX,
    ),
    "exclusive_lasso": Formula(
        summary="squared L1 norms of groups, in which weights compete",
        formula="R(W) = sum over groups g of (sum of |w| in g)^2",
        reference="Zhou et al. 2010, Exclusive lasso for multi-task feature selection",
        value=f"{_EXCLUSIVE}:exclusive_lasso",
        shrinkage=f"{_EXCLUSIVE}:exclusive_lasso_shrinkage",
        prox=f"{_EXCLUSIVE}:exclusive_lasso_prox",
        default_mode="prox",
        hyper={"by": Hyperparameter(default="neuron", choices=BY.choices, summary=BY.summary)},
        sees_arrangement_of="inputs or neurons",
    ),
}
