"""Image folder: pictures of a user's own, their classes, their cache, and the faults of them."""

import logging
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from support.refusals import refusal
from sweeper.training import datasets, image_folder, picture_files
from sweeper.training.raw_dataset import RawDataset

Pixels = np.ndarray[Any, Any]


def picture(seed: int, *shape: int) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def save(pixels: Pixels, path: Path, **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


def classes(folder: Path, count: int = 10, shape: tuple[int, ...] = (6, 5, 3)) -> None:
    """Write PNG pictures of two classes, each of which has another seed."""
    for number in range(count):
        save(picture(number, *shape), folder / "cat" / f"{number:02}.png")
        save(picture(100 + number, *shape), folder / "dog" / f"{number:02}.png")


def read(
    data: Path, on_progress: Callable[[str], None] = lambda line: None, **options: Any
) -> RawDataset:
    return datasets.read(
        "images",
        data,
        options=tuple(sorted({"folder": "pictures", **options}.items())),
        on_progress=on_progress,
    )


def cache(data: Path) -> list[Path]:
    return sorted((data / ".cache").glob("*.npz"))


def test_pictures_are_read_pixel_by_pixel_in_the_order_of_their_names(tmp_path: Path) -> None:
    classes(tmp_path / "pictures")
    raw = read(tmp_path)
    assert raw.labels == ("cat", "dog")
    assert raw.train.labels.tolist() == [0] * 10 + [1] * 10
    for place, seed in enumerate([*range(10), *range(100, 110)]):
        pixels = picture(seed, 6, 5, 3).transpose(2, 0, 1)
        assert np.array_equal(raw.train.examples[place], pixels)
    data = datasets.load("images", tmp_path, options=(("folder", "pictures"),))
    assert (len(data.train), len(data.validation), len(data.test)) == (13, 3, 4)
    assert data.normalisation is not None
    assert len(data.normalisation.mean) == 3


def test_parts_may_have_folders_of_their_own(tmp_path: Path) -> None:
    for part, count in (("train", 12), ("val", 3), ("test", 4)):
        classes(tmp_path / "pictures" / part, count)
    (tmp_path / "pictures" / "extra").mkdir()
    raw = read(tmp_path)
    assert {name: len(part) for name, part in raw.parts.items()} == {
        "train": 24,
        "validation": 6,
        "test": 8,
    }
    assert raw.notes[0] == "left out beside train: extra"
    (tmp_path / "pictures" / "val").rename(tmp_path / "pictures" / "validation")
    assert "validation" in read(tmp_path).parts
    shutil.rmtree(tmp_path / "pictures" / "test")
    shutil.rmtree(tmp_path / "pictures" / "validation")
    data = datasets.divide(read(tmp_path))
    assert (len(data.train), len(data.validation), len(data.test)) == (15, 4, 5)


def test_grey_pictures_have_one_channel_unless_another_has_colour(tmp_path: Path) -> None:
    classes(tmp_path / "pictures", shape=(6, 5))
    grey = read(tmp_path)
    assert grey.train.examples.shape == (20, 1, 6, 5)
    assert np.array_equal(grey.train.examples[3, 0], picture(3, 6, 5))
    colour = read(tmp_path, channels=3)
    assert np.array_equal(colour.train.examples, grey.train.examples.repeat(3, axis=1))
    save(picture(0, 6, 5, 3), tmp_path / "pictures" / "dog" / "99.png")
    mixed = read(tmp_path)
    assert np.array_equal(mixed.train.examples[:20], colour.train.examples)
    assert np.array_equal(mixed.train.examples[20], picture(0, 6, 5, 3).transpose(2, 0, 1))
    reduced = read(tmp_path, channels=1).train.examples
    expected = np.asarray(Image.fromarray(picture(0, 6, 5, 3)).convert("L"))
    assert np.array_equal(reduced[20, 0], expected)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
def test_pictures_of_every_mode_are_read_as_pillow_shows_them(mode: str, tmp_path: Path) -> None:
    ending = "jpg" if mode == "CMYK" else "png"
    for number in range(6):
        for label in ("cat", "dog"):
            path = tmp_path / "pictures" / label / f"{number}.{ending}"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture(number, 8, 8, 3)).convert(mode).save(path)
    # Transparency as a table of bytes, of which Pillow warns.
    indexed = Image.fromarray(picture(9, 8, 8, 3)).convert("P")
    indexed.save(tmp_path / "pictures" / "dog" / "z.png", transparency=bytes(range(256)))
    examples = read(tmp_path, channels=3).train.examples
    with Image.open(tmp_path / "pictures" / "cat" / f"3.{ending}") as image:
        assert np.array_equal(examples[3], np.asarray(image.convert("RGB")).transpose(2, 0, 1))


