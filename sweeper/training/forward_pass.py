"""Forward pass of a module under watch: random numbers drawn, and state changed by it."""

import random
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sweeper.errors import PluginError, typed_line


class ForwardError(PluginError):
    """The `forward` of a user's module raised."""


@dataclass(frozen=True, slots=True)
class _State:
    """State of a module between two calls."""

    parameters: dict[str, Tensor]
    buffers: dict[str, Tensor]
    numbers: dict[str, float]
    """Attributes that are numbers, such as a count of calls."""

    @classmethod
    def of(cls, module: nn.Module) -> "_State":
        return cls(
            {name: value.detach().clone() for name, value in module.named_parameters()},
            {name: value.detach().clone() for name, value in module.named_buffers()},
            {
                f"{where}.{name}".lstrip("."): value
                for where, part in module.named_modules()
                for name, value in vars(part).items()
                if isinstance(value, int | float) and name != "training"
            },
        )


@dataclass(frozen=True, slots=True)
class TrainingChanges:
    """What a forward pass in training draws and changes beside its output."""

    draws: bool = False
    """Random numbers of PyTorch's own generator, as dropout does."""
    buffers: tuple[str, ...] = ()
    """Names of the buffers that are other ones afterwards, such as batch norm's statistics."""


def training_changes(name: str, module: nn.Module, examples: Tensor) -> TrainingChanges:
    """Return what a pass in training mode, without gradients, draws and changes.

    `name` is for errors. Raises PluginError as `watched`, ForwardError if the module raises.
    """
    module.train()
    with torch.no_grad():
        _, changes = watched(name, module, examples)
    return changes


def refuse_changes_when_judged(name: str, module: nn.Module, examples: Tensor) -> None:
    """Raise PluginError if a pass where a module is judged draws or changes anything."""
    module.eval()
    with torch.no_grad():
        watched(name, module, examples)


def watched(name: str, module: nn.Module, examples: Tensor) -> tuple[Any, TrainingChanges]:
    """Return the output of a module in the mode that it is in, and what it drew and changed.

    In training it may draw from PyTorch's own generator and change its buffers: each network of a
    pack has its own. Raises PluginError if it does so where it is judged, if it draws from another
    generator, or if its parameters, numbers or the examples are other ones afterwards;
    ForwardError if it raises.
    """
    when = "in training" if module.training else "where it is judged"
    before, originals, state = _State.of(module), examples.clone(), _random_state(examples.device)
    with _random_state_restored(examples.device):
        output = called(name, module, examples)
        after_state = _random_state(examples.device)
    draws = not _same_torch(state, after_state)
    foreign = not _same_others(state, after_state)
    if foreign or (draws and not module.training):
        # With hooks, which some modules ask for and then compute in another way: only now.
        text = (
            "which have no seed in a pack; allowed: torch's" if foreign else "allowed: in training"
        )
        drawing = _drawing(name, module, examples)
        raise PluginError(f"{name}: draws random numbers {when}: {drawing}; {text}")
    after = _State.of(module)
    if other := sorted(before.parameters.keys() ^ after.parameters.keys()):
        text = "must be there, and stay, from the beginning"
        raise PluginError(f"{name}: parameter {other[0]} comes or goes in forward: it {text}")
    if other := sorted(before.buffers.keys() ^ after.buffers.keys()):
        text = "must be there, and stay, from the beginning"
        raise PluginError(f"{name}: buffer {other[0]} comes or goes in forward: it {text}")
    changed = _changed(before.buffers, after.buffers)
    if changed and not module.training:
        text = f"change {when}; allowed: in training"
        raise PluginError(f"{name}: buffers {_some(changed)} {text}")
    if numbers := [key for key, value in after.numbers.items() if before.numbers.get(key) != value]:
        text = f"{_some(numbers)} from call to call, which networks of a pack share"
        raise PluginError(f"{name}: its forward changes {text}; allowed: buffers in training")
    if not module.training and (other := _changed(before.parameters, after.parameters)):
        raise PluginError(f"{name}: its forward changes parameter {_some(other)} {when}")
    if not same_bits(examples, originals):
        text = "its forward changes the examples it is given; allowed: in place on copies alone"
        raise PluginError(f"{name}: {text}")
    return output, TrainingChanges(draws, tuple(changed))


def plain_tensors(module: nn.Module) -> dict[str, Tensor]:
    """Return copies of the tensors that are attributes, and neither parameters nor buffers."""
    return {
        f"{where}.{name}".lstrip("."): value.detach().clone()
        for where, part in module.named_modules()
        for name, value in vars(part).items()
        if isinstance(value, Tensor)
    }


def called(name: str, module: nn.Module, examples: Tensor) -> Any:
    """Return the output of a module. Raises ForwardError if it raises."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return module(examples)
    except Exception as error:  # whatever a module of somebody else's raises
        shape = tuple(examples.shape)
        reason = f"its forward on {shape} examples: {typed_line(error)}"
        raise ForwardError(f"{name}: {reason}") from error


def same_bits(left: Tensor, right: Tensor) -> bool:
    """Return True if two tensors are equal, NaN to NaN."""
    if left.shape != right.shape:
        return False
    return bool(((left == right) | (left.isnan() & right.isnan())).all())


def _drawing(name: str, module: nn.Module, examples: Tensor) -> str:
    """Return the innermost parts of a module whose forward draws random numbers, as text."""
    started: list[Any] = []
    drawing: dict[str, str] = {}

    def begin(part: nn.Module, arguments: Any) -> None:
        started.append(_random_state(examples.device))

    def end(where: str, part: nn.Module, arguments: Any, output: Any) -> None:
        drew = not _same_state(started.pop(), _random_state(examples.device))
        if drew and not any(inner.startswith(f"{where}." if where else "") for inner in drawing):
            drawing[where] = f"{where} ({type(part).__name__})" if where else "its forward"

    parts = list(module.named_modules())
    hooks = [part.register_forward_pre_hook(begin) for _, part in parts]
    hooks += [part.register_forward_hook(partial(end, where)) for where, part in parts]
    try:
        with _random_state_restored(examples.device):
            called(name, module, examples)
    finally:
        for hook in hooks:
            hook.remove()
    return _some(list(drawing.values()) or ["its forward"])


def _changed(before: dict[str, Tensor], after: dict[str, Tensor]) -> list[str]:
    names = [*after, *(name for name in before if name not in after)]
    return [
        name
        for name in names
        if name not in before or name not in after or not same_bits(before[name], after[name])
    ]


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def _random_state(device: torch.device) -> tuple[Any, ...]:
    """Return the states of all generators that a module may draw from without having made one."""
    cuda = torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.empty(0)
    return torch.get_rng_state(), cuda, random.getstate(), np.random.get_state()


def _same_torch(left: tuple[Any, ...], right: tuple[Any, ...]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(left[:2], right[:2], strict=True))


def _same_others(left: tuple[Any, ...], right: tuple[Any, ...]) -> bool:
    arrays = left[3][2:] == right[3][2:] and np.array_equal(left[3][1], right[3][1])
    return arrays and bool(left[2] == right[2])


def _same_state(left: tuple[Any, ...], right: tuple[Any, ...]) -> bool:
    return _same_torch(left, right) and _same_others(left, right)


@contextmanager
def _random_state_restored(device: torch.device) -> Iterator[None]:
    """Put the states of the generators back at the end of a `with` block."""
    torches, cuda, plain, arrays = _random_state(device)
    try:
        yield
    finally:
        torch.set_rng_state(torches)
        if device.type == "cuda":
            torch.cuda.set_rng_state(cuda, device)
        random.setstate(plain)
        np.random.set_state(arrays)
