"""Batch statistics: running means and variances of batch norm, taken again after weights change.

Pruning moves what a layer gives, and the statistics of training no longer fit. Every network is
judged with statistics of its own weights, whatever its arm, so that none is favoured.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from sweeper.config.judging_plan import STATISTICS
from sweeper.training.datasets import DataSplit
from sweeper.training.stack import Stack
from sweeper.training.stacked_architecture import StackedArchitecture
from sweeper.training.stacked_module import StackedModule
from sweeper.training.work_meter import Advance

_BATCH = 250


def needs_recalibration(network: StackedArchitecture) -> bool:
    """Tell whether a network has batch norm with running statistics."""
    return bool(_layers(network))


@torch.no_grad()
def recalibrate(
    network: StackedArchitecture,
    stack: Stack,
    part: DataSplit,
    *,
    examples: int = STATISTICS,
    advance: Advance = lambda passes: None,
) -> None:
    """Take the running statistics of every network again, in place, from training examples.

    They are the means over batches of up to `examples` examples, evenly spaced in `part`; all else,
    such as dropout, is as where networks are judged. Nothing is done to networks without.
    """
    layers, runner = _layers(network), network.runner()
    if not layers or not isinstance(runner, StackedModule):
        return
    for name in layers:
        for leaf, start in (("running_mean", 0), ("running_var", 1), ("num_batches_tracked", 0)):
            if (key := f"{name}.{leaf}".lstrip(".")) in network.buffers:
                stack[key].fill_(start)
    count = min(examples, len(part))
    index = torch.arange(count, device=part.labels.device) * len(part) // count
    with _counting(network, layers):
        for batch in torch.split(index, _BATCH):
            advance(len(batch))
            if len(batch) > 1:  # one alone has no variance
                runner.refresh(stack, part.examples[batch])


def _layers(network: StackedArchitecture) -> dict[str, _NormBase]:
    """Return the layers whose running statistics each network has its own of, by name."""
    return {
        name: part
        for name, part in network.template.named_modules()
        if isinstance(part, _NormBase) and f"{name}.running_mean".lstrip(".") in network.buffers
    }


@contextmanager
def _counting(network: StackedArchitecture, layers: dict[str, _NormBase]) -> Iterator[None]:
    """Let the layers, and nothing else, run as in training in a `with` block, and average."""
    momenta = {name: layer.momentum for name, layer in layers.items()}
    template: nn.Module = network.template
    template.eval()
    try:
        for layer in layers.values():
            layer.train()
            layer.momentum = None  # the mean over all batches
        yield
    finally:
        template.eval()
        for name, layer in layers.items():
            layer.momentum = momenta[name]
