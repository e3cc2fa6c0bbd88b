"""Array files: .npz files and tables of a user's own, and the line for each thing wrong there."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from support.refusals import refusal
from sweeper.training import datasets
from sweeper.types import SplitConfig

X = np.random.default_rng(0).normal(size=(40, 3))
Y = np.arange(40) % 4


def load(folder: Path, **options: Any) -> datasets.Data:
    return datasets.load("arrays", folder, options=tuple(sorted(options.items())))


@pytest.mark.parametrize(
    ("arrays", "sizes"),
    [
        ({"x": X, "y": Y}, (26, 6, 8)),
        ({"X": X, "Y": Y}, (26, 6, 8)),
        ({"x_train": X, "y_train": Y}, (26, 6, 8)),
        ({"x_train": X, "y_train": Y, "x_test": X[:9], "y_test": Y[:9]}, (32, 8, 9)),
        (
            {"X_train": X, "y_train": Y, "X_val": X[:5], "y_val": Y[:5]},
            (32, 5, 8),
        ),
        (
            {"x_train": X, "y_train": Y, "x_validation": X[:5], "y_validation": Y[:5]}
            | {"x_test": X[:9], "y_test": Y[:9]},
            (40, 5, 9),
        ),
    ],
)
def test_an_npz_file_holds_parts_by_the_names_of_its_arrays(
    arrays: dict[str, Any], sizes: tuple[int, int, int], tmp_path: Path
) -> None:
    np.savez(tmp_path / "mine.npz", **arrays)
    data = load(tmp_path, file="mine.npz")
    assert (len(data.train), len(data.validation), len(data.test)) == sizes
    assert (data.classes, data.shape, data.normalisation) == (4, (3,), None)
    assert set(data.train.examples[:, 0].tolist()) <= set(X[:, 0].astype(np.float32).tolist())


def test_numbers_of_an_npz_file_are_standardised_if_that_is_asked_for(tmp_path: Path) -> None:
    np.savez(tmp_path / "mine.npz", x=X * 7 + 3, y=Y)
    data = load(tmp_path, file="mine.npz", standardise=True)
    assert torch.allclose(data.train.examples.mean(0), torch.zeros(3), atol=1e-5)
    images = np.random.default_rng(0).integers(0, 256, (40, 5, 5), dtype=np.uint8)
    np.savez(tmp_path / "images.npz", x=images, y=Y)
    assert load(tmp_path, file="images.npz").normalisation is not None
    said = refusal(lambda: load(tmp_path, file="images.npz", standardise=False))
    assert said.startswith("standardise: images.npz: images of whole numbers (uint8) always are")


def test_the_test_examples_may_have_a_file_of_their_own(tmp_path: Path) -> None:
    np.savez(tmp_path / "train.npz", x=X, y=Y)
    for name, ending in (("a", ""), ("b", "_test")):
        arrays: dict[str, Any] = {f"x{ending}": X[:7], f"y{ending}": Y[:7], "more": X}
        np.savez(tmp_path / f"{name}.npz", **arrays)
        data = load(tmp_path, file="train.npz", test_file=f"{name}.npz")
        assert len(data.test) == 7
        assert data.notes == ("not used: more",)


def pickled(path: Path) -> None:
    np.savez(path, x=np.array([{}, 1], dtype=object), y=Y[:2])


WRONG_NPZ: dict[str, tuple[Callable[[Path], object], str]] = {
    "no targets": (lambda path: np.savez(path, x=X), "{path}: has x, but no y"),
    "no test targets": (
        lambda path: np.savez(path, x=X, y=Y, X_test=X),
        "{path}: has X_test, but no y_test",
    ),
    "other names": (
        lambda path: np.savez(path, images=X, labels=Y),
        "{path}: must hold x_train, y_train, x_validation, y_validation, x_test, y_test; or x, y, "
        "got images, labels",
    ),
    "twice": (
        lambda path: np.savez(path, x=X, y=Y, x_train=X, y_train=Y),
        "{path}: has two arrays each for train: leave out x and y",
    ),
    "pickles": (
        pickled,
        "{path}: cannot be read as .npz: it holds objects of Python, which are not loaded; store",
    ),
    "no archive": (
        lambda path: path.write_bytes(b"PK\3\4 and nothing else"),
        "{path}: cannot be read as .npz: File is not a zip file",
    ),
    "empty": (lambda path: path.touch(), "{path}: cannot be read as .npz: No data left in file"),
    "another format": (
        lambda path: path.write_text("a,b\n1,2\n"),
        "{path}: cannot be read as .npz: it is no file of this kind",
    ),
    "a folder": (lambda path: path.mkdir(), "{path}: cannot be read as .npz: [Errno 21] Is a dir"),
    "unequal lengths": (
        lambda path: np.savez(path, x=X, y=Y[:39]),
        "mine.npz: train: 40 inputs, but 39 targets",
    ),
}


@pytest.mark.parametrize("case", WRONG_NPZ)
def test_a_wrong_npz_file_is_one_line(case: str, tmp_path: Path) -> None:
    make, said = WRONG_NPZ[case]
    path = tmp_path / "mine.npz"
    make(path)
    assert refusal(lambda: load(tmp_path, file="mine.npz")).startswith(said.format(path=path))


def test_a_damaged_array_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.npz"
    np.savez(path, x=X, y=Y)
    content = bytearray(path.read_bytes())
    content[300] ^= 1
    path.write_bytes(content)
    assert refusal(lambda: load(tmp_path, file="mine.npz")).startswith(
        f"{path}: cannot be read as .npz: Bad CRC-32"
    )


def test_a_single_array_is_no_npz_file(tmp_path: Path) -> None:
    with (tmp_path / "mine.npz").open("wb") as file:
        np.save(file, X)
    said = refusal(lambda: load(tmp_path, file="mine.npz"))
    assert said == f"{tmp_path}/mine.npz: is a single array and no .npz file"


def test_test_files_that_do_not_fit_are_one_line(tmp_path: Path) -> None:
    np.savez(tmp_path / "train.npz", x=X, y=Y)
    np.savez(tmp_path / "both.npz", x_train=X, y_train=Y, x_test=X, y_test=Y)
    (tmp_path / "table.csv").write_text("a,b\n1,2\n")
    for file, test_file, said in (
        ("both", "train.npz", "test_file: both.npz has a test part of its own; leave one out"),
        ("train", "both.npz", "test_file: both.npz: must hold x and y, or x_test and y_test, got "),
        ("train", "table.csv", "test_file: table.csv: must be an .npz file as train.npz"),
        ("train", "none.npz", "test_file: none.npz: there is no "),
    ):
        text = refusal(lambda: load(tmp_path, file=f"{file}.npz", test_file=test_file))  # noqa: B023
        assert text.startswith(said)


def test_a_file_is_looked_for_in_the_folder_of_datasets_and_then_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("SWEEPER_DATA", str(there))
    said = refusal(lambda: datasets.load("arrays", options=(("file", "mine.npz"),)))
    assert said == (
        f"file: mine.npz: there is no {there}/mine.npz nor {here}/mine.npz; set SWEEPER_DATA or "
        "--data to the folder that has it"
    )
    np.savez(here / "mine.npz", x=X, y=Y)
    assert datasets.load("arrays", options=(("file", "mine.npz"),)).shape == (3,)
    np.savez(there / "mine.npz", x=X[:, :2], y=Y)
    assert datasets.load("arrays", options=(("file", "mine.npz"),)).shape == (2,)
    absolute = (("file", str(here / "mine.npz")),)
    assert datasets.load("arrays", options=absolute).shape == (3,)
    missing = (("file", str(here / "none.npz")),)
    said = refusal(lambda: datasets.load("arrays", options=missing))
    assert said == f"file: there is no {here}/none.npz"


def people(rows: int = 60) -> pd.DataFrame:
    """Return a table of numbers, texts, categories and truth values."""
    random = np.random.default_rng(rows)
    return pd.DataFrame(
        {
            "age": random.integers(18, 90, rows),
            "town": random.choice(["Bonn", "Aachen", "Köln"], rows),
            "weight": random.normal(70, 10, rows),
            "smokes": random.random(rows) < 0.5,
            "ill": np.where(np.arange(rows) % 3 == 0, "yes", "no"),
        }
    )


def write(table: pd.DataFrame, path: Path) -> None:
    if path.suffix == ".csv":
        table.to_csv(path, index=False)
    else:
        table.astype({"town": "category"}).to_parquet(path)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_table_has_numbers_and_a_column_for_each_category(ending: str, tmp_path: Path) -> None:
    table = people()
    write(table, tmp_path / f"people.{ending}")
    data = load(tmp_path, file=f"people.{ending}", target="ill")
    columns = ("age", "town=Aachen", "town=Bonn", "town=Köln", "weight", "smokes=False")
    assert data.features == (*columns, "smokes=True")
    assert (data.labels, data.shape) == (("no", "yes"), (7,))
    assert data.notes == (
        "2 columns of numbers scaled to mean 0 and deviation 1 over the training examples",
        "a column for each value of town (3), smokes (2)",
        "labels 'no', 'yes' became 0, 1",
    )
    scale = data.normalisation
    assert scale is not None
    assert [scale.mean[place] for place in (1, 2, 3, 5, 6)] == [0] * 5
    assert data.train.examples[:, 0].mean().item() == pytest.approx(0, abs=1e-5)
    assert data.train.examples[:, 4].std(correction=0).item() == pytest.approx(1, abs=1e-5)
    # Oracle: the rows of the file, found again by their numbers.
    by_age = {
        (round(age, 3), round(weight, 3)): (town, smokes, ill)
        for age, town, weight, smokes, ill in table.itertuples(index=False)
    }
    for part in (data.train, data.validation, data.test):
        raw = part.examples * torch.tensor(scale.deviation) + torch.tensor(scale.mean)
        for row, label in zip(raw.tolist(), part.labels.tolist(), strict=True):
            key = min(by_age, key=lambda known: abs(known[0] - row[0]) + abs(known[1] - row[4]))
            town, smokes, ill = by_age[key]
            assert row[1:4] == [town == name for name in ("Aachen", "Bonn", "Köln")]
            assert row[5:] == [not smokes, smokes]
            assert data.labels[label] == ill


def test_both_formats_of_a_table_are_the_same_data(tmp_path: Path) -> None:
    hashes = set()
    for ending in ("csv", "parquet"):
        write(people(), tmp_path / f"people.{ending}")
        hashes.add(load(tmp_path, file=f"people.{ending}", target="ill").hash)
    assert len(hashes) == 1


def test_a_table_stays_as_it_is_where_it_is_not_to_be_standardised(tmp_path: Path) -> None:
    write(people(), tmp_path / "people.csv")
    data = load(tmp_path, file="people.csv", target="ill", standardise=False)
    assert data.normalisation is None
    assert set(data.train.examples[:, 0].tolist()) <= set(people()["age"].tolist())


def test_moments_are_those_of_the_training_rows_alone(tmp_path: Path) -> None:
    train, test = people(), people(30)
    test["age"] += 1000
    write(train, tmp_path / "train.csv")
    write(test[test.columns[::-1]], tmp_path / "test.csv")  # columns in another order
    data = load(tmp_path, file="train.csv", test_file="test.csv", target="ill")
    assert (len(data.train), len(data.validation), len(data.test)) == (48, 12, 30)
    assert data.train.examples[:, 0].mean().item() == pytest.approx(0, abs=1e-5)
    assert data.test.examples[:, 0].min().item() > 20
    split = SplitConfig(seed=3, by_repeat=True)
    options = (("file", "train.csv"), ("target", "ill"), ("test_file", "test.csv"))
    other = datasets.load("arrays", tmp_path, options=options, split=split)
    assert other.normalisation != data.normalisation


def test_categories_of_the_test_file_count_too(tmp_path: Path) -> None:
    train, test = people(), people(9)
    test.loc[4, "town"] = "Ulm"
    write(train, tmp_path / "train.csv")
    write(test, tmp_path / "test.csv")
    data = load(tmp_path, file="train.csv", test_file="test.csv", target="ill")
    place = data.features.index("town=Ulm")
    assert data.test.examples[:, place].tolist() == [float(row == 4) for row in range(9)]
    assert (data.train.examples[:, place] == 0).all()


def test_a_column_of_one_value_is_moved_to_0(tmp_path: Path) -> None:
    write(people().assign(weight=0.1), tmp_path / "people.csv")
    data = load(tmp_path, file="people.csv", target="ill")
    assert (data.train.examples[:, data.features.index("weight")] == 0).all()


def test_row_numbers_that_pandas_wrote_are_left_out(tmp_path: Path) -> None:
    people().to_csv(tmp_path / "people.csv")
    data = load(tmp_path, file="people.csv", target="ill")
    assert data.features[0] == "age"
    assert data.notes[0].startswith("the first column is left out: it has no name")


def with_cell(column: str, row: int, value: str | float) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        table = people().astype({column: object})
        table.loc[row, column] = value
        table.to_csv(path, index=False)

    return make


WRONG_TABLE: dict[str, tuple[Callable[[Path], object], str]] = {
    "an empty cell": (
        with_cell("weight", 16, ""),
        "{path}: column 'weight', row 17: is empty or no number",
    ),
    "NaN": (with_cell("age", 0, "NaN"), "{path}: column 'age', row 1: is empty or no number"),
    "an empty text": (with_cell("town", 4, ""), "{path}: column 'town', row 5: is empty or no num"),
    "no label": (with_cell("ill", 4, ""), "{path}: column 'ill', row 5: is empty or no number"),
    "infinity": (
        with_cell("age", 3, "inf"),
        "{path}: column 'age', row 4: must be finite, got inf",
    ),
    "a text among numbers": (
        with_cell("weight", 9, "7o.2"),
        "{path}: column 'weight', row 10: must be a number, as most of its column, got '7o.2'",
    ),
    "names": (
        lambda path: people().assign(name=[f"n{n}" for n in range(60)]).to_csv(path, index=False),
        "{path}: column 'name' has 60 texts in 60 rows, too many for categories: leave it out",
    ),
    "no such target": (
        lambda path: people().rename(columns={"ill": "Ill"}).to_csv(path, index=False),
        "{path}: target: no such column: got 'ill'; allowed: Ill, age, smokes, town, weight; did",
    ),
    "semicolons": (
        lambda path: people().to_csv(path, index=False, sep=";"),
        "{path}: has a single column, 'age;town;weight;smokes;ill': put commas between values",
    ),
    "the target alone": (
        lambda path: people()[["ill"]].to_csv(path, index=False),
        "{path}: has no column but the target 'ill'",
    ),
    "no rows": (lambda path: people()[:0].to_csv(path, index=False), "{path}: has no rows"),
    "empty": (lambda path: path.touch(), "{path}: cannot be read as a table: No columns to parse"),
    "uneven rows": (
        lambda path: path.write_text("a,ill\n1,2\n1,2,3,4\n"),
        "{path}: cannot be read as a table: Error tokenizing data. C error: Expected 2 fields in",
    ),
    "another encoding": (
        lambda path: people().to_csv(path, index=False, encoding="utf-16"),
        "{path}: cannot be read as a table: 'utf-8' codec can't decode byte 0xff in position 0",
    ),
    "one class": (
        lambda path: people().assign(ill="no").to_csv(path, index=False),
        "mine.csv: train targets: all are 'no', a classifier needs two classes",
    ),
    "a rare class": (
        with_cell("ill", 4, "perhaps"),
        "mine.csv: class 'perhaps' has too few examples to split: 1, needs 3",
    ),
}


@pytest.mark.parametrize("case", WRONG_TABLE)
def test_a_wrong_table_is_one_line(case: str, tmp_path: Path) -> None:
    make, said = WRONG_TABLE[case]
    path = tmp_path / "mine.csv"
    make(path)
    text = refusal(lambda: load(tmp_path, file="mine.csv", target="ill"))
    assert text.startswith(said.format(path=path))


def test_how_many_cells_are_empty_is_said(tmp_path: Path) -> None:
    table = people()
    table.loc[[5, 9, 11], "age"] = np.nan
    table.to_csv(tmp_path / "mine.csv", index=False)
    said = refusal(lambda: load(tmp_path, file="mine.csv", target="ill"))
    assert said.endswith("column 'age', row 6: is empty or no number, as 2 more of its cells")


def test_numbers_that_are_kept_must_fit_float32(tmp_path: Path) -> None:
    with_cell("age", 3, 1e300)(tmp_path / "mine.csv")
    said = refusal(lambda: load(tmp_path, file="mine.csv", target="ill", standardise=False))
    assert said == f"{tmp_path}/mine.csv: column 'age', row 4: must fit float32, got 1e+300"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"when": pd.Timestamp("2026-01-01")},
            "column 'when', row 1: must be a number or text",
        ),
        ({"z": 1j}, "column 'z', row 1: must be a real number, got"),
    ],
)
def test_columns_of_other_types_are_one_line(
    change: dict[str, Any], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = people().assign(**change)
    path = tmp_path / "mine.parquet"
    if "z" in change:  # which a file cannot hold, but a later one might
        people().to_parquet(path)
        monkeypatch.setattr(pd, "read_parquet", lambda path: table)
    else:
        table.to_parquet(path)
    text = refusal(lambda: load(tmp_path, file="mine.parquet", target="ill"))
    assert text.startswith(f"{path}: {said}")


def test_a_damaged_parquet_file_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.parquet"
    path.write_bytes(b"PAR1 and nothing else")
    said = refusal(lambda: load(tmp_path, file="mine.parquet", target="ill"))
    assert said.startswith(f"{path}: cannot be read as a table: ")


def test_two_columns_of_one_name_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    people().to_parquet(tmp_path / "mine.parquet")
    twice = people().rename(columns={"weight": "age"})
    monkeypatch.setattr(pd, "read_parquet", lambda path: twice)
    said = refusal(lambda: load(tmp_path, file="mine.parquet", target="ill"))
    assert said.endswith("mine.parquet: has two columns of the name 'age'")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda table: table.drop(columns="age"),
            "{path}: has no column 'age', which train.csv has",
        ),
        (lambda table: table.assign(more=1), "{first}: has no column 'more', which test.csv has"),
        (
            lambda table: table.assign(age="old"),
            "{path}: column 'age' holds text, that of train.csv numbers",
        ),
        (
            lambda table: table.assign(weight=np.where(np.arange(60) == 7, np.inf, 1)),
            "{path}: column 'weight', row 8: must be finite, got inf",
        ),
        (
            lambda table: table.assign(ill="perhaps"),
            "train.csv: test targets: label 'perhaps' is that of no training example",
        ),
    ],
)
def test_a_test_file_of_another_kind_is_one_line(
    change: Callable[[pd.DataFrame], pd.DataFrame], said: str, tmp_path: Path
) -> None:
    first, path = tmp_path / "train.csv", tmp_path / "test.csv"
    write(people(), first)
    write(change(people()), path)
    text = refusal(lambda: load(tmp_path, file="train.csv", test_file="test.csv", target="ill"))
    assert text == said.format(path=path, first=first)
