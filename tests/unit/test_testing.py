"""Formulas, methods and networks in tests of one's own: good ones pass, bad ones are one line."""

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sweeper import Formula, Hyperparameter, Method, TrainingContext, TrainingStep
from sweeper.testing import check_formula, check_method, check_network
from sweeper.training.stack import Stack

RATE = Hyperparameter(default=0.5, low=0.0, high=1.0, summary="a rate")


def roots(weight: Tensor, *, eps: Any = 0.01) -> Tensor:
    eps = torch.as_tensor(eps).reshape(-1, 1, 1)
    summed: Tensor = (weight.abs() + eps).sqrt().sum(-1).sum(-1)
    return summed


def logarithm(weight: Tensor) -> Tensor:
    return weight.abs().log().sum(-1).sum(-1)


def mixed(weight: Tensor) -> Tensor:
    return weight.abs().sum(-1).sum(-1) / weight.abs().sum()


KEYED = Formula(
    summary="roots",
    formula="R(W) = sum sqrt(|w| + eps)",
    reference="nobody",
    value=f"{__name__}:roots",
    default_mode="loss",
    hyper={"eps": Hyperparameter(default=0.1, low=0.01, high=1.0, summary="smooths")},
)


def test_a_formula_that_works_passes() -> None:
    check_formula(roots)
    check_formula(roots, apply="shrink", eps=0.1)
    check_formula(KEYED, eps=0.5)
    check_formula("sweeper.regularizers.norms:l1")


@pytest.mark.parametrize(
    ("formula", "letters", "line"),
    [
        (logarithm, {}, "logarithm: is not finite where a weight is 0"),
        (mixed, {}, "mixed: mixes networks: what one gets changes with its pack"),
        (roots, {"epz": 1.0}, "roots: unknown key: got 'epz'; allowed: eps; did you mean 'eps'?"),
        (roots, {"apply": "prox"}, "roots: cannot be applied as prox: it names no proximal "),
        (KEYED, {"eps": 2.0}, "Formula: eps must lie in [0.01, 1], got 2"),
        (3, {}, "int: must be a function or a sweeper.Formula, is a int"),
        ("nowhere_at_all:f", {}, "nowhere_at_all:f: cannot be loaded: ModuleNotFoundError"),
    ],
)
def test_a_formula_that_does_not_work_is_one_line(
    formula: Any, letters: dict[str, Any], line: str
) -> None:
    with pytest.raises(AssertionError, match=f"^{re.escape(line)}") as raised:
        check_formula(formula, **letters)
    assert "\n" not in str(raised.value)


class Fading(Method):
    """Small weights fade."""

    hyper = {"rate": RATE}

    def __init__(self, rate: Tensor) -> None:
        self.rate = rate.reshape(-1, 1, 1)

    def after(self, weights: Stack, state: Any, step: TrainingStep) -> None:
        for weight in weights.values():
            weight.mul_(1 - 0.01 * self.rate)


class Dropping(Method):
    """Cuts at the start, holds the cut, and computes through noise that follows the seeds."""

    takes_density = True

    def start(self, weights: Stack, biases: Stack, context: TrainingContext) -> Any:
        every = torch.cat([weight.flatten(1) for weight in weights.values()], 1).abs()
        count = (context.density * every.shape[1]).round().long()
        least = every.sort(descending=True).values.gather(1, count[:, None] - 1)
        masks = {name: weight.abs() >= least[..., None] for name, weight in weights.items()}
        self.after(weights, masks, None)
        return masks

    def forward(self, weights: Stack, state: Any) -> Stack:
        return {name: 0.5 * weight for name, weight in weights.items()}

    def vjp(self, weights: Stack, gradients: Stack, state: Any) -> None:
        for name, gradient in gradients.items():
            gradient.mul_(0.5 * state[name])

    def after(self, weights: Stack, state: Any, step: TrainingStep | None) -> None:
        for name, weight in weights.items():
            weight.mul_(state[name])


class Idle(Method):
    def forward(self, weights: Stack, state: Any) -> Stack:
        return weights


def test_a_method_that_works_passes() -> None:
    assert check_method(Fading) == ()
    assert check_method(Fading, rate=1) == ()
    assert check_method(Dropping) == ()
    odd = check_method(Idle)
    assert odd == (
        "changes nothing in 20 steps of training a small network",
        "has a forward and no vjp: gradients pass as if it had not been there",
    )


def hooked(**hooks: Any) -> type[Method]:
    """Return a method with those hooks or facts."""
    return type("Broken", (Method,), hooks)


def _in_all(change: Callable[[Tensor], Any]) -> Callable[..., None]:
    def hook(self: Method, weights: Stack, *others: Any) -> None:
        for weight in weights.values():
            change(weight)

    return hook


def _raising(self: Method, *arguments: Any) -> None:
    raise RuntimeError("no\nway")


