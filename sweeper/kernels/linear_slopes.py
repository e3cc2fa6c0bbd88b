"""Linear slopes: dR/d|w| = constant + factor x |w|, the same for all weights.

What such a penalty does to a weight depends on that weight alone, in every mode: along the gradient
strength (constant sign(w) + factor w), by prox S(w, t constant) / (1 + t factor), t = rate x
strength. So it is done while the optimizer has the weight at hand, see
`sweeper.kernels.optimizer_steps`; beside a penalty that must act in between, in a pass of its own.
"""

from collections.abc import Callable, Mapping

from torch import Tensor

from sweeper.kernels import apply
from sweeper.kernels.slopes import Affine, ThresholdAndScale
from sweeper.regularizers.ops import FloatOrTensor, per_network

Line = tuple[float, FloatOrTensor]
"""Constant and factor, a number or one for each network, [pack]."""
LINES: Mapping[str, Callable[..., Line]] = {
    "l1": lambda: (1.0, 0.0),
    "l2": lambda: (0.0, 2.0),
    "elastic_net": lambda ridge=1.0: (1.0, 2 * ridge),
}
"""Formula -> (**hyper) -> its line."""


def line_slope(name: str) -> Callable[..., Affine]:
    """Return (weight [pack, out, in], **hyper) -> the line as a slope."""

    def slope(weight: Tensor, **hyper: FloatOrTensor) -> Affine:
        constant, factor = LINES[name](**hyper)
        return Affine.of(weight, rows=constant, column_factors=per_network(factor, weight))

    return slope


def line_prox(name: str) -> Callable[..., None]:
    """Return (weight, *, step, strength, **hyper) that applies S(v, t a) / (1 + t c) in place."""

    def prox_(
        weight: Tensor, *, step: FloatOrTensor, strength: FloatOrTensor, **hyper: FloatOrTensor
    ) -> None:
        t = per_network(step * strength, weight)
        constant, factor = LINES[name](**hyper)
        # Not t x 0: that is NaN for a t that is infinite.
        amount = t * constant if constant else 0.0
        flat = isinstance(factor, float) and factor == 0
        rows = 1.0 if flat else 1 / (1 + t * per_network(factor, weight))
        apply.scale_(weight, ThresholdAndScale.of(weight, amount, rows=rows))

    return prox_
