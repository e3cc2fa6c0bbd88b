"""Table files: rows of a .csv or .parquet file as examples, one column of which is the label."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sweeper.errors import DataError, choices, first_line, shown
from sweeper.training.raw_dataset import Array, RawDataset
from sweeper.training.user_dataset import checked
from sweeper.types import Dataset

_FEW = 20
"""Most texts of a column that are categories in any case."""
_LISTED = 5
"""Most columns that a note lists."""


def read_table(
    path: Path, test_path: Path | None, *, target: str, standardise: bool, values: bool = False
) -> RawDataset:
    """Read a table, and another one with the test examples. Raises DataError.

    Columns of numbers are features as they are. Of text, categories and truth values each value
    becomes a column of 0 and 1, named `column=value`, in sorted order; values of both files count.
    `values`: targets are numbers, no labels. `standardise`: columns of numbers get mean 0 and
    deviation 1 over the training examples.
    """
    table = _frame(path)
    notes = []
    _check_target(table, target, path)
    rows = len(table)
    if test_path:
        test = _frame(test_path)
        _check_target(test, target, test_path)
        _check_columns(table, test, path, test_path)
        table = pd.concat([table, test[table.columns]], ignore_index=True)
    places = _Places(path, test_path, rows)
    if (unnamed := table.columns[0]) in ("Unnamed: 0", "__index_level_0__"):
        table = table.drop(columns=unnamed)
        notes.append("the first column is left out: it has no name, as row numbers have none")
    labels = _checked_column(table, target, places).to_numpy(dtype=object)
    columns: list[Array] = []
    features: list[str] = []
    standardised: list[bool] = []
    spread: list[str] = []
    for name in table.columns.drop(target):
        column = _checked_column(table, name, places)
        if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
            columns.append(_numbers(column, name, places))
            features.append(str(name))
            standardised.append(standardise)
            continue
        texts = _categories(column, name, places)
        categories = np.unique(texts)
        columns += [(texts == category).astype(np.float64) for category in categories]
        features += [f"{name}={category}" for category in categories]
        standardised += [False] * len(categories)
        spread.append(f"{name} ({len(categories)})")
    if not columns:
        raise DataError(f"{path}: has no column but the target {shown(target)}")
    if any(standardised):
        count = f"{sum(standardised)} column{'' if sum(standardised) == 1 else 's'} of numbers"
        notes.append(f"{count} scaled to mean 0 and deviation 1 over the training examples")
    if spread:
        more = f" and {len(spread) - _LISTED} more" if len(spread) > _LISTED else ""
        notes.append(f"a column for each value of {', '.join(spread[:_LISTED])}{more}")
    examples = np.stack(columns, axis=1)
    if not any(standardised):
        examples = _single(examples, features, places)
    dataset = Dataset(
        (examples[:rows], labels[:rows]),
        (examples[rows:], labels[rows:]) if test_path else None,
        standardise=any(standardised),
        values=values,
    )
    return checked(
        dataset,
        path.name,
        standardised=tuple(standardised) if any(standardised) else (),
        features=tuple(features),
        notes=tuple(notes),
    )


@dataclass(frozen=True, slots=True)
class _Places:
    """The places of a table's cells in the one or two files that it was read from."""

    path: Path
    test_path: Path | None
    rows: int
    """Of the first file."""

    def text(self, column: object, row: int) -> str:
        """Return the place of a cell; rows count from 1, the header not among them."""
        path, number = self.path, row
        if self.test_path and row >= self.rows:
            path, number = self.test_path, row - self.rows
        return f"{path}: column {shown(column)}, row {number + 1:,}"


def _frame(path: Path) -> pd.DataFrame:
    """Return the table of a file. Raises DataError."""
    try:
        if path.suffix == ".parquet":
            table = pd.read_parquet(path)
        elif path.suffix == ".csv":
            table = pd.read_csv(path, low_memory=False)  # a column has one type
        else:
            raise DataError(f"{path}: must end in .csv or .parquet, as all tables")
    except (OSError, ValueError, KeyError) as error:  # pandas' and pyarrow's are ValueErrors
        reason = first_line(error)
        raise DataError(f"{path}: cannot be read as a table: {reason}") from error
    if table.empty:
        raise DataError(f"{path}: has no rows")
    table.columns = table.columns.map(str)
    if not table.columns.is_unique:
        [name, *_] = table.columns[table.columns.duplicated()]
        raise DataError(f"{path}: has two columns of the name {shown(name)}")
    return table.reset_index(drop=True)