class Needy(Method):
    def __init__(self, rate: Tensor) -> None: ...


BROKEN: list[tuple[Any, dict[str, Any], str]] = [
    (roots, {}, "roots: must be a subclass of sweeper.Method, is a function"),
    (nn.Linear, {}, "Linear: must be a subclass of sweeper.Method, is a class that is none"),
    (Fading, {"rate": 2.0}, "Fading: rate must lie in [0, 1], got 2"),
    (Fading, {"rat": 0.5}, "Fading: unknown key: got 'rat'; allowed: rate; did you mean 'rate'?"),
    (Needy, {}, "Needy: cannot be made: TypeError: "),
    (hooked(hyper={"rate": 1.0}), {}, "Broken: its `hyper` must be a mapping of names to "),
    (hooked(takes_density=1), {}, "Broken: its `takes_density` must be True or False"),
    *(
        (hooked(**{hook: _raising}), {}, f"Broken: {hook}: RuntimeError: no")
        for hook in ("start", "schedule_step", "forward", "vjp", "after", "finish")
    ),
    (
        hooked(forward=lambda self, weights, state: list(weights.values())),
        {},
        "Broken: forward must return the weights by name, each in its shape, returned a list",
    ),
    (
        hooked(forward=lambda self, weights, state: {k: w[:, 1:] for k, w in weights.items()}),
        {},
        "Broken: forward must return the weights by name, each in its shape, returned [1, 5, 5] "
        "for ",
    ),
    (
        hooked(forward=lambda self, weights, state: {}),
        {},
        "Broken: forward must return the weights by name, each in its shape, returned nothing for ",
    ),
    (
        hooked(forward=lambda self, weights, state: {k: w / 0 for k, w in weights.items()}),
        {},
        "Broken: forward gives numbers that are not finite in ",
    ),
    (
        hooked(after=_in_all(lambda weight: weight.div_(0))),
        {},
        "Broken: after leaves numbers that are not finite in ",
    ),
    (
        hooked(after=lambda self, weights, state, step: {k: 0 * w for k, w in weights.items()}),
        {},
        "Broken: after must act in place and return None, returned a dict",
    ),
    (
        hooked(schedule_step=lambda self, number, steps: number + 1),
        {},
        "Broken: schedule_step must return steps in 0 ... 19, returned 20",
    ),
    (
        hooked(after=_in_all(lambda weight: weight.sub_(weight.mean(0)))),
        {},
        "Broken: mixes networks: what one gets changes with its pack",
    ),
    (
        hooked(after=_in_all(lambda weight: weight.add_(0.01 * torch.rand(1)))),
        {},
        "Broken: gives other weights at every training; random numbers must follow from ",
    ),
    (
        hooked(takes_density=True),
        {},
        "Broken: says takes_density, but of 48 weights 48 are left at density 0.3; allowed: 14",
    ),
]


@pytest.mark.parametrize(("method", "letters", "line"), BROKEN, ids=range(len(BROKEN)))
def test_a_method_that_does_not_work_is_one_line(
    method: Any, letters: dict[str, Any], line: str
) -> None:
    with pytest.raises(AssertionError, match=f"^{re.escape(line)}") as raised:
        check_method(method, **letters)
    assert "\n" not in str(raised.value)


def network(shape: tuple[int, ...], classes: int, width: int = 4) -> nn.Module:
    return nn.Sequential(nn.Linear(shape[0], width), nn.ReLU(), nn.Linear(width, classes))


def embedded(shape: tuple[int, ...], classes: int) -> nn.Module:
    return nn.Sequential(nn.Embedding(9, 3), nn.Flatten(), nn.Linear(3 * shape[0], classes))


class Counting(nn.Module):
    """Counts its calls in a tensor that is no buffer."""

    def __init__(self, shape: tuple[int, ...], classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(shape[0], classes)
        self.calls = torch.zeros(1)

    def forward(self, examples: Tensor) -> Tensor:
        self.calls += 1
        logits: Tensor = self.linear(examples)
        return logits


def test_a_network_that_works_passes() -> None:
    assert check_network(network, (5,), 3, width=6) == ()
    assert check_network(embedded, (4,), 3, tokens=9) == ()


@pytest.mark.parametrize(
    ("factory", "line"),
    [
        (Counting, "Counting: its tensor calls changes from call to call"),
        (lambda shape, classes: network(shape, classes + 1), "<lambda>: must return logits [batch"),
        (lambda shape, classes: None, "<lambda>: must return a torch.nn.Module, got NoneType"),
        (roots, "roots: the call with ((5,), 3): TypeError: "),
    ],
)
def test_a_network_that_does_not_work_is_one_line(factory: Any, line: str) -> None:
    with pytest.raises(AssertionError, match=f"^{re.escape(line)}") as raised:
        check_network(factory, (5,), 3)
    assert "\n" not in str(raised.value)
