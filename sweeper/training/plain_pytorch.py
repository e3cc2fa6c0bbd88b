"""Plain PyTorch beside a pack: a module of a user's must compute the same in both.

On a few examples: one step of training and the logits before and after it, in a pack of one and in
one of three with different seeds, beside the same modules run alone. A module that differs is
refused by the name of the part that is at fault, wherever it can be seen.
"""

import warnings
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from sweeper.errors import PluginError, typed_line
from sweeper.training import models
from sweeper.training.datasets import Data
from sweeper.training.determinism import deterministic_numerics
from sweeper.training.forward_pass import called, plain_tensors, same_bits, watched
from sweeper.training.losses import Loss
from sweeper.training.noise import Noise, generator_kept
from sweeper.training.stack import GradientBuffer, Stack
from sweeper.training.stacked_architecture import StackedArchitecture
from sweeper.training.stacked_module import StackedModule
from sweeper.types import SharedConfig

_PACKS = ((1,), (1, 2, 3))
"""The seeds of the networks of each pack; the architecture is built with another one."""
_BATCH = 6
_RATE = 0.1
_ROUNDING = 1e-3
"""Tolerance between two computations of the same, as a share of the largest value."""


class _DifferenceError(PluginError):
    """A pack computes something else than its modules alone."""


@dataclass(frozen=True, slots=True, eq=False)
class _Batches:
    """A batch to train on, and another one."""

    examples: Tensor
    labels: Tensor
    others: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class _Course:
    """Logits before and after a step of training, its gradients, parameters and buffers then."""

    before: Tensor
    after: Tensor
    gradients: Stack
    state: Stack
    """Parameters and buffers after the step."""


