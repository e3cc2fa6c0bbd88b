"""Optimizers over stacks: torch.optim as oracle, penalties in the same pass, gradients in place."""

import math
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from support.packs import RECIPE, config, facts, method, penalty
from sweeper.config.registry import APPLY_MODES
from sweeper.kernels import apply, optimizer_steps
from sweeper.kernels.linear_slopes import LINES
from sweeper.kernels.optimizer_steps import AdamBeta, LinearPenalties
from sweeper.regularizers.ops import shrink_towards_zero
from sweeper.training import models, optimizers
from sweeper.training.custom_formulas import resolve, shrinkage_of
from sweeper.training.datasets import Data, load
from sweeper.training.methods import TrainingContext
from sweeper.training.network_groups import network_groups
from sweeper.training.pack import train_pack
from sweeper.training.stack import NetworkRange
from sweeper.training.stacked_architecture import StackedArchitecture
from sweeper.training.training_loop import Schedule, Stepper, fit
from sweeper.types import MethodConfig, nothing

NAMES = ("sgd", "adam", "adamw")
FLOATS = st.floats(-1, 1, width=32)


@pytest.fixture(scope="module")
def digits() -> Data:
    return load("digits")


@pytest.mark.parametrize("decay", [0.0, 0.01])
@pytest.mark.parametrize(
    ("optimizer", "schedule"),
    [("sgd", "constant"), ("sgd", "linear"), ("adam", "cosine"), ("adamw", "linear")],
)
def test_training_follows_torch_optim(
    digits: Data, optimizer: str, schedule: str, decay: float
) -> None:
    # Oracle: torch.optim on a plain module, one network at a time, batches from the same order.
    network = StackedArchitecture.of(RECIPE, digits)
    stack = network.init([3, 4], RECIPE, digits)
    rates, momenta, decays = [0.05, 0.01], [0.9, 0.5], [decay, decay / 2]
    # Decay in Adam's gradient moves weights of dead pixels to and fro around 0 at full rate, which
    # makes rounding errors grow: it is followed for an epoch of large batches.
    chaotic = optimizer == "adam" and decay > 0
    plan = Schedule(1 if chaotic else 3, 100 if chaotic else 32, optimizer, schedule, order_seed=5)
    steps = plan.steps(len(digits.train))
    assert chaotic or steps >= 100
    fit(
        network,
        stack,
        digits.train,
        plan,
        rate=torch.tensor(rates),
        momentum=torch.tensor(momenta),
        decay=torch.tensor(decays),
        seeds=(3, 4),
        tick=nothing,
    )
    for k, seed in enumerate((3, 4)):
        module = models.build("mlp", RECIPE.model_options, digits.shape, 10, seed=seed)
        oracle = _torch_optimizer(optimizer, module, rates[k], momenta[k], decays[k])
        for step, index in enumerate(plan.batches(digits.train)):
            for group in oracle.param_groups:
                group["lr"] = rates[k] * _factor(schedule, step, steps)
            oracle.zero_grad()
            guess = module(digits.train.examples[index])
            torch.autograd.backward(nn.functional.cross_entropy(guess, digits.train.labels[index]))
            oracle.step()
        for name, parameter in module.named_parameters():
            torch.testing.assert_close(stack[name][k], parameter.detach(), rtol=2e-3, atol=2e-4)


def _torch_optimizer(
    name: str, module: nn.Module, rate: float, momentum: float, decay: float
) -> torch.optim.Optimizer:
    parameters = module.parameters()
    if name == "sgd":
        return torch.optim.SGD(parameters, lr=rate, momentum=momentum, weight_decay=decay)
    kind = torch.optim.Adam if name == "adam" else torch.optim.AdamW
    return kind(parameters, lr=rate, betas=(momentum, 0.999), weight_decay=decay)


def _factor(schedule: str, step: int, steps: int) -> float:
    share = step / steps
    if schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * share))
    return 1 - share if schedule == "linear" else 1.0


@pytest.mark.parametrize("name", NAMES)
def test_moments_that_only_decay_end_at_exactly_zero(name: str) -> None:
    optimizer = optimizers.make(name, torch.tensor([0.9, 0.5]))
    stack = {"w": torch.ones(2, 3)}
    sinks = optimizer.bind(stack)
    rate = torch.tensor([0.1, 0.1])
    for number in range(500):
        for sink in sinks:
            gradient = torch.full((2, 3), 0.0 if number else 1e-12)
            sink.take("w", gradient[sink.networks])
        optimizer.step(rate)
    moments = [
        moment
        for kind in ("_moments", "_first", "_second")
        for moment in getattr(optimizer, kind, {}).values()
    ]
    assert moments
    for moment in moments:
        assert not moment.any()


