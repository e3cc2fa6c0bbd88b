"""How functions over whole stacks of weights are compiled, by numba, for a CPU."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[np.float32]
_LIBERTIES = {"reassoc", "contract"}
F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Compile, and keep what was compiled for the next process where a folder can be written.

    Sums may be taken in another order, as a vector at a time, and a product may be rounded
    together with the sum that it is part of; NaN and infinity keep their meaning. What comes out
    is the same for the same processor.
    """
    try:
        return cast(F, numba.njit(cache=True, fastmath=_LIBERTIES, error_model="numpy")(function))
    except RuntimeError:  # no folder for the cache, as in a read-only container
        return cast(F, numba.njit(fastmath=_LIBERTIES, error_model="numpy")(function))


def inlined(function: F) -> F:
    """Compile a step of compiled functions, which takes the order of its sums as it stands."""
    return cast(F, numba.njit(fastmath={"contract"}, error_model="numpy")(function))


def by_hand(weight: Tensor) -> bool:
    """Tell whether compiled functions take it: [pack, out, in] in float32 on a CPU, no autograd."""
    plain = weight.device.type == "cpu" and weight.dtype == torch.float32 and weight.ndim == 3
    return plain and weight.is_contiguous() and not weight.requires_grad


def flat(value: Tensor, size: int) -> Array:
    """Return a hyperparameter for each network, [pack], as an array."""
    found: Array = value.flatten().expand(size).contiguous().numpy()
    return found
