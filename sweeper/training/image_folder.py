"""Image folder: a dataset of one's own as PNG and JPEG files, in one folder for each class."""

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import PIL

from sweeper.errors import DataError
from sweeper.training.data_path import data_path
from sweeper.training.picture_cache import Arrays, cached
from sweeper.training.picture_files import Picture, decoded, listed
from sweeper.training.raw_dataset import Array, RawDataset
from sweeper.training.user_dataset import checked
from sweeper.types import Dataset

NOTICE_SECONDS = 2.0
"""After which it is said how far reading is; from then on after five times as long."""
_MOST_THREADS = 16
_BLOCK = 64
"""Pictures that a thread reads at a time."""
_READER = 1
"""To be raised with any change of what pictures become, so that older caches are of no use."""


def read_images(
    datasets: str | Path | None,
    on_progress: Callable[[str], None],
    /,
    *,
    folder: str,
    size: int | None = None,
    channels: int | None = None,
) -> RawDataset:
    """Read a folder of pictures, `datasets` being that of datasets. Raises DataError.

    The folder holds a folder for each class, or `train/`, `test/` and `validation/` that do; the
    latter two may be absent. Names of folders are the labels. Pictures of several sizes are scaled
    to a square of `size` pixels. `channels` is 1 for grey, 3 for colour; unless it is given, grey
    if all pictures are. Transparency is dropped, a turn of the camera undone.

    `on_progress` is told how far it is after some seconds. What was read is cached.
    """
    path = data_path(folder, datasets, "folder")
    parts, notes = listed(path)
    digest = hashlib.sha256(f"{_READER} {PIL.__version__} {size} {channels}".encode())
    for name, pictures in parts.items():
        for picture in pictures:
            place = picture.path.removeprefix(str(path))
            line = f"\n{name}\0{place}\0{picture.bytes}\0{picture.modified}"
            digest.update(line.encode(errors="surrogateescape"))
    source = hashlib.sha256(f"{path.resolve()} {size} {channels}".encode(errors="surrogateescape"))

    def read() -> Arrays:
        every = [picture for pictures in parts.values() for picture in pictures]
        return {"images": _read(every, size, channels, lambda line: on_progress(f"{path}: {line}"))}

    arrays = cached(datasets, source.hexdigest()[:16], digest.hexdigest(), read)
    images, start = arrays["images"], 0
    pairs: dict[str, tuple[Array, Array]] = {}
    for name, pictures in parts.items():
        labels = np.array([picture.label for picture in pictures])
        pairs[name] = (images[start : start + len(labels)], labels)
        start += len(labels)
    dataset = Dataset(pairs["train"], pairs.get("test"), pairs.get("validation"))
    return checked(dataset, folder, notes=notes)


def _read(
    pictures: list[Picture],
    size: int | None,
    channels: int | None,
    say: Callable[[str], None],
) -> Array:
    """Return pictures as [n, channels, height, width], uint8, read by several threads."""
    blocks = [pictures[start : start + _BLOCK] for start in range(0, len(pictures), _BLOCK)]
    threads = min(_MOST_THREADS, len(os.sched_getaffinity(0)), len(blocks))
    images: list[Array] = []
    due = time.monotonic() + NOTICE_SECONDS
    with ThreadPoolExecutor(threads, "pictures") as pool:
        reading = pool.map(lambda block: [decoded(one, size, channels) for one in block], blocks)
        try:
            for image in _of_one_size(pictures, reading):
                images.append(image)
                if time.monotonic() > due:
                    due = time.monotonic() + 5 * NOTICE_SECONDS
                    say(f"{len(images):,} of {len(pictures):,} pictures read")
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    most = max(len(image) for image in images)
    result = np.empty((len(images), most, *images[0].shape[1:]), dtype=np.uint8)
    for place, image in enumerate(images):
        result[place] = image  # a grey one into all three channels
    return result


def _of_one_size(pictures: list[Picture], reading: Iterator[list[Array]]) -> Iterator[Array]:
    """Yield images [channels, height, width] in order. Raises DataError where sizes differ."""
    places = iter(pictures)
    wanted: tuple[int, ...] | None = None
    for block in reading:
        for image in block:
            picture = next(places)
            shape = image.shape[1:]
            wanted = wanted or shape
            if shape != wanted:
                sizes = [f"{width} x {height}" for height, width in (wanted, shape)]
                text = f"size: required, for {pictures[0].path} has {sizes[0]} pixels and"
                raise DataError(f"{text} {picture.path} {sizes[1]}")
            yield image
