"""Files of torchvision's datasets, small ones in the very formats: read, missing, damaged."""

import dataclasses
import hashlib
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import torch
from torchvision import datasets as torchvisions

from sweeper.config.registry import DATASETS, DatasetEntry, dataset_files
from sweeper.errors import DataError
from sweeper.operations.doctor.findings import Finding
from sweeper.operations.doctor.machine_checks import examine_machine
from sweeper.training import datasets, idx_files

Arrays = dict[str, np.ndarray[Any, Any]]
SIZES = (300, 100, 100)
"""Training, validation and test images."""


def arrays(entry: DatasetEntry) -> Arrays:
    """Return random images and all labels of a dataset, of the sizes that its entry has."""
    random = np.random.default_rng(0)
    made: Arrays = {}
    for part, count in (("train", entry.train + entry.validation), ("test", entry.test)):
        made[part] = random.integers(0, 256, (count, *entry.shape), dtype=np.uint8)
        made[f"{part} labels"] = random.permutation(np.arange(count) % entry.classes)
    return made


def write_idx(entry: DatasetEntry, made: Arrays, folder: Path) -> None:
    raw = dataset_files.raw_folder(folder, entry)
    raw.mkdir(parents=True)
    for file, shape in dataset_files.shapes(entry).items():
        part = "train" if "train" in file else "test"
        array = made[part] if "images" in file else made[f"{part} labels"]
        head = struct.pack(f">4B{len(shape)}I", 0, 0, 8, len(shape), *shape)
        (raw / file).write_bytes(head + array.astype(np.uint8).tobytes())


def write_cifar(entry: DatasetEntry, made: Arrays, folder: Path) -> None:
    raw = dataset_files.raw_folder(folder, entry)
    raw.mkdir(parents=True)
    fine = entry.torchvision == "CIFAR100"
    names = [file for file in entry.files if "meta" not in file]
    for part in ("train", "test"):
        files = [name for name in names if ("test" in name) == (part == "test")]
        images = np.array_split(made[part].reshape(len(made[part]), -1), len(files))
        labels = np.array_split(made[f"{part} labels"], len(files))
        for file, pixels, of_file in zip(files, images, labels, strict=True):
            key = "fine_labels" if fine else "labels"
            batch = {"data": pixels, key: of_file.tolist(), "batch_label": file}
            (raw / file).write_bytes(pickle.dumps(batch))
    [meta] = set(entry.files) - set(names)
    key = "fine_label_names" if fine else "label_names"
    texts = [f"class {number}" for number in range(entry.classes)]
    (raw / meta).write_bytes(pickle.dumps({key: texts}))


def write_svhn(entry: DatasetEntry, made: Arrays, folder: Path) -> None:
    for part in ("train", "test"):
        labels = made[f"{part} labels"].astype(np.uint8)
        content = {
            "X": made[part].transpose(2, 3, 1, 0),
            "y": np.where(labels == 0, 10, labels)[:, None],  # as it is published
        }
        scipy.io.savemat(folder / f"{part}_32x32.mat", content)


WRITERS: dict[str, Callable[[DatasetEntry, Arrays, Path], None]] = {
    "kmnist": write_idx,
    "emnist": write_idx,
    "cifar10": write_cifar,
    "cifar100": write_cifar,
    "svhn": write_svhn,
}


