"""Stacked parameters, and where the gradients of a stack go."""

from dataclasses import dataclass

from torch import Tensor

Stack = dict[str, Tensor]
"""Parameters by name, each [pack, *shape]."""


@dataclass(frozen=True, slots=True, eq=False)
class Sink:
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
        into = self.into[name]
        if self.keep:
            into.mul_(self.keep).add_(gradient)
        else:  # without reading what was there: it may be NaN
            into.copy_(gradient)

    def take_all(self, gradients: Stack) -> None:
        """Let in the gradients of all parameters."""
        for name, gradient in gradients.items():
            self.take(name, gradient)

    def at(self, network: int) -> "Sink":
        """Return the part of the sink that is for one network of the pack."""
        place = network - self.start
        into = {name: value[place : place + 1] for name, value in self.into.items()}
        return Sink(network, network + 1, into, self.keep)
