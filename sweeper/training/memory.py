"""Memory of a pack: bytes for each of its networks, measured on a GPU, estimated elsewhere."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import cycle, islice

import torch
from torch import Tensor
from torch.func import functional_call

from sweeper.config.registry import METHODS
from sweeper.training.datasets import Data, DataSplit
from sweeper.training.evaluation import CHUNK
from sweeper.training.out_of_memory import free_memory, is_out_of_memory
from sweeper.training.pack import train_pack
from sweeper.training.stack import Stack
from sweeper.training.stacked_architecture import StackedArchitecture
from sweeper.types import SharedConfig, TrialConfig

# Bytes for each parameter at the worst moment of a pack, activations apart. Measured as growth of
# the process: 32 LeNet-300-100 took 26 to 27 a parameter with any penalty, the 6 of their
# activations among them; with gates, which are trained as well, 66 to 81, and 81 with Adam.
PLAIN, ADAM, GATES, FINETUNED = 24, 8, 56, 8
MASKED, FACTOR = 16, 20
"""Of a method without a strength: masks, gradients apart, what is rewound to. Of each further
factor of weights: its value, gradient and moments."""


def needed(configs: Sequence[TrialConfig], data: Data) -> int:
    """Return the bytes of each network of a pack: measured on a GPU, else estimated."""
    return measured(configs, data) if data.device.type == "cuda" else estimated(configs, data)


def estimated(configs: Sequence[TrialConfig], data: Data) -> int:
    """Return an estimate of the bytes that a network of the most demanding arm takes."""
    recipe = configs[0].recipe
    network = StackedArchitecture.of(recipe, data)
    each = PLAIN + (ADAM if recipe.optimizer.startswith("adam") else 0)
    each += max(map(_of_method, configs))
    each += FINETUNED if recipe.finetuned_curve else 0
    alone = network.init([configs[0].init_seed], recipe, data)
    activations = _activations(network, alone, data.train.examples[:1])
    # Forward, and back again; fully connected networks are evaluated all at once.
    examples = 2 * recipe.batch_size
    if network.layers is not None:
        examples = max(examples, CHUNK)
    return each * network.total + examples * activations


def _of_method(config: TrialConfig) -> int:
    """Return the bytes for each parameter that a method takes beside those of training."""
    name = config.method.name
    if name not in METHODS:
        return 0
    depth = dict(config.method.hyper).get("depth")
    if isinstance(depth, int):
        return MASKED + FACTOR * (depth - 1)
    return GATES if METHODS[name].has_strength else MASKED


def _activations(network: StackedArchitecture, alone: Stack, example: Tensor) -> int:
    """Return the bytes that autograd keeps of one example on its way through one network."""
    values = {name: value[0].detach() for name, value in alone.items()}
    for name in network.parameters:
        values[name].requires_grad_()
    inputs = {value.untyped_storage().data_ptr() for value in (*alone.values(), example)}
    sizes: dict[int, int] = {}

    def keep(value: Tensor) -> Tensor:
        storage = value.untyped_storage()
        sizes[storage.data_ptr()] = storage.nbytes()
        return value

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value):
        logits = functional_call(network.template, values, (example,))
    return sum(size for place, size in sizes.items() if place not in inputs) + int(logits.nbytes)


def measured(configs: Sequence[TrialConfig], data: Data) -> int:
    """Return the most bytes of a network on the GPU, trained, evaluated and handed on in a pack.

    In smaller packs where memory runs out, in which not all of `configs` may have a place.
    """
    count = max(16, len(configs))
    while True:
        try:
            return _growth(configs, data, count)
        except Exception as error:
            if count == 1 or not is_out_of_memory(error):
                raise
        free_memory()
        count //= 2


def _growth(configs: Sequence[TrialConfig], data: Data, count: int) -> int:
    """Return the bytes of a network, by what twice `count` take more than `count`."""
    batch = configs[0].recipe.batch_size
    part = _first(data.train, 4 * batch)
    short = replace(
        data, train=part, validation=_first(data.validation, CHUNK), test=_first(data.test, CHUNK)
    )
    peaks = []
    for size in (count, 2 * count):  # what libraries take for themselves is no network's
        pack = [replace(config, recipe=_short(config)) for config in islice(cycle(configs), size)]
        networks: dict[int, Mapping[str, Tensor]] = {}
        torch.cuda.reset_peak_memory_stats(data.device)
        train_pack(pack, short, str(data.device), keep=networks.__setitem__)
        peaks.append(torch.cuda.max_memory_reserved(data.device))
        networks.clear()
        torch.cuda.empty_cache()
    return max(1, peaks[1] - peaks[0]) // count


def _short(config: TrialConfig) -> SharedConfig:
    recipe = config.recipe
    return replace(
        recipe,
        epochs=1,
        finetune_epochs=1,
        curve=recipe.curve[:1],
        finetuned_curve=recipe.finetuned_curve[:1],
    )


def _first(part: DataSplit, count: int) -> DataSplit:
    return DataSplit(part.examples[:count], part.labels[:count])
