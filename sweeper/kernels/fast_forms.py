"""Fast forms of the registry's formulas, in one table: what a CPU does in a pass or two.

A formula is its value, shrinkage and prox in `sweeper.regularizers`: readable PyTorch, used on
other devices and in float64, and the oracle of what stands here. A formula without a row, such as
one of a user's own, is applied by those.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from torch import Tensor

from sweeper.kernels import affine_slopes, group_loops, logarithmic_slopes, thresholds
from sweeper.kernels.jit import supports_jit
from sweeper.kernels.linear_slopes import LINES, line_prox, line_slope
from sweeper.kernels.slopes import Slope
from sweeper.kernels.window_loops import local_entropy_slope


@dataclass(frozen=True, slots=True)
class FastForm:
    """The fast forms of one formula, None where there are none."""

    slope: Callable[..., Slope] | None = None
    """(weight, **hyper) -> dR/d|w|, mostly as small tensors for one pass."""
    prox_: Callable[..., None] | None = None
    """(weight, *, step, strength, **hyper): the proximal operator over a whole stack in place."""
    one_pass: bool = True
    """Whether a pass or two do all: else a stack is treated a few networks at a time."""


FAST_FORMS: Mapping[str, FastForm] = {
    **{name: FastForm(line_slope(name), line_prox(name)) for name in LINES},
    "l_half": FastForm(prox_=thresholds.l_half_prox_),
    "log_sum": FastForm(prox_=thresholds.log_sum_prox_),
    "transformed_l1": FastForm(prox_=thresholds.transformed_l1_prox_),
    "mcp": FastForm(affine_slopes.mcp_slope, thresholds.mcp_prox_),
    "scad": FastForm(affine_slopes.scad_slope, thresholds.scad_prox_),
    "hoyer": FastForm(affine_slopes.hoyer_slope),
    "hoyer_square": FastForm(affine_slopes.hoyer_square_slope),
    "group_lasso": FastForm(
        partial(affine_slopes.group_slope, l1_ratio=0.0),
        partial(thresholds.group_prox_, l1_ratio=0.0),
    ),
    "sparse_group_lasso": FastForm(affine_slopes.group_slope, thresholds.group_prox_),
    "joint_entropy": FastForm(logarithmic_slopes.entropy_slope),
    "renyi_entropy": FastForm(logarithmic_slopes.renyi_entropy_slope),
    "marginal_entropy": FastForm(affine_slopes.marginal_entropy_slope),
    "conditional_entropy": FastForm(logarithmic_slopes.conditional_entropy_slope),
    "mutual_information": FastForm(
        partial(logarithmic_slopes.entropy_slope, factor=1.0, rows=True, columns=True)
    ),
    "local_entropy": FastForm(local_entropy_slope, one_pass=False),
    "l1_marginal_entropy": FastForm(affine_slopes.l1_marginal_entropy_slope),
    "l1_joint_entropy": FastForm(logarithmic_slopes.l1_joint_entropy_slope),
    "tile_group_lasso": FastForm(prox_=group_loops.tile_group_prox_),
    "exclusive_lasso": FastForm(group_loops.exclusive_slope, group_loops.exclusive_prox_),
}
"""Formula -> its fast forms, for stacks that `supports_jit` takes."""
_NONE = FastForm()


def fast_form(name: str, weight: Tensor) -> FastForm:
    """Return the fast forms of a formula for a stack; one of none where there is no row for it."""
    return FAST_FORMS.get(name, _NONE) if supports_jit(weight) else _NONE
