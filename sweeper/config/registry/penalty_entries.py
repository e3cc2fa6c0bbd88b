"""L_p penalties, concave penalties, ratios of norms and penalties of groups, by name.

In the formulas sums run over the weights w of one matrix [out, in], t = learning rate x strength.
"""

from collections.abc import Mapping

from sweeper.config.registry.entries import Formula, Hyperparameter
from sweeper.types import ApplyMode

_NORMS = "sweeper.regularizers.norms"
_POWERS = "sweeper.regularizers.powers"
_CONCAVE = "sweeper.regularizers.concave"
_CLIPPED = "sweeper.regularizers.mcp_scad"
_HOYER = "sweeper.regularizers.norm_ratios"
_GROUPS = "sweeper.regularizers.groups"

_NOTHING = "there is nothing to apply; use loss"
_VANISHING = "its slope vanishes with the weight, so that a step never reaches 0"
_INFINITE = "its gradient is infinite at a weight of 0; use prox, shrink or smoothed_lp"
_RATIO: Mapping[ApplyMode, str] = {"prox": "its proximal operator has no closed form; use shrink"}

_EPS = Hyperparameter(
    default=1e-2, low=1e-6, high=1.0, summary="the size of weights below which it is smoothed"
)
BY = Hyperparameter(
    default="input",
    choices=("input", "neuron"),
    summary="a group is all weights that leave an input, or all that enter a neuron",
)

