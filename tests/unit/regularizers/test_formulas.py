"""Values, gradients and shrinkages of every formula, and the laws that hold for all of them."""

import inspect
import math
from functools import cache
from itertools import groupby
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from support.formula_cases import (
    CASES,
    HYPER,
    SLOPED,
    Letters,
    gradient,
    label,
    matrices,
    prox,
    shrinkage,
    value,
    written,
)
from sweeper import regularizers
from sweeper.config.registry import FORMULAS, load

# Worked by hand for W = [[3, -1], [0, 4]]: S = 8, P = [[3/8, 1/8], [0, 1/2]], r = [1/2, 1/2],
# c = [3/8, 5/8], sum w^2 = 26, columns of norms 3 and sqrt 17, one window of 2 x 2.
BY_HAND = torch.tensor([[[3.0, -1.0], [0.0, 4.0]]], dtype=torch.float64)
H_JOINT = -(3 / 8 * math.log(3 / 8) + 1 / 8 * math.log(1 / 8) + 1 / 2 * math.log(1 / 2))
H_ROWS = math.log(2)
H_COLUMNS = -(3 / 8 * math.log(3 / 8) + 5 / 8 * math.log(5 / 8))
GROUPS = math.sqrt(2) * (3 + math.sqrt(17))
# Worked by hand for W = [[1, 2, 0, 0]] and windows of 2, which are of one row here: 3, 2, 0.
ROW = torch.tensor([[[1.0, -2.0, 0.0, 0.0]]], dtype=torch.float64)
# Tiles of 2 have 3, 0, 1, 0, 4 of S = 8; those of 4 have 3, 1, 4; those of 8 have 4, 4.
STRIP = torch.tensor([[[1.0, -2.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 4.0]]], dtype=torch.float64)
# Differences of BY_HAND: 3 and 5 down, 4 and 4 across.
EDGES = -(3 / 16 * math.log(3 / 16) + 5 / 16 * math.log(5 / 16) + 1 / 2 * math.log(1 / 4))
MATRICES = {"local_entropy": ROW, "tile_entropy": STRIP}
VALUES: dict[str, tuple[Letters, float]] = {
    "none": ({}, 0.0),
    "l1": ({}, 8.0),
    "l2": ({}, 26.0),
    "elastic_net": ({"ridge": 0.5}, 8 + 13),
    "l_half": ({}, math.sqrt(3) + 1 + 2),
    "smoothed_lp": ({"p": 1.0, "eps": 4.0}, 5 + math.sqrt(17) + 4 + math.sqrt(32)),
    "log_sum": ({"eps": 0.5}, math.log(7) + math.log(3) + math.log(9)),
    "transformed_l1": ({"a": 2.0}, 3 * (3 / 5 + 1 / 3 + 4 / 6)),
    # gamma lambda = 3: 2 x 3 - 9/3 and, beyond, 1.5 x 4 / 2 = 3; 2 - 1/3.
    "mcp": ({"strength": 2.0, "gamma": 1.5}, 3 + (2 - 1 / 3) + 3),
    # lambda = 1, a lambda = 3.5: 3 - 4/5; 1; 4.5/2 beyond.
    "scad": ({"strength": 1.0, "a": 3.5}, (3 - 4 / 5) + 1 + 2.25),
    "hoyer": ({}, 8 / math.sqrt(26)),
    "hoyer_square": ({}, 64 / 26),
    "group_lasso": ({"by": "input"}, GROUPS),
    "sparse_group_lasso": ({"by": "input", "l1_ratio": 0.25}, 0.25 * 8 + 0.75 * GROUPS),
    "joint_entropy": ({}, 8 * H_JOINT),
    "renyi_entropy": ({"order": 2.0, "scaled": False}, math.log(64 / 26)),
    "marginal_entropy": ({}, 8 * (H_ROWS + H_COLUMNS)),
    "conditional_entropy": ({"given": "columns", "scaled": False}, H_JOINT - H_COLUMNS),
    "mutual_information": ({}, 8 * (H_ROWS + H_COLUMNS - H_JOINT)),
    "local_entropy": ({"window": 2}, 3 * -(0.6 * math.log(0.6) + 0.4 * math.log(0.4))),
    "l1_marginal_entropy": ({"mix": 0.5}, 8 + 0.5 * 8 * (H_ROWS + H_COLUMNS)),
    "l1_joint_entropy": ({"mix": 0.3}, 8 + 0.3 * 8 * H_JOINT),
    "difference_entropy": ({}, 8 * EDGES),
    "tile_entropy": ({"sizes": "2 4 8"}, 8 * (2 * H_JOINT + math.log(2))),
    "fused_lasso": ({"smooth": 0.25}, 8 + 0.25 * 16),
    "tile_group_lasso": ({"tile": 2}, 2 * math.sqrt(26)),
    # The mean of both neurons is (1.5, 1.5), at 63.4 degrees from (3, -1) and 45 from (0, 4).
    "topographic_cosine": (
        {"shrink": 2, "scaled": False},
        1 - (2 / math.sqrt(20) + 1 / math.sqrt(2)) / 2,
    ),
    "wiring_cost": ({"places": "line"}, 0.5),  # of the weight -1 alone, half of a side away
    "exclusive_lasso": ({"by": "input"}, 9 + 25),
}


