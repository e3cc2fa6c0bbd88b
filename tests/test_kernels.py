"""Compiled steps against the same written in a few lines of PyTorch."""

import math

import pytest
import torch
from formula_cases import CASES, Letters, degenerate, label, matrices
from torch import Tensor

from sweeper.catalogue import FORMULAS, load
from sweeper.regularizers import kernels, reductions
from sweeper.regularizers.slopes import Affine, spread

FACTOR = torch.tensor([0.5, 2.0, 0.0])


def weights() -> Tensor:
    weight = torch.randn(3, 5, 7, generator=torch.Generator().manual_seed(0))
    weight[0, 1] = 0
    weight[1, :, 2] = 0
    return weight


def slopes() -> list[Tensor | Affine]:
    generator = torch.Generator().manual_seed(1)
    weight = weights()
    full = torch.randn(3, 5, 7, generator=generator)
    row, column = torch.randn(3, 5, 1, generator=generator), torch.randn(3, 1, 7)
    return [
        full,
        torch.full((3, 1, 1), 0.3),
        row,
        column,
        Affine.of(weight, rows=1.0),
        Affine.of(weight, rows=row, columns=column, row_factors=0.3, column_factors=column),
        Affine.of(weight, row_factors=row, column_factors=1.0),
    ]


@pytest.mark.parametrize("slope", slopes())
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_step_is_what_its_definition_says(slope: Tensor | Affine, dtype: torch.dtype) -> None:
    # Oracle: the definitions. float64 takes the way of other devices, float32 the compiled one.
    weight, factor = weights().to(dtype), FACTOR.to(dtype)[:, None, None]
    at = spread(slope, weights()).to(dtype)
    own = at if dtype == torch.float64 else slope
    gradient = torch.ones_like(weight)
    kernels.add_(gradient, weight, own, FACTOR.to(dtype))
    torch.testing.assert_close(gradient, 1 + factor * weight.sign() * at)

    descended = weight.clone()
    kernels.descend_(descended, own, FACTOR.to(dtype))
    torch.testing.assert_close(descended, weight - factor * weight.sign() * at)

    shrunk = weight.clone()
    kernels.shrink_(shrunk, own, FACTOR.to(dtype))
    left = (weight.abs() - factor * at.clamp_min(0)).clamp_min(0)
    torch.testing.assert_close(shrunk, weight.sign() * left)
    assert torch.equal(shrunk == 0, left == 0)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_not_finite_stays_to_be_seen(bad: float) -> None:
    for slope in (torch.ones(1, 1, 1), Affine.of(torch.ones(1, 2, 2), rows=1.0)):
        weight = torch.tensor([[[bad, 1.0], [2.0, 3.0]]])
        kernels.shrink_(weight, slope, torch.tensor([0.5]))
        assert not weight[0, 0, 0].isfinite()
        assert weight[0, 0, 1] == 0.5
    weight = torch.ones(1, 2, 2)
    kernels.shrink_(weight, torch.full((1, 2, 2), math.nan), torch.tensor([0.5]))
    assert weight.isnan().all()
    weight = torch.ones(1, 2, 2)
    kernels.descend_(weight, torch.full((1, 2, 2), bad), torch.tensor([0.5]))
    assert not weight.isfinite().any()


def test_a_weight_as_large_as_its_step_becomes_exactly_zero() -> None:
    weight = torch.tensor([[[0.5, -0.5, 0.5000001, -0.4999999]]])
    kernels.shrink_(weight, Affine.of(weight, rows=1.0), torch.tensor([0.5]))
    assert (weight == 0).tolist() == [[[True, True, False, True]]]


AFFINE = [case for case in CASES if FORMULAS[case[0]].affine]
SCALED = [case for case in CASES if FORMULAS[case[0]].scaled_prox]
DTYPES = [torch.float32, torch.float64]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("name", "hyper"), AFFINE, ids=label)
def test_an_affine_slope_is_the_shrinkage_of_its_formula(
    name: str, hyper: Letters, dtype: torch.dtype
) -> None:
    # Oracle: the shrinkage, which is held to finite differences.
    for weight in (matrices(dtype=dtype), degenerate(dtype=dtype)):
        found = load(FORMULAS[name].affine or "")(weight, **hyper).over(weight)
        wanted = load(FORMULAS[name].shrinkage or "")(weight, **hyper)
        torch.testing.assert_close(found, wanted.expand_as(weight), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("name", "hyper"), SCALED, ids=label)
def test_a_prox_in_one_pass_is_the_prox_of_its_formula(
    name: str, hyper: Letters, dtype: torch.dtype
) -> None:
    # Oracle: the prox, which is held to a search for the least cost.
    letters = {**hyper, "step": torch.tensor([0.1, 0.2, 0.0]).to(dtype), "strength": 1.5}
    for weight in (matrices(dtype=dtype), degenerate(dtype=dtype)):
        moved = weight.clone()
        kernels.scale_(moved, load(FORMULAS[name].scaled_prox or "")(weight, **letters))
        wanted = load(FORMULAS[name].prox or "")(weight, **letters)
        torch.testing.assert_close(moved, wanted, rtol=1e-5, atol=1e-6)
        assert torch.equal(moved == 0, wanted == 0)


def test_formulas_that_threshold_and_scale_are_applied_in_one_pass() -> None:
    assert {name for name, _ in SCALED} == {
        "l1", "l2", "elastic_net", "group_lasso", "sparse_group_lasso",
    }  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
def test_sums_of_rows_and_columns_are_those_of_torch(dtype: torch.dtype) -> None:
    weight = weights().to(dtype)
    magnitudes = reductions.magnitudes(weight)
    torch.testing.assert_close(magnitudes.rows, weight.abs().sum(-1, keepdim=True))
    torch.testing.assert_close(magnitudes.columns, weight.abs().sum(-2, keepdim=True))
    amount, factor = torch.tensor([0.1, 0.5, 0.0]).to(dtype), torch.tensor([1.0, 3.0, 2.0])
    found = reductions.squares(weight, amount=amount, factor=factor.to(dtype))
    left = (weight.abs() - amount[:, None, None]).clamp_min(0) * factor[:, None, None]
    torch.testing.assert_close(found.rows, left.square().sum(-1, keepdim=True))
    torch.testing.assert_close(found.columns, left.square().sum(-2, keepdim=True))
    assert torch.equal(reductions.largest(weight), weight.abs().amax((-2, -1), keepdim=True))


def test_steps_have_the_same_bits_in_any_pack() -> None:
    weight = torch.randn(16, 30, 70, generator=torch.Generator().manual_seed(0))
    for name, hyper in AFFINE:
        slope = load(FORMULAS[name].affine or "")
        together = weight.clone()
        kernels.descend_(together, slope(weight, **hyper), torch.ones(16))
        for k in (0, 7, 15):
            alone = weight[k : k + 1].clone()
            kernels.descend_(alone, slope(alone.clone(), **hyper), torch.ones(1))
            assert torch.equal(alone[0], together[k]), (name, hyper)
