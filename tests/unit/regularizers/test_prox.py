"""Proximal operators against searches for the minimum, and the laws that they all obey."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from torch import Tensor

from support.formula_cases import (
    PROXES,
    Letters,
    Matrix,
    degenerate,
    elementwise,
    label,
    matrices,
    prox,
    value,
    written,
)
from sweeper.config.registry import FORMULAS, Hyperparameter

GROUPED = ("group_lasso", "sparse_group_lasso", "tile_group_lasso", "exclusive_lasso")
SQUARED = {"l2", "exclusive_lasso"}
"""Those whose prox has no size of its own: it scales with the weights."""
SINGLE = [case for case in PROXES if case[0] not in GROUPED]
VECTOR = [case for case in PROXES if case[0] in {"group_lasso", "sparse_group_lasso"}]
SINGLE_NAMES = sorted({name for name, _ in SINGLE})
NAMES = sorted({name for name, _ in PROXES})


def _strengths(hyper: Letters) -> list[Letters]:
    """Return hyperparameters with strengths, for those whose strength is not one of them."""
    return [{"strength": s, **hyper} for s in ([0.5] if "strength" in hyper else [0.01, 0.3, 2.0])]


def _objective(name: str, u: Matrix, v: Matrix, step: float, letters: Letters) -> Matrix:
    """1/2 (u - v)^2 + step x strength x R(u) of single weights; strength may be within R."""
    inner = FORMULAS[name].strength_inside
    hyper = letters if inner else {k: x for k, x in letters.items() if k != "strength"}
    factor = step if inner else step * letters["strength"]
    return np.asarray(0.5 * (u - v) ** 2 + factor * elementwise(name, np.abs(u), **hyper))


def _searched(name: str, v: Matrix, step: float, letters: Letters) -> tuple[Matrix, Matrix]:
    """Return the minimum of the objective for each of v and where it lies, to 1e-6.

    By a grid of spacing 5e-4 |v| from 0 to |v|, then a finer one around the best of it, and 0.
    """
    size, sign = np.abs(v)[:, None], np.sign(v)[:, None]
    coarse = size * np.linspace(0, 1, 2001)
    best = coarse[
        np.arange(len(v)), _objective(name, sign * coarse, v[:, None], step, letters).argmin(1)
    ][:, None]
    fine = np.clip(best + size * np.linspace(-5e-4, 5e-4, 2001), 0, size)
    points = sign * np.hstack([fine, np.zeros_like(size)])
    costs = _objective(name, points, v[:, None], step, letters)
    rows = np.arange(len(v))
    return costs.min(1), points[rows, costs.argmin(1)]


def _prox(name: str, v: Matrix, step: float, letters: Letters) -> Matrix:
    found = prox(name, torch.from_numpy(v)[None, None], step=step, **letters)
    return np.asarray(found[0, 0].numpy())


@pytest.mark.parametrize("step", [0.02, 1.0])
@pytest.mark.parametrize(("name", "hyper"), SINGLE, ids=label)
def test_prox_is_the_best_of_a_fine_grid(name: str, hyper: Letters, step: float) -> None:
    # Oracle: a search over a grid, in float64.
    for letters in _strengths(hyper):
        v = np.concatenate([np.linspace(-3, 3, 101), np.geomspace(1e-4, 20, 60)])
        # The threshold, between the last that becomes 0 and the first that does not.
        kept = v[_prox(name, v, step, letters) != 0]
        edge = np.abs(kept).min() if len(kept) else 3.0
        v = np.concatenate([v, edge * np.linspace(0.9, 1.1, 81)])
        found = _prox(name, v, step, letters)
        least, where = _searched(name, v, step, letters)
        reached = _objective(name, found, v, step, letters)
        scale = np.maximum(1, v**2)
        assert (reached <= least + 1e-12 * scale).all()
        # Two minima are equally good at a threshold only.
        other = _objective(name, np.where(found == 0, v, 0.0), v, step, letters)
        unique = np.abs(other - reached) > 1e-6 * scale
        assert unique.sum() > 0.8 * (np.abs(v) > 1e-2).sum()
        assert np.abs(found - where)[unique].max() <= 2e-6 * np.abs(v).max()


@pytest.mark.parametrize(
    ("name", "letters", "step", "threshold"),
    [
        ("l1", {"strength": 0.5}, 0.4, 0.2),
        ("elastic_net", {"strength": 0.5, "ridge": 3.0}, 0.4, 0.2),
        ("l_half", {"strength": 0.5}, 0.4, 54 ** (1 / 3) / 4 * 0.4 ** (2 / 3)),
        ("log_sum", {"strength": 0.001, "eps": 0.1}, 0.4, 0.0004 / 0.1),
        ("transformed_l1", {"strength": 0.1, "a": 1.0}, 0.4, 0.04 * 2),
        ("transformed_l1", {"strength": 5.0, "a": 1.0}, 0.4, math.sqrt(2 * 2 * 2) - 0.5),
        ("mcp", {"strength": 0.5, "gamma": 3.0}, 0.4, 0.2),
        ("scad", {"strength": 0.5, "a": 3.7}, 0.4, 0.2),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_threshold_is_the_published_one(
    name: str, letters: Letters, step: float, threshold: float, dtype: torch.dtype
) -> None:
    # Oracle: the table of the protocol.
    v = threshold * torch.tensor([[[1 - 1e-5, 1 + 1e-5]]], dtype=dtype)
    below, above = prox(name, v, step=step, **letters)[0, 0].tolist()
    assert below == 0
    assert above > 0


def test_threshold_of_log_sum_makes_0_and_the_other_minimum_equally_good() -> None:
    # Oracle: the objective on both sides of the threshold that bisection finds. Up to strengths
    # at which t / eps^2 is 1e12.
    eps, step = 1e-3, 1.0
    for strength in (1.0001e-6, 1.1e-6, 1e-5, 1e-3, 0.1, 10.0, 1e6):
        letters = {"strength": strength, "eps": eps}
        low, high = 0.0, strength / eps
        for _ in range(200):
            middle = (low + high) / 2
            zero = _prox("log_sum", np.array([middle]), step, letters)[0] == 0
            low, high = (middle, high) if zero else (low, middle)
        v = np.array([high])
        kept = _prox("log_sum", v, step, letters)
        gain = _objective("log_sum", 0 * v, v, step, letters) - _objective(
            "log_sum", kept, v, step, letters
        )
        assert abs(gain[0]) <= 1e-7 * strength * math.log(1 + kept[0] / eps)


@pytest.mark.parametrize("strength", [0.05, 0.4, 1.5])
@pytest.mark.parametrize(("name", "hyper"), VECTOR, ids=label)
def test_prox_of_groups_is_what_a_minimiser_finds(
    name: str, hyper: Letters, strength: float
) -> None:
    # Oracle: L-BFGS-B on u = p - n, p, n >= 0, with the norms smoothed by 1e-9. The objective
    # is strongly convex: where it is less by d, the minimum is nearer than sqrt(2 d).
    step = 0.5
    for v in matrices(pack=2, shape=(3, 4)).numpy():
        dim = 0 if hyper["by"] == "input" else 1
        size, ratio = math.sqrt(v.shape[dim]), hyper.get("l1_ratio", 0.0)
        t = step * strength

        def cost(
            parts: Matrix,
            v: Matrix = v,
            dim: int = dim,
            t: float = t,
            size: float = size,
            ratio: float = ratio,
        ) -> tuple[float, Matrix]:
            p, n = parts.reshape(2, *v.shape)
            u = p - n
            norms = np.sqrt(np.square(u).sum(dim, keepdims=True) + 1e-18)
            smooth = 0.5 * np.square(u - v).sum() + t * (1 - ratio) * size * norms.sum()
            slope = u - v + t * (1 - ratio) * size * u / norms
            slopes = np.stack([slope + t * ratio, -slope + t * ratio])
            return smooth + t * ratio * parts.sum(), slopes.ravel()

        searched = minimize(
            cost,
            np.full(2 * v.size, 0.1),
            jac=True,
            method="L-BFGS-B",
            bounds=[(0, None)] * (2 * v.size),
            options={"ftol": 1e-15, "gtol": 1e-10, "maxiter": 5000, "maxfun": 50_000},
        )
        found = prox(name, torch.from_numpy(v)[None], step=step, strength=strength, **hyper)[0]
        reached = 0.5 * np.square(found.numpy() - v).sum() + t * written(
            name, found.numpy() + 1e-300, **hyper
        )
        p, n = searched.x.reshape(2, *v.shape)
        assert reached <= searched.fun + 1e-10
        assert np.abs(found.numpy() - (p - n)).max() < 2e-3


@pytest.mark.parametrize("by", ["input", "neuron"])
def test_prox_of_a_group_is_that_of_a_loop_over_groups(by: str) -> None:
    # Oracle: the formula, group by group.
    weight, t = matrices(pack=1, shape=(3, 4)), 0.9
    expected = weight.clone()
    for group in expected[0].T if by == "input" else expected[0]:
        norm = math.sqrt(sum(x * x for x in group.tolist()))
        group.mul_(max(0.0, 1 - t * math.sqrt(len(group)) / norm))
    found = prox("group_lasso", weight, step=0.3, strength=3.0, by=by)
    torch.testing.assert_close(found, expected)
    assert (found == 0).any()
    assert (found != 0).any()


@pytest.mark.parametrize("tile", [2, 4])
def test_prox_of_tiles_is_that_of_a_loop_over_tiles(tile: int) -> None:
    # Oracle: the formula, tile by tile; 5 x 7 has smaller ones at its edges.
    weight, t = matrices(pack=1), 0.9
    expected = weight.clone()
    for strip in torch.split(expected[0], tile):
        for part in torch.split(strip, tile, 1):
            part.mul_(max(0.0, 1 - t * math.sqrt(part.numel()) / part.norm().item()))
    found = prox("tile_group_lasso", weight, step=0.3, strength=3.0, tile=tile)
    torch.testing.assert_close(found, expected)
    assert (found == 0).any()
    assert (found != 0).any()


@pytest.mark.parametrize("by", ["input", "neuron"])
@pytest.mark.parametrize("t", [0.01, 0.2, 5.0])
def test_prox_of_competing_groups_is_what_bisection_finds(by: str, t: float) -> None:
    # Oracle: T = 2t sum max(|v| - T, 0), whose left side rises and whose right side falls.
    weight = matrices(pack=1, shape=(6, 9))
    expected = weight.clone()
    for group in expected[0].T if by == "input" else expected[0]:
        low, high = 0.0, group.abs().max().item()
        for _ in range(200):
            middle = (low + high) / 2
            left = (group.abs() - middle).clamp_min(0).sum().item()
            low, high = (middle, high) if middle < 2 * t * left else (low, middle)
        group.copy_(group.sign() * (group.abs() - low).clamp_min(0))
    found = prox("exclusive_lasso", weight, step=0.1, strength=10 * t, by=by)
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=1e-9)
    groups = found[0].T if by == "input" else found[0]
    assert all((group != 0).any() for group in groups)  # never a whole group
    assert (found == 0).any() or t < 0.1


@pytest.mark.parametrize("strength", [0.0, 0.01, 0.5])
@pytest.mark.parametrize(("name", "hyper"), PROXES, ids=label)
def test_prox_keeps_zeros_and_signs_and_shrinks(name: str, hyper: Letters, strength: float) -> None:
    weight = degenerate()
    found = prox(name, weight, **{"strength": strength, **hyper, "step": 0.1})
    assert found.isfinite().all()
    assert (found[weight == 0] == 0).all()
    assert (found * weight >= 0).all()
    assert (found.abs() <= weight.abs()).all()


@pytest.mark.parametrize(("name", "hyper"), PROXES, ids=label)
def test_prox_is_odd_and_leaves_its_argument_alone(name: str, hyper: Letters) -> None:
    weight, letters = matrices(), {"strength": 0.3, **hyper, "step": 0.4}
    before = weight.clone()
    assert torch.equal(prox(name, -weight, **letters), -prox(name, weight, **letters))
    assert torch.equal(weight, before)


@pytest.mark.parametrize(("name", "hyper"), PROXES, ids=label)
def test_prox_of_no_step_or_no_strength_is_the_weight_itself(name: str, hyper: Letters) -> None:
    weight = 0.05 * matrices(dtype=torch.float32, shape=(50, 40))
    for letters in ({"step": 0.0, "strength": 0.5}, {"step": 0.1, "strength": 0.0}):
        assert torch.equal(prox(name, weight, **{**hyper, **letters}), weight)


@pytest.mark.parametrize(("name", "hyper"), PROXES, ids=label)
def test_a_small_step_in_float32_is_that_in_float64(name: str, hyper: Letters) -> None:
    # Oracle: the same function in float64; weights and steps as in training. One unit in the
    # last place is 1.2e-7: a prox that moves weights by its rounding would drift over many steps.
    weight = (0.05 * matrices(dtype=torch.float32, shape=(60, 50))).clamp(-0.2, 0.2)
    letters = {"strength": 1e-3, **hyper, "step": 1e-3}
    found = prox(name, weight, **letters).double()
    expected = prox(name, weight.double(), **letters)
    same = (found == 0) == (expected == 0)
    assert same.double().mean() > 0.999
    error = ((found - expected) / weight.double()).abs()[same]
    assert error.max() < 2.5e-7
    assert error.mean() < 6e-8


@pytest.mark.parametrize("scale", [1e-20, 1e20])
@pytest.mark.parametrize(("name", "hyper"), PROXES, ids=label)
def test_prox_of_tiny_and_huge_weights_is_no_nan(name: str, hyper: Letters, scale: float) -> None:
    # Oracle: a step of 0.1 is more than all of 1e-20, and nothing to 1e20.
    weight = matrices(dtype=torch.float32) * scale
    found = prox(name, weight, **{"strength": 0.3, **hyper, "step": 0.1})
    assert found.isfinite().all()
    if name not in SQUARED and scale < 1:
        assert (found == 0).all()
    elif name not in SQUARED and not hyper.get("ridge"):
        torch.testing.assert_close(found, weight)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in SQUARED])
def test_a_large_strength_sets_everything_to_exactly_zero(name: str) -> None:
    assert (prox(name, matrices(dtype=torch.float32), step=0.5, strength=1e3) == 0).all()


def _drawn(draw: st.DrawFn, known: Hyperparameter, step: float) -> Any:
    """Draw a hyperparameter from the domain of the registry, prox being exact for `step`."""
    if known.choices:
        return draw(st.sampled_from(known.choices))
    low = max(known.low, 1e-3)
    if known.min_above_learning_rate is not None:
        low = max(low, 1.05 * step + known.min_above_learning_rate)
    return draw(st.floats(low, min(known.high, 50.0)))


@st.composite
def _problems(draw: st.DrawFn, names: list[str]) -> tuple[str, float, Letters, Matrix]:
    name = draw(st.sampled_from(names))
    step = draw(st.floats(1e-3, 1.0))
    letters = {key: _drawn(draw, known, step) for key, known in FORMULAS[name].hyper.items()}
    letters["strength"] = draw(st.floats(0, 3))
    weights = draw(st.lists(st.floats(-5, 5, width=32), min_size=12, max_size=12))
    return name, step, letters, np.array(weights).reshape(1, 3, 4)


@settings(max_examples=300, deadline=None)
@given(problem=_problems(SINGLE_NAMES), shares=st.lists(st.floats(0, 1.2), min_size=5, max_size=5))
def test_no_other_weight_is_better_than_the_prox(
    problem: tuple[str, float, Letters, Matrix], shares: list[float]
) -> None:
    # Oracle: the objective at other points, drawn, and at 0.
    name, step, letters, v = problem
    found = prox(name, torch.from_numpy(v), step=step, **letters).numpy()
    reached = _objective(name, found, v, step, letters)
    for share in (*shares, 0.0, 1.0):
        other = _objective(name, share * v, v, step, letters)
        assert (reached <= other + 1e-9 * np.maximum(1, v**2)).all()


@settings(max_examples=200, deadline=None)
@given(problem=_problems(SINGLE_NAMES))
def test_prox_is_monotone_in_the_weight(problem: tuple[str, float, Letters, Matrix]) -> None:
    name, step, letters, v = problem
    v = np.sort(v.ravel())
    found = _prox(name, v, step, letters)
    assert (np.diff(found) >= -1e-12).all()


@settings(max_examples=200, deadline=None)
@given(problem=_problems(list(GROUPED)), noise=st.integers(0, 10_000))
def test_no_other_matrix_is_better_than_the_prox_of_groups(
    problem: tuple[str, float, Letters, Matrix], noise: int
) -> None:
    # Oracle: the objective at other matrices, near and far. It is convex: nearby ones suffice.
    name, step, letters, v = problem
    strength = letters.pop("strength")
    weight = torch.from_numpy(v)
    found = prox(name, weight, step=step, strength=strength, **letters)

    def cost(u: Tensor) -> float:
        penalty = step * strength * value(name, u, **letters).item()
        return float(0.5 * (u - weight).square().sum() + penalty)

    generator = torch.Generator().manual_seed(noise)
    for size in (1e-3, 0.1, 1.0):
        other = found + size * torch.randn(found.shape, generator=generator, dtype=found.dtype)
        assert cost(found) <= cost(other) + 1e-9
    assert cost(found) <= cost(weight) + 1e-9
    assert cost(found) <= cost(0 * weight) + 1e-9