def test_every_formula_of_the_registry_has_its_rows_here() -> None:
    assert list(HYPER) == list(FORMULAS)
    assert set(VALUES) == set(FORMULAS)
    for name, formula in FORMULAS.items():
        tested = {letter for hyper in HYPER[name] for letter in hyper} - {"strength"}
        assert tested == set(formula.hyper), name
        for letter, known in formula.hyper.items():
            if known.choices:
                assert {hyper[letter] for hyper in HYPER[name]} == set(known.choices), name


@pytest.mark.parametrize("name", FORMULAS)
def test_facts_of_a_formula_agree_with_one_another(name: str) -> None:
    formula = FORMULAS[name]
    assert formula.default_mode in formula.modes
    assert ("prox" in formula.modes) == (formula.prox is not None)
    assert (formula.shrinkage is None) == (formula.modes == ("loss",))
    assert formula.gives_zeros == (
        not {"prox", "shrink"}.isdisjoint(formula.modes) and name != "l2"
    )
    assert formula.summary
    assert formula.formula.startswith("R(W) = ")
    assert formula.reference
    for hyper in formula.hyper.values():
        assert hyper.summary
        assert hyper.default in hyper.choices or isinstance(hyper.default, float)
        if isinstance(hyper.default, float):
            assert hyper.low <= hyper.default <= hyper.high


def test_parameters_of_the_functions_are_those_of_the_registry() -> None:
    for name, formula in FORMULAS.items():
        known = {key: hyper.default for key, hyper in formula.hyper.items()}
        inner = {"strength"} if formula.strength_inside else set()
        for function, more in (
            (formula.value, inner),
            (formula.shrinkage, inner),
            (formula.prox, {"step", "strength"}),
        ):
            if function is None:
                continue
            found = load(function)
            assert (inspect.unwrap(found).__kwdefaults__ or {}) == known, function
            assert set(inspect.signature(found).parameters) == {"weight", *known, *more}, name


@pytest.mark.parametrize("name", FORMULAS)
def test_documentation_says_what_the_conventions_ask_for(name: str) -> None:
    formula = FORMULAS[name]
    text = load(formula.value).__doc__
    for part in ("R(W) = ", "Shapes: ", "exact zeros", ">>> "):
        assert part.lower() in text.lower(), part
    for function in (formula.shrinkage, formula.prox):
        assert function is None or load(function).__doc__


@pytest.mark.parametrize("name", FORMULAS)
def test_value_is_the_one_worked_by_hand(name: str) -> None:
    hyper, expected = VALUES[name]
    assert value(name, MATRICES.get(name, BY_HAND), **hyper).item() == pytest.approx(expected)


@pytest.mark.parametrize(("name", "hyper"), CASES, ids=label)
def test_value_agrees_with_the_formula_written_out(name: str, hyper: Letters) -> None:
    # Oracle: R in plain NumPy, with loops over groups and windows.
    weight = matrices()
    expected = [written(name, one.numpy(), **hyper) for one in weight]
    assert value(name, weight, **hyper).tolist() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("name", "hyper"), CASES, ids=label)
def test_value_of_a_matrix_does_not_depend_on_its_pack(name: str, hyper: Letters) -> None:
    weight = matrices(dtype=torch.float32)
    together = value(name, weight, **hyper)
    apart = torch.cat([value(name, one[None], **hyper) for one in weight])
    assert torch.equal(together, apart)


