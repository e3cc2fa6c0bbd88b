"""Threshold operators in place, over a whole stack at once: fast forms of the prox of formulas.

Each does the same as the formula's `_prox`, which is that of other devices and of float64. For each
weight there are a division or two and a root here, neither sine nor cosine: in eager PyTorch these
took 1 to 2 ms for 266,200 weights, here 0.1 to 0.3. NaN and infinity pass.
Shapes: weight [pack, out, in] in float32 on a CPU is overwritten, the others [pack] or numbers.
"""

import math

import numpy as np
import torch
from torch import Tensor

from sweeper.kernels import apply, reductions
from sweeper.kernels.affine_slopes import group_norms
from sweeper.kernels.fast_math import shrunk
from sweeper.kernels.jit import Array, as_pack_array, jit, jit_inline
from sweeper.kernels.slopes import ThresholdAndScale
from sweeper.regularizers import concave, powers
from sweeper.regularizers.groups import By, root_of_size
from sweeper.regularizers.ops import FloatOrTensor, per_network


def group_prox_(
    weight: Tensor,
    *,
    step: FloatOrTensor,
    strength: FloatOrTensor,
    by: By = "input",
    l1_ratio: FloatOrTensor = 0.5,
) -> None:
    """Soft threshold by l1_ratio t, then the prox of group lasso for (1 - l1_ratio) t."""
    t, share = per_network(step * strength, weight), per_network(l1_ratio, weight)
    norms = group_norms(reductions.squares(weight, amount=t * share), by)
    part = t * (1 - share) * root_of_size(weight, by)
    left = (1 - part / norms.clamp_min(1e-30)).clamp_min(0)
    rows, columns = (1.0, left) if by == "input" else (left, 1.0)
    apply.scale_(weight, ThresholdAndScale.of(weight, t * share, rows=rows, columns=columns))


@jit_inline
def _moved(value: np.float32, amount: np.float32, threshold: np.float32) -> np.float32:
    return np.float32(0) if abs(value) <= threshold else shrunk(value, amount)


@jit
def _l_half(weight: Array, t: Array, threshold: Array) -> None:
    one, two = np.float32(1), np.float32(2)
    for k in range(weight.shape[0]):
        half, least = t[k] / two, threshold[k]
        low = max(least, np.float32(1e-20))  # below, there is no root; t = 0 is no 0 / 0
        for i in range(weight.shape[1]):
            for j in range(weight.shape[2]):
                value = weight[k, i, j]
                size = low if abs(value) < low else abs(value)
                # u = |v| (1 - d)^2, d (1 - d) (2 - d) = q <= 0.2722: the start is exact at both
                # ends and within 0.004 between, so that Newton's second step is to 1e-8.
                q = half / (size * math.sqrt(size))
                d = q * (np.float32(0.5) + np.float32(0.6402) * q)
                for _ in range(2):
                    slope = two + d * (np.float32(3) * d - np.float32(6))
                    d -= (d * (one - d) * (two - d) - q) / slope
                weight[k, i, j] = _moved(value, size * d * (two - d), least)


def l_half_prox_(weight: Tensor, *, step: FloatOrTensor, strength: FloatOrTensor) -> None:
    """Half threshold: 0 if |v| <= (3/2) t^(2/3), else the root of u - |v| + t / (2 sqrt u) = 0."""
    t = per_network(step * strength, weight)
    pack = len(weight)
    _l_half(weight.numpy(), as_pack_array(t, pack), as_pack_array(powers.l_half_threshold(t), pack))


@jit
def _log_sum(weight: Array, t: Array, eps: Array, threshold: Array) -> None:
    for k in range(weight.shape[0]):
        twice, small, least = np.float32(2) * t[k], eps[k], threshold[k]
        for i in range(weight.shape[1]):
            for j in range(weight.shape[2]):
                value = weight[k, i, j]
                moved = abs(value) + small
                square = moved * moved - np.float32(2) * twice
                square = np.float32(0) if square < np.float32(0) else square
                amount = twice / (moved + math.sqrt(square))
                weight[k, i, j] = _moved(value, amount, least)


