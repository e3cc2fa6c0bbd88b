"""Stacked parameters of a pack, ranges of its networks, and buffers for its gradients."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor

from sweeper.kernels import bfloat16

Stack = dict[str, Tensor]
"""Parameters, and the buffers that training changes, by name; each [pack, *shape]."""
Layers = tuple[tuple[str, str], ...]
"""The names of weight [pack, out, in] and bias [pack, out] of each layer of an MLP."""


@dataclass(frozen=True, slots=True)
class NetworkRange:
    """The networks start ... stop - 1 of a pack."""

    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    def of(self, stack: Stack) -> Stack:
        """Return views of the parameters of these networks."""
        return {name: value[self.start : self.stop] for name, value in stack.items()}

    def cut(self, value: Tensor) -> Tensor:
        """Return the part [stop - start, ...] of what is [pack, ...], as a view."""
        return value[self.start : self.stop]


def unflagged_runs(flags: Sequence[bool]) -> list[NetworkRange]:
    """Return the ranges of the networks of a pack that are not flagged."""
    runs, start = [], 0
    for is_flagged, group in groupby(flags):
        stop = start + len(list(group))
        if not is_flagged:
            runs.append(NetworkRange(start, stop))
        start = stop
    return runs


@dataclass(frozen=True, slots=True, eq=False)
class GradientBuffer:
    """Where the gradients of the networks start ... stop - 1 go: into = keep x into + gradient."""

    start: int
    stop: int
    into: Stack
    """[stop - start, *shape] by name."""
    keep: float

    @property
    def networks(self) -> slice:
        return slice(self.start, self.stop)

    def take(self, name: str, gradient: Tensor) -> None:
        """Let in a gradient [stop - start, *shape]."""
        self.put(self.into[name], gradient)

    def put(self, into: Tensor, gradient: Tensor) -> None:
        """Let a gradient into a part of the sink, of the same shape."""
        if gradient.dtype == torch.bfloat16:
            bfloat16.take_(into, gradient, self.keep)
        elif self.keep:
            torch.add(gradient, into, alpha=self.keep, out=into)
        else:  # without reading what was there: it may be NaN
            into.copy_(gradient)

    def take_all(self, gradients: Stack) -> None:
        """Let in the gradients of all parameters."""
        for name, gradient in gradients.items():
            self.take(name, gradient)

    def at(self, network: int) -> "GradientBuffer":
        """Return the part of the sink that is for one network of the pack."""
        place = network - self.start
        into = {name: value[place : place + 1] for name, value in self.into.items()}
        return GradientBuffer(network, network + 1, into, self.keep)


def rows(value: Tensor) -> Tensor:
    """View [pack, *shape] as [pack, entries], that of single numbers too."""
    return value.reshape(len(value), -1)
