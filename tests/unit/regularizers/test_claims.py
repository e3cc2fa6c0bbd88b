"""The five claims of the abstract of arXiv 2301.07285, each as properties of every formula.

Scale invariance, dependence on arrangement, differentiability, parallelism, cost.
"""

import inspect
import math
import weakref
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from support import adjacency_cases
from support.formula_cases import (
    CASES,
    DIFFERENTIABLE,
    HYPER,
    INVARIANT,
    SLOPED,
    UNSCALED,
    Letters,
    degenerate,
    each,
    gradient,
    label,
    matrices,
    shrinkage,
    value,
)
from sweeper.config.registry import FORMULAS, load

OVERFLOWING = {"l2", "elastic_net", "smoothed_lp", "exclusive_lasso"}
"""Those whose value for weights of 1e20 may be infinite in float32: it holds their squares."""


# Scale invariance


@pytest.mark.parametrize("scale", [1e-20, 1e-3, 1e20])
@pytest.mark.parametrize(("name", "hyper"), UNSCALED, ids=label)
def test_scale_invariant_formulas_are_so_in_float32(
    name: str, hyper: Letters, scale: float
) -> None:
    weight = matrices(dtype=torch.float32)
    found, expected = value(name, weight * scale, **hyper), value(name, weight, **hyper)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    slope, at_one = shrinkage(name, weight * scale, **hyper), shrinkage(name, weight, **hyper)
    torch.testing.assert_close(slope * scale, at_one, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("scale", [1e-20, 1e20])
@pytest.mark.parametrize(
    ("name", "hyper"), [case for case in CASES if case[1].get("scaled")], ids=label
)
def test_an_entropy_times_s_grows_as_the_weights_do(
    name: str, hyper: Letters, scale: float
) -> None:
    weight = matrices(dtype=torch.float32)
    found = value(name, weight * scale, **hyper) / scale
    torch.testing.assert_close(found, value(name, weight, **hyper), rtol=1e-5, atol=1e-4)
    slope, at_one = shrinkage(name, weight * scale, **hyper), shrinkage(name, weight, **hyper)
    torch.testing.assert_close(slope, at_one, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", [n for n in FORMULAS if n not in INVARIANT and n != "none"])
def test_the_others_are_not_scale_invariant(name: str) -> None:
    weight = matrices()
    assert (value(name, 2 * weight) > 1.05 * value(name, weight)).all()


@pytest.mark.parametrize(("name", "hyper"), UNSCALED, ids=label)
def test_gradient_of_a_scale_invariant_formula_is_orthogonal_to_the_weights(
    name: str, hyper: Letters
) -> None:
    # Oracle: Euler's theorem for a function of degree 0.
    weight = matrices()
    slope = gradient(name, weight, **hyper)
    assert (slope * weight).sum((-2, -1)).tolist() == pytest.approx([0] * 3, abs=1e-12)


@pytest.mark.parametrize("scale", [1e-20, 1e20])
@pytest.mark.parametrize(("name", "hyper"), CASES, ids=label)
def test_tiny_and_huge_weights_give_no_nan(name: str, hyper: Letters, scale: float) -> None:
    weight = matrices(dtype=torch.float32) * scale
    result = value(name, weight, **hyper)
    assert not result.isnan().any()
    assert result.isfinite().all() or (scale > 1 and name in OVERFLOWING)
    if FORMULAS[name].shrinkage:
        assert shrinkage(name, weight, **hyper).isfinite().all()


# Dependence on arrangement


def _default_cases() -> list[tuple[str, Letters]]:
    """Return formulas with all their choices; what is a number is its default."""
    chosen = {
        name: {k: hyper.choices for k, hyper in formula.hyper.items() if hyper.choices}
        for name, formula in FORMULAS.items()
    }
    return [(name, letters) for name, choices in chosen.items() for letters in each(**choices)]


@pytest.mark.parametrize(("name", "hyper"), _default_cases(), ids=label)
def test_a_permutation_of_the_entries_changes_what_sees_arrangement(
    name: str, hyper: Letters
) -> None:
    weight = matrices(shape=(9, 11))
    order = torch.randperm(99, generator=torch.Generator().manual_seed(1))
    shuffled = weight.flatten(1)[:, order].view_as(weight)
    same = torch.isclose(value(name, weight, **hyper), value(name, shuffled, **hyper), rtol=1e-9)
    assert (~same).all() if FORMULAS[name].sees_arrangement_of else same.all()


@pytest.mark.parametrize(("name", "hyper"), _default_cases(), ids=label)
def test_permuted_pixels_change_nothing_unless_neighbours_are_seen(
    name: str, hyper: Letters
) -> None:
    weight = matrices(shape=(9, 11))
    order = torch.randperm(11, generator=torch.Generator().manual_seed(1))
    permuted = weight[:, :, order]
    same = torch.isclose(value(name, weight, **hyper), value(name, permuted, **hyper), rtol=1e-9)
    if FORMULAS[name].sees_arrangement_of in {"neighbourhood", "places"}:
        assert (~same).all()
        return
    assert same.all()
    if FORMULAS[name].shrinkage:
        expected = shrinkage(name, weight, **hyper)[:, :, order]
        torch.testing.assert_close(shrinkage(name, permuted, **hyper), expected)


@pytest.mark.parametrize(
    "name", [n for n, f in FORMULAS.items() if "or" in f.sees_arrangement_of.split()]
)
def test_rows_or_columns_are_the_two_ways_round(name: str) -> None:
    # Oracle: the transposed matrix.
    (letter,) = (k for k, hyper in FORMULAS[name].hyper.items() if k != "scaled" and hyper.choices)
    one, other = FORMULAS[name].hyper[letter].choices
    weight = matrices()
    transposed = weight.transpose(1, 2).contiguous()
    for function in (value, shrinkage):
        found = function(name, weight, **{letter: one})
        mirrored = function(name, transposed, **{letter: other})
        expected = mirrored if function is value else mirrored.transpose(1, 2)
        torch.testing.assert_close(found, expected)


# Differentiability


@pytest.mark.parametrize(("name", "hyper"), DIFFERENTIABLE, ids=label)
def test_gradcheck_passes_away_from_zeros(name: str, hyper: Letters) -> None:
    weight = matrices(pack=2, shape=(3, 4)).requires_grad_()
    assert torch.autograd.gradcheck(lambda w: value(name, w, **hyper), weight)


@pytest.mark.parametrize(("name", "hyper"), CASES, ids=label)
def test_all_is_finite_with_zeros(name: str, hyper: Letters) -> None:
    weight = degenerate()
    assert value(name, weight, **hyper).isfinite().all()
    slope = gradient(name, weight, **hyper)
    assert slope.isfinite().all()
    assert (slope[2] == 0).all()
    if FORMULAS[name].shrinkage:
        assert shrinkage(name, weight, **hyper).isfinite().all()


@pytest.mark.parametrize(("name", "hyper"), SLOPED, ids=label)
def test_gradient_with_zeros_is_the_shrinkage_times_the_sign(name: str, hyper: Letters) -> None:
    # Training computes it so. Not for an order below 1, whose gradient at 0 is infinite.
    weight = degenerate(torch.float64)
    expected = shrinkage(name, weight, **hyper) * weight.sign()
    slope = gradient(name, weight, **hyper)
    if name in adjacency_cases.SIGNED:
        slope = slope * (weight != 0)
    torch.testing.assert_close(slope, expected)


# Parallelism


def _plog(masses: Tensor) -> Tensor:
    """Sum of x log x; from such sums over parts an entropy follows."""
    return torch.xlogy(masses, masses).sum()


def _windows(block: Tensor, window: int) -> Tensor:
    """Sums in windows of a block of rows, in as many as start in it and end in its halo."""
    width = min(window, block.shape[1])
    return block.unfold(0, min(window, len(block)), 1).unfold(1, width, 1).sum((-2, -1))


# Statistics of a block of rows, which are summed over blocks, and R from their sums. A formula that
# is not named sums its own value. `block` is [rows, in], of magnitudes.
Statistics = Callable[[Tensor, Letters], Sequence[Tensor]]
PARTIAL: dict[str, tuple[Statistics, Callable[..., Tensor]]] = {
    "hoyer": (lambda b, _: (b.sum(), b.square().sum()), lambda _, s, q: s / q.sqrt()),
    "hoyer_square": (lambda b, _: (b.sum(), b.square().sum()), lambda _, s, q: s.square() / q),
    "joint_entropy": (
        lambda b, _: (b.sum(), _plog(b)),
        lambda _, s, t: s.log() - t / s,
    ),
    "renyi_entropy": (
        lambda b, h: (b.sum(), b.pow(h["order"]).sum(), _plog(b)),
        lambda h, s, q, t: (
            s.log() - t / s
            if h["order"] == 1
            else (q.log() - h["order"] * s.log()) / (1 - h["order"])
        ),
    ),
    "marginal_entropy": (
        lambda b, _: (b.sum(), _plog(b.sum(1)), b.sum(0)),
        lambda _, s, rows, columns: 2 * s.log() - (rows + _plog(columns)) / s,
    ),
    "conditional_entropy": (
        lambda b, _: (b.sum(), _plog(b), _plog(b.sum(1)), b.sum(0)),
        lambda h, s, t, rows, columns: ((rows if h["given"] == "rows" else _plog(columns)) - t) / s,
    ),
    "mutual_information": (
        lambda b, _: (b.sum(), _plog(b), _plog(b.sum(1)), b.sum(0)),
        lambda _, s, t, rows, columns: s.log() + (t - rows - _plog(columns)) / s,
    ),
    "local_entropy": (
        lambda b, h: (_windows(b, h["window"]).sum(), _plog(_windows(b, h["window"]))),
        lambda _, m, t: m.log() - t / m,
    ),
}
GROUPED = ("group_lasso", "sparse_group_lasso")


def _from_blocks(name: str, weight: Tensor, hyper: Letters, rows: int) -> Tensor:
    """Return R of one matrix [out, in] from sums over blocks of rows."""
    if name in adjacency_cases.NAMES:
        return adjacency_cases.from_parts(name, weight, hyper, rows)
    blocks = [weight[start : start + rows] for start in range(0, len(weight), rows)]
    if name in GROUPED and hyper["by"] == "input":
        squares = torch.stack([block.square().sum(0) for block in blocks]).sum(0)
        size = torch.stack([block.abs().sum() for block in blocks]).sum()
        ratio: float = hyper.get("l1_ratio", 0.0)
        norms = math.sqrt(len(weight)) * squares.sqrt().sum()
        return torch.lerp(norms, size, ratio)
    if name.startswith("l1_"):
        entropy = {"l1_joint_entropy": "joint_entropy", "l1_marginal_entropy": "marginal_entropy"}
        found = _from_blocks(entropy[name], weight, {"scaled": True}, rows)
        return torch.add(weight.abs().sum(), found, alpha=hyper["mix"])
    if name not in PARTIAL:
        return torch.stack([value(name, block[None], **hyper)[0] for block in blocks]).sum()
    statistics, finish = PARTIAL[name]
    if name == "local_entropy":
        # A block reads the rows below it that its windows reach: a halo.
        window = min(hyper["window"], len(weight))
        starts = range(0, len(weight) - window + 1, rows)
        ends = [min(start + rows, len(weight) - window + 1) + window - 1 for start in starts]
        blocks = [weight[i:j] for i, j in zip(starts, ends, strict=True)]
        hyper = {**hyper, "window": window} if window < hyper["window"] else hyper
    parts = [statistics(block.abs(), hyper) for block in blocks]
    sums = [torch.stack(found).sum(0) for found in zip(*parts, strict=True)]
    found = finish(hyper, *sums)
    return weight.abs().sum() * found if hyper.get("scaled") else found


@pytest.mark.parametrize("rows", [1, 2, 4])
@pytest.mark.parametrize(("name", "hyper"), CASES, ids=label)
def test_value_follows_from_sums_over_blocks_of_rows(name: str, hyper: Letters, rows: int) -> None:
    weight = matrices(pack=1, shape=(9, 8))
    found = _from_blocks(name, weight[0], hyper, rows)
    torch.testing.assert_close(found, value(name, weight, **hyper)[0])


def _kinds(name: str) -> list[Callable[..., Tensor]]:
    formula = FORMULAS[name]
    names = (formula.value, formula.shrinkage, formula.prox)
    return [load(function) for function in names if function]


def _letters(function: Callable[..., Tensor], hyper: Letters) -> Letters:
    """Return letters for any function of a formula: the last two for a prox, or for mcp."""
    letters = {"strength": 0.02, "step": 0.1, **hyper}
    known = inspect.signature(function).parameters
    return {key: letter for key, letter in letters.items() if key in known}


@pytest.mark.parametrize("name", FORMULAS)
def test_bits_do_not_depend_on_the_pack_nor_on_the_number_of_threads(name: str) -> None:
    # More than 32,768 weights, from where on PyTorch uses threads for a pack of one too, and rows
    # that do not fill vector registers.
    generator = torch.Generator().manual_seed(0)
    weight = 0.05 * torch.randn(16, 131, 257, generator=generator)
    before = torch.get_num_threads()
    try:
        for function in _kinds(name):
            letters = _letters(function, HYPER[name][-1])
            found = []
            for threads in (1, 2):
                torch.set_num_threads(threads)
                ones = [function(one[None], **letters) for one in weight[:3]]
                found += [torch.cat(ones), function(weight[:3], **letters)]
                found.append(function(weight, **letters)[:3])
            assert all(torch.equal(found[0], other) for other in found[1:]), function
    finally:
        torch.set_num_threads(before)


# Cost


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes that are alive at once beside the arguments, and the passes over them."""

    def __init__(self, *given: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.known = {id(tensor) for tensor in given}
        self.given = {tensor.untyped_storage().data_ptr() for tensor in given}
        self.large = max(tensor.numel() for tensor in given)
        self.holders: Counter[tuple[int, int]] = Counter()  # by address and size of the storage
        self.peak = 0
        self.passes = 0
        self.operations: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self.operations.add(str(func))
        tensors = [part for part in (result, *args) if isinstance(part, Tensor)]
        if not func.is_view:
            self.passes += max((t.numel() for t in tensors), default=0) > 0.9 * self.large
        if isinstance(result, Tensor) and id(result) not in self.known:
            storage = result.untyped_storage()
            key = (storage.data_ptr(), storage.nbytes())
            if key[0] in self.given:  # a view of an argument takes no room
                return result
            self.known.add(id(result))
            self.holders[key] += 1
            weakref.finalize(result, self._release, id(result), key)
            self.peak = max(self.peak, sum(size for _, size in +self.holders))
        return result

    def _release(self, tensor: int, key: tuple[int, int]) -> None:
        self.known.discard(tensor)
        self.holders[key] -= 1


@pytest.mark.parametrize(("name", "hyper"), CASES, ids=label)
def test_memory_is_a_few_copies_of_one_matrix_and_passes_over_it_are_few(
    name: str, hyper: Letters
) -> None:
    # Not timed, but counted: a pass over 266,200 weights takes 0.03 to 0.1 ms on one core.
    weight = 0.05 * matrices(pack=1, dtype=torch.float32, shape=(200, 300))
    for function in _kinds(name)[1:]:
        with _Watch(weight) as watch:
            function(weight, **_letters(function, hyper))
        assert 0 < watch.peak <= 4.2 * weight.nbytes, watch.peak / weight.nbytes
        assert watch.passes <= 30


@pytest.mark.parametrize(("name", "hyper"), CASES, ids=label)
def test_no_number_is_fetched_from_the_device(name: str, hyper: Letters) -> None:
    # On a GPU each would wait for all that was asked of it before.
    weight = matrices(pack=2, dtype=torch.float32)
    for function in _kinds(name):
        letters = {
            key: torch.full((2,), letter) if isinstance(letter, float) else letter
            for key, letter in _letters(function, hyper).items()
        }
        with _Watch(weight) as watch:
            function(weight, **letters)
        fetched = {"aten._local_scalar_dense.default", "aten.item.default", "aten.nonzero.default"}
        assert not fetched & watch.operations