@pytest.mark.parametrize(("name", "hyper"), CASES, ids=label)
def test_one_matrix_gets_what_it_gets_in_a_pack(name: str, hyper: Letters) -> None:
    weight = matrices()
    letters = {"strength": 0.4, **hyper, "step": 0.1}
    functions = [(value, hyper)]
    functions += [(shrinkage, hyper)] if FORMULAS[name].shrinkage else []
    functions += [(prox, letters)] if FORMULAS[name].prox else []
    for function, its in functions:
        for matrix, expected in zip(weight, function(name, weight, **its), strict=True):
            assert torch.equal(function(name, matrix, **its), expected), function


def test_the_face_of_the_package_lists_every_function_of_the_registry() -> None:
    for formula in FORMULAS.values():
        for place in filter(None, (formula.value, formula.shrinkage, formula.prox)):
            name = place.partition(":")[2]
            assert name in regularizers.__all__
            assert getattr(regularizers, name) is load(place)


@pytest.mark.parametrize("name", [name for name, many in HYPER.items() if len(many) > 1])
def test_hyperparameters_of_a_pack_act_on_each_network_as_its_own_number_does(name: str) -> None:
    def static(hyper: Letters) -> Letters:
        return {k: v for k, v in hyper.items() if not isinstance(v, float)}

    for same, group in groupby(sorted(HYPER[name], key=lambda h: str(static(h))), static):
        many = list(group)
        weight = matrices(pack=len(many))
        moved = [{"strength": 0.4, **hyper, "step": 0.1 * k} for k, hyper in enumerate(many)]
        for function, letters in ((value, many), (shrinkage, many), (prox, moved)):
            if function is prox and not FORMULAS[name].prox:
                continue
            floats = {
                key: torch.tensor([one[key] for one in letters], dtype=torch.float64)
                for key in letters[0].keys() - same.keys()
            }
            pairs = zip(weight, letters, strict=True)
            apart = torch.cat([function(name, one[None], **its) for one, its in pairs])
            assert torch.equal(function(name, weight, **same, **floats), apart)


@cache
def _slopes(name: str, hyper: tuple[tuple[str, Any], ...]) -> Tensor:
    """dR/dw by central differences of R written out, S held at its place where R says so."""
    weight, step = matrices(pack=2, shape=(4, 5)).numpy(), 1e-6
    found = np.zeros_like(weight)
    for index in np.ndindex(weight.shape):
        held = float(np.abs(weight[index[0]]).sum())
        ends = []
        for shift in (step, -step):
            moved = weight[index[0]].copy()
            moved[index[1:]] += shift
            ends.append(written(name, moved, held, **dict(hyper)))
        found[index] = (ends[0] - ends[1]) / (2 * step)
    return torch.from_numpy(found)


@pytest.mark.parametrize(("name", "hyper"), CASES, ids=label)
def test_gradient_agrees_with_finite_differences(name: str, hyper: Letters) -> None:
    # Oracle: central differences in float64.
    weight = matrices(pack=2, shape=(4, 5))
    expected = _slopes(name, tuple(hyper.items()))
    found = gradient(name, weight, **hyper)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=2e-7)


@pytest.mark.parametrize(("name", "hyper"), SLOPED, ids=label)
def test_shrinkage_is_the_derivative_in_the_magnitude(name: str, hyper: Letters) -> None:
    # Oracle: the same differences, times the sign; then autograd, to the last digits.
    weight = matrices(pack=2, shape=(4, 5))
    found = shrinkage(name, weight, **hyper)
    expected = _slopes(name, tuple(hyper.items())) * weight.sign()
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=2e-7)
    torch.testing.assert_close(found, gradient(name, weight, **hyper) * weight.sign())


@pytest.mark.parametrize(("name", "hyper"), SLOPED, ids=label)
def test_shrinkage_in_float32_is_that_in_float64(name: str, hyper: Letters) -> None:
    # Oracle: the same function in float64. Sizes at which sums and logarithms lose digits.
    weight = matrices(pack=2, shape=(60, 50)) * 0.05
    found = shrinkage(name, weight.float(), **hyper).double()
    expected = shrinkage(name, weight.float().double(), **hyper)
    scale = expected.abs().amax((-2, -1), keepdim=True)
    torch.testing.assert_close(found / scale, expected / scale, rtol=2e-5, atol=1e-5)
    assert value(name, weight.float(), **hyper).tolist() == pytest.approx(
        value(name, weight.float().double(), **hyper).tolist(), rel=5e-6, abs=1e-4
    )


