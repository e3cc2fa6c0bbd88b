"""Module weights: those that penalties act on and pruning cuts, by the names that users know."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DataParallel, DistributedDataParallel
from torch.nn.parameter import is_lazy

from sweeper.config import weight_patterns
from sweeper.errors import InputError, SpecError, shown

_COMPILED = "_orig_mod"
"""Where `torch.compile` keeps the module that it was given."""
_COMPUTED = ("_orig", "_v", "_g")
"""What `torch.nn.utils` puts behind the names of parameters that it computes others from."""


def unwrapped(place: str, module: object) -> nn.Module:
    """Return the module inside of torch.compile and data parallelism. Raises InputError."""
    if not isinstance(module, nn.Module):
        kind = type(module).__name__
        raise InputError(f"{place}: model: must be a torch.nn.Module, got {kind}")
    while True:
        inner = getattr(module, _COMPILED, None)
        if isinstance(module, DataParallel | DistributedDataParallel):
            inner = module.module
        if not isinstance(inner, nn.Module):
            return module
        module = inner


def plain_name(name: str) -> str:
    """Return the name of a parameter as it is where no part of the module is compiled.

    >>> plain_name("body._orig_mod.0.weight")
    'body.0.weight'
    """
    return ".".join(part for part in name.split(".") if part != _COMPILED)


def weights_of(place: str, module: nn.Module, patterns: str | Sequence[str] = ()) -> dict[str, str]:
    """Return the weights that patterns choose: their plain names, and those in the module.

    All of two or more dimensions without patterns, tied ones once. Raises InputError, one line, for
    patterns that fit none of them, and for weights that are none.
    """
    names = {
        plain_name(name): name for name, value in module.named_parameters() if _is_weight(value)
    }
    if not names:
        raise InputError(f"{place}: model: has no weight of two or more dimensions")
    given: Any = [patterns] if isinstance(patterns, str) else patterns
    wanted = tuple(given) if isinstance(given, Iterable) else (given,)
    for pattern in wanted:
        if not isinstance(pattern, str) or not pattern.removeprefix("!").strip():
            text = f"must be patterns such as 'conv*' or '!head*', got {shown(pattern)}"
            raise InputError(f"{place}: names: {text}")
    faults = weight_patterns.faults(wanted, [*names]) if wanted else []
    if faults:
        raise SpecError(f"{place}: names.{at}".rstrip(".") + f": {text}" for at, text in faults)
    chosen = {name: names[name] for name in weight_patterns.chosen(wanted, [*names])}
    for name, real in chosen.items():
        refuse_computed(place, module, real)
        value = module.get_parameter(real)
        if not value.is_floating_point():
            text = f"must be of floating-point numbers, got {value.dtype}"
            raise InputError(f"{place}: {name}: {text}")
    return chosen


def _is_weight(value: Tensor) -> bool:
    lazy: bool = is_lazy(value)
    return lazy or value.ndim >= 2


def refuse_computed(place: str, module: nn.Module, name: str) -> None:
    """Raise InputError for a parameter that is no weight itself, or has no values yet."""
    plain, owner = plain_name(name), module.get_submodule(name.rpartition(".")[0])
    if is_lazy(module.get_parameter(name)):
        text = "has no shape before the first examples; allowed: after a first forward pass"
        raise InputError(f"{place}: {plain}: {text}")
    leaf = name.rpartition(".")[2]
    bases = [leaf.removesuffix(end) for end in _COMPUTED if leaf.endswith(end)]
    computed = any(isinstance(getattr(owner, base, None), Tensor) for base in bases)
    if computed or "parametrizations." in name:
        text = "a weight is computed from it by torch.nn.utils; allowed: a plain parameter, such "
        text += "as prune.remove, remove_weight_norm or remove_parametrizations leave"
        raise InputError(f"{place}: {plain}: {text}")


def as_matrix(weight: Tensor) -> Tensor:
    """Return a weight [out, ...] as a stack of one matrix, [1, out, in], in float32 or float64.

    A view of it where it lies so; half precision, or channels that lie last, make it a copy.
    """
    value = weight.detach()
    if value.dtype in (torch.float16, torch.bfloat16):
        value = value.float()
    return value.reshape(1, len(value), value[0].numel())


def write_back(weight: Tensor, matrix: Tensor) -> None:
    """Have a weight hold what its matrix does now, be it a view or a copy."""
    if matrix.data_ptr() == weight.data_ptr():
        # Compiled loops write past autograd, which must know of it where a graph is used again.
        torch.autograd.graph.increment_version(weight)
    else:
        weight.copy_(matrix.view(weight.shape))


def trainable(module: nn.Module, names: dict[str, str]) -> Iterator[tuple[str, nn.Parameter]]:
    """Yield the weights of those names that are trained now and hold anything."""
    for name, real in names.items():
        weight = module.get_parameter(real)
        if weight.requires_grad and weight.numel():
            yield name, weight