def log_sum_prox_(
    weight: Tensor, *, step: FloatOrTensor, strength: FloatOrTensor, eps: FloatOrTensor = 1e-2
) -> None:
    """The better of 0 and ((a - eps) + sqrt((a + eps)^2 - 4t)) / 2, a = |v|."""
    t, eps = per_network(step * strength, weight), per_network(eps, weight)
    threshold = concave.log_sum_threshold(t, eps)
    numbers = [as_pack_array(part, len(weight)) for part in (t, eps, threshold)]
    _log_sum(weight.numpy(), *numbers)


@jit
def _transformed_l1(weight: Array, a: Array, bend: Array, threshold: Array) -> None:
    zero, one = np.float32(0), np.float32(1)
    three, four = np.float32(3), np.float32(4)
    for k in range(weight.shape[0]):
        shift, top, least = a[k], bend[k], threshold[k]
        for i in range(weight.shape[1]):
            for j in range(weight.shape[2]):
                value = weight[k, i, j]
                moved = abs(value) + shift
                # z = sin(f/6)^2 is the root of z (3 - 4z)^2 = x, which is double at x = 1. So it
                # starts from the root 1/4 - z of y^2 (3 + 4y) = (1 - x) / 4, within 0.001 of it.
                x = top / (moved * moved * moved)
                x = one if x > one else x
                c = math.sqrt(one - x) * np.float32(0.5)
                series = np.float32(0.57735) + c * (np.float32(-0.2037) + c * np.float32(0.098))
                z = np.float32(0.25) - c * series
                z = zero if z < zero else z
                for _ in range(2):
                    arm = three - four * z
                    slope = arm * (three - np.float32(12) * z)
                    slope = np.float32(1e-4) if slope < np.float32(1e-4) else slope
                    z -= (z * arm * arm - x) / slope
                amount = moved * z * np.float32(4 / 3)
                weight[k, i, j] = _moved(value, amount, least)


def transformed_l1_prox_(
    weight: Tensor, *, step: FloatOrTensor, strength: FloatOrTensor, a: FloatOrTensor = 1.0
) -> None:
    """0 up to a threshold, else v - (4/3) (a + |v|) sin(f/6)^2; f as in the prox."""
    t, a = per_network(step * strength, weight), per_network(a, weight)
    bend, threshold = 6.75 * a * (t * (a + 1)), concave.transformed_l1_threshold(t, a)
    numbers = [as_pack_array(part, len(weight)) for part in (a, bend, threshold)]
    _transformed_l1(weight.numpy(), *numbers)


@jit
def _clipped(weight: Array, bound: Array, factor: Array, most: Array) -> None:
    zero = np.float32(0)
    for k in range(weight.shape[0]):
        end, slope, cap = bound[k], factor[k], most[k]
        for i in range(weight.shape[1]):
            for j in range(weight.shape[2]):
                value = weight[k, i, j]
                amount = end - abs(value)
                amount = (zero if amount < zero else amount) * slope
                amount = cap if amount > cap else amount
                weight[k, i, j] = _moved(value, amount, np.float32(-1))


def mcp_prox_(
    weight: Tensor, *, step: FloatOrTensor, strength: FloatOrTensor, gamma: FloatOrTensor = 3.0
) -> None:
    """v - sign(v) min(|v|, max(gamma lambda - |v|, 0) step / (gamma - step))."""
    step, gamma = per_network(step, weight), per_network(gamma, weight)
    bound = gamma * per_network(strength, weight)
    _clip(weight, bound, step / (gamma - step), weight.new_tensor(torch.inf))


def scad_prox_(
    weight: Tensor, *, step: FloatOrTensor, strength: FloatOrTensor, a: FloatOrTensor = 3.7
) -> None:
    """v - sign(v) min(|v|, step lambda, max(a lambda - |v|, 0) step / (a - 1 - step))."""
    step, strength = per_network(step, weight), per_network(strength, weight)
    a = per_network(a, weight)
    _clip(weight, a * strength, step / (a - 1 - step), step * strength)


def _clip(weight: Tensor, bound: Tensor, factor: Tensor, most: Tensor) -> None:
    numbers = [as_pack_array(part, len(weight)) for part in (bound, factor, most)]
    _clipped(weight.numpy(), *numbers)
