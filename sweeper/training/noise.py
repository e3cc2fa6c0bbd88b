"""Noise of networks in training: dropout's random numbers, of each network by its own seed.

A module draws from PyTorch's own generator. It is seeded before each network's forward pass at each
step, so that a network sees the same noise whatever it is packed with.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from sweeper.config import derive_seed

_GOLDEN, _FIRST, _SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_MASK = 2**64 - 1


class Noise:
    """Seeds of the random numbers of each network of a pack, another one at each step."""

    def __init__(self, seeds: Sequence[int], order_seed: int) -> None:
        """`seeds` are those of the initial weights; `order_seed` tells phases of training apart."""
        self._bases = [derive_seed(seed, "noise", order_seed) for seed in seeds]
        self._step = 0

    def advance(self) -> None:
        """Go on to the next step."""
        self._step += 1

    def seed(self, network: int) -> int:
        """Return the seed of a network at this step, in [0, 2^32).

        Mixed as in SplitMix64 (Steele, Lea and Flood 2014), whose outputs look unrelated for
        neighbouring steps; the 32 bits are all that PyTorch's generator takes of a seed.
        """
        value = ((self._bases[network] << 32) + self._step * _GOLDEN) & _MASK
        value = ((value ^ (value >> 30)) * _FIRST) & _MASK
        value = ((value ^ (value >> 27)) * _SECOND) & _MASK
        return (value ^ (value >> 31)) >> 32

    def start(self, network: int, device: torch.device) -> None:
        """Seed the generator of a device for a network's forward pass: 1 us on a CPU."""
        generator_of(device).manual_seed(self.seed(network))


def generator_on(device: torch.device, seed: int) -> torch.Generator:
    """Return a generator of its own for what is drawn on a device: GPUs draw other numbers."""
    return torch.Generator(device).manual_seed(seed)


def generator_of(device: torch.device) -> torch.Generator:
    """Return the generator that modules on a device draw from."""
    if device.type == "cuda":
        return torch.cuda.default_generators[device.index or 0]
    return torch.default_generator


@contextmanager
def generator_kept(device: torch.device) -> Iterator[None]:
    """Put the state of a device's generator back at the end of a `with` block."""
    generator = generator_of(device)
    state = generator.get_state()
    try:
        yield
    finally:
        generator.set_state(state)
