"""A dataset of a user's own: what it may be, and the one line for each thing that is wrong."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from support.refusals import refusal
from sweeper import Dataset
from sweeper.errors import PluginError
from sweeper.training import datasets
from sweeper.training.user_dataset import checked

NUMBERS = np.arange(24, dtype=np.float32).reshape(12, 2)
LABELS = np.arange(12) % 2


@pytest.mark.parametrize(
    ("inputs", "shape", "dtype"),
    [
        (NUMBERS, (2,), np.float32),
        (NUMBERS.astype(np.float64), (2,), np.float32),
        (NUMBERS.astype(np.float16), (2,), np.float32),
        (NUMBERS.astype(">f4"), (2,), np.float32),
        (NUMBERS.tolist(), (2,), np.float32),
        (torch.from_numpy(NUMBERS).requires_grad_(), (2,), np.float32),
        (torch.from_numpy(NUMBERS).bfloat16(), (2,), np.float32),
        (NUMBERS.astype(bool) ^ (LABELS == 0)[:, None], (2,), np.float32),
        (NUMBERS.astype(np.int32), (2,), np.int64),
        (torch.from_numpy(NUMBERS).long(), (2,), np.int64),
        (np.arange(144, dtype=np.float32).reshape(12, 3, 4), (3, 4), np.float32),
        (np.arange(240, dtype=np.uint8).reshape(12, 5, 4), (1, 5, 4), np.uint8),
        (np.arange(240, dtype=np.uint8).reshape(12, 5, 4, 1), (1, 5, 4), np.uint8),
        (np.arange(240, dtype=np.uint8).reshape(12, 1, 5, 4), (1, 5, 4), np.uint8),
    ],
)
def test_inputs_of_any_kind_become_images_token_ids_or_numbers(
    inputs: Any, shape: tuple[int, ...], dtype: type
) -> None:
    raw = checked(Dataset((inputs, LABELS)), "mine:make")
    assert raw.train.examples.shape == (12, *shape)
    assert raw.train.examples.dtype == dtype
    if dtype != np.uint8 and not isinstance(inputs, torch.Tensor) and shape == (2,):
        assert np.array_equal(raw.train.examples, np.asarray(inputs).astype(dtype))
    assert raw.standardised == ((True,) if dtype == np.uint8 else ())
    assert (raw.notes, raw.labels, raw.classes) == ((), (), 2)


def test_colour_images_are_the_same_with_channels_first_and_last() -> None:
    last = np.random.default_rng(0).integers(0, 256, (12, 5, 4, 3), dtype=np.uint8)
    first = np.ascontiguousarray(last.transpose(0, 3, 1, 2))
    raws = [checked(Dataset((images, LABELS)), "mine:make") for images in (last, first)]
    assert np.array_equal(raws[0].train.examples, first)
    assert raws[0].digest == raws[1].digest
    assert raws[0].standardised == (True, True, True)


def test_images_are_standardised_by_channel_over_the_training_examples() -> None:
    random = np.random.default_rng(0)
    images = (random.integers(0, 64, (100, 3, 4, 4)) * [[[[1]], [[2]], [[4]]]]).astype(np.uint8)
    data = datasets.divide(checked(Dataset((images, np.arange(100) % 5)), "mine:make"))
    scale = data.normalisation
    assert scale is not None
    flat = data.train.examples.transpose(0, 1).flatten(1)
    assert torch.allclose(flat.mean(1), torch.zeros(3), atol=1e-5)
    assert torch.allclose(flat.std(1, correction=0), torch.ones(3), atol=1e-5)
    # Oracle: all raw images, whatever part they came to.
    mean, deviation = (torch.tensor(n).reshape(3, 1, 1) for n in (scale.mean, scale.deviation))
    parts = (data.train, data.validation, data.test)
    raw = torch.cat([part.examples * deviation + mean for part in parts])
    assert sorted(raw.round().int().flatten().tolist()) == sorted(images.flatten().tolist())


def test_numbers_stay_as_they_are_unless_they_are_to_be_standardised() -> None:
    random = np.random.default_rng(0)
    table = random.normal(5, 3, (200, 4))
    table[:, 2] = 0.1  # which float64 cannot hold: its mean is another number than each value
    table[:, 3] += 1.7e9  # seconds since 1970: float32 holds them to 128
    labels = np.arange(200) % 2
    kept = datasets.divide(checked(Dataset((table, labels)), "mine:make"))
    assert kept.normalisation is None
    assert set(kept.test.examples[:, 0].tolist()) <= set(table[:, 0].astype(np.float32).tolist())
    scaled = datasets.divide(checked(Dataset((table, labels), standardise=True), "mine:make"))
    assert scaled.normalisation is not None
    assert scaled.normalisation.deviation[2] == 1
    assert scaled.normalisation.mean[2] == 0.1
    assert (scaled.train.examples[:, 2] == 0).all()
    assert scaled.train.examples[:, 3].std().item() == pytest.approx(1, abs=0.01)
    assert len(set(scaled.train.examples[:, 3].tolist())) == len(scaled.train)
    assert kept.hash != scaled.hash


def test_whole_numbers_are_token_ids_unless_they_are_to_be_standardised() -> None:
    ids = np.arange(400).reshape(100, 4)
    labels = np.arange(100) % 2
    data = datasets.divide(checked(Dataset((ids, labels)), "mine:make"))
    assert data.train.examples.dtype == torch.int64
    assert data.normalisation is None
    assert set(data.test.examples.flatten().tolist()) <= set(range(400))
    data = datasets.divide(checked(Dataset((ids, labels), standardise=True), "mine:make"))
    assert data.train.examples.dtype == torch.float32
    assert data.train.examples.mean().item() == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize(
    ("targets", "labels", "note"),
    [
        (LABELS, (), ""),
        (LABELS.astype(np.float64), (), ""),
        (LABELS.astype(bool), (), ""),
        (torch.from_numpy(LABELS), (), ""),
        (LABELS + 1, ("1", "2"), "labels 1, 2 became 0, 1"),
        (LABELS * 2.0 - 1, ("-1", "1"), "labels -1, 1 became 0, 1"),
        (np.where(LABELS, "a", "b"), ("a", "b"), "labels 'a', 'b' became 0, 1"),
        (np.where(LABELS, b"a", b"b"), ("a", "b"), "labels 'a', 'b' became 0, 1"),
        (np.where(LABELS, "a", "b").astype(object), ("a", "b"), "labels 'a', 'b' became 0, 1"),
        (np.arange(12) * 10, tuple(map(str, range(0, 120, 10))), "labels 0, 10, 20, ..., 110 be"),
    ],
)
def test_labels_become_0_to_k_in_sorted_order(
    targets: Any, labels: tuple[str, ...], note: str
) -> None:
    raw = checked(Dataset((NUMBERS, targets)), "mine:make")
    assert raw.labels == labels
    assert "".join(raw.notes).startswith(note)
    assert bool(raw.notes) == bool(note)
    given = [value.decode() if isinstance(value, bytes) else value for value in list(targets)]
    order = sorted({value.item() if hasattr(value, "item") else value for value in given})
    assert raw.train.labels.tolist() == [order.index(value) for value in given]


def uneven() -> list[list[int]]:
    return [[1, 2], [3]]


def with_value(value: float) -> np.ndarray[Any, Any]:
    changed = NUMBERS.copy()
    changed[3, 1] = value
    return changed


WRONG: dict[str, tuple[Any, str]] = {
    "no dataset": ((NUMBERS, LABELS), "must return a sweeper.Dataset, got tuple"),
    "no pair": (Dataset(NUMBERS), "train: must be a pair, inputs and targets, got ndarray"),  # type: ignore[arg-type]
    "nothing": (Dataset(None), "train: must be a pair, inputs and targets, got None"),  # type: ignore[arg-type]
    "a triple": (
        Dataset((NUMBERS, LABELS), test=(1, 2, 3)),  # type: ignore[arg-type]
        "test: must be a pair, inputs and targets, got a tuple of 3",
    ),
    "lengths": (Dataset((NUMBERS[:11], LABELS)), "train: 11 inputs, but 12 targets"),
    "lengths of the test": (
        Dataset((NUMBERS, LABELS), (NUMBERS, LABELS[:5])),
        "test: 12 inputs, but 5 targets",
    ),
    "empty": (Dataset((NUMBERS[:0], LABELS[:0])), "train inputs: are empty"),
    "an empty test": (
        Dataset((NUMBERS, LABELS), (NUMBERS[:0], LABELS[:0])),
        "test inputs: are empty",
    ),
    "one axis": (
        Dataset((NUMBERS[:, 0], LABELS)),
        "train inputs: must have shape [n, ...], got [12]",
    ),
    "no columns": (
        Dataset((NUMBERS[:, :0], LABELS)),
        "train inputs: must have shape [n, ...], got [12, 0]",
    ),
    "NaN": (
        Dataset((with_value(np.nan), LABELS)),
        "train inputs: must be finite, got nan in example 3, position [1]",
    ),
    "infinity": (
        Dataset((NUMBERS, LABELS), validation=(with_value(-np.inf), LABELS)),
        "validation inputs: must be finite, got -inf in example 3, position [1]",
    ),
    "too large": (
        Dataset((NUMBERS.astype(np.float64) * 1e300, LABELS)),
        "train inputs: must fit float32, got 2.3e+301",
    ),
    "text": (
        Dataset((NUMBERS.astype(str), LABELS)),
        "train inputs: must be numbers, got ndarray of <U32",
    ),
    "complex": (
        Dataset((NUMBERS.astype(complex), LABELS)),
        "train inputs: must be numbers, got ndarray of complex128",
    ),
    "uneven": (
        Dataset((uneven(), LABELS)),
        "train inputs: must be one array, got a list of 2: setting an array element",
    ),
    "negative token ids": (
        Dataset((NUMBERS.astype(int) - 1, LABELS)),
        "train inputs: whole numbers are token ids and must be >= 0, got -1; numbers of",
    ),
    "flat bytes": (
        Dataset((NUMBERS.astype(np.uint8), LABELS)),
        "train inputs: uint8 is for images, [n, height, width] or with channels, got [12, 2]",
    ),
    "channels": (
        Dataset((np.zeros((12, 4, 5, 4), np.uint8), LABELS)),
        "train inputs: images must have 1 or 3 channels, got [12, 4, 5, 4]",
    ),
    "ambiguous channels": (
        Dataset((np.zeros((12, 3, 5, 3), np.uint8), LABELS)),
        "train inputs: of images [12, 3, 5, 3], channels may be the second or the last axis",
    ),
    "another shape": (
        Dataset((NUMBERS, LABELS), (NUMBERS[:, :1], LABELS)),
        "test inputs: must have shape [2] as in train, got [1]",
    ),
    "another type": (
        Dataset((NUMBERS, LABELS), (NUMBERS.astype(int), LABELS)),
        "test inputs: must have type float32 as in train, got int64",
    ),
    "all equal": (
        Dataset((np.ones((12, 2)), LABELS)),
        "train inputs: all 12 are equal",
    ),
    "one class": (
        Dataset((NUMBERS, np.full(12, 7))),
        "train targets: all are 7, a classifier needs two classes",
    ),
    "fractions": (
        Dataset((NUMBERS, LABELS + 0.5)),
        "train targets: must be whole numbers or text, got 0.5 in example 0",
    ),
    "NaN as label": (
        Dataset((NUMBERS, np.where(LABELS, np.nan, 1))),
        "train targets: must be whole numbers or text, got nan in example 1",
    ),
    "no label": (
        Dataset((NUMBERS, np.array(["a", None] * 6, dtype=object))),
        "train targets: the label of example 1 is missing",
    ),
    "two kinds of labels": (
        Dataset((NUMBERS, np.array(["a", 1] * 6, dtype=object))),
        "train targets: must be whole numbers alone or text alone, got int and str",
    ),
    "one hot": (
        Dataset((NUMBERS, np.eye(2)[LABELS])),
        "train targets: must be one label for each example, shape [n], got [12, 2]",
    ),
    "dates as labels": (
        Dataset((NUMBERS, LABELS.astype("datetime64[D]"))),
        "train targets: must be whole numbers or text, got datetime64[D]",
    ),
    "text of another encoding": (
        Dataset((NUMBERS, np.where(LABELS, b"\xff", b"b"))),
        "train targets: text must be UTF-8: invalid start byte",
    ),
    "a class of the test alone": (
        Dataset((NUMBERS, LABELS), (NUMBERS, LABELS + 1)),
        "test targets: label 2 is that of no training example",
    ),
    "text in the test": (
        Dataset((NUMBERS, LABELS), (NUMBERS, LABELS.astype(str))),
        "test targets: must be whole numbers as in train, got text",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_data_are_one_line(case: str) -> None:
    dataset, said = WRONG[case]
    assert refusal(lambda: checked(dataset, "mine:make")).startswith(f"mine:make: {said}")


MODULE = """
import numpy as np
from sweeper import Dataset
from sweeper.errors import DataError