PENALTIES: Mapping[str, Formula] = {
    "none": Formula(
        summary="no penalty",
        formula="R(W) = 0",
        reference="the dense network, as any other arm without its penalty",
        value=f"{_NORMS}:zero",
        default_mode="loss",
        gives_zeros=False,
        unsupported={"decoupled": _NOTHING, "prox": _NOTHING, "shrink": _NOTHING},
    ),
    "l1": Formula(
        family="lp",
        summary="sum of magnitudes",
        formula="R(W) = sum |w|",
        reference="Tibshirani 1996, Regression shrinkage and selection via the lasso",
        value=f"{_NORMS}:l1",
        shrinkage=f"{_NORMS}:l1_shrinkage",
        prox=f"{_NORMS}:l1_prox",
        default_mode="prox",
    ),
    "l2": Formula(
        family="lp",
        summary="sum of squares, weight decay",
        formula="R(W) = sum w^2",
        reference="Krogh and Hertz 1991, A simple weight decay can improve generalization",
        value=f"{_NORMS}:l2",
        shrinkage=f"{_NORMS}:l2_shrinkage",
        prox=f"{_NORMS}:l2_prox",
        default_mode="prox",
        gives_zeros=False,
        unsupported={"shrink": f"{_VANISHING}; use prox"},
    ),
    "elastic_net": Formula(
        family="lp",
        summary="L1 and L2 together",
        formula="R(W) = sum |w| + ridge sum w^2",
        reference="Zou and Hastie 2005, Regularization and variable selection via the elastic net",
        value=f"{_NORMS}:elastic_net",
        shrinkage=f"{_NORMS}:elastic_net_shrinkage",
        prox=f"{_NORMS}:elastic_net_prox",
        default_mode="prox",
        hyper={
            "ridge": Hyperparameter(default=1.0, low=0.0, high=1e4, summary="factor of L2; 0 is L1")
        },
    ),
    "l_half": Formula(
        family="lp",
        summary="L_p with p = 1/2",
        formula="R(W) = sum |w|^(1/2)",
        reference="Xu et al. 2012, L1/2 regularization: a thresholding representation theory and "
        "a fast solver",
        value=f"{_POWERS}:l_half",
        shrinkage=f"{_POWERS}:l_half_shrinkage",
        prox=f"{_POWERS}:l_half_prox",
        default_mode="prox",
        unsupported={"loss": _INFINITE, "decoupled": _INFINITE},
    ),
    "smoothed_lp": Formula(
        family="lp",
        summary="L_p made smooth at 0",
        formula="R(W) = sum (w^2 + eps^2)^(p/2)",
        reference="Chartrand and Yin 2008, Iteratively reweighted algorithms for compressive "
        "sensing",
        value=f"{_POWERS}:smoothed_lp",
        shrinkage=f"{_POWERS}:smoothed_lp_shrinkage",
        default_mode="loss",
        hyper={
            "p": Hyperparameter(
                default=0.5, low=0.0, high=2.0, above=True, summary="2 is L2, 1 near L1"
            ),
            "eps": _EPS,
        },
        gives_zeros=False,
        unsupported={
            "prox": "its proximal operator has no closed form; use loss or decoupled",
            "shrink": f"{_VANISHING}; use loss or decoupled",
        },
    ),
    "log_sum": Formula(
        summary="sum of logarithms, what reweighted L1 minimises",
        formula="R(W) = sum log(1 + |w| / eps)",
        reference="Candès et al. 2008, Enhancing sparsity by reweighted l1 minimization",
        value=f"{_CONCAVE}:log_sum",
        shrinkage=f"{_CONCAVE}:log_sum_shrinkage",
        prox=f"{_CONCAVE}:log_sum_prox",
        default_mode="prox",
        hyper={"eps": _EPS},
    ),
    "transformed_l1": Formula(
        summary="between L0 (small a) and L1 (large a)",
        formula="R(W) = sum (a + 1) |w| / (a + |w|)",
        reference="Zhang and Xin 2018, Minimization of transformed L1 penalty: theory, difference "
        "of convex function algorithm, and robust application in compressed sensing",
        value=f"{_CONCAVE}:transformed_l1",
        shrinkage=f"{_CONCAVE}:transformed_l1_shrinkage",
        prox=f"{_CONCAVE}:transformed_l1_prox",
        default_mode="prox",
        hyper={
            "a": Hyperparameter(
                default=1.0, low=1e-3, high=1e3, summary="where it has half of its slope"
            )
        },
    ),
    "mcp": Formula(
        summary="minimax concave penalty: L1 that flattens and leaves large weights alone",
        formula="R(W) = sum of strength |w| - w^2 / (2 gamma), or gamma strength^2 / 2 where "
        "|w| > gamma strength",
        reference="Zhang 2010, Nearly unbiased variable selection under minimax concave penalty",
        value=f"{_CLIPPED}:mcp",
        shrinkage=f"{_CLIPPED}:mcp_shrinkage",
        prox=f"{_CLIPPED}:mcp_prox",
        default_mode="prox",
        hyper={
            "gamma": Hyperparameter(
                default=3.0,
                low=0.0,
                high=1e4,
                above=True,
                min_above_learning_rate=0.0,
                summary="weights beyond gamma x strength are let be",
            )
        },
        strength_inside=True,
    ),
    "scad": Formula(
        summary="smoothly clipped absolute deviation: L1 up to strength, then flattening",
        formula="R(W) = sum of strength |w| - max(|w| - strength, 0)^2 / (2 (a - 1)), or "
        "(a + 1) strength^2 / 2 where |w| > a strength",
        reference="Fan and Li 2001, Variable selection via nonconcave penalized likelihood and its "
        "oracle properties",
        value=f"{_CLIPPED}:scad",
        shrinkage=f"{_CLIPPED}:scad_shrinkage",
        prox=f"{_CLIPPED}:scad_prox",
        default_mode="prox",
        hyper={
            "a": Hyperparameter(
                default=3.7,
                low=2.0,
                high=1e4,
                above=True,
                min_above_learning_rate=1.0,
                summary="weights beyond a x strength are let be",
            )
        },
        strength_inside=True,
    ),
    "hoyer": Formula(
        summary="ratio of L1 and L2",
        formula="R(W) = sum |w| / sqrt(sum w^2)",
        reference="Hoyer 2004, Non-negative matrix factorization with sparseness constraints",
        value=f"{_HOYER}:hoyer",
        shrinkage=f"{_HOYER}:hoyer_shrinkage",
        default_mode="shrink",
        scale_invariant=True,
        unsupported=_RATIO,
    ),
    "hoyer_square": Formula(
        summary="squared ratio of L1 and L2, a smooth count of the weights",
        formula="R(W) = (sum |w|)^2 / sum w^2",
        reference="Yang et al. 2020, DeepHoyer: learning sparser neural network with "
        "differentiable scale-invariant sparsity measures",
        value=f"{_HOYER}:hoyer_square",
        shrinkage=f"{_HOYER}:hoyer_square_shrinkage",
        default_mode="shrink",
        scale_invariant=True,
        unsupported=_RATIO,
    ),
    "group_lasso": Formula(
        summary="L2 norms of all weights of an input, or of a neuron",
        formula="R(W) = sum over groups g of d of sqrt(d) |w_g|_2",
        reference="Yuan and Lin 2006, Model selection and estimation in regression with grouped "
        "variables",
        value=f"{_GROUPS}:group_lasso",
        shrinkage=f"{_GROUPS}:group_lasso_shrinkage",
        prox=f"{_GROUPS}:group_lasso_prox",
        default_mode="prox",
        hyper={"by": BY},
        sees_arrangement_of="inputs or neurons",
        unsupported={"shrink": "it would be the same step as prox; use prox"},
    ),
    "sparse_group_lasso": Formula(
        summary="L1 and group lasso together",
        formula="R(W) = l1_ratio sum |w| + (1 - l1_ratio) sum over groups g of d of "
        "sqrt(d) |w_g|_2",
        reference="Simon et al. 2013, A sparse-group lasso",
        value=f"{_GROUPS}:sparse_group_lasso",
        shrinkage=f"{_GROUPS}:sparse_group_lasso_shrinkage",
        prox=f"{_GROUPS}:sparse_group_lasso_prox",
        default_mode="prox",
        hyper={
            "by": BY,
            "l1_ratio": Hyperparameter(
                default=0.5, low=0.0, high=1.0, summary="1 is L1, 0 group lasso"
            ),
        },
        sees_arrangement_of="inputs or neurons",
    ),
}
