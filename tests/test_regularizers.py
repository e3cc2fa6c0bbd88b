"""Formulas against float64 finite differences, grids and hand-worked values."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from sweeper.catalogue import FORMULAS, load

MIX = {"l1_marginal_entropy": {"mix": 0.5}}
HYPER: dict[str, list[dict[str, Any]]] = {
    "none": [{}],
    "l1": [{}],
    "l2": [{}],
    "joint_entropy": [{"scaled": True}, {"scaled": False}],
    "marginal_entropy": [{"scaled": True}, {"scaled": False}],
    "l1_marginal_entropy": [{"mix": 0.0}, {"mix": 0.5}, {"mix": 2.0}],
}
CASES = [(name, hyper) for name, many in HYPER.items() for hyper in many]

# Worked by hand for W = [[3, -1], [0, 4]]: S = 8, P = [[3/8, 1/8], [0, 1/2]], r = [1/2, 1/2],
# c = [3/8, 5/8].
BY_HAND = torch.tensor([[[3.0, -1.0], [0.0, 4.0]]], dtype=torch.float64)
H_JOINT = -(3 / 8 * math.log(3 / 8) + 1 / 8 * math.log(1 / 8) + 1 / 2 * math.log(1 / 2))
H_MARGINAL = math.log(2) - (3 / 8 * math.log(3 / 8) + 5 / 8 * math.log(5 / 8))
VALUES = {
    "none": 0.0,
    "l1": 8.0,
    "l2": 26.0,
    "joint_entropy": 8 * H_JOINT,
    "marginal_entropy": 8 * H_MARGINAL,
    "l1_marginal_entropy": 8 + 0.5 * 8 * H_MARGINAL,
}


def value(name: str, weight: Tensor, **hyper: Any) -> Tensor:
    found: Tensor = load(FORMULAS[name].value)(weight, **hyper)
    return found


def matrices(seed: int = 0, pack: int = 3, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(pack, 5, 7, generator=generator, dtype=dtype)
    return weight + 0.1 * weight.sign()  # away from the kink at 0


def degenerate(dtype: torch.dtype = torch.float32) -> Tensor:
    """A single zero; a dead row and a dead column; an all-zero matrix."""
    weight = matrices(dtype=dtype)
    weight[0, 1, 1] = 0
    weight[1, 2, :] = 0
    weight[1, :, 3] = 0
    weight[2] = 0
    return weight


def test_every_formula_of_the_catalogue_has_its_rows_here() -> None:
    assert set(HYPER) == set(FORMULAS) == set(VALUES)


@pytest.mark.parametrize("name", FORMULAS)
def test_value_is_the_one_worked_by_hand(name: str) -> None:
    assert value(name, BY_HAND, **MIX.get(name, {})).item() == pytest.approx(VALUES[name])


@pytest.mark.parametrize(("name", "hyper"), CASES)
def test_value_of_a_matrix_does_not_depend_on_its_pack(name: str, hyper: dict[str, Any]) -> None:
    weight = matrices(dtype=torch.float32)
    together = value(name, weight, **hyper)
    apart = torch.cat([value(name, one[None], **hyper) for one in weight])
    assert torch.equal(together, apart)


@pytest.mark.parametrize(("name", "hyper"), [case for case in CASES if case[0] != "none"])
def test_gradient_agrees_with_finite_differences(name: str, hyper: dict[str, Any]) -> None:
    # Oracle: central differences in float64 of R with S held at its place where R says so.
    weight = matrices().requires_grad_()
    (gradient,) = torch.autograd.grad(value(name, weight, **hyper).sum(), weight)
    held = weight.detach().abs().sum((-2, -1))
    step = 1e-6
    for index in ((0, 0, 0), (1, 2, 3), (2, 4, 6)):
        shift = torch.zeros_like(weight)
        shift[index] = step
        up, down = (
            _with_held_scale(name, weight.detach() + s * shift, held, hyper).sum() for s in (1, -1)
        )
        assert gradient[index].item() == pytest.approx((up - down).item() / (2 * step), abs=1e-6)


def _with_held_scale(name: str, weight: Tensor, held: Tensor, hyper: dict[str, Any]) -> Tensor:
    """R written out once more, entropies multiplied by a constant S."""
    masses = weight.abs() / weight.abs().sum((-2, -1), keepdim=True)
    joint = -(masses * masses.log()).flatten(1).sum(1)
    marginal = sum(-(masses.sum(d) * masses.sum(d).log()).sum(-1) for d in (-1, -2))
    assert isinstance(marginal, Tensor)
    scale = held if hyper.get("scaled") else torch.ones_like(held)
    match name:
        case "joint_entropy":
            return scale * joint
        case "marginal_entropy":
            return scale * marginal
        case "l1_marginal_entropy":
            mix: float = hyper["mix"]
            return weight.abs().sum((-2, -1)) + mix * held * marginal
    return value(name, weight, **hyper)


@pytest.mark.parametrize(("name", "hyper"), [case for case in CASES if FORMULAS[case[0]].shrinkage])
def test_shrinkage_is_the_derivative_in_the_magnitude(name: str, hyper: dict[str, Any]) -> None:
    # Oracle: autograd of R, which the test above holds to finite differences; dR/d|w| = sign x it.
    weight = matrices().requires_grad_()
    (gradient,) = torch.autograd.grad(value(name, weight, **hyper).sum(), weight)
    found = load(FORMULAS[name].shrinkage or "")(weight.detach(), **hyper)
    torch.testing.assert_close(found.expand_as(weight), gradient * weight.sign())


@pytest.mark.parametrize("name", [n for n, f in FORMULAS.items() if f.prox])
def test_prox_minimises_its_objective_on_a_fine_grid(name: str) -> None:
    # Oracle: argmin over a grid of 1/2 (u - v)^2 + t R(u), spacing 1e-4.
    grid = torch.linspace(-3, 3, 60_001, dtype=torch.float64)
    prox = load(FORMULAS[name].prox or "")
    for v in (-2.0, -0.3, 0.0, 0.05, 1.7):
        for t in (0.01, 0.2, 1.0):
            cost = 0.5 * (grid - v) ** 2 + t * value(name, grid[:, None, None])
            found = prox(torch.full((1, 1, 1), v, dtype=torch.float64), step=t, strength=1.0)
            assert found.item() == pytest.approx(grid[cost.argmin()].item(), abs=1e-4)


@pytest.mark.parametrize(("name", "hyper"), CASES)
def test_value_gradient_and_shrinkage_are_finite_with_zeros(
    name: str, hyper: dict[str, Any]
) -> None:
    weight = degenerate().requires_grad_()
    result = value(name, weight, **hyper)
    assert result.isfinite().all()
    if result.requires_grad:
        (gradient,) = torch.autograd.grad(result.sum(), weight)
        assert gradient.isfinite().all()
        assert (gradient[2] == 0).all()
    if FORMULAS[name].shrinkage:
        assert load(FORMULAS[name].shrinkage or "")(weight.detach(), **hyper).isfinite().all()


@pytest.mark.parametrize(("name", "hyper"), CASES)
def test_value_does_not_depend_on_signs(name: str, hyper: dict[str, Any]) -> None:
    weight = matrices()
    assert torch.equal(value(name, weight, **hyper), value(name, -weight, **hyper))


@pytest.mark.parametrize("name", [n for n, f in FORMULAS.items() if f.scale_invariant])
@pytest.mark.parametrize("scale", [1e-20, 1e-3, 1e20])
def test_unscaled_entropy_is_scale_invariant_in_float32(name: str, scale: float) -> None:
    weight = matrices(dtype=torch.float32)
    scaled = value(name, weight * scale, scaled=False)
    torch.testing.assert_close(scaled, value(name, weight, scaled=False), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", [n for n, f in FORMULAS.items() if f.scale_invariant])
def test_gradient_of_an_unscaled_entropy_is_orthogonal_to_the_weights(name: str) -> None:
    weight = matrices().requires_grad_()
    (gradient,) = torch.autograd.grad(value(name, weight, scaled=False).sum(), weight)
    assert (gradient * weight).sum().item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("name", FORMULAS)
def test_a_permutation_of_the_entries_changes_what_sees_arrangement(name: str) -> None:
    weight = matrices()
    order = torch.randperm(35, generator=torch.Generator().manual_seed(1))
    shuffled = weight.flatten(1)[:, order].view_as(weight)
    same = torch.allclose(value(name, weight), value(name, shuffled), rtol=1e-9)
    assert same != FORMULAS[name].sees_arrangement


@pytest.mark.parametrize(
    ("name", "hyper"), [case for case in CASES if FORMULAS[case[0]].scale_invariant]
)
def test_a_row_too_small_to_have_a_mass_is_shrunk(name: str, hyper: dict[str, Any]) -> None:
    weight = matrices(dtype=torch.float32)
    weight[:, 2] = 1e-44
    assert (load(FORMULAS[name].shrinkage or "")(weight, **hyper)[:, 2] > 0).all()


def test_hyperparameters_of_the_catalogue_are_the_functions_own() -> None:
    for name, formula in FORMULAS.items():
        for function in (formula.value, formula.shrinkage):
            if function is None:
                continue
            defaults = load(function).__kwdefaults__ or {}
            known = {key: hyper.default for key, hyper in formula.hyper.items()}
            assert defaults == known, name


def test_sums_have_the_same_bits_for_any_number_of_threads() -> None:
    weight = torch.randn(1, 300, 784, generator=torch.Generator().manual_seed(0))
    before = torch.get_num_threads()
    try:
        found = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append([value(name, weight).item() for name in FORMULAS])
    finally:
        torch.set_num_threads(before)
    assert found[0] == found[1]