def compare_with_plain(recipe: SharedConfig, data: Data) -> tuple[str, ...]:
    """Return the oddities of a user's module that is right; on the device of the data.

    Raises PluginError, one line, if a pack would compute anything else than the module itself,
    ForwardError if that cannot be run on the examples.
    """
    part, half = data.train, min(_BATCH, recipe.batch_size, len(data.train) // 2)
    batch = _Batches(
        part.examples[:half].clone(), part.labels[:half], part.examples[half : 2 * half].clone()
    )
    with deterministic_numerics(data.device, recipe.precision), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        notes = [*_try_seeds(recipe, data)]
        _try_alone(recipe, data, batch)
        network = StackedArchitecture.of(recipe, data)
        for seeds in _PACKS:
            _try_pack(recipe, data, batch, network, seeds)
        if recipe.precision == "bfloat16":
            _try_half(recipe, data, batch, network)
        if data.device.type == "cpu":
            notes += _try_together(recipe, data, batch, network)
    return tuple(notes)


def _build(recipe: SharedConfig, data: Data, seed: int) -> nn.Module:
    options = recipe.model_options
    return models.build(recipe.model, options, data.shape, data.classes, seed=seed).to(data.device)


def _try_seeds(recipe: SharedConfig, data: Data) -> Iterator[str]:
    """Demand that initial values follow the seed, and torch's alone."""
    name = recipe.model
    first, second, other = (_build(recipe, data, seed) for seed in (1, 1, 2))
    if first is second or first is other:
        raise PluginError(f"{name}: returns the same module at every call; allowed: a new one")
    values, same, different = (_values(module) for module in (first, second, other))
    shapes, other_shapes = (
        {key: value.shape for key, value in tensors.items()} for tensors in (values, different)
    )
    if shapes != other_shapes or shapes != {key: value.shape for key, value in same.items()}:
        keys = {**shapes, **other_shapes}
        key = min(key for key in keys if shapes.get(key) != other_shapes.get(key))
        raise PluginError(f"{name}: {key} has another shape at every call; allowed: one")
    for key, value in values.items():
        if not same_bits(value, same[key]):
            text = "differs between two calls with one seed; allowed: numbers drawn by torch"
            raise PluginError(f"{name}: {key} {text}")
    parameters = [key for key, _ in first.named_parameters()]
    if all(same_bits(values[key], different[key]) for key in parameters):
        yield f"{name}: initial weights are the same for every seed, so that repeats are not fresh"


def _values(module: nn.Module) -> Stack:
    named = (*module.named_parameters(), *module.named_buffers())
    return {name: value.detach() for name, value in named}


def _try_alone(recipe: SharedConfig, data: Data, batch: _Batches) -> None:
    """Demand of the module itself what any pack relies on."""
    name = recipe.model
    for training in (True, False):
        module = _build(recipe, data, 1).train(training)
        noise = Noise((1,), 0)
        with torch.no_grad(), generator_kept(data.device):
            buffers = _buffers(module)
            noise.start(0, data.device)
            output, _ = watched(name, module, batch.examples)
            _check_output(name, output, len(batch.labels), data.classes)
            tensors = plain_tensors(module)
            called(name, module, batch.others)
            for key, buffer in module.named_buffers():
                buffer.copy_(buffers[key])
            noise.start(0, data.device)
            repeated = called(name, module, batch.examples)
        if not same_bits(output, repeated):
            when = "in training" if training else "where it is judged"
            text = f"gives other logits for the same examples {when}: it keeps or draws something"
            raise PluginError(f"{name}: {text}; allowed: buffers, and torch's random numbers")
        _check_tensors(name, tensors, plain_tensors(module))
    _try_batches(name, module, batch.examples)
    module.train()
    module.zero_grad()
    with generator_kept(data.device):
        torch.autograd.backward(
            Loss(recipe.loss).values(called(name, module, batch.examples), batch.labels).mean()
        )
    idle = [key for key, value in module.named_parameters() if value.grad is None]
    if idle:
        text = "gets no gradient: it has no part in the output; allowed: without it"
        raise PluginError(f"{name}: parameter {idle[0]} {text}")


def _buffers(module: nn.Module) -> Stack:
    return {key: value.clone() for key, value in module.named_buffers()}


def _check_tensors(name: str, before: Stack, after: Stack) -> None:
    """Demand that tensors beside the parameters, after the same examples, are the same.

    One that keeps what it saw last is; one that counts its calls is not, and the networks of a pack
    would count together.
    """
    for key, value in after.items():
        if key not in before or not same_bits(before[key], value):
            text = "changes from call to call, which networks of a pack share; allowed: no state"
            raise PluginError(f"{name}: its tensor {key} {text}")


def _check_output(name: str, output: object, batch: int, classes: int) -> None:
    wanted = f"must return logits [batch, {classes}], here [{batch}, {classes}], returned"
    if not isinstance(output, Tensor):
        raise PluginError(f"{name}: {wanted} a {type(output).__name__}")
    if output.shape != (batch, classes):
        raise PluginError(f"{name}: {wanted} {list(output.shape)}")
    if not output.is_floating_point():
        raise PluginError(f"{name}: {wanted} {output.dtype}")


def _try_batches(name: str, module: nn.Module, examples: Tensor) -> None:
    """Demand that an example is judged by itself: batches of another size must not count."""
    with torch.no_grad():
        whole = called(name, module, examples)
        parts = torch.cat([called(name, module, part) for part in torch.split(examples, 2)])
    if not _close(parts, whole):
        text = "judges an example by those beside it in the batch"
        layers = [
            f"{where} ({type(part).__name__})"
            for where, part in module.named_modules()
            if isinstance(part, nn.modules.batchnorm._NormBase) and not part.track_running_stats
        ]
        at_fault = f", such as {layers[0]}" if layers else ""
        raise PluginError(f"{name}: {text}{at_fault}; allowed: each by itself")


def _try_pack(
    recipe: SharedConfig,
    data: Data,
    batch: _Batches,
    network: StackedArchitecture,
    seeds: tuple[int, ...],
) -> None:
    """Demand that a pack computes what its modules do alone, in the numbers that they have."""
    try:
        _compare(recipe, data, batch, network, seeds)
    except _DifferenceError:
        # Rounding alone may part the two: of six examples a deep network with batch norm makes
        # percents of it, and so does a max-pool whose largest pixel becomes another one.
        try:
            _compare(recipe, data, _in_double(batch), network, seeds)
        except PluginError:
            pass  # a difference again, or a module that knows no other numbers
        else:
            return
        raise


def _in_double(batch: _Batches) -> _Batches:
    if not batch.examples.is_floating_point():
        return batch
    return replace(batch, examples=batch.examples.double(), others=batch.others.double())


def _compare(
    recipe: SharedConfig,
    data: Data,
    batch: _Batches,
    network: StackedArchitecture,
    seeds: tuple[int, ...],
) -> None:
    """Compare a pack with its modules, in float64 if the examples are. Raises PluginError."""
    name, in_double = recipe.model, batch.examples.dtype == torch.float64
    stack = network.init(seeds, recipe, data)
    if in_double:
        stack = {key: _doubled(value) for key, value in stack.items()}
        network = replace(network, template=deepcopy(network.template).double())
    try:
        with generator_kept(data.device):
            packed = _course(network, stack, seeds, batch)
    except PluginError:
        raise
    except Exception as error:  # whatever a module of somebody else's raises
        raise PluginError(f"{name}: a pack cannot run it: {typed_line(error)}") from error
    for k, seed in enumerate(seeds):
        module = _build(recipe, data, seed)
        with generator_kept(data.device):
            alone = _alone(recipe, module.double() if in_double else module, seed, batch)
        other = "in a pack than in plain PyTorch"
        if not _close(packed.before[k], alone.before):
            text = "it holds values that are neither parameters nor buffers"
            raise _DifferenceError(f"{name}: gives other logits {other}: {text}")
        for key, gradient in alone.gradients.items():
            if not _close(packed.gradients[key][k], gradient):
                raise _DifferenceError(f"{name}: parameter {key} gets another gradient {other}")
        for key, value in packed.state.items():
            if not _close(value[k], alone.state[key]):
                text = f"is another one {other} after a step of training"
                raise _DifferenceError(f"{name}: {key} {text}")
        if not _close(packed.after[k], alone.after):
            raise _DifferenceError(f"{name}: gives other logits {other} after a step of training")


def _doubled(value: Tensor) -> Tensor:
    return value.double() if value.is_floating_point() else value


def _course(
    network: StackedArchitecture, stack: Stack, seeds: tuple[int, ...], batch: _Batches
) -> _Course:
    """Judge, train one step by plain gradient descent, and judge again: a pack."""
    runner, noise = network.runner(), Noise(seeds, 0)
    with torch.no_grad():
        before = runner.logits(stack, batch.examples).clone()
    gradients = {name: torch.zeros_like(stack[name]) for name in network.parameters}
    sinks = [GradientBuffer(0, len(seeds), gradients, 0.0)]
    runner.backward(stack, batch.examples, batch.labels, sinks, noise)
    for name, gradient in gradients.items():
        stack[name].sub_(gradient, alpha=_RATE)
    with torch.no_grad():
        after = runner.logits(stack, batch.examples).clone()
    return _Course(before, after, gradients, stack)


def _alone(recipe: SharedConfig, module: nn.Module, seed: int, batch: _Batches) -> _Course:
    """Do the same in plain PyTorch, eager and alone."""
    name = recipe.model
    with torch.no_grad():
        before = called(name, module.eval(), batch.examples)
    Noise((seed,), 0).start(0, batch.examples.device)
    logits = called(name, module.train(), batch.examples)
    torch.autograd.backward(Loss(recipe.loss).values(logits, batch.labels).mean())
    gradients = {
        key: torch.zeros_like(value) if value.grad is None else value.grad.clone()
        for key, value in module.named_parameters()
    }
    with torch.no_grad():
        for key, value in module.named_parameters():  # torch.optim takes seconds to load
            value.sub_(gradients[key], alpha=_RATE)
        state = {**dict(module.named_parameters()), **_buffers(module)}
        return _Course(before, called(name, module.eval(), batch.examples), gradients, state)


def _try_half(
    recipe: SharedConfig, data: Data, batch: _Batches, network: StackedArchitecture
) -> None:
    """Demand that a module can be trained in bfloat16; it is compared in float32."""
    stack = network.init((1,), recipe, data)
    gradients = {name: torch.zeros_like(stack[name]) for name in network.parameters}
    sinks = [GradientBuffer(0, 1, gradients, 0.0)]
    try:
        with generator_kept(data.device):
            network.runner(training=True).backward(stack, batch.examples, batch.labels, sinks)
    except Exception as error:  # whatever a module of somebody else's raises
        reason = f"cannot be trained in bfloat16: {typed_line(error)}"
        raise PluginError(f"{recipe.model}: {reason}; allowed: float32") from error


def _try_together(
    recipe: SharedConfig, data: Data, batch: _Batches, network: StackedArchitecture
) -> Iterator[str]:
    """Yield a warning if a GPU, which runs a pack as one program, would compute otherwise."""
    runner = network.runner()
    if not isinstance(runner, StackedModule):
        return
    try:
        stack = network.init(_PACKS[-1], recipe, data)
        with torch.no_grad():
            logits = runner.logits(stack, batch.examples)
            if not _close(runner.together(stack, batch.examples), logits):
                yield f"{recipe.model}: as one program, as on GPUs, a pack differs"
    except Exception as error:  # of torch.func.vmap
        yield f"{recipe.model}: GPUs run its networks one by one: {typed_line(error)}"


def _close(left: Tensor, right: Tensor) -> bool:
    """Return True if two computations of the same differ by no more than rounding."""
    largest = float(right.abs().nan_to_num(0.0, 0.0, 0.0).max()) if right.numel() else 0.0
    bound = _ROUNDING * largest + 1e-6
    return torch.allclose(left, right, rtol=0, atol=bound, equal_nan=True)