@pytest.mark.parametrize("pack", [1, 2])
def test_hoyer_square_is_the_exponential_of_the_renyi_entropy_of_order_2(pack: int) -> None:
    weight = matrices(pack=pack)
    renyi = value("renyi_entropy", weight, order=2.0, scaled=False)
    torch.testing.assert_close(renyi.exp(), value("hoyer_square", weight))


@pytest.mark.parametrize("order", [1 - 1e-4, 1 - 1e-6, 1.0, 1 + 1e-7, 1 + 1e-5, 1 + 1e-4])
@pytest.mark.parametrize("scaled", [True, False])
def test_renyi_entropy_next_to_order_1_is_next_to_the_joint_entropy(
    order: float, scaled: bool
) -> None:
    # Oracle: Shannon's entropy; dR/d order is less than 10 here. In float32.
    weight = matrices(dtype=torch.float32, shape=(50, 40)) ** 3
    letters = {"order": order, "scaled": scaled}
    distance = 10 * abs(order - 1) + 5e-6
    for function in (value, shrinkage):
        found = function("renyi_entropy", weight, **letters)
        shannon = function("joint_entropy", weight, scaled=scaled)
        scale = shannon.abs().max().item()
        torch.testing.assert_close(found / scale, shannon / scale, rtol=0, atol=distance)


def test_renyi_entropy_of_order_20_does_not_underflow() -> None:
    # Oracle: log n for n equal weights, whatever the order. (1/266200)^20 is 3e-109.
    weight = torch.full((1, 500, 532), 0.05)
    letters = {"order": 20.0, "scaled": False}
    assert value("renyi_entropy", weight, **letters).item() == pytest.approx(math.log(266_000))
    slope = shrinkage("renyi_entropy", weight, **letters) * weight.sum()
    assert slope.abs().max().item() < 1e-4


@pytest.mark.parametrize(("name", "hyper"), CASES, ids=label)
def test_value_and_shrinkage_do_not_depend_on_signs(name: str, hyper: Letters) -> None:
    weight = matrices()
    functions = (value, shrinkage) if FORMULAS[name].shrinkage else (value,)
    for function in functions:
        assert torch.equal(function(name, weight, **hyper), function(name, -weight, **hyper))


@pytest.mark.parametrize("name", ["joint_entropy", "renyi_entropy", "marginal_entropy"])
@pytest.mark.parametrize("scaled", [True, False])
def test_a_row_too_small_to_have_a_mass_is_shrunk(name: str, scaled: bool) -> None:
    # The other entropies weigh such a row against itself, or with its neighbours.
    weight = matrices(dtype=torch.float32)
    weight[:, 2] = 1e-44
    assert (shrinkage(name, weight, scaled=scaled)[:, 2] > 0).all()


@pytest.mark.parametrize(
    ("name", "clustered", "scattered", "dense"),
    [("difference_entropy", 3.178, 4.779, 6.594), ("tile_entropy", 2.773, 8.423, 10.305)],
)
def test_what_sees_neighbours_ranks_clustered_before_scattered_before_dense(
    name: str, clustered: float, scattered: float, dense: float
) -> None:
    # Oracle: log 24 edges of a block, 3 log 2 for its tiles; the others, of NumPy's seed 0, lie
    # where any draw does: 4.7 to 4.8 and 6.6, 8.1 to 8.4 and 10.3. 32 of 512 entries are 1.
    block = torch.zeros(16, 32)
    block[4:8, 8:16] = 1
    generator = np.random.default_rng(0)
    anywhere = np.zeros(512)
    anywhere[generator.choice(512, 32, replace=False)] = 1
    everywhere = torch.from_numpy(generator.standard_normal((16, 32)))
    matrices = block.double(), torch.from_numpy(anywhere).view(16, 32), everywhere
    found = [value(name, matrix, scaled=False).item() for matrix in matrices]
    assert found == pytest.approx([clustered, scattered, dense], abs=0.001)
