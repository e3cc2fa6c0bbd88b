"""Models: networks as plain PyTorch modules, and the names of their prunable weights.

Those with batch norm stand in `convolutional_networks.py` and `residual_networks.py`.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from sweeper.config import weight_patterns
from sweeper.config.registry import MODELS, load
from sweeper.config.registry.network_sizes import Shape
from sweeper.errors import PluginError, typed_line
from sweeper.types import Options

_DTYPES = (torch.float32, torch.float64)


def mlp(
    shape: Shape, classes: int, *, widths: tuple[int, ...], dropout: float = 0.0
) -> nn.Sequential:
    """Fully connected network with ReLU between its layers, and dropout after it if it is > 0.

    >>> sum(p.numel() for p in mlp((1, 28, 28), 10, widths=(300, 100)).parameters())
    266610
    """
    sizes = (math.prod(shape), *widths, classes)
    layers: list[nn.Module] = [nn.Flatten()]
    for inputs, outputs in itertools.pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        if dropout:
            layers.append(nn.Dropout(dropout))
    behind_the_last = 2 if dropout else 1
    return nn.Sequential(*layers[:-behind_the_last])


def lenet_300_100(shape: Shape, classes: int) -> nn.Sequential:
    """LeNet-300-100 (LeCun et al. 1998): hidden layers of 300 and 100."""
    return mlp(shape, classes, widths=(300, 100))


def lenet_5(shape: Shape, classes: int) -> nn.Sequential:
    """LeNet-5 as Caffe and the pruning literature have it: 431,080 parameters on 28x28 images.

    Images have sides of 16 or more.

    >>> sum(p.numel() for p in lenet_5((1, 28, 28), 10).parameters())
    431080
    """
    channels, height, width = shape
    flat = 50 * (((height - 4) // 2 - 4) // 2) * (((width - 4) // 2 - 4) // 2)
    return nn.Sequential(
        nn.Conv2d(channels, 20, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(20, 50, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(flat, 500),
        nn.ReLU(),
        nn.Linear(500, classes),
    )


def build(name: str, options: Options, shape: Shape, classes: int, *, seed: int) -> nn.Module:
    """Build a network with PyTorch's own initial weights drawn from `seed`, on the CPU.

    `name` stands in the registry or is `package.module:factory`, called as
    `factory(shape, classes, **options)`. Raises PluginError when that gives no usable module.
    """
    module = call_factory(name, options, shape, classes, seed=seed)
    _refuse_parameters(name, module)
    if not prunable(module):
        raise PluginError(f"{name}: the network has no weight of two or more dimensions to prune")
    return module


def call_factory(
    name: str, options: Options, shape: Shape, classes: int, *, seed: int = 0
) -> nn.Module:
    """Return what a factory makes, whether a pack could train it or not; for all else see `build`.

    Raises PluginError when that is no module.
    """
    arguments: Mapping[str, Any] = dict(options)
    with torch.random.fork_rng(devices=[]):
        factory: Any = load(MODELS[name].factory if name in MODELS else name)
        torch.manual_seed(seed)  # after the import, in which a user's module may draw, too
        try:
            module = factory(shape, classes, **arguments)
        except (Exception, SystemExit) as error:  # a user's factory may raise anything
            if name in MODELS:
                raise
            call = f"the call with ({shape}, {classes})"
            raise PluginError(f"{name}: {call}: {typed_line(error)}") from error
    if not isinstance(module, nn.Module):
        raise PluginError(f"{name}: must return a torch.nn.Module, got {type(module).__name__}")
    return module


def _refuse_parameters(name: str, module: nn.Module) -> None:
    """Raise PluginError for the first parameter or buffer that no pack can hold."""
    for where, value in (*module.named_parameters(), *module.named_buffers()):
        if is_lazy(value):
            text = "has no shape before the first images; allowed: modules that are not lazy"
            raise PluginError(f"{name}: {where} {text}")
    for where, value in module.named_parameters():
        if value.dtype not in _DTYPES:
            allowed = ", ".join(map(str, _DTYPES))
            raise PluginError(f"{name}: parameter {where} is {value.dtype}; allowed: {allowed}")
        if not value.requires_grad:
            text = "has requires_grad=False, and a pack would train it; allowed: a buffer instead"
            raise PluginError(f"{name}: parameter {where} {text}")


def prunable(module: nn.Module, patterns: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the names of the weights that are pruned and penalised.

    Those of two or more dimensions, as far as the patterns choose them. Raises PluginError for
    patterns that do not fit the network.
    """
    names = [name for name, value in module.named_parameters() if value.ndim >= 2]
    for place, text in weight_patterns.faults(patterns, names) if patterns else ():
        raise PluginError(f"sparsification.prune.{place}".rstrip(".") + f": {text}")
    return weight_patterns.chosen(patterns, names)
