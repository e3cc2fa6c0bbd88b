"""Formulas whose slope is a line in |w|, the same for all weights: dR/d|w| = a + c |w|.

What they do to a weight depends on that weight alone, in every way: along the gradient
strength (a sign(w) + c w), by prox S(w, t a) / (1 + t c), t = rate x strength. So it is done while
the optimizer has the weight at hand, see `sweeper.kernels.optimizer_steps`.
"""

from collections.abc import Callable, Mapping

from torch import Tensor

Line = tuple[Tensor | float, Tensor | float]
"""a and c, each a number or one for each network."""


def l1() -> Line:
    """1."""
    return 1.0, 0.0


def l2() -> Line:
    """2 |w|."""
    return 0.0, 2.0


def elastic_net(*, ridge: Tensor | float = 1.0) -> Line:
    """1 + 2 ridge |w|."""
    return 1.0, 2 * ridge


LINES: Mapping[str, Callable[..., Line]] = {"l1": l1, "l2": l2, "elastic_net": elastic_net}
