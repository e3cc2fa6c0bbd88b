"""Augmentation: random changes of the pictures of each step, which follow from a seed alone.

Every change moves rows and columns, each on its own: `shift(N)` by up to N pixels each way, with
blank ones where nothing came from; `flip` left to right, every other picture; `crop(N)` cuts a
picture of the old size out of one that N mirrored pixels were put around. So all changes of a
picture together are one list of rows and one of columns, and cost one pass over the batch: 1 ms
for 128 pictures of 3 x 32 x 32, where a step of a small convolutional network takes 80.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from sweeper.config import derive_seed
from sweeper.training.cuda_graphs import Gather
from sweeper.training.loaded_data import Data, DataSplit
from sweeper.types import Normalisation, SharedConfig


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a recipe."""

    kind: str
    pixels: int = 0

    @classmethod
    def of(cls, text: str) -> "Change":
        """Read `shift(1)`, `crop(4)` or `flip`."""
        kind, _, pixels = text.rstrip(")").partition("(")
        return cls(kind, int(pixels or 0))

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Return what is drawn for so many pictures, [count, 2]: of rows, of columns."""
        if self.kind == "flip":  # never of rows
            return torch.randint(2, (count, 2), generator=generator) * torch.tensor([0, 1])
        return torch.randint(2 * self.pixels + 1, (count, 2), generator=generator)

    def sources(self, drawn: Tensor, side: int) -> Tensor:
        """Return which row, or column, each one comes from, [batch, side]; -1 for blank ones."""
        place, drawn = torch.arange(side, device=drawn.device), drawn[:, None]
        if self.kind == "flip":
            return torch.where(drawn == 1, side - 1 - place, place)
        moved = place + drawn - self.pixels
        if self.kind == "shift":
            return torch.where((moved >= 0) & (moved < side), moved, -1)
        return side - 1 - (side - 1 - moved.abs()).abs()  # mirrored at the first, then at the last


@dataclass(frozen=True, slots=True, eq=False)
class Augmenter:
    """Changes of the pictures [channels, height, width] of a dataset, and what blank ones hold."""

    changes: tuple[Change, ...]
    blank: Tensor
    """Values of a blank pixel, [channels or 1, 1, 1]."""

    @classmethod
    def of(cls, recipe: SharedConfig, data: Data) -> "Augmenter | None":
        """Return the augmenter of a recipe; None for one without."""
        if not recipe.augment:
            return None
        blank = _blank(data.normalisation).to(data.device, data.train.examples.dtype)
        return cls(tuple(map(Change.of, recipe.augment)), blank)

    def gather(self, part: DataSplit, batch_size: int, order_seed: int) -> Gather:
        """Return what gives the changed examples of one step after the other.

        What is drawn depends on the seed of the order of a phase and on the step: the same for all
        networks of a pack and for all arms. It is drawn on the CPU, an epoch at once.
        """
        generator = torch.Generator().manual_seed(derive_seed(order_seed, "augment"))
        steps = len(part) // batch_size
        epoch: list[Tensor] = []

        def take(index: Tensor) -> DataSplit:
            if not epoch:
                drawn = [change.draw(steps * batch_size, generator) for change in self.changes]
                on_device = torch.stack(drawn).to(index.device)
                epoch.extend(torch.split(on_device, batch_size, dim=1))
            batch = part.at(index)
            return DataSplit(self.apply(batch.examples, epoch.pop(0)), batch.labels)

        return take

    def apply(self, pictures: Tensor, drawn: Tensor) -> Tensor:
        """Return changed pictures [batch, channels, height, width], laid out as before.

        `drawn` [changes, batch, 2] comes from `Change.draw`.
        """
        batch, channels, height, width = pictures.shape
        rows, columns = (
            self._sources(drawn[:, :, axis], side) for axis, side in enumerate((height, width))
        )
        place = (rows.clamp(min=0) * width)[:, :, None] + columns.clamp(min=0)[:, None]
        is_blank = ((rows < 0)[:, :, None] | (columns < 0)[:, None])[:, None]
        place = place.view(batch, 1, height * width).expand(batch, channels, -1)
        flat = pictures.flatten(2).gather(2, place)
        changed = torch.where(is_blank, self.blank, flat.view(pictures.shape))
        if not pictures.is_contiguous():  # channels last
            changed = changed.contiguous(memory_format=torch.channels_last)
        return changed

    def _sources(self, drawn: Tensor, side: int) -> Tensor:
        """Return which row, or column, of the picture each one comes from after all changes."""
        sources = torch.arange(side, device=drawn.device).expand(drawn.shape[1], side)
        for change, numbers in zip(self.changes, drawn, strict=True):
            through = change.sources(numbers, side)
            sources = sources.gather(1, through.clamp(min=0)).where(through >= 0, -1)
        return sources


def _blank(normalisation: Normalisation | None) -> Tensor:
    """Return a raw 0 as networks see it, [channels or 1, 1, 1]."""
    if normalisation is None:
        return torch.zeros(1, 1, 1)
    mean, deviation = (
        torch.tensor(values, dtype=torch.float32)
        for values in (normalisation.mean, normalisation.deviation)
    )
    return ((0 - mean) / deviation).view(-1, 1, 1)
