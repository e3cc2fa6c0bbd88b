"""Validation of a user's own method: some steps of training in packs of one and of three.

The network is a small one on random examples, so that it takes no time whatever the study's own is.
Hooks are watched in a subclass, which says which of them is at fault.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import wraps
from typing import Any

import torch
from torch import Tensor

from sweeper.errors import PluginError, choices, typed_line
from sweeper.training.custom_methods import method_class, with_defaults_of
from sweeper.training.determinism import deterministic_numerics
from sweeper.training.loaded_data import Data, DataSplit
from sweeper.training.methods import Method, TrainingContext, batched
from sweeper.training.network_groups import NetworkGroup
from sweeper.training.stack import NetworkRange, Stack
from sweeper.training.stacked_architecture import StackedArchitecture
from sweeper.training.training_loop import Schedule, fit
from sweeper.types import MethodConfig, Scalar, SharedConfig

_INPUTS, _HIDDEN, _CLASSES = 5, 6, 3
_EXAMPLES, _BATCH, _EPOCHS = 40, 8, 4
_DENSITY = 0.3
_SEEDS = (1, 2, 3)
_RECIPE = SharedConfig(
    model="mlp",
    model_options=(("widths", (_HIDDEN,)),),
    dataset="random",
    batch_size=_BATCH,
    epochs=_EPOCHS,
    finetune_epochs=0,
    optimizer="sgd",
    schedule="cosine",
    repeat=0,
    order_seed=0,
    curve=(),
)
Pairs = tuple[tuple[str, Scalar], ...]


def try_method(config: MethodConfig) -> tuple[str, ...]:
    """Return the oddities of a method that works with these values of its keys.

    Raises PluginError, one line, for one that does not.
    """
    name, method = config.name, method_class(config.name)
    known = method.hyper
    for key, _ in config.hyper:
        if key not in known:
            raise PluginError(f"{name}: unknown key: {choices(key, known)}")
    hyper = with_defaults_of(method, config.hyper)
    with deterministic_numerics(torch.device("cpu")):
        alone = _trained(name, method, hyper, _SEEDS[:1])
        if not _same(alone, _trained(name, method, hyper, _SEEDS[:1]), 1):
            text = "random numbers must follow from `context.seeds` or `context.order_seed`"
            raise PluginError(f"{name}: gives other weights at every training; {text}")
        together = _trained(name, method, hyper, _SEEDS)
        if not _same(alone, together, 1):
            raise PluginError(f"{name}: mixes networks: what one gets changes with its pack")
        if method.takes_density:
            _check_density(name, together)
        plain = _trained(name, Method, (), _SEEDS)
    return tuple(_oddities(name, method, changed=not _same(plain, together, len(_SEEDS))))


def _trained(name: str, method: type[Method], hyper: Pairs, seeds: tuple[int, ...]) -> Stack:
    """Return the weights, [pack, out, in], of networks of those seeds after their training."""
    pack, device = len(seeds), torch.device("cpu")
    generator = torch.Generator().manual_seed(0)
    examples = torch.randn(_EXAMPLES, _INPUTS, generator=generator)
    labels = torch.randint(_CLASSES, (_EXAMPLES,), generator=generator)
    part = DataSplit(examples, labels)
    data = Data("random", _CLASSES, part, part, part, hash="")
    network = StackedArchitecture.of(_RECIPE, data)
    stack = network.init(seeds, _RECIPE, data)
    schedule = Schedule(_EPOCHS, _BATCH, _RECIPE.optimizer, _RECIPE.schedule, _RECIPE.order_seed)
    tried = _watched(name, method) if method is not Method else method
    try:
        instance = tried(**batched([hyper] * pack, device))
    except (Exception, SystemExit) as error:  # a user's class may raise anything
        raise PluginError(f"{name}: cannot be made: {typed_line(error)}") from error
    try:
        fit(
            network,
            stack,
            part,
            schedule,
            rate=torch.full((pack,), 0.1),
            momentum=torch.full((pack,), 0.9),
            groups=(NetworkGroup(NetworkRange(0, pack), instance),),
            context=TrainingContext(
                seeds=seeds,
                order_seed=_RECIPE.order_seed,
                density=torch.full((pack,), _DENSITY, dtype=torch.float64),
                steps=schedule.steps(_EXAMPLES),
            ),
            seeds=seeds,
            tick=lambda: None,
        )
    except PluginError:
        raise
    except Exception as error:  # what its hooks return may break the loop later
        raise PluginError(f"{name}: a pack cannot be trained: {typed_line(error)}") from error
    return {key: stack[key] for key in network.weights}


def _watched(name: str, method: type[Method]) -> type[Method]:
    """Return a subclass that demands of each hook what training relies on."""
    hooks = {
        hook: watch(name, hook, getattr(method, hook))
        for hook, watch in _WATCHES.items()
        if getattr(method, hook) is not getattr(Method, hook)
    }
    return type(method.__name__, (method,), {"__slots__": (), **hooks})


Hook = Callable[..., Any]


def _in_place(name: str, hook: str, function: Hook) -> Hook:
    """Demand that a hook leaves tensors of finite numbers behind, and returns nothing."""

    @wraps(function)
    def watched(self: Method, weights: Stack, *others: Any) -> None:
        returned = _called(name, hook, function, self, weights, *others)
        if returned is not None:
            kind = type(returned).__name__
            text = f"{hook} must act in place and return None, returned a {kind}"
            raise PluginError(f"{name}: {text}")
        _demand_finite(name, hook, others[0] if hook == "vjp" else weights)

    return watched


def _start(name: str, hook: str, function: Hook) -> Hook:
    @wraps(function)
    def watched(self: Method, weights: Stack, biases: Stack, context: TrainingContext) -> Any:
        state = _called(name, hook, function, self, weights, biases, context)
        _demand_finite(name, hook, {**weights, **biases})
        return state

    return watched


def _forward(name: str, hook: str, function: Hook) -> Hook:
    @wraps(function)
    def watched(self: Method, weights: Stack, state: Any) -> Stack:
        inside = _called(name, hook, function, self, weights, state)
        wanted = "must return the weights by name, each in its shape"
        if not isinstance(inside, Mapping):
            raise PluginError(f"{name}: forward {wanted}, returned a {type(inside).__name__}")
        for key, weight in weights.items():
            value = inside.get(key)
            if not isinstance(value, Tensor):
                kind = "nothing" if value is None else f"a {type(value).__name__}"
                raise PluginError(f"{name}: forward {wanted}, returned {kind} for {key}")
            if value.shape != weight.shape:
                shapes = f"{list(value.shape)} for {key}, here {list(weight.shape)}"
                raise PluginError(f"{name}: forward {wanted}, returned {shapes}")
        _demand_finite(name, hook, inside)
        return dict(inside)

    return watched


def _schedule_step(name: str, hook: str, function: Hook) -> Hook:
    @wraps(function)
    def watched(self: Method, number: int, steps: int) -> int | Sequence[int]:
        returned = _called(name, hook, function, self, number, steps)
        each = returned if isinstance(returned, list | tuple) else (returned,)
        for step in each:
            if not isinstance(step, int) or not 0 <= step < steps:
                text = f"schedule_step must return steps in 0 ... {steps - 1}, returned {step!r}"
                raise PluginError(f"{name}: {text}")
        return returned if isinstance(returned, list | tuple) else int(returned)

    return watched


_WATCHES: Mapping[str, Callable[[str, str, Hook], Hook]] = {
    "start": _start,
    "schedule_step": _schedule_step,
    "forward": _forward,
    "vjp": _in_place,
    "after": _in_place,
    "finish": _in_place,
}


def _called(name: str, hook: str, function: Hook, *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except PluginError:
        raise
    except (Exception, SystemExit) as error:  # a hook of a user's may raise anything
        raise PluginError(f"{name}: {hook}: {typed_line(error)}") from error


def _demand_finite(name: str, hook: str, tensors: Mapping[str, Tensor]) -> None:
    for key, value in tensors.items():
        if not value.isfinite().all():
            what = "gives" if hook == "forward" else "leaves"
            raise PluginError(f"{name}: {hook} {what} numbers that are not finite in {key}")


def _same(few: Stack, many: Stack, count: int) -> bool:
    """Tell whether the first networks of two packs have the same bits."""
    return all(torch.equal(few[key][:count], many[key][:count]) for key in few)


def _check_density(name: str, weights: Stack) -> None:
    flat = torch.cat([weight.flatten(1) for weight in weights.values()], 1)
    total = flat.shape[1]
    allowed = max(1, math.floor(_DENSITY * total + 0.5))
    left = int((flat != 0).sum(1).max())
    if left > allowed:
        text = f"of {total} weights {left} are left at density {_DENSITY}; allowed: {allowed}"
        raise PluginError(f"{name}: says takes_density, but {text}")


def _oddities(name: str, method: type[Method], *, changed: bool) -> Iterator[str]:
    if not changed:
        steps = _EPOCHS * _EXAMPLES // _BATCH
        yield f"{name}: changes nothing in {steps} steps of training a small network"
    if method.forward is not Method.forward and method.vjp is Method.vjp:
        text = "gradients pass as if it had not been there"
        yield f"{name}: has a forward and no vjp: {text}"
