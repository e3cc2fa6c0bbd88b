"""Every formula of the registry with the hyperparameters it is tested with, and R(W) once more.

`written` is R(W) in plain float64 NumPy, from the formulas of the protocol: the oracle of values
and of derivatives.
"""

import itertools
import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from support import adjacency_cases
from sweeper.config.registry import FORMULAS, load

Matrix = NDArray[np.float64]
Letters = dict[str, Any]


def each(**letters: Iterable[Any]) -> list[Letters]:
    """Return all combinations of the given hyperparameters."""
    return [
        dict(zip(letters, values, strict=True)) for values in itertools.product(*letters.values())
    ]


def label(part: Any) -> str:
    """Return the id of a test case: `order=2.0 scaled=False`."""
    return " ".join(f"{k}={v}" for k, v in part.items()) if isinstance(part, dict) else str(part)


BOTH = (True, False)
BY = ("input", "neuron")
# mcp and scad have their strength among their letters.
HYPER: dict[str, list[Letters]] = {
    "none": [{}],
    "l1": [{}],
    "l2": [{}],
    "elastic_net": each(ridge=(0.0, 0.3, 1.0)),
    "l_half": [{}],
    "smoothed_lp": each(p=(0.1, 0.5, 1.0, 2.0), eps=(1e-2, 0.5)),
    "log_sum": each(eps=(1e-2, 0.5)),
    "transformed_l1": each(a=(0.1, 1.0, 1000.0)),
    "mcp": each(strength=(0.3, 0.8), gamma=(1.5, 3.0)),
    "scad": each(strength=(0.2, 0.5), a=(2.5, 3.7)),
    "hoyer": [{}],
    "hoyer_square": [{}],
    "group_lasso": each(by=BY),
    "sparse_group_lasso": each(by=BY, l1_ratio=(0.0, 0.5, 1.0)),
    "joint_entropy": each(scaled=BOTH),
    "renyi_entropy": each(order=(0.5, 1.0, 1.001, 1.09, 2.0, 5.0, 20.0), scaled=BOTH),
    "marginal_entropy": each(scaled=BOTH),
    "conditional_entropy": each(given=("rows", "columns"), scaled=BOTH),
    "mutual_information": each(scaled=BOTH),
    "local_entropy": each(window=(2, 3, 5, 7), scaled=BOTH),
    "l1_marginal_entropy": each(mix=(0.0, 0.5, 2.0)),
    "l1_joint_entropy": each(mix=(0.0, 0.3)),
    "difference_entropy": each(scaled=BOTH),
    "tile_entropy": each(sizes=("2 4", "4 8", "2 4 8", "2 4 8 16"), scaled=BOTH),
    "fused_lasso": each(smooth=(0.0, 0.5, 2.0)),
    "tile_group_lasso": each(tile=(2, 4, 8)),
    "topographic_cosine": each(shrink=(2, 3, 4, 5), scaled=BOTH),
    "wiring_cost": each(places=("line", "grid"), scaled=BOTH),
    "exclusive_lasso": each(by=BY),
}
CASES = [(name, hyper) for name, many in HYPER.items() for hyper in many]
SLOPED = [case for case in CASES if FORMULAS[case[0]].shrinkage]
INVARIANT = [name for name, formula in FORMULAS.items() if formula.scale_invariant]
UNSCALED = [(name, hyper) for name, hyper in CASES if name in INVARIANT and not hyper.get("scaled")]
DIFFERENTIABLE = [
    case
    for case in CASES
    if case[0] != "none" and not case[1].get("scaled") and "mix" not in case[1]
]
"""Those with a gradient in which nothing is held constant."""
PROXES = [case for case in CASES if FORMULAS[case[0]].prox]


def value(name: str, weight: Tensor, **letters: Any) -> Tensor:
    """R(W) by the function of the registry, [pack]."""
    found: Tensor = load(FORMULAS[name].value)(weight, **_with_strength(name, letters))
    return found


def shrinkage(name: str, weight: Tensor, **letters: Any) -> Tensor:
    """dR/d|w| by the function of the registry, [pack, out, in]."""
    function = load(FORMULAS[name].shrinkage or "")
    found: Tensor = function(weight, **_with_strength(name, letters))
    return found.expand_as(weight)


def prox(name: str, weight: Tensor, **letters: Any) -> Tensor:
    """Proximal operator by the function of the registry; `step` and `strength` among letters."""
    found: Tensor = load(FORMULAS[name].prox or "")(weight, **letters)
    return found


def _with_strength(name: str, letters: Letters) -> Letters:
    return {"strength": 0.5, **letters} if FORMULAS[name].strength_inside else letters


def gradient(name: str, weight: Tensor, **letters: Any) -> Tensor:
    """dR/dw by autograd, [pack, out, in]; zeros for a value that does not depend on W."""
    leaf = weight.clone().requires_grad_()
    found = value(name, leaf, **letters)
    if not found.requires_grad:
        return torch.zeros_like(weight)
    (slope,) = torch.autograd.grad(found.sum(), leaf)
    return slope


