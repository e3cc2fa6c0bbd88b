"""Datasets: one split for everybody, one line when something is missing."""

import dataclasses
import gzip
import hashlib
import os
import shutil
import struct
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from sweeper import settings
from sweeper.config.registry import DATASETS, dataset_files
from sweeper.errors import DataError
from sweeper.training import bundled_datasets, datasets
from sweeper.training.bundled_datasets import read_digits


def test_digits_are_split_as_the_registry_says() -> None:
    data = datasets.load("digits")
    known = DATASETS["digits"]
    assert (len(data.train), len(data.validation), len(data.test)) == (1137, 300, 360)
    assert data.shape == known.shape
    assert data.train.examples.dtype == torch.float32
    assert data.train.examples.mean().item() == pytest.approx(0, abs=1e-4)
    assert data.train.examples.std().item() == pytest.approx(1, abs=1e-4)


def test_hash_of_the_digits_is_the_published_one() -> None:
    published = "025e7ad80dfe5853e0e251fb3150a77d003440d24687d4b5faead011d9b4c91b"
    assert datasets.load("digits").hash == published


def test_digits_are_read_without_scikit_learn_or_else_by_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Oracle: scikit-learn's own reader.
    bundle = load_digits()
    test = np.arange(len(bundle.target)) % 5 == 0
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "sklearn.datasets", None)  # importing it would fail
        from_file = read_digits(Path())
    monkeypatch.setattr(bundled_datasets, "find_spec", lambda name: None)
    for raw in (from_file, read_digits(Path())):
        for part, rows in ((raw.train, ~test), (raw.test, test)):
            assert part is not None
            assert part.examples.dtype == np.uint8
            assert np.array_equal(part.examples[:, 0], bundle.images[rows])
            assert np.array_equal(part.labels, bundle.target[rows])


@pytest.mark.skipif("SWEEPER_DATA" not in os.environ, reason="SWEEPER_DATA names no MNIST folder")
def test_mnist_is_split_as_published() -> None:
    data = datasets.load("mnist")
    published = "31c7780da6a532fd815c23c44a6f4acd6922f36022b7f12e1828d79b0a7a9eb7"
    assert data.hash == published
    assert (len(data.train), len(data.validation), len(data.test)) == (50_000, 10_000, 10_000)


def test_missing_files_give_one_line_that_says_what_is_expected_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No network: the file that is there stays alone.
    monkeypatch.setattr("torchvision.datasets.mnist.MNIST.mirrors", ["http://127.0.0.1:9/"])
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    with pytest.raises(DataError) as caught:
        datasets.load("mnist", tmp_path)
    text = str(caught.value)
    assert "\n" not in text
    assert "not found" in text
    assert str(raw) in text
    assert "train-images-idx3-ubyte" in text


KINDS = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST"}


def published(folder: Path, name: str) -> Path:
    """Write a dataset as it is published: real MNIST, or as many images of noise."""
    raw = folder / KINDS[name] / "raw"
    raw.mkdir(parents=True)
    if name == "mnist":
        for file in (Path(os.environ["SWEEPER_DATA"]) / "MNIST" / "raw").glob("*ubyte"):
            shutil.copy(file, raw)
            (raw / file.name).chmod(0o644)
        return raw
    random = np.random.default_rng(0)
    for stem, count in (("train", 60_000), ("t10k", 10_000)):
        pixels = random.integers(0, 256, count * 784, dtype=np.uint8).tobytes()
        head = struct.pack(">4B3I", 0, 0, 8, 3, count, 28, 28)
        (raw / f"{stem}-images-idx3-ubyte").write_bytes(head + pixels)
        labels = random.integers(0, 10, count, dtype=np.uint8).tobytes()
        head = struct.pack(">4BI", 0, 0, 8, 1, count)
        (raw / f"{stem}-labels-idx1-ubyte").write_bytes(head + labels)
    return raw