def _check_target(table: pd.DataFrame, target: str, path: Path) -> None:
    if target in table.columns:
        return
    text = f"{path}: target: no such column: {choices(target, table.columns)}"
    if len(table.columns) == 1 and set(table.columns[0]) & set(";\t|"):
        text = f"{path}: has a single column, {shown(table.columns[0])}: put commas between values"
    raise DataError(text)


def _check_columns(table: pd.DataFrame, test: pd.DataFrame, path: Path, test_path: Path) -> None:
    """Raise DataError for columns that one file has and the other has not, or of another kind."""
    for these, those, place, other in (
        (table, test, test_path, path),
        (test, table, path, test_path),
    ):
        if len(absent := these.columns.difference(those.columns)):
            text = f"{place}: has no column {shown(absent[0])}, which {other.name} has"
            raise DataError(text)
    for name in table.columns:
        kinds = [
            "numbers" if pd.api.types.is_numeric_dtype(column) else "text"
            for column in (table[name], test[name])
            if column.notna().any()
        ]
        if len(set(kinds)) > 1:
            text = f"{test_path}: column {shown(name)} holds {kinds[1]}"
            raise DataError(f"{text}, that of {path.name} {kinds[0]}")


def _checked_column(table: pd.DataFrame, name: str, places: _Places) -> "pd.Series[Any]":
    """Return a column all of whose cells hold something. Raises DataError."""
    column: pd.Series[Any] = table[name]
    empty = np.flatnonzero(column.isna())
    if len(empty):
        more = f", as {len(empty) - 1:,} more of its cells" if len(empty) > 1 else ""
        raise DataError(f"{places.text(name, int(empty[0]))}: is empty or no number{more}")
    return column


def _numbers(column: "pd.Series[Any]", name: str, places: _Places) -> Array:
    if pd.api.types.is_complex_dtype(column):
        raise DataError(f"{places.text(name, 0)}: must be a real number, got {column.iloc[0]!r}")
    numbers: Array = column.to_numpy(dtype=np.float64)
    infinite = np.flatnonzero(~np.isfinite(numbers))
    if len(infinite):
        place = places.text(name, int(infinite[0]))
        raise DataError(f"{place}: must be finite, got {numbers[infinite[0]]}")
    return numbers


def _single(examples: Array, features: list[str], places: _Places) -> Array:
    """Return numbers that are not scaled as float32. Raises DataError for what does not fit."""
    with np.errstate(over="ignore"):
        single = examples.astype(np.float32)
    if not np.isfinite(single).all():
        row, column = np.argwhere(~np.isfinite(single))[0]
        place = places.text(features[column], int(row))
        raise DataError(f"{place}: must fit float32, got {examples[row, column]:g}")
    return single


def _categories(column: "pd.Series[Any]", name: str, places: _Places) -> Array:
    """Return the values of a column as text. Raises DataError for what are no categories."""
    values: Array = column.to_numpy(dtype=object)
    if not all(isinstance(value, str | bool | np.bool_) for value in values):
        if isinstance(column.dtype, pd.CategoricalDtype):
            return values.astype(str)
        row, value = next(
            (row, value)
            for row, value in enumerate(values)
            if not isinstance(value, str | bool | np.bool_)
        )
        text = f"{places.text(name, row)}: must be a number or text"
        raise DataError(f"{text}, got {shown(value)}, {type(value).__name__}")
    texts: Array = values.astype(str)
    is_number = pd.to_numeric(pd.Series(texts), errors="coerce").notna().to_numpy()
    if is_number.mean() > 0.5 and not is_number.all():
        row = int(np.flatnonzero(~is_number)[0])
        text = f"{places.text(name, row)}: must be a number, as most of its column"
        raise DataError(f"{text}, got {shown(str(texts[row]))}")
    count = len(np.unique(texts))
    if count > max(_FEW, len(texts) // 2):
        text = f"{places.path}: column {shown(name)} has {count:,} texts in {len(texts):,} rows"
        raise DataError(f"{text}, too many for categories: leave it out")
    return texts