def test_pictures_of_several_sizes_are_scaled_or_named(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    classes(folder)
    save(picture(0, 9, 4, 3), folder / "dog" / "03.png")
    assert refusal(lambda: read(tmp_path)) == (
        f"size: required, for {folder}/cat/00.png has 5 x 6 pixels and {folder}/dog/03.png 4 x 9"
    )
    raw = read(tmp_path, size=7)
    assert raw.train.examples.shape == (20, 3, 7, 7)
    image = Image.fromarray(picture(0, 9, 4, 3)).resize((7, 7), Image.Resampling.BILINEAR)
    assert np.array_equal(raw.train.examples[13], np.asarray(image).transpose(2, 0, 1))


def test_a_turn_of_the_camera_is_undone(tmp_path: Path) -> None:
    classes(tmp_path / "pictures")
    turned = Image.Exif()
    turned[0x0112] = 6  # to be turned by a quarter
    path = tmp_path / "pictures" / "dog" / "03.png"
    save(picture(0, 5, 6, 3), path, exif=turned)
    examples = read(tmp_path).train.examples
    assert np.array_equal(examples[13], np.rot90(picture(0, 5, 6, 3), -1).transpose(2, 0, 1))


def test_jpeg_pictures_of_any_ending_are_read(tmp_path: Path) -> None:
    for number, ending in enumerate(["jpg", "jpeg", "JPG", "JPEG", "Jpg", "png"]):
        for label in ("cat", "dog"):
            path = tmp_path / "pictures" / label / f"{number}.{ending}"
            save(picture(number, 8, 8, 3), path, format="JPEG")
    examples = read(tmp_path).train.examples
    with Image.open(tmp_path / "pictures" / "cat" / "0.jpg") as image:
        assert np.array_equal(examples[0], np.asarray(image).transpose(2, 0, 1))


def test_other_files_are_left_out_and_said(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    classes(folder)
    for name in ("README.txt", "cat/labels.csv", "cat/.DS_Store", ".hidden/x"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    raw = read(tmp_path)
    assert len(raw.train) == 20
    assert raw.notes[0] == "left out: 2 beside the PNG and JPEG files, such as README.txt"


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def dead_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


def sixteen_bits(path: Path) -> None:
    Image.fromarray(picture(0, 6, 5).astype(np.uint16) * 257).save(path)


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty": (lambda path: os.truncate(path, 0), "is empty"),
    "text": (lambda path: path.write_text("no picture"), "is no PNG or JPEG picture"),
    "cut off": (cut, "cannot be read as a picture: image file is truncated"),
    "another format": (
        lambda path: Image.fromarray(picture(0, 6, 5, 3)).save(path, format="GIF"),
        "is no PNG or JPEG picture",
    ),
    "16 bits": (sixteen_bits, "has more than 8 bits for each pixel and channel: reduce them"),
    "a dead link": (
        dead_link,
        "cannot be read: No such file or directory",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_picture_that_cannot_be_read_is_named(case: str, tmp_path: Path) -> None:
    classes(tmp_path / "pictures", shape=(60, 50, 3))
    damage, said = BROKEN[case]
    path = tmp_path / "pictures" / "dog" / "07.png"
    damage(path)
    assert refusal(lambda: read(tmp_path)).startswith(f"{path}: {said}")
    assert cache(tmp_path) == []


def test_a_picture_of_too_many_pixels_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    classes(tmp_path / "pictures")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    said = refusal(lambda: read(tmp_path))
    assert said.startswith(f"{tmp_path}/pictures/cat/00.png: cannot be read as a picture: Image si")


def nested(folder: Path) -> None:
    classes(folder / "all" / "pictures")


def one_folder(folder: Path) -> None:
    classes(folder)
    shutil.rmtree(folder / "cat")


def an_empty_class(folder: Path) -> None:
    classes(folder)
    (folder / "eel").mkdir()


def another_class_in_the_test(folder: Path) -> None:
    classes(folder / "train")
    classes(folder / "test")
    (folder / "test" / "dog").rename(folder / "test" / "eel")


def two_validations(folder: Path) -> None:
    for part in ("train", "val", "validation"):
        classes(folder / part)


WRONG: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda folder: None, "folder: pictures: there is no {folder} nor "),
    "a file": (lambda folder: folder.touch(), "folder: {folder}: is a file"),
    "empty": (
        lambda folder: folder.mkdir(),
        "folder: {folder}: has no folders of pictures, one for each class",
    ),
    "one level too high": (
        nested,
        "folder: {folder}/all: class 'all' has no PNG or JPEG files",
    ),
    "one class": (one_folder, "pictures: train targets: all are 'dog', a classifier needs two"),
    "an empty class": (
        an_empty_class,
        "folder: {folder}/eel: class 'eel' has no PNG or JPEG files",
    ),
    "another class in the test": (
        another_class_in_the_test,
        "pictures: test targets: label 'eel' is that of no training example",
    ),
    "two folders of validation": (
        two_validations,
        "folder: {folder}: has validation/ and val/: one is enough",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_folder_is_one_line(case: str, tmp_path: Path) -> None:
    make, said = WRONG[case]
    folder = tmp_path / "pictures"
    make(folder)
    assert refusal(lambda: read(tmp_path)).startswith(said.format(folder=folder))


def test_what_was_read_is_cached_until_a_picture_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    classes(tmp_path / "pictures")
    first = read(tmp_path)
    [file] = cache(tmp_path)
    monkeypatch.setattr(picture_files, "_pixels", None)  # no picture is decoded any more
    assert read(tmp_path).digest == first.digest
    monkeypatch.undo()
    cats = tmp_path / "pictures" / "cat"
    changes: tuple[Callable[[], object], ...] = (
        lambda: os.utime(cats / "00.png", (1, 1)),
        lambda: save(picture(7, 6, 5, 3), cats / "11.png"),
        (cats / "11.png").unlink,
        lambda: cats.rename(tmp_path / "pictures" / "ape"),
    )
    for change in changes:
        change()
        read(tmp_path)
        [newer] = cache(tmp_path)  # the older one is gone
        assert newer != file
        file = newer
    read(tmp_path, size=4)  # of the same pictures, but another file
    assert len(cache(tmp_path)) == 2


@pytest.mark.parametrize("damage", ["cut off", "another bit", "empty", "garbage"])
def test_a_damaged_cache_is_read_anew(
    damage: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    classes(tmp_path / "pictures")
    first = read(tmp_path)
    [file] = cache(tmp_path)
    content = file.read_bytes()
    changed = bytearray(content)
    changed[len(content) // 2] ^= 1
    damaged = {
        "cut off": content[:-100],
        "another bit": bytes(changed),
        "empty": b"",
        "garbage": b"x" * 99,
    }
    file.write_bytes(damaged[damage])
    with caplog.at_level(logging.WARNING):
        assert read(tmp_path).digest == first.digest
    assert f"{file}: cannot be used, pictures are read anew" in caplog.text
    caplog.clear()
    assert read(tmp_path).digest == first.digest
    assert caplog.text == ""


def test_the_cache_lies_in_the_users_where_the_folder_cannot_be_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    classes(tmp_path / "data" / "pictures")
    (tmp_path / "data" / ".cache").touch()  # as a folder that may not be made, also for root
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    read(tmp_path / "data")
    assert len(cache(tmp_path / "home" / "sweeper")) == 1
    monkeypatch.setattr(picture_files, "_pixels", None)
    read(tmp_path / "data")


def test_without_a_place_for_the_cache_pictures_are_read_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    classes(tmp_path / "pictures")
    monkeypatch.setattr("sweeper.training.picture_cache.cache_folders", lambda folder: ())
    assert len(read(tmp_path).train) == 20
    assert cache(tmp_path) == []


def test_what_takes_long_is_said_now_and_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    classes(tmp_path / "pictures", count=200, shape=(2, 2))
    monkeypatch.setattr(image_folder, "NOTICE_SECONDS", 0.02)
    decode = picture_files.decoded

    def slowly(*picture: Any) -> Pixels:
        time.sleep(0.002)
        return decode(*picture)

    monkeypatch.setattr(image_folder, "decoded", slowly)
    lines: list[str] = []
    read(tmp_path, lines.append)
    assert 1 <= len(lines) <= 1 + 400 * 0.002 / 0.1
    assert lines[0].startswith(f"{tmp_path}/pictures: ")
    assert lines[0].endswith(" of 400 pictures read")
    lines.clear()
    read(tmp_path, lines.append)
    assert lines == []


def test_the_number_of_threads_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    classes(tmp_path / "pictures", count=150)
    digests = set()
    for threads in (1, 5):
        monkeypatch.setattr(image_folder, "_MOST_THREADS", threads)
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
        monkeypatch.setattr("sweeper.training.picture_cache.cache_folders", lambda folder: ())
        digests.add(read(tmp_path).digest)
    assert len(digests) == 1
