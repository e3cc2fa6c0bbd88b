"""Pack of one: a module with its very weights as the stack that pruning and counting take."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from sweeper.errors import InputError, shown
from sweeper.modules.module_weights import refuse_computed
from sweeper.training.stack import Stack
from sweeper.training.stacked_architecture import StackedArchitecture, fully_connected
from sweeper.types import PruneConfig


@dataclass(frozen=True, slots=True, eq=False)
class PackOfOne:
    """A module as an architecture, and its parameters and buffers, [1, *shape] by name: views."""

    architecture: StackedArchitecture
    stack: Stack

    @classmethod
    def of(
        cls,
        place: str,
        module: nn.Module,
        *,
        weights: tuple[str, ...] = (),
        prune: PruneConfig | None = None,
        example_shape: tuple[int, ...] = (),
    ) -> "PackOfOne":
        """Look at a module, with those of its weights that are pruned. Raises InputError.

        Refused are parameters that others are computed from: they are not what the network has.
        """
        parameters = {name: value.detach() for name, value in module.named_parameters()}
        for name in parameters:
            refuse_computed(place, module, name)
        buffers = {name: value.detach() for name, value in module.named_buffers()}
        architecture = StackedArchitecture(
            module,
            weights,
            fully_connected(module),
            tuple(parameters),
            tuple(buffers),
            prune=prune or PruneConfig(),
            example_shape=example_shape,
        )
        return cls(architecture, {n: value[None] for n, value in (parameters | buffers).items()})

    @property
    def prunable(self) -> Stack:
        """The weights that are pruned."""
        return {name: self.stack[name] for name in self.architecture.weights}


def example_shape(place: str, key: str, examples: Any) -> tuple[int, ...]:
    """Return the shape of one of some examples [n, ...], () of None. Raises InputError."""
    if examples is None:
        return ()
    if not isinstance(examples, Tensor) or examples.ndim < 2 or not len(examples):
        got = list(examples.shape) if isinstance(examples, Tensor) else shown(examples)
        raise InputError(f"{place}: {key}: must be a tensor [n, ...] of inputs, got {got}")
    return tuple(examples.shape[1:])
