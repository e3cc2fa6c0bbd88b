"""Regularizers R(W) of weight matrices: pure functions in plain PyTorch, one formula each.

A formula takes a stack `weight` [pack, out, in], one matrix [out, in], or one kernel [out, in,
height, width], which is flattened as [out, in x height x width], and its hyperparameters by
keyword, floats as numbers or [pack]. It returns [pack], or one number; any other shape and whole
numbers are refused. Three dimensions are always a stack: a kernel [out, in, width] comes as
`kernel.flatten(1)`.

Beside a value there may be a `_shrinkage`, dR/d|w|, as small as it broadcasts over the weights, and
a `_prox`, argmin over u of 1/2 |u - v|^2 + step x strength x R(u); of a kernel they have its shape.
The registry tells which exist. All are finite where weights are exactly 0; shrinkages and proxes
are not differentiable.

>>> import torch
>>> from sweeper.regularizers import l1, l1_prox
>>> weight = torch.tensor([[3.0, -0.5]])
>>> l1(weight), l1_prox(weight, step=0.1, strength=10.0)
(tensor(3.5000), tensor([[2., 0.]]))
"""

from sweeper.regularizers.concave import (
    log_sum,
    log_sum_prox,
    log_sum_shrinkage,
    transformed_l1,
    transformed_l1_prox,
    transformed_l1_shrinkage,
)
from sweeper.regularizers.differences import (
    difference_entropy,
    difference_entropy_shrinkage,
    fused_lasso,
    fused_lasso_shrinkage,
)
from sweeper.regularizers.entropies import (
    joint_entropy,
    joint_entropy_shrinkage,
    l1_joint_entropy,
    l1_joint_entropy_shrinkage,
    renyi_entropy,
    renyi_entropy_shrinkage,
)
from sweeper.regularizers.exclusive import (
    exclusive_lasso,
    exclusive_lasso_prox,
    exclusive_lasso_shrinkage,
)
from sweeper.regularizers.groups import (
    group_lasso,
    group_lasso_prox,
    group_lasso_shrinkage,
    sparse_group_lasso,
    sparse_group_lasso_prox,
    sparse_group_lasso_shrinkage,
)
from sweeper.regularizers.mcp_scad import (
    mcp,
    mcp_prox,
    mcp_shrinkage,
    scad,
    scad_prox,
    scad_shrinkage,
)
from sweeper.regularizers.norm_ratios import (
    hoyer,
    hoyer_shrinkage,
    hoyer_square,
    hoyer_square_shrinkage,
)
from sweeper.regularizers.norms import (
    elastic_net,
    elastic_net_prox,
    elastic_net_shrinkage,
    l1,
    l1_prox,
    l1_shrinkage,
    l2,
    l2_prox,
    l2_shrinkage,
    zero,
)
from sweeper.regularizers.powers import (
    l_half,
    l_half_prox,
    l_half_shrinkage,
    smoothed_lp,
    smoothed_lp_shrinkage,
)
from sweeper.regularizers.structural_entropies import (
    conditional_entropy,
    conditional_entropy_shrinkage,
    l1_marginal_entropy,
    l1_marginal_entropy_shrinkage,
    marginal_entropy,
    marginal_entropy_shrinkage,
    mutual_information,
    mutual_information_shrinkage,
)
from sweeper.regularizers.tiles import (
    tile_entropy,
    tile_entropy_shrinkage,
    tile_group_lasso,
    tile_group_lasso_prox,
    tile_group_lasso_shrinkage,
)
from sweeper.regularizers.topography import (
    topographic_cosine,
    topographic_cosine_shrinkage,
)
from sweeper.regularizers.window_entropy import (
    local_entropy,
    local_entropy_shrinkage,
)
from sweeper.regularizers.wiring import (
    wiring_cost,
    wiring_cost_shrinkage,
)

__all__ = [
    "conditional_entropy",
    "conditional_entropy_shrinkage",
    "difference_entropy",
    "difference_entropy_shrinkage",
    "elastic_net",
    "elastic_net_prox",
    "elastic_net_shrinkage",
    "exclusive_lasso",
    "exclusive_lasso_prox",
    "exclusive_lasso_shrinkage",
    "fused_lasso",
    "fused_lasso_shrinkage",
    "group_lasso",
    "group_lasso_prox",
    "group_lasso_shrinkage",
    "hoyer",
    "hoyer_shrinkage",
    "hoyer_square",
    "hoyer_square_shrinkage",
    "joint_entropy",
    "joint_entropy_shrinkage",
    "l1",
    "l1_joint_entropy",
    "l1_joint_entropy_shrinkage",
    "l1_marginal_entropy",
    "l1_marginal_entropy_shrinkage",
    "l1_prox",
    "l1_shrinkage",
    "l2",
    "l2_prox",
    "l2_shrinkage",
    "l_half",
    "l_half_prox",
    "l_half_shrinkage",
    "local_entropy",
    "local_entropy_shrinkage",
    "log_sum",
    "log_sum_prox",
    "log_sum_shrinkage",
    "marginal_entropy",
    "marginal_entropy_shrinkage",
    "mcp",
    "mcp_prox",
    "mcp_shrinkage",
    "mutual_information",
    "mutual_information_shrinkage",
    "renyi_entropy",
    "renyi_entropy_shrinkage",
    "scad",
    "scad_prox",
    "scad_shrinkage",
    "smoothed_lp",
    "smoothed_lp_shrinkage",
    "sparse_group_lasso",
    "sparse_group_lasso_prox",
    "sparse_group_lasso_shrinkage",
    "tile_entropy",
    "tile_entropy_shrinkage",
    "tile_group_lasso",
    "tile_group_lasso_prox",
    "tile_group_lasso_shrinkage",
    "topographic_cosine",
    "topographic_cosine_shrinkage",
    "transformed_l1",
    "transformed_l1_prox",
    "transformed_l1_shrinkage",
    "wiring_cost",
    "wiring_cost_shrinkage",
    "zero",
]