def overwrite(path: Path, at: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(content)


def zero_half(raw: Path) -> None:
    path = raw / "train-images-idx3-ubyte"
    size = path.stat().st_size
    os.truncate(path, size // 2)
    os.truncate(path, size)


def equal_images(raw: Path) -> None:
    path = raw / "t10k-images-idx3-ubyte"
    overwrite(path, 16, 10_000 * bytes(index % 256 for index in range(784)))


DAMAGE: dict[str, tuple[Callable[[Path], object], str, str | None]] = {
    # What is done to the files; what is said where checksums are known, and where none are, if
    # that is something else.
    "half of it zeros": (
        zero_half,
        "train-images-idx3-ubyte has another checksum",
        "30,000 of its 60,000 training images are of a single value",
    ),
    "another bit": (
        lambda raw: overwrite(raw / "t10k-images-idx3-ubyte", 5_000_000, b"x"),
        "t10k-images-idx3-ubyte has another checksum",
        "",
    ),
    "equal images": (
        equal_images,
        "t10k-images-idx3-ubyte has another checksum",
        "all of its test images are equal",
    ),
    "labels outside": (
        lambda raw: overwrite(raw / "train-labels-idx1-ubyte", 1000, b"\xff" * 4),
        "train-labels-idx1-ubyte holds 4 labels that are not 0 to 9, as 255",
        None,
    ),
    "a copy": (
        lambda raw: shutil.copy(raw / "t10k-labels-idx1-ubyte", raw / "train-labels-idx1-ubyte"),
        "train-labels-idx1-ubyte is a copy of t10k-labels-idx1-ubyte",
        None,
    ),
    "cut off": (
        lambda raw: os.truncate(raw / "train-images-idx3-ubyte", 40_000_000),
        "train-images-idx3-ubyte is cut off: 40,000,000 bytes, expected 47,040,016",
        None,
    ),
    "too long": (
        lambda raw: os.truncate(raw / "train-labels-idx1-ubyte", 60_009),
        "train-labels-idx1-ubyte is too long: 60,009 bytes, expected 60,008",
        None,
    ),
    "empty": (
        lambda raw: os.truncate(raw / "t10k-labels-idx1-ubyte", 0),
        "t10k-labels-idx1-ubyte is empty",
        None,
    ),
    "garbage": (
        lambda raw: (raw / "t10k-labels-idx1-ubyte").write_bytes(b"nothing of use"),
        "t10k-labels-idx1-ubyte is no file of this kind",
        None,
    ),
    "compressed": (
        lambda raw: (raw / "t10k-labels-idx1-ubyte").write_bytes(gzip.compress(b"labels")),
        "t10k-labels-idx1-ubyte is compressed: gunzip it",
        None,
    ),
    "fewer": (
        lambda raw: (raw / "train-labels-idx1-ubyte").write_bytes(
            struct.pack(">4BI", 0, 0, 8, 1, 50_000) + bytes(50_000)
        ),
        "train-labels-idx1-ubyte holds 50,000, expected 60,000",
        None,
    ),
    "one class": (
        lambda raw: overwrite(raw / "train-labels-idx1-ubyte", 8, bytes(60_000)),
        "train-labels-idx1-ubyte has another checksum",
        "none of its training labels is 1",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            "mnist",
            marks=pytest.mark.skipif(
                "SWEEPER_DATA" not in os.environ, reason="SWEEPER_DATA names no MNIST folder"
            ),
        ),
        "fashion-mnist",
    ],
)
def test_damaged_files_are_named_with_what_is_wrong(name: str, tmp_path: Path) -> None:
    raw = published(tmp_path / "whole", name)
    assert len(datasets.load(name, tmp_path / "whole").test) == 10_000
    for number, (damage, known, unknown) in enumerate(DAMAGE.values()):
        folder = tmp_path / str(number)
        damaged = folder / KINDS[name] / "raw"
        shutil.copytree(raw, damaged)
        damage(damaged)
        said = known if name == "mnist" or unknown is None else unknown
        if not said:
            datasets.load(name, folder)
            continue
        with pytest.raises(DataError) as caught:
            datasets.load(name, folder)
        text = str(caught.value)
        assert text.startswith(f"{name}: damaged: ")
        assert text.endswith(f"{said}; delete them, and sweeper data {name} fetches them again")
        assert "\n" not in text
        if said.startswith(("train-", "t10k-")):
            assert f"{damaged}/{said}" in text
        shutil.rmtree(folder)


def test_files_of_unknown_checksum_are_held_against_what_they_were_unpacked_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = published(tmp_path, "fashion-mnist")
    file = raw / "t10k-images-idx3-ubyte"
    packed = gzip.compress(file.read_bytes(), 1)
    (raw / f"{file.name}.gz").write_bytes(packed)
    known = dataclasses.replace(
        DATASETS["fashion-mnist"], downloads={f"{file.name}.gz": hashlib.md5(packed).hexdigest()}
    )
    assert dataset_files.damage(raw, known) == {}
    overwrite(file, 5_000_000, b"another")
    assert dataset_files.damage(raw, known) == {file.name: f"is not what {file.name}.gz holds"}
    # One that is not as it was published says nothing.
    assert dataset_files.damage(raw, DATASETS["fashion-mnist"]) == {}


def test_checksums_of_downloads_are_torchvisions() -> None:
    from torchvision import datasets as torchvisions

    for known in DATASETS.values():
        if not known.torchvision:
            assert dataset_files.names(known) == ()
            continue
        theirs = getattr(torchvisions, known.torchvision)
        if known.torchvision == "SVHN":
            parts = [theirs.split_list[part][1:] for part in ("train", "test")]
            assert dict(known.files) == dict(parts)
        elif known.files:
            meta = theirs.meta
            parts = [*theirs.train_list, *theirs.test_list, (meta["filename"], meta["md5"])]
            assert dict(known.files) == dict(parts)
            assert known.folder == theirs.base_folder
        elif known.subset:  # its names are formed when it is read
            assert known.subset in theirs.splits
        else:
            resources = dict(theirs.resources)
            assert not known.downloads or dict(known.downloads) == resources
            assert {f"{file}.gz" for file in dataset_files.shapes(known)} == set(resources)
            assert set(known.checksums) in (set(), set(dataset_files.shapes(known)))


def test_folder_is_the_option_then_the_environment_then_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWEEPER_DATA", str(tmp_path / "environment"))
    assert settings.data_folder(tmp_path / "option") == tmp_path / "option"
    assert settings.data_folder() == tmp_path / "environment"
    monkeypatch.delenv("SWEEPER_DATA")
    assert settings.data_folder().name == "sweeper"


def test_unknown_dataset_suggests_the_near_miss() -> None:
    with pytest.raises(DataError, match="did you mean 'mnist'"):
        datasets.load("minst")