@pytest.mark.parametrize("name", LINES)
def test_a_line_is_the_slope_of_its_formula(name: str) -> None:
    # Oracle: dR/d|w| as the formula gives it.
    weight = torch.randn(2, 5, 7, generator=torch.Generator().manual_seed(0))
    hyper = {key: torch.tensor([0.3, 2.0]) for key in resolve(name).hyper}
    constant, factor = (torch.as_tensor(part).view(-1, 1, 1) for part in LINES[name](**hyper))
    slope = shrinkage_of(resolve(name), weight, hyper)
    torch.testing.assert_close(constant + factor * weight.abs(), slope.expand_as(weight))


def _lines(pack: int, **given: tuple[float, float]) -> LinearPenalties:
    penalties = LinearPenalties.none(pack)
    for mode in APPLY_MODES:
        penalties = penalties.plus(mode, *given.get(mode, (0.0, 0.0)))
    return penalties


def test_the_order_in_which_modes_are_listed_changes_nothing(
    digits: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Oracle: the same networks, bit for bit, before the modes are listed backwards.
    pack = [config(0, penalty("elastic_net", mode, 0.02, ridge=0.3)) for mode in APPLY_MODES]
    before = facts(train_pack(pack, digits))
    assert len({str(result.as_trained) for result in before}) == len(pack)
    for module in list(sys.modules.values()):
        if getattr(module, "APPLY_MODES", None) == APPLY_MODES and "sweeper" in module.__name__:
            monkeypatch.setattr(module, "APPLY_MODES", APPLY_MODES[::-1])
    assert facts(train_pack(pack, digits)) == before


@given(
    start=st.lists(FLOATS, min_size=1, max_size=40),
    strengths=st.lists(st.sampled_from([0.0, 0.3, 1.7]), min_size=8, max_size=8),
    rate=st.floats(1e-3, 0.5),
    seed=st.integers(0, 99),
)
@settings(deadline=None, max_examples=150)
def test_one_pass_of_sgd_is_the_step_and_then_each_penalty(
    start: list[float], strengths: list[float], rate: float, seed: int
) -> None:
    # Oracle: the step, then the written-out penalties of `kernels`, one after the other.
    weight = torch.tensor([start, start[::-1]])
    generator = torch.Generator().manual_seed(seed)
    buffer = torch.randn(weight.shape, generator=generator)
    rates = torch.tensor([rate, 2 * rate])
    pairs = [(strengths[k], strengths[k + 1]) for k in range(0, 8, 2)]
    lines = _lines(2, **dict(zip(("loss", "decoupled", "prox", "shrink"), pairs, strict=True)))
    expected, moments = weight.clone()[:, None], buffer.clone()[:, None]
    inside, slope, beside, pull, soft, ridge, amount, share = strengths
    moments += inside * expected.sign() + slope * expected
    expected -= rates.view(-1, 1, 1) * moments
    apply.descend_(expected, (beside + pull * expected.abs()), rates)
    apply.shrink_(expected, (amount + share * expected.abs()), rates)
    bound = (rates * soft).view(-1, 1, 1)
    expected = shrink_towards_zero(expected, bound) / (1 + rates.view(-1, 1, 1) * ridge)
    optimizer_steps.sgd_(weight, buffer, rates, lines)
    torch.testing.assert_close(weight, expected[:, 0], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(buffer, moments[:, 0], rtol=1e-5, atol=1e-6)


class Elsewhere(Tensor):
    """A tensor that says that it lies on another device: for the way that a GPU takes."""

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return torch.device("cuda")


def _as_elsewhere(*tensors: Tensor) -> list[Tensor]:
    return [tensor.clone().as_subclass(Elsewhere) for tensor in tensors]


@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize(
    "given",
    [
        {},
        {"loss": (0.3, 0.1)},
        {"decoupled": (0.3, 0.2)},
        {"shrink": (0.4, 0.3)},
        {"prox": (0.5, 0.2)},
        {"loss": (0.3, 0.0), "decoupled": (0.1, 0.1), "shrink": (0.2, 0.1), "prox": (0.1, 0.2)},
    ],
)
def test_compiled_steps_are_those_of_pytorch(
    given: dict[str, tuple[float, float]], cut: bool
) -> None:
    # Oracle: the same step in PyTorch, as other devices take it.
    generator = torch.Generator().manual_seed(1)
    weight, buffer, first = torch.randn(3, 3, 50, generator=generator)
    second = torch.rand(3, 50, generator=generator)
    weight[:, :5] = 0
    outside = torch.rand(3, 50, generator=generator) < 0.5
    rate, beta1 = torch.tensor([0.1, 0.2, 0.3]), torch.tensor([0.9, 0.5, 0.0])
    keep, root = torch.tensor([1.0, 0.9, 0.8]), torch.tensor([0.1, 0.2, 1.0])
    lines = _lines(3, **given)
    mask = outside if cut else None
    if not cut or set(given) <= {"loss"}:
        own = lines if not cut else _lines(3, loss=(0.0, 0.1))
        fast, slow = (weight.clone(), buffer.clone()), _as_elsewhere(weight, buffer)
        optimizer_steps.sgd_(*fast, rate, own, mask)
        optimizer_steps.sgd_(slow[0], slow[1], rate, own, mask)
        for one, two in zip(fast, slow, strict=True):
            torch.testing.assert_close(one, two.as_subclass(Tensor))
    moments = weight.clone(), buffer.clone(), first.clone(), second.clone()
    other = _as_elsewhere(weight, buffer, first, second)
    beta = AdamBeta(beta1, 0.999, 1e-8, rate / (1 - beta1), root)
    optimizer_steps.adam_(*moments[:2], (moments[2], moments[3]), rate, keep, beta, lines, mask)
    optimizer_steps.adam_(other[0], other[1], (other[2], other[3]), rate, keep, beta, lines, mask)
    for index in (0, 2, 3):
        torch.testing.assert_close(moments[index], other[index].as_subclass(Tensor))
    if cut:
        assert not moments[0][outside].any()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("way", APPLY_MODES)
def test_a_diverged_weight_stays_seen(way: str, value: float) -> None:
    weight = torch.tensor([[value, 1.0], [1.0, 1.0]])
    buffer = torch.zeros(2, 2)
    optimizer_steps.sgd_(weight, buffer, torch.tensor([0.1, 0.1]), _lines(2, **{way: (0.5, 0.0)}))
    assert not weight[0, 0].isfinite()
    assert weight[1].isfinite().all()


def test_prox_sets_weights_to_exactly_zero_and_not_beyond() -> None:
    weight = torch.tensor([[0.05, -0.05, 0.2, -0.2, 0.0]])
    optimizer_steps.sgd_(weight, torch.zeros(1, 5), torch.tensor([0.1]), _lines(1, prox=(1.0, 0.0)))
    assert weight.tolist() == [[0.0, 0.0, pytest.approx(0.1), pytest.approx(-0.1), 0.0]]


def test_gradients_of_additive_methods_are_never_stored() -> None:
    stack = {"w": torch.zeros(3, 4)}
    optimizer = optimizers.SGD(torch.tensor([0.9, 0.9, 0.5]), torch.zeros(3))
    sinks = optimizer.bind(stack)
    assert [(sink.start, sink.stop) for sink in sinks] == [(0, 2), (2, 3)]
    assert [sink.keep for sink in sinks] == pytest.approx([0.9, 0.5])
    for sink in sinks:
        own = optimizer.gradients(NetworkRange(sink.start, sink.stop))["w"]
        assert own.data_ptr() == sink.into["w"].data_ptr()
    apart = optimizers.SGD(torch.tensor([0.9, 0.9, 0.9]), torch.zeros(3))
    sinks = apart.bind(stack, apart=[NetworkRange(1, 2)])
    assert sorted((one.start, one.stop, round(one.keep, 3)) for one in sinks) == [
        (0, 1, 0.9),
        (1, 2, 0.0),
        (2, 3, 0.9),
    ]


@pytest.mark.parametrize("optimizer", NAMES)
@pytest.mark.parametrize(
    "chosen",
    [
        penalty("l1", "loss", 0.01),
        penalty("l1", "prox", 0.01),
        penalty("l2", "decoupled", 0.01),
        penalty("elastic_net", "shrink", 0.01),
        penalty("elastic_net", "prox", 0.01, ridge=3.0),
    ],
)
def test_penalties_in_the_pass_are_those_beside_it(
    digits: Data, optimizer: str, chosen: MethodConfig
) -> None:
    # Oracle: the same arm as a shuffled control with a penalty that must come after it, so that
    # it acts by itself; a strength of 0 leaves only the order.
    beside = MethodConfig((*chosen.terms, *penalty("group_lasso", "prox", 0.0).terms))
    network = StackedArchitecture.of(RECIPE, digits)
    found = []
    for own in (chosen, beside):
        configs = [config(0, own)]
        groups = network_groups(configs, digits.device)
        linear = groups[0].penalties.linear
        assert linear is not None
        assert bool(linear.modes) == (own is chosen or chosen.terms[0].apply == "loss")
        stack = network.init([0], RECIPE, digits)
        setting = TrainingContext((0,), 0, torch.ones(1, dtype=torch.float64), 10)
        stepper = Stepper(
            network,
            stack,
            optimizers.make(optimizer, torch.tensor([0.9])),
            groups,
            setting,
        )
        for number in range(10):
            images, labels = digits.train.examples[:32], digits.train.labels[:32]
            stepper.step(images, labels, rate=torch.tensor([0.01]), factor=1.0, number=number)
        found.append(stack)
    for name in found[0]:
        torch.testing.assert_close(found[0][name], found[1][name], rtol=1e-4, atol=1e-5)
        assert torch.equal(found[0][name] == 0, found[1][name] == 0)


def test_gates_keep_their_gradients_apart_and_others_do_not_notice(digits: Data) -> None:
    # Oracle: the same networks without gates beside them, bit for bit.
    plain = [config(k, penalty("l1", "loss", 0.001)) for k in range(3)]
    gated = config(3, method("l0_hard_concrete", 1e-3))
    alone = facts(train_pack(plain, digits))
    together = facts(train_pack([plain[0], gated, *plain[1:]], digits))
    assert [together[0], *together[2:]] == alone