def matrices(
    seed: int = 0,
    pack: int = 3,
    dtype: torch.dtype = torch.float64,
    shape: tuple[int, int] = (5, 7),
) -> Tensor:
    """Random matrices whose weights keep away from the kink at 0."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(pack, *shape, generator=generator, dtype=dtype)
    return weight + 0.1 * weight.sign()


def degenerate(dtype: torch.dtype = torch.float32) -> Tensor:
    """A single zero; a dead row and a dead column; an all-zero matrix."""
    weight = matrices(dtype=dtype)
    weight[0, 1, 1] = 0
    weight[1, 2, :] = 0
    weight[1, :, 3] = 0
    weight[2] = 0
    return weight


def entropy(masses: Matrix) -> float:
    """H(q) = -sum q log q, where 0 log 0 = 0."""
    positive = masses[masses > 0]
    return float(-(positive * np.log(positive)).sum())


def written(name: str, w: Matrix, held: float | None = None, **letters: Any) -> float:
    """R(W) of one matrix [out, in]. `held` is S where R says that it is held constant."""
    if name in _ELEMENTWISE:
        return float(elementwise(name, np.abs(w), **_with_strength(name, letters)).sum())
    a = np.abs(w)
    total = a.sum()
    held = total if held is None else held
    p = a / total
    h, h_rows, h_columns = entropy(p), entropy(p.sum(1)), entropy(p.sum(0))
    entropies = {
        "joint_entropy": lambda: h,
        "renyi_entropy": lambda: _renyi(a, letters["order"]),
        "marginal_entropy": lambda: h_rows + h_columns,
        "conditional_entropy": lambda: h - (h_rows if letters["given"] == "rows" else h_columns),
        "mutual_information": lambda: h_rows + h_columns - h,
        "local_entropy": lambda: _local(a, letters["window"]),
    }
    if name in entropies:
        return float(entropies[name]() * (held if letters["scaled"] else 1.0))
    match name:
        case "hoyer":
            return float(total / np.linalg.norm(a))
        case "hoyer_square":
            return float(total**2 / np.square(a).sum())
        case "group_lasso":
            return _groups(w, letters["by"])
        case "sparse_group_lasso":
            ratio = letters["l1_ratio"]
            return float(ratio * total + (1 - ratio) * _groups(w, letters["by"]))
        case "l1_marginal_entropy" | "l1_joint_entropy":
            mixed = h if name == "l1_joint_entropy" else h_rows + h_columns
            return float(total + letters["mix"] * held * mixed)
    return adjacency_cases.written(name, w, held, **letters)


def elementwise(name: str, magnitudes: Matrix, **letters: Any) -> Matrix:
    """R of each magnitude, for formulas that see each weight by itself."""
    return _ELEMENTWISE[name](magnitudes, **letters)


def _mcp(a: Matrix, strength: float, gamma: float = 3.0) -> Matrix:
    near = strength * a - a**2 / (2 * gamma)
    return np.where(a <= gamma * strength, near, gamma * strength**2 / 2)


def _scad(x: Matrix, strength: float, a: float = 3.7) -> Matrix:
    middle = (2 * a * strength * x - x**2 - strength**2) / (2 * (a - 1))
    far = strength**2 * (a + 1) / 2
    return np.where(x <= strength, strength * x, np.where(x <= a * strength, middle, far))


_ELEMENTWISE: dict[str, Callable[..., Matrix]] = {
    "none": lambda a: 0 * a,
    "l1": lambda a: a,
    "l2": lambda a: a**2,
    "elastic_net": lambda a, ridge: a + ridge * a**2,
    "l_half": np.sqrt,
    "smoothed_lp": lambda a, p, eps: (a**2 + eps**2) ** (p / 2),
    "log_sum": lambda a, eps: np.log(1 + a / eps),
    "transformed_l1": lambda x, a: (a + 1) * x / (a + x),
    "mcp": _mcp,
    "scad": _scad,
}


def _renyi(a: Matrix, order: float) -> float:
    if order == 1:
        return entropy(a / a.sum())
    p = a.astype(np.longdouble)  # next to order 1 the difference of the sum to 1 is what counts
    p = p[p > 0] / p.sum()
    return float(np.log((p**order).sum()) / (1 - np.longdouble(order)))


def _local(a: Matrix, window: int) -> float:
    height, width = min(window, a.shape[0]), min(window, a.shape[1])
    sums = np.array(
        [
            a[i : i + height, j : j + width].sum()
            for i in range(a.shape[0] - height + 1)
            for j in range(a.shape[1] - width + 1)
        ]
    )
    return entropy(sums / sums.sum())


def _groups(w: Matrix, by: str) -> float:
    found = 0.0
    for group in w.T if by == "input" else w:
        found += math.sqrt(len(group)) * math.sqrt(sum(x * x for x in group))
    return found
