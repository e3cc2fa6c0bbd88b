"""Compiled steps against the same written in a few lines of PyTorch."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from support.formula_cases import CASES, Letters, degenerate, label, matrices
from sweeper.config.registry import FORMULAS, load
from sweeper.kernels import apply, reductions
from sweeper.kernels.fast_forms import FAST_FORMS
from sweeper.kernels.fast_math import exp_less, log_of
from sweeper.kernels.jit import Array, jit_inline
from sweeper.kernels.slopes import Affine, Logarithmic, Power, Slope, spread
from sweeper.kernels.window_loops import local_entropy_slope
from sweeper.regularizers.window_entropy import local_entropy_shrinkage
from sweeper.training.penalties import slope_of

FACTOR = torch.tensor([0.5, 2.0, 0.0])


def weights() -> Tensor:
    weight = torch.randn(3, 5, 7, generator=torch.Generator().manual_seed(0))
    weight[0, 1] = 0
    weight[1, :, 2] = 0
    return weight


def slopes() -> list[Slope]:
    generator = torch.Generator().manual_seed(1)
    weight = weights()
    full = torch.randn(3, 5, 7, generator=generator)
    row, column = torch.randn(3, 5, 1, generator=generator), torch.randn(3, 1, 7)
    positive = torch.tensor([0.3, 1.0, 2.0])
    return [
        full,
        torch.full((3, 1, 1), 0.3),
        row,
        column,
        Affine.of(weight, rows=1.0),
        Affine.of(weight, rows=row, columns=column, row_factors=0.3, column_factors=column),
        Affine.of(weight, row_factors=row, column_factors=1.0),
        Affine.of(weight, rows=0.5, column_factors=column, least=0.0, most=positive),
        Logarithmic.of(weight, rows=row, columns=column, factor=-1.0, scale=positive),
        Power(positive - 1, positive, positive, torch.tensor([0.5, -0.5, 3.0]), torch.zeros(3)),
        Power(positive - 1, positive, positive, torch.tensor([1e-3, -0.1, 0.1]), torch.ones(3)),
    ]


@pytest.mark.parametrize("slope", slopes())
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_step_is_what_its_definition_says(slope: Slope, dtype: torch.dtype) -> None:
    # Oracle: the definitions. float64 takes the way of other devices, float32 the compiled one.
    weight, factor = weights().to(dtype), FACTOR.to(dtype)[:, None, None]
    at = spread(slope, weights()).to(dtype)
    own = at if dtype == torch.float64 else slope
    gradient = torch.ones_like(weight)
    apply.add_(gradient, weight, own, FACTOR.to(dtype))
    torch.testing.assert_close(gradient, 1 + factor * weight.sign() * at)

    descended = weight.clone()
    apply.descend_(descended, own, FACTOR.to(dtype))
    torch.testing.assert_close(descended, weight - factor * weight.sign() * at)

    shrunk = weight.clone()
    apply.shrink_(shrunk, own, FACTOR.to(dtype))
    left = (weight.abs() - factor * at.clamp_min(0)).clamp_min(0)
    torch.testing.assert_close(shrunk, weight.sign() * left)
    assert torch.equal(shrunk == 0, left == 0)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_not_finite_stays_to_be_seen(bad: float) -> None:
    for slope in (torch.ones(1, 1, 1), Affine.of(torch.ones(1, 2, 2), rows=1.0)):
        weight = torch.tensor([[[bad, 1.0], [2.0, 3.0]]])
        apply.shrink_(weight, slope, torch.tensor([0.5]))
        assert not weight[0, 0, 0].isfinite()
        assert weight[0, 0, 1] == 0.5
    weight = torch.ones(1, 2, 2)
    apply.shrink_(weight, torch.full((1, 2, 2), math.nan), torch.tensor([0.5]))
    assert weight.isnan().all()
    weight = torch.ones(1, 2, 2)
    apply.descend_(weight, torch.full((1, 2, 2), bad), torch.tensor([0.5]))
    assert not weight.isfinite().any()


def test_a_weight_as_large_as_its_step_becomes_exactly_zero() -> None:
    weight = torch.tensor([[[0.5, -0.5, 0.5000001, -0.4999999]]])
    apply.shrink_(weight, Affine.of(weight, rows=1.0), torch.tensor([0.5]))
    assert (weight == 0).tolist() == [[[True, True, False, True]]]


SLOPES = [case for case in CASES if case[0] in FAST_FORMS and FAST_FORMS[case[0]].slope]
PROXES = [case for case in CASES if case[0] in FAST_FORMS and FAST_FORMS[case[0]].prox_]


def fast_slope(name: str, weight: Tensor, **letters: Any) -> Slope:
    form = FAST_FORMS[name].slope
    assert form is not None
    return form(weight, **letters)


def fast_prox_(name: str, weight: Tensor, **letters: Any) -> None:
    form = FAST_FORMS[name].prox_
    assert form is not None
    form(weight, **letters)


LOGARITHMIC = [
    case
    for case in SLOPES
    if isinstance(
        fast_slope(case[0], matrices(dtype=torch.float32), **case[1]), Logarithmic | Power
    )
]


@pytest.mark.parametrize(("name", "hyper"), SLOPES, ids=label)
def test_a_fast_slope_is_the_shrinkage_of_its_formula(name: str, hyper: Letters) -> None:
    # Oracle: the shrinkage, which is held to finite differences.
    for weight in (matrices(dtype=torch.float32), degenerate(dtype=torch.float32)):
        found = spread(fast_slope(name, weight, **hyper), weight)
        wanted = load(FORMULAS[name].shrinkage or "")(weight, **hyper)
        torch.testing.assert_close(found, wanted.expand_as(weight), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("name", "hyper"), PROXES, ids=label)
def test_a_prox_in_one_pass_is_the_prox_of_its_formula(name: str, hyper: Letters) -> None:
    # Oracle: the prox, which is held to a search for the least cost.
    letters = {"strength": 1.5, **hyper, "step": torch.tensor([0.1, 0.2, 0.0])}
    for weight in (matrices(dtype=torch.float32), degenerate(dtype=torch.float32)):
        moved = weight.clone()
        fast_prox_(name, moved, **letters)
        wanted = load(FORMULAS[name].prox or "")(weight, **letters)
        torch.testing.assert_close(moved, wanted, rtol=1e-5, atol=1e-6)
        assert torch.equal(moved == 0, wanted == 0)


@pytest.mark.parametrize("t", [1e-7, 1e-4, 0.05, 1.0, 30.0])
@pytest.mark.parametrize(("name", "hyper"), PROXES, ids=label)
def test_a_prox_in_place_is_that_of_float64_on_all_sizes(
    name: str, hyper: Letters, t: float
) -> None:
    # Oracle: the prox in float64. 1e-5 from a threshold float32 may decide otherwise.
    letters = {"strength": 1.0, **hyper, "step": t}
    if name in {"mcp", "scad"}:
        letters["step"] = min(t, 1.0)
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(1, 40, 70, generator=generator) * 10 ** torch.linspace(-6, 2, 70)
    moved = weight.clone()
    fast_prox_(name, moved, **letters)
    found = load(FORMULAS[name].prox or "")
    wanted = found(weight.double(), **letters)
    same = ((found(weight.double() * (1 - 1e-5), **letters) == 0) == (wanted == 0)) & (
        (found(weight.double() * (1 + 1e-5), **letters) == 0) == (wanted == 0)
    )
    error = (moved - wanted).abs() / weight.abs()
    # Where the best is a double root, next to transformed_l1's threshold, digits are lost.
    assert error[same].max() < (3e-4 if name == "transformed_l1" else 1e-6)
    assert torch.equal(moved[same] == 0, wanted[same] == 0)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize(("name", "hyper"), PROXES, ids=label)
def test_a_prox_in_place_lets_be_seen_what_is_not_finite(
    name: str, hyper: Letters, bad: float
) -> None:
    letters = {"strength": 0.1, **hyper, "step": 0.1}
    weight = torch.full((1, 3, 40), 2.0)
    weight[0, 0, 0], weight[0, 1, 39] = bad, -bad
    fast_prox_(name, weight, **letters)
    assert not weight[0, 0, 0].isfinite()
    assert not weight[0, 1, 39].isfinite()
    weight = torch.full((1, 3, 40), 0.05)
    fast_prox_(name, weight, **{**letters, "step": math.nan})
    assert weight.isnan().all()


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("name", ["joint_entropy", "renyi_entropy", "local_entropy", "mcp", "l1"])
def test_a_slope_in_one_pass_lets_be_seen_what_is_not_finite(name: str, bad: float) -> None:
    weight = matrices(dtype=torch.float32)
    weight[1, 2, 3] = bad
    letters = {"strength": 0.5} if FORMULAS[name].strength_inside else {}
    apply.shrink_(weight, slope_of(name, FORMULAS[name], weight, letters), torch.full((3,), 1e-3))
    assert not weight[1, 2, 3].isfinite()
    assert weight[[0, 2]].isfinite().all()


@pytest.mark.parametrize("scale", [1e-20, 1e-3, 1.0, 1e3, 1e20])
@pytest.mark.parametrize(("name", "hyper"), LOGARITHMIC, ids=label)
def test_a_slope_of_an_entropy_in_one_pass_knows_no_scale(
    name: str, hyper: Letters, scale: float
) -> None:
    # Oracle: the shrinkage in float64, at scale 1.
    weight = degenerate(dtype=torch.float64)
    wanted = load(FORMULAS[name].shrinkage or "")(weight[:2].float().double(), **hyper)
    slope = fast_slope(name, (weight[:2] * scale).float(), **hyper)
    moved = torch.zeros(2, 5, 7)
    apply.add_(moved, (weight[:2] * scale).float(), slope, torch.ones(2))
    found = moved * (1.0 if hyper.get("scaled", True) else scale)
    live = weight[:2] != 0
    wanted = (wanted * weight[:2].sign())[live].float()
    torch.testing.assert_close(found[live], wanted, rtol=1e-4, atol=3e-5)


@pytest.mark.parametrize("scaled", [True, False])
@pytest.mark.parametrize("window", [2, 3, 5, 7])
def test_compiled_windows_are_those_of_torch(window: int, scaled: bool) -> None:
    for weight in (degenerate(), matrices(dtype=torch.float32, shape=(30, 41))):
        found = local_entropy_slope(weight, window=window, scaled=scaled)
        wanted = local_entropy_shrinkage(weight, window=window, scaled=scaled)
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)


@jit_inline
def _logs(values: Array, logs: Array, powers: Array, close: Array) -> None:
    for i in range(values.shape[0]):
        logs[i] = log_of(values[i])
        powers[i] = exp_less(logs[i], np.float32(0))
        close[i] = exp_less(logs[i], np.float32(1))


def test_log_and_exp_are_as_exact_as_numbers_of_float32() -> None:
    # Oracle: NumPy in float64.
    values = np.exp(np.linspace(-86, 86, 100_001)).astype(np.float32)
    logs, powers, close = (np.empty_like(values) for _ in range(3))
    _logs(values, logs, powers, close)
    wanted = logs.astype(np.float64)
    np.testing.assert_allclose(logs, np.log(values.astype(np.float64)), rtol=2e-7)
    np.testing.assert_allclose(powers, np.exp(wanted), rtol=2e-7)
    np.testing.assert_allclose(close, np.expm1(wanted), rtol=3e-7)
    bad = np.array([np.nan, np.inf], np.float32)
    _logs(bad, *(found := [np.empty_like(bad) for _ in range(3)]))
    assert not np.isfinite(found).any()


def test_every_prox_of_the_registry_has_a_fast_form() -> None:
    assert {name for name, _ in PROXES} == {
        name for name, formula in FORMULAS.items() if formula.prox
    }


def test_sums_of_rows_and_columns_are_those_of_torch() -> None:
    weight = weights()
    magnitudes = reductions.magnitudes(weight)
    torch.testing.assert_close(magnitudes.rows, weight.abs().sum(-1, keepdim=True))
    torch.testing.assert_close(magnitudes.columns, weight.abs().sum(-2, keepdim=True))
    amount, factor = torch.tensor([0.1, 0.5, 0.0]), torch.tensor([1.0, 3.0, 2.0])
    found = reductions.squares(weight, amount=amount, factor=factor)
    left = (weight.abs() - amount[:, None, None]).clamp_min(0) * factor[:, None, None]
    torch.testing.assert_close(found.rows, left.square().sum(-1, keepdim=True))
    torch.testing.assert_close(found.columns, left.square().sum(-2, keepdim=True))
    assert torch.equal(reductions.largest(weight), weight.abs().amax((-2, -1), keepdim=True))


def test_steps_have_the_same_bits_in_any_pack() -> None:
    weight = torch.randn(16, 30, 70, generator=torch.Generator().manual_seed(0))
    for name, hyper in SLOPES:
        together = weight.clone()
        apply.descend_(together, fast_slope(name, weight, **hyper), torch.ones(16))
        for k in (0, 7, 15):
            alone = weight[k : k + 1].clone()
            apply.descend_(alone, fast_slope(name, alone.clone(), **hyper), torch.ones(1))
            assert torch.equal(alone[0], together[k]), (name, hyper)
    for name, hyper in PROXES:
        letters = {"strength": 0.5, **hyper, "step": 0.1}
        together = weight.clone()
        fast_prox_(name, together, **letters)
        for k in (0, 7, 15):
            alone = weight[k : k + 1].clone()
            fast_prox_(name, alone, **letters)
            assert torch.equal(alone[0], together[k]), (name, hyper)