@pytest.fixture(params=WRITERS)
def small(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[str, Arrays]:
    """Write a dataset small, and have the registry and torchvision expect it; its name, arrays."""
    name = str(request.param)
    entry = dataclasses.replace(DATASETS[name], train=SIZES[0], validation=SIZES[1], test=SIZES[2])
    made = arrays(entry)
    WRITERS[name](entry, made, tmp_path)
    raw = dataset_files.raw_folder(tmp_path, entry)
    checksums = {file: hashlib.md5((raw / file).read_bytes()).hexdigest() for file in entry.files}
    monkeypatch.setitem(
        DATASETS,
        name,
        dataclasses.replace(entry, files=checksums, downloads={}),
    )
    theirs = getattr(torchvisions, entry.torchvision)
    if name == "svhn":
        parts = {
            part: ["http://127.0.0.1:9/", file, checksums[file]]
            for part, file in zip(("train", "test"), entry.files, strict=True)
        }
        monkeypatch.setattr(theirs, "split_list", parts)
    elif entry.files:
        files = [[file, checksum] for file, checksum in checksums.items() if "meta" not in file]
        is_test = [file.startswith("test") for file, _ in files]
        monkeypatch.setattr(theirs, "train_list", [f for f, t in zip(files, is_test) if not t])  # noqa: B905
        monkeypatch.setattr(theirs, "test_list", [f for f, t in zip(files, is_test) if t])  # noqa: B905
        meta = theirs.meta["filename"]
        monkeypatch.setattr(theirs, "meta", {**theirs.meta, "md5": checksums[meta]})
    monkeypatch.setattr(theirs, "mirrors", ["http://127.0.0.1:9/"], raising=False)
    monkeypatch.setattr(theirs, "url", "http://127.0.0.1:9/", raising=False)
    return name, made


def examined(folder: Path) -> list[Finding]:
    """Return what the doctor says of datasets."""
    nothing: Callable[[], int] = lambda: 0  # noqa: E731
    all_findings = examine_machine(folder, cores=nothing, gpus=nothing, usable=nothing)
    return [finding for finding in all_findings if finding.check == "datasets"]


def test_files_of_torchvisions_formats_are_read_to_the_pixel(
    small: tuple[str, Arrays], tmp_path: Path
) -> None:
    name, made = small
    assert datasets.is_here(name, tmp_path)
    raw = datasets.read(name, tmp_path)
    assert np.array_equal(raw.train.examples, made["train"])
    assert np.array_equal(raw.train.labels, made["train labels"])
    assert np.array_equal(raw.parts["test"].examples, made["test"])
    assert np.array_equal(raw.parts["test"].labels, made["test labels"])
    data = datasets.load(name, tmp_path)
    assert (len(data.train), len(data.validation), len(data.test)) == SIZES
    channels = data.train.examples.transpose(0, 1).flatten(1)
    assert torch.allclose(channels.mean(1), torch.zeros(len(channels)), atol=1e-5)
    assert len(data.labels) in (0, data.classes)
    assert datasets.fetch(name, tmp_path) == tmp_path
    [found] = examined(tmp_path)
    assert found.state == "ok"
    assert name in found.result.partition(";")[0]


def test_missing_files_are_no_dataset(small: tuple[str, Arrays], tmp_path: Path) -> None:
    name, _ = small
    entry = DATASETS[name]
    raw = dataset_files.raw_folder(tmp_path, entry)
    for file in dataset_files.names(entry):
        content = (raw / file).read_bytes()
        (raw / file).unlink()
        assert not datasets.is_here(name, tmp_path)
        (raw / file).write_bytes(content)
    for file in dataset_files.names(entry):
        (raw / file).unlink()
    with pytest.raises(DataError) as caught:
        datasets.load(name, tmp_path)
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith(f"{entry.torchvision}: not found and not downloaded (")
    assert f"expected in {raw}: {', '.join(dataset_files.names(entry))}; set SWEEPER_DATA" in text


def test_damaged_files_are_named(small: tuple[str, Arrays], tmp_path: Path) -> None:
    name, _ = small
    entry = DATASETS[name]
    raw = dataset_files.raw_folder(tmp_path, entry)
    for file in dataset_files.names(entry):
        content = (raw / file).read_bytes()
        for damaged, said in (
            (b"", "is empty"),
            (content[:-9], "has another checksum" if entry.files else "is cut off: "),
        ):
            (raw / file).write_bytes(damaged)
            with pytest.raises(DataError) as caught:
                datasets.load(name, tmp_path)
            text = str(caught.value)
            assert text.startswith(f"{name}: damaged: {raw}/{file} {said}")
            assert text.endswith(f"; delete them, and sweeper data {name} fetches them again")
            assert "\n" not in text
            first, _ = examined(tmp_path)
            assert first.state == "wrong"
            assert first.result.startswith(f"{name}: damaged: {file} {said}")
            # SVHN has no folder of its own, which could be removed as a whole.
            remove = f"rm -r {raw};" if entry.folder else f"rm {raw}/{file};"
            assert first.todo.startswith(remove)
        (raw / file).write_bytes(content)


def test_labels_that_cannot_be_are_told(
    small: tuple[str, Arrays], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    name, _ = small
    entry = DATASETS[name]
    fewer = dataclasses.replace(entry, classes=entry.classes - 1)
    monkeypatch.setitem(DATASETS, name, fewer)
    with pytest.raises(DataError, match=f"{name}: damaged: .*labels"):
        datasets.load(name, tmp_path)
    more = dataclasses.replace(entry, test=entry.test + 1)
    monkeypatch.setitem(DATASETS, name, more)
    with pytest.raises(DataError, match=f"{name}: damaged: .*(expected|cut off|holds)"):
        datasets.load(name, tmp_path)


@pytest.mark.parametrize("kind", sorted(idx_files.CLASSES))
def test_classes_have_the_names_of_torchvision(kind: str) -> None:
    assert list(idx_files.CLASSES[kind]) == getattr(torchvisions, kind).classes


def test_whole_files_in_the_format_of_mnist_are_read_without_torchvision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Oracle: torchvision.
    entry = dataclasses.replace(DATASETS["kmnist"], train=50, validation=20, test=30)
    made = arrays(entry)
    write_idx(entry, made, tmp_path)
    monkeypatch.setattr(torchvisions.KMNIST, "_check_exists", lambda self: True)
    parts = idx_files.read_parts(entry, dataset_files.raw_folder(tmp_path, entry))
    assert parts is not None
    for part, train in zip(parts, (True, False), strict=True):
        expected = torchvisions.KMNIST(str(tmp_path), train=train)
        assert np.array_equal(part.examples, np.asarray(expected.data)[:, None])
        assert np.array_equal(part.labels, np.asarray(expected.targets))
    damaged = dataclasses.replace(entry, test=31)
    raw = dataset_files.raw_folder(tmp_path, entry)
    assert idx_files.read_parts(damaged, raw) is None
    file = raw / "t10k-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:-1])
    assert idx_files.read_parts(entry, raw) is None
    assert idx_files.read_parts(entry, tmp_path / "elsewhere") is None
    assert idx_files.read_parts(DATASETS["emnist"], raw) is None