def rings(folder, rows=60, noise=0.1, name="x"):
    random = np.random.default_rng(rows)
    labels = np.arange(rows) % 3
    inputs = labels[:, None] + random.normal(0, noise, (rows, 2))
    return Dataset((inputs, labels))

def from_folder(folder, file):
    return Dataset((np.load(folder / file), np.arange(12) % 2))

def broken(folder):
    return [][1]

def refuses(folder):
    raise DataError("not for you")

def leaves(folder):
    raise SystemExit("bye")

number = 3
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Write a module of a user's own into the path of imports; return its name."""
    name = f"datasets_of_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


def test_a_function_is_called_with_the_folder_and_the_options(module: str, tmp_path: Path) -> None:
    data = datasets.load(f"{module}:rings", options=(("noise", 0.5), ("rows", 90)))
    assert (len(data.train), len(data.validation), len(data.test)) == (58, 14, 18)
    assert (data.classes, data.shape, data.name) == (3, (2,), f"{module}:rings")
    assert (
        data.hash == datasets.load(f"{module}:rings", options=(("noise", 0.5), ("rows", 90))).hash
    )
    assert data.hash != datasets.load(f"{module}:rings", options=(("rows", 90),)).hash
    np.save(tmp_path / "x.npy", NUMBERS)
    loaded = datasets.load(f"{module}:from_folder", tmp_path, options=(("file", "x.npy"),))
    assert loaded.shape == (2,)


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("broken", "IndexError: list index out of range"),
        ("refuses", "not for you"),
        ("leaves", "SystemExit: bye"),
        ("from_folder", "TypeError: from_folder() missing 1 required positional argument: 'file'"),
        ("number", "TypeError: 'int' object is not callable"),
    ],
)
def test_a_function_that_fails_is_one_line(module: str, function: str, said: str) -> None:
    name = f"{module}:{function}"
    assert refusal(lambda: datasets.load(name)) == f"{name}: {said}"


def test_a_function_that_is_not_there_is_one_line(module: str) -> None:
    with pytest.raises(PluginError, match="cannot be loaded"):
        datasets.load(f"{module}:missing")
