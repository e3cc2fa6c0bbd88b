"""Sparse inference of stacks: each network is run in its own way, and gives what it gave before."""

import pytest
import torch
from torch import Tensor

from support.packs import RECIPE
from sweeper.training import sparse_inference
from sweeper.training.datasets import Data, load
from sweeper.training.evaluation import Evaluator
from sweeper.training.pruning import mask_at_density
from sweeper.training.sparse_inference import StackLogits
from sweeper.training.stack import NetworkRange, Stack
from sweeper.training.stacked_architecture import StackedArchitecture
from sweeper.types import nothing

DENSITIES = (1.0, 0.1, 0.02, 0.9, 0.16)


@pytest.fixture(scope="module")
def digits() -> Data:
    return load("digits")


@pytest.fixture
def network(digits: Data) -> StackedArchitecture:
    return StackedArchitecture.of(RECIPE, digits)


@pytest.fixture
def stack(digits: Data, network: StackedArchitecture) -> Stack:
    """Return networks of several densities."""
    stack = network.init(range(len(DENSITIES)), RECIPE, digits)
    for k, density in enumerate(DENSITIES):
        weights = {name: stack[name][k : k + 1] for name in network.weights}
        for name, mask in mask_at_density(weights, density).items():
            stack[name][k] *= mask[0]
    return stack


def logits_of(network: StackedArchitecture, stack: Stack, examples: Tensor) -> Tensor:
    return StackLogits.of(network, stack)(examples).clone()


def test_logits_are_those_of_dense_products(
    digits: Data, network: StackedArchitecture, stack: Stack
) -> None:
    # Oracle: the runner that trains them.
    examples = digits.test.examples
    assert list(StackLogits.of(network, stack).sparse) == [1, 2, 4]
    wanted = network.runner().logits(stack, examples)
    torch.testing.assert_close(logits_of(network, stack, examples), wanted, rtol=1e-4, atol=1e-5)
    val, _ = Evaluator(network, digits, nothing).accuracies(stack)
    guesses = network.runner().logits(stack, digits.validation.examples).argmax(-1)
    right = (guesses == digits.validation.labels).sum(1).tolist()
    for share, count in zip(val, right, strict=True):
        assert abs(share * len(digits.validation) - count) < 1.5


def test_logits_have_the_same_bits_in_any_pack(
    digits: Data, network: StackedArchitecture, stack: Stack
) -> None:
    examples = digits.test.examples[:50]
    together = logits_of(network, stack, examples)
    for k in range(len(DENSITIES)):
        some = NetworkRange(k, k + 1)
        assert torch.equal(logits_of(network, some.of(stack), examples), some.cut(together))


def test_a_network_goes_its_way_by_the_weights_that_it_has(
    network: StackedArchitecture, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    total = sum(stack[name][0].numel() for name in network.weights)
    count = sum(int(stack[name][1].count_nonzero()) for name in network.weights)
    for less, sparse in ((0, [1, 2]), (1, [2])):
        for bound in ("MAX_DENSITY", "MAX_DENSITY_FAST_MATMUL"):
            monkeypatch.setattr(sparse_inference, bound, (count - less) / total)
        assert list(StackLogits.of(network, stack).sparse) == sparse
    monkeypatch.setattr(sparse_inference, "MAX_DENSITY", 1.0)
    monkeypatch.setattr(sparse_inference, "MAX_DENSITY_FAST_MATMUL", 1.0)
    assert len(StackLogits.of(network, stack).sparse) == len(DENSITIES)
    doubled = {name: value.double() for name, value in stack.items()}
    assert not StackLogits.of(network, doubled).sparse


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_sparse_network_that_diverged_has_no_label_right(
    digits: Data, network: StackedArchitecture, stack: Stack, bad: float
) -> None:
    stack["1.weight"][2] *= 0
    stack["5.weight"][2] *= 0
    stack["5.weight"][2] += torch.where(torch.arange(10)[:, None] == 3, bad, 0.0)
    stack["3.bias"][2] = 1.0
    assert 2 in StackLogits.of(network, stack).sparse
    val, test = Evaluator(network, digits, nothing).accuracies(stack)
    assert val[2] == test[2] == 0.0
    assert val[1] > 0.0
