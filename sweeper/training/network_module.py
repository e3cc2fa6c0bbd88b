"""Network module: a trained network as a plain `torch.nn.Module`, for anybody's program."""

from collections import OrderedDict
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from sweeper.errors import InputError, first_line
from sweeper.training import models
from sweeper.training.network_description import NetworkDescription
from sweeper.types import Normalisation


class Standardise(nn.Module):
    """First layer for raw examples of any number type: (raw - mean) / deviation, in float32.

    The very operations by which the training examples were standardised, to the same bits.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, normalisation: Normalisation, dimensions: int) -> None:
        """`dimensions` are those of one example, which the numbers lie along the first of."""
        super().__init__()
        for name in ("mean", "deviation"):
            numbers = torch.tensor(getattr(normalisation, name), dtype=torch.float32)
            self.register_buffer(name, numbers.reshape(-1, *(1,) * (dimensions - 1)))

    def forward(self, raw: Tensor) -> Tensor:
        """Return examples [batch, *shape] for raw ones."""
        return (raw.to(torch.float32) - self.mean) / self.deviation


class Raw(Standardise):
    """The way back: raw examples, as numbers of float32, for those that were standardised."""

    def forward(self, examples: Tensor) -> Tensor:
        """Return raw examples [batch, *shape] for standardised ones."""
        return examples * self.deviation + self.mean


class SinglePrecision(nn.Module):
    """First layer for raw examples that are taken as they are: fractions in float32, ids kept."""

    def forward(self, raw: Tensor) -> Tensor:
        """Return examples [batch, *shape] for raw ones, as NumPy has them in float64."""
        return raw.to(torch.float32) if raw.is_floating_point() else raw


def network_module(
    description: NetworkDescription, tensors: Mapping[str, Tensor], name: str
) -> nn.Module:
    """Return a network with the weights and buffers given, in evaluation mode, on the CPU.

    `name` is that of the file they come from. Raises InputError if they are another network's,
    PluginError where a user's factory fails.
    """
    module = _built(description, name)
    parameters = dict(module.named_parameters())
    places = {**dict(module.named_buffers()), **parameters}
    shapes = {key: tuple(value.shape) for key, value in tensors.items()}
    expected = {key: tuple(places[key].shape) for key in shapes if key in places}
    if shapes != expected or not parameters.keys() <= shapes.keys():
        raise InputError(f"{name}: the network is no {description.model}")
    with torch.no_grad():
        for key, value in tensors.items():
            places[key].copy_(value)
    return module.eval()


def _built(description: NetworkDescription, name: str) -> nn.Module:
    try:
        return models.build(
            description.model, description.options, description.shape, description.classes, seed=0
        )
    except (
        ArithmeticError,
        LookupError,
        MemoryError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        # Of a built-in network: its file may come from anybody.
        reason = first_line(error)
        raise InputError(f"{name}: no {description.model} can be built so: {reason}") from error


def for_raw_examples(module: nn.Module, description: NetworkDescription, name: str) -> nn.Module:
    """Return a network that standardises its inputs itself. Raises InputError if it cannot."""
    if description.takes_raw is None:
        raise InputError(f"{name}: the numbers that its inputs were standardised by are not known")
    if description.takes_raw:
        return module
    first: nn.Module = SinglePrecision()
    if description.normalisation is not None:
        first = Standardise(description.normalisation, len(description.shape))
    return nn.Sequential(OrderedDict(standardise=first, network=module)).eval()
