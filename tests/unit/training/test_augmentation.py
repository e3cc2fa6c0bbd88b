"""Augmentation: pictures as a naive change has them, the same for any pack, others by the seed."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from support.packs import RECIPE, config, facts, small_images
from support.replayed_graph import Again
from sweeper.training.augmentation import Augmenter, Change
from sweeper.training.cuda_graphs import WARM_UP, Captured, one_by_one
from sweeper.training.datasets import Data, Normalisation, load
from sweeper.training.pack import train_pack
from sweeper.training.strength_probe import probe_strengths

Array = NDArray[Any]
EVERY = ("shift(2)", "flip", "crop(3)")


def naive(picture: Array, text: str, drawn: list[int], blank: Array) -> Array:
    """Change one picture [channels, height, width] as one would do it by hand."""
    if text == "flip":
        return picture[:, :, ::-1] if drawn[1] else picture
    pixels = int(text.strip("shiftcrop()"))
    _, height, width = picture.shape
    if text.startswith("crop"):
        framed = np.pad(picture, [(0, 0), (pixels, pixels), (pixels, pixels)], mode="reflect")
        return framed[:, drawn[0] : drawn[0] + height, drawn[1] : drawn[1] + width]
    moved = np.broadcast_to(blank, picture.shape).copy()
    for row in range(height):
        for column in range(width):
            source = row + drawn[0] - pixels, column + drawn[1] - pixels
            if 0 <= source[0] < height and 0 <= source[1] < width:
                moved[:, row, column] = picture[:, source[0], source[1]]
    return moved


def pictures(count: int, *shape: int) -> Tensor:
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(1))


@given(
    texts=st.lists(
        st.sampled_from(["flip", *(f"{k}({n})" for k in ("shift", "crop") for n in (1, 2, 4))]),
        min_size=1,
        max_size=4,
    ),
    channels=st.sampled_from([1, 3]),
    height=st.integers(5, 8),
    width=st.integers(5, 8),
    is_last=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_pictures_are_those_of_a_naive_change(
    texts: list[str], channels: int, height: int, width: int, is_last: bool, seed: int
) -> None:
    # Oracle: NumPy, one picture after the other, in the order of the changes.
    count = 6
    batch = pictures(count, channels, height, width)
    if is_last:
        batch = batch.contiguous(memory_format=torch.channels_last)
    blank = torch.arange(1.0, channels + 1).view(-1, 1, 1)
    changes = tuple(map(Change.of, texts))
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.stack([change.draw(count, generator) for change in changes])
    changed = Augmenter(changes, blank).apply(batch, drawn)
    assert changed.stride() == batch.stride()
    for k in range(count):
        wanted = batch[k].numpy()
        for text, numbers in zip(texts, drawn[:, k].tolist(), strict=True):
            wanted = naive(wanted, text, numbers, blank.numpy())
        np.testing.assert_array_equal(changed[k].numpy(), wanted)


@pytest.mark.parametrize(("text", "rows"), [("shift(2)", 5), ("crop(1)", 3), ("flip", 1)])
def test_every_move_is_drawn_equally_often(text: str, rows: int) -> None:
    drawn = Change.of(text).draw(10_000, torch.Generator().manual_seed(0))
    for axis, values in enumerate((rows, 2 if text == "flip" else rows)):
        counts = drawn[:, axis].bincount()
        assert len(counts) == values
        assert (counts - 10_000 / values).abs().max() < 300


@pytest.fixture(scope="module")
def digits() -> Data:
    return load("digits")


def augmenter(data: Data, *texts: str) -> Augmenter:
    made = Augmenter.of(dataclasses.replace(RECIPE, augment=texts), data)
    assert made is not None
    return made


def test_blank_pixels_are_a_raw_zero(digits: Data) -> None:
    # The darkest pixel of the digits is a raw 0.
    assert augmenter(digits, "shift(1)").blank.item() == digits.train.examples.min().item()
    coloured = dataclasses.replace(digits, normalisation=Normalisation((0.5, 0.2), (0.25, 0.1)))
    assert augmenter(coloured, "flip").blank.flatten().tolist() == pytest.approx([-2.0, -2.0])
    plain = dataclasses.replace(digits, normalisation=None)
    assert augmenter(plain, "flip").blank.flatten().tolist() == [0.0]
    assert Augmenter.of(RECIPE, digits) is None


def shown(data: Data, seed: int, steps: int = 6) -> tuple[Tensor, Tensor]:
    """Return the examples and labels of the first steps on 48 pictures, in batches of 16."""
    gather = augmenter(data, *EVERY).gather(data.train, 16, seed)
    batches = [gather(torch.arange(16)) for _ in range(steps)]
    return (
        torch.stack([batch.examples for batch in batches]),
        torch.stack([batch.labels for batch in batches]),
    )


def test_pictures_follow_from_the_seed_and_the_step() -> None:
    data = small_images(48, 8)
    examples, labels = shown(data, 3)
    assert torch.equal(labels, data.train.labels[:16].expand(6, -1))
    assert torch.equal(examples, shown(data, 3)[0])
    assert not torch.equal(examples, shown(data, 4)[0])
    # Six steps are two epochs: no two of the steps show the same.
    assert all(not torch.equal(examples[a], examples[b]) for a in range(6) for b in range(a))


def test_packs_of_1_and_3_see_the_same_pictures_and_training_feels_them(digits: Data) -> None:
    recipe = dataclasses.replace(RECIPE, augment=("shift(1)", "crop(2)"), finetuned_curve=(0.3,))
    configs = [config(k, recipe=recipe) for k in range(3)]
    together = facts(train_pack(configs, digits))
    assert [facts(train_pack([one], digits))[0] for one in configs] == together
    plain = dataclasses.replace(recipe, augment=())
    others = train_pack([dataclasses.replace(one, recipe=plain) for one in configs], digits)
    assert all(a != b for a, b in zip(facts(others), together, strict=True))


def test_a_probe_sees_changed_pictures_too(digits: Data) -> None:
    short = dataclasses.replace(RECIPE, epochs=1, curve=(), finetune_epochs=0)
    points = [
        probe_strengths(config(1, recipe=dataclasses.replace(short, augment=texts)), digits)[0]
        for texts in ((), ("shift(2)",), ("shift(2)",))
    ]
    assert points[0] != points[1] == points[2]


class Seen:
    """Steps that keep what they are given."""

    capturable = True

    def __init__(self) -> None:
        self.batches: list[Tensor] = []
        self.places: set[int] = set()

    def draw_noise(self) -> None:
        pass

    def begin(self, examples: Tensor, labels: Tensor, now: Tensor) -> None:
        self.places |= {examples.data_ptr(), labels.data_ptr()}
        self.batches.append(torch.cat([examples.flatten(), labels]))

    def end(self, now: Tensor, factor: float | Tensor, number: int) -> None:
        pass


def test_a_graph_is_given_the_same_pictures_where_they_lie() -> None:
    # Oracle: the steps one by one.
    part = small_images(48, 8).train
    rate = torch.ones(1)
    plain, captured = Seen(), Seen()
    changes = [augmenter(small_images(48, 8), *EVERY).gather(part, 16, 5) for _ in range(2)]
    take = one_by_one(plain, part, rate, changes[0])
    through = Captured(captured, part, 16, rate, Again(), changes[1])
    for number in range(WARM_UP + 4):
        index = torch.arange(16) + number
        take(index, 1.0, number)
        through(index, 1.0, number)
    assert all(map(torch.equal, plain.batches, captured.batches))
    assert len(plain.batches) == len(captured.batches)
    assert len(captured.places) == 2  # a graph reads no other memory than that of its capture
