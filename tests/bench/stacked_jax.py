"""A stacked loop in JAX, as an expert writes it: a pack of networks by vmap, compiled.

The data lie on the device, an epoch is one program (`lax.scan` over its steps).
The trials are those of the hand-written loop, in the same order of batches.
"""

import math
import os
import time
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from handwritten import Loop
from sweeper.training.datasets import Data, DataSplit
from sweeper.types import SharedConfig, TrialConfig
from task import Accuracy, Trial

CHUNK = 2000
"""Examples that are judged at once."""
PACKS = {"cpu": 1, "cuda": 256}
"""Networks of a pack. On one core of a CPU a trial of 1 + 1 epochs took 0.90 s in packs of 1, 0.96
in packs of 4 and 1.10 in packs of 16, where the hand-written loop took 2.0 and ours 0.68."""
Tree = Any
"""JAX has type hints, and is an extra."""


def restrict(process: int) -> None:
    """Have a process compute on one core, as the others do: JAX starts a thread for each it may."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[process % len(cores)]})


class StackedLoop:
    """Data on the device, and programs that are compiled once for all packs."""

    def __init__(self, data: Data, config: TrialConfig, device: str) -> None:
        import jax

        # As PyTorch does; on a GPU JAX would round what it multiplies to TF32.
        jax.config.update("jax_default_matmul_precision", "float32")
        self._jax, self._recipe = jax, config.recipe
        self._hand = Loop(data)  # which draws the same networks
        self.pack = PACKS[device]
        self.train, self.validation, self.test = (
            tuple(map(jax.numpy.asarray, arrays(part)))
            for part in (data.train, data.validation, data.test)
        )
        self._prox, self._masked = (
            jax.jit(partial(_epoch, jax, is_masked), donate_argnums=0)
            for is_masked in (False, True)
        )
        self._right = jax.jit(partial(_right, jax))

    def run(self, trials: Sequence[tuple[int, TrialConfig]]) -> Iterator[Trial]:
        """Train, prune, fine-tune and judge trials, a pack after the other."""
        for start in range(0, len(trials), self.pack):
            part, began = trials[start : start + self.pack], time.time()
            as_trained, pruned = self._train([config for _, config in part])
            ended = time.time()
            for place, (slot, _) in enumerate(part):
                yield Trial(slot, began, ended, pruned[place], as_trained[place])

    def warm_up(self, configs: Sequence[TrialConfig]) -> None:
        """Compile all that packs of this size take."""
        self._train(configs[: self.pack], epochs=(1, 1))

    def _train(
        self, configs: Sequence[TrialConfig], epochs: tuple[int, int] | None = None
    ) -> tuple[list[Accuracy], list[Accuracy]]:
        jnp, recipe = self._jax.numpy, self._recipe
        weights = self._drawn(configs)
        numbers = {
            "momentum": jnp.array([c.momentum for c in configs]),
            "strength": jnp.array([c.method.strength for c in configs]),
        }
        rate = np.array([c.learning_rate for c in configs], dtype=np.float32)
        slower = rate * configs[0].finetune_learning_rate_factor
        first, second = epochs or (recipe.epochs, recipe.finetune_epochs)
        masks = [jnp.ones_like(w) for w, _ in weights]
        weights = self._fit(self._prox, weights, masks, numbers, rate, first, recipe.order_seed)
        as_trained = self.judge(weights)
        masks = magnitude_masks(weights, [c.density for c in configs])
        weights = [(w * mask, b) for (w, b), mask in zip(weights, masks, strict=True)]
        seed = (recipe.order_seed + 1) % 2**32
        weights = self._fit(self._masked, weights, masks, numbers, slower, second, seed)
        return as_trained, self.judge(weights)

    def _fit(
        self,
        epoch: Any,
        weights: Tree,
        masks: Tree,
        numbers: Tree,
        rate: Any,
        count: int,
        seed: int,
    ) -> Tree:
        jnp = self._jax.numpy
        moments = self._jax.tree.map(jnp.zeros_like, weights)
        for index, factors in epochs_of(self._recipe, len(self.train[0]), count, seed):
            rates = jnp.asarray(factors[:, None] * rate)  # [steps, pack]
            weights, moments = epoch(
                (weights, moments), masks, numbers, self.train, jnp.asarray(index), rates
            )
        return weights

    def _drawn(self, configs: Sequence[TrialConfig]) -> Tree:
        """Return [pack, in, out] and [pack, out] for each layer."""
        networks = [[*self._hand.network(c.init_seed).parameters()] for c in configs]
        stacked = [np.stack([p.detach().numpy() for p in ps]) for ps in zip(*networks, strict=True)]
        pairs = zip(stacked[::2], stacked[1::2], strict=True)
        asarray = self._jax.numpy.asarray
        return [(asarray(w.transpose(0, 2, 1).copy()), asarray(b)) for w, b in pairs]

    def judge(self, weights: Tree) -> list[Accuracy]:
        """Evaluate and count the networks of a pack."""
        nonzero = sum(
            np.count_nonzero(np.asarray(value).reshape(len(value), -1), axis=1)
            for pair in weights
            for value in pair
        )
        shares = [self._share(weights, part) for part in (self.validation, self.test)]
        return [
            Accuracy(float(v), float(t), int(n)) for v, t, n in zip(*shares, nonzero, strict=True)
        ]

    def _share(self, weights: Tree, part: tuple[Any, Any]) -> Any:
        images, labels = part
        right = sum(
            np.asarray(self._right(weights, images[at : at + CHUNK], labels[at : at + CHUNK]))
            for at in range(0, len(images), CHUNK)
        )
        return right / len(images)


def arrays(part: DataSplit) -> tuple[Any, Any]:
    """Return flat examples and labels."""
    return part.examples.flatten(1).cpu().numpy(), part.labels.cpu().numpy().astype(np.int32)


def epochs_of(
    recipe: SharedConfig, examples: int, epochs: int, seed: int
) -> Iterator[tuple[Any, Any]]:
    """Yield the batches of each epoch, [steps, batch], and the factors on the rate, [steps]."""
    generator, size = torch.Generator().manual_seed(seed), recipe.batch_size
    steps = examples // size
    for epoch in range(epochs):
        order = torch.randperm(examples, generator=generator)[: steps * size]
        shares = (np.arange(steps) + epoch * steps) / (epochs * steps)
        factors = 0.5 * (1 + np.cos(math.pi * shares))
        yield order.view(steps, size).numpy().astype(np.int32), factors.astype(np.float32)


def magnitude_masks(weights: Tree, densities: Sequence[float]) -> Tree:
    """Return 1 for the largest round(density x weights) of each network, else 0."""
    matrices = [np.asarray(w) for w, _ in weights]
    flat = np.abs(np.concatenate([w.reshape(len(w), -1) for w in matrices], axis=1))
    least = []
    for row, density in zip(flat, densities, strict=True):
        place = row.size - round(density * row.size)
        least.append(np.partition(row, place)[place])
    bound = np.array(least)[:, None, None]
    return [((np.abs(w) >= bound) & (w != 0)).astype(np.float32) for w in matrices]


def _logits(jax: Any, weights: Tree, examples: Any) -> Any:
    """Return the logits of one network."""
    hidden = examples
    for layer, (weight, bias) in enumerate(weights):
        hidden = hidden @ weight + bias
        if layer < len(weights) - 1:
            hidden = jax.nn.relu(hidden)
    return hidden


def _loss(jax: Any, weights: Tree, examples: Any, labels: Any) -> Any:
    logits = _logits(jax, weights, examples)
    chosen = jax.numpy.take_along_axis(logits, labels[:, None], axis=1)[:, 0]
    return (jax.nn.logsumexp(logits, axis=1) - chosen).mean()


def _right(jax: Any, weights: Tree, examples: Any, labels: Any) -> Any:
    """Return how many examples each network is right on, [pack]."""
    logits = jax.vmap(partial(_logits, jax), in_axes=(0, None))(weights, examples)
    return (logits.argmax(-1) == labels).sum(-1)


def _epoch(
    jax: Any, is_masked: bool, state: Tree, masks: Tree, numbers: Tree, data: Any, *steps: Any
) -> Tree:
    """Take the steps of an epoch: indices [steps, batch], rates [steps, pack]."""

    def step_of_one(
        weights: Tree, moments: Tree, masks: Tree, numbers: Tree, rate: Any, *batch: Any
    ) -> Tree:
        gradients = jax.grad(partial(_loss, jax))(weights, *batch)
        moments = jax.tree.map(lambda m, g: numbers["momentum"] * m + g, moments, gradients)
        weights = jax.tree.map(lambda w, m: w - rate * m, weights, moments)
        bound = rate * numbers["strength"]
        if is_masked:
            weights = [(w * mask, b) for (w, b), mask in zip(weights, masks, strict=True)]
        else:
            weights = [(w - jax.numpy.clip(w, -bound, bound), b) for w, b in weights]
        return weights, moments

    def step(state: Tree, at: Tree) -> Tree:
        index, rate = at
        batch = data[0][index], data[1][index]
        all_ = jax.vmap(step_of_one, in_axes=(0, 0, 0, 0, 0, None, None))
        return all_(*state, masks, numbers, rate, *batch), None

    return jax.lax.scan(step, state, steps)[0]
