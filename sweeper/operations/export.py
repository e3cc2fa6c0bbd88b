"""Export of a sweep: files to keep, to publish, and to go on with in another database.

    sweep.json      the sweep, its ranges, provenance, lost attempts, and what was done by hand
    facts.parquet   one row for each trial, as it is on record
    facts.csv       the same without configuration, curves and layers: for people and spreadsheets
    fronts.csv      the networks on each arm's front
    confirmed/      the same of its confirmation, if there is one; its networks: `export_weights`

A sweep that is read back is equal to the one written, bit for bit.
"""

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sweeper.analysis import Front, fronts_to_pandas
from sweeper.atomic_write import atomic_write
from sweeper.config import Sweep
from sweeper.config.column_names import column_name
from sweeper.config.file_limits import content_of
from sweeper.errors import InputError, first_line, shown
from sweeper.operations import export_values
from sweeper.operations.export_references import Export
from sweeper.store import IN_PART, Dump
from sweeper.types import DroppedTrial

SHEET, FACTS, FLAT, FRONTS, CONFIRMED = (
    "sweep.json",
    "facts.parquet",
    "facts.csv",
    "fronts.csv",
    "confirmed",
)
_LARGEST = 1_000_000_000
"""Bytes of one file: a thousand times what the largest sweep of ours takes."""
_LARGEST_CELL = 1_000_000
"""Characters of one cell, JSON."""
_LARGEST_ROW = 100_000
"""Bytes that a trial may take on the average, unpacked; those of ours take two thousand."""
_AT_ONCE = 16
"""Rows that are unpacked at a time: what a file holds once may stand in all of them."""
_LATER = {"normalisation": None}
"""Columns of sweep.json that exports from before do not have."""
_LATER_OF_FACTS = {"network": 0, "finetuned": None, "learning": None, "numbers": None}
"""Columns of facts.parquet that exports from before do not have."""
BY_HAND = ("paused", "dropped", "enqueued")
"""Tables of sweep.json that are left out where they are empty."""
_KINDS = ("string", "int64", "double", "bool", "null")
_LONGEST = 200


def save(
    folder: Path,
    dump: Dump,
    fronts: Mapping[str, Front],
    dropped: Sequence[DroppedTrial] = (),
) -> list[Path]:
    """Write a sweep into a folder and return the files. Raises InputError, SweeperError.

    `dropped` are trials that are in none of its fronts: facts.csv says why.

    Each file is the old one or the new one, whole; sweep.json, which is read first, comes last.
    A folder that holds something else under these names is refused.
    """
    _refuse_others(folder, dump.sweep.name)
    rows = {name: getattr(dump, name) for name in ("provenance", "brackets", "failures", "drifts")}
    # Files of sweeps that nobody had a hand on are as they always were.
    rows |= {name: table for name in BY_HAND if (table := getattr(dump, name))}
    sheet = {
        "format": export_values.FORMAT,
        "name": dump.sweep.name,
        "digest": dump.sweep.digest,
        "state": dump.state,
        "error": dump.error,
        "created_at": dump.created_at,
        "facts": len(dump.facts),
        "spec": json.loads(dump.spec),
        **{name: [_written(row) for row in table] for name, table in rows.items()},
    }
    contents = {
        FACTS: _parquet(dump.facts),
        FLAT: facts_csv(dump.facts, dropped).encode(),
        FRONTS: fronts_csv(fronts, dump.sweep).encode(),
        SHEET: (json.dumps(sheet, indent=1) + "\n").encode(),
    }
    return [atomic_write(folder / name, content) for name, content in contents.items()]


def _written(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row without the columns that came later, where they hold nothing."""
    return {key: value for key, value in row.items() if key not in _LATER or value is not None}


def _refuse_others(folder: Path, name: str) -> None:
    """Raise InputError if a folder has files that an export of this sweep did not write."""
    sheet, facts = folder / SHEET, folder / FACTS
    try:
        if sheet.exists():
            raw = json.loads(sheet.read_text(encoding="utf-8"))
            ours = isinstance(raw, dict) and raw.get("name") == name
        elif facts.exists():  # one that was cut off: the sheet comes last, the facts first
            ours = _sweeps_in(facts) <= {name}
        else:
            ours = not any((folder / file).exists() for file in (FLAT, FRONTS))
    except (InputError, OSError, ValueError):
        ours = False
    if not ours:
        raise InputError(
            f"{folder}: holds files that are no export of {name}, and would be overwritten: "
            "give another --out, or move them"
        )


def _sweeps_in(facts: Path) -> set[Any]:
    """Return the names of the sweeps whose trials a file holds."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        column = pq.read_table(facts, columns=["sweep"]).column(0)
    except (pa.ArrowException, IndexError) as error:
        raise InputError(f"{facts}: cannot be read: {_short_line(error)}") from None
    return set(column.unique().to_pylist())


def read(folder: Path) -> Dump:
    """Read a sweep that `save` wrote. Raises InputError for a folder without a whole one.

    Every cell is checked: an export may be anybody's. Its confirmation is not looked at.
    """
    return _read(folder).dump


def read_all(folder: Path) -> tuple[Dump, ...]:
    """Read a sweep and, if there is one, its confirmation. Raises InputError as `read` does."""
    search = _read(folder)
    if not (folder / CONFIRMED / SHEET).exists():
        return (search.dump,)
    confirmation = _read(folder / CONFIRMED)
    confirmation.confirms(search)
    return search.dump, confirmation.dump


def _read(folder: Path) -> Export:
    path = folder / SHEET
    try:
        raw = export_values.parsed(content_of(path, _LARGEST))
    except ValueError as error:  # JSON's, or bytes that are no text
        raise InputError(f"{path}: is no export of sweeper: {_short_line(error)}") from None
    sheet, sweep = export_values.sheet(raw, str(path))
    table = folder / FACTS
    if sheet.facts > sweep.networks:
        text = f"must be <= {sweep.networks:,}, the trials of the study, got {sheet.facts:,}"
        raise InputError(f"{path}: facts: {text}")
    rows = _read_parquet(table, sheet.facts)
    # Where it was read from it was not yet whole: then it is here.
    part = sheet.state == "stopped" and sheet.error == IN_PART
    if (sheet.state == "failed") != bool(sheet.error) and not part:
        raise InputError(f"{path}: error: is for a failed sweep, got {shown(sheet.error)}")
    export = Export(
        Dump(
            spec=json.dumps(raw["spec"]),
            state=sheet.state,
            error="" if part else sheet.error,
            created_at=raw["created_at"],
            provenance=tuple({**_LATER, **row} for row in raw["provenance"]),
            brackets=tuple(raw["brackets"]),
            facts=tuple(rows),
            failures=tuple(raw["failures"]),
            drifts=tuple(raw["drifts"]),
            **{name: tuple(raw.get(name, ())) for name in BY_HAND},
        ),
        str(path),
        str(table),
    )
    export.check()
    return export


def fronts_csv(fronts: Mapping[str, Front], sweep: Sweep) -> str:
    """Return the networks of fronts, one in a line, with the searched parameters as columns.

    Those of a script under its own names of size and quality.
    """
    frame = fronts_to_pandas(fronts)
    if sweep.script is not None:
        names = {key: column_name(sweep, key) for key in frame.columns}
        frame = frame[[key for key, name in names.items() if name is not None]]
        frame = frame.rename(columns=names)
    return str(frame.to_csv(index=False, lineterminator="\n"))


def _parquet(rows: Sequence[Mapping[str, Any]]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    plain = [
        {key: _text(value) if key in export_values.IN_JSON else value for key, value in row.items()}
        for row in rows
    ]
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(plain), buffer, compression="zstd")
    return buffer.getvalue()


def _read_parquet(path: Path, count: int) -> list[dict[str, Any]]:
    """Return the rows, each cell checked, of which there must be `count`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    content = content_of(path, _LARGEST)
    rows: list[dict[str, Any]] = []
    try:
        with pq.ParquetFile(io.BytesIO(content)) as file:
            _refuse_kinds(path, file, count)
            for batch in file.iter_batches(batch_size=_AT_ONCE):
                start = len(rows)
                rows += (_row(raw, path, start + n) for n, raw in enumerate(batch.to_pylist()))
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {_short_line(error)}") from None
    if len(rows) != count:
        raise InputError(_miscounted(path, len(rows), count))
    return rows


def _refuse_kinds(path: Path, file: Any, count: int) -> None:
    """Refuse a file that by its own metadata would unpack into more than its trials take."""
    names = file.schema_arrow.names
    for field in file.schema_arrow:
        if str(field.type) not in _KINDS or names.count(field.name) > 1:
            text = f"must be one column of {', '.join(_KINDS)}, got {shown(str(field.type))}"
            raise InputError(f"{path}: {shown(field.name)}: {text}")
    metadata = file.metadata
    if metadata.num_rows != count:
        raise InputError(_miscounted(path, metadata.num_rows, count))
    groups = [metadata.row_group(group) for group in range(metadata.num_row_groups)]
    size = sum(group.total_byte_size for group in groups)
    limit = _LARGEST_CELL + count * _LARGEST_ROW
    if not 0 <= size <= limit:
        raise InputError(f"{path}: unpacks into {size:,} bytes, {count} trials take <= {limit:,}")


def _miscounted(path: Path, rows: int, count: int) -> str:
    return f"{path}: holds {rows} trials, {SHEET} says {count}: write the export again"


def _row(raw: Mapping[str, Any], path: Path, number: int) -> dict[str, Any]:
    place = f"{path}: row {number}"
    values = {**_LATER_OF_FACTS, **raw}
    for key in export_values.IN_JSON:
        text = values.get(key)
        if text is None:
            continue
        try:
            if not isinstance(text, str) or len(text) > _LARGEST_CELL:
                raise ValueError(f"must be at most {_LARGEST_CELL:,} characters of JSON")
            values[key] = export_values.parsed(text)
        except ValueError as error:
            raise InputError(f"{place}: {key}: {_short_line(error)}, got {shown(text)}") from None
    export_values.row(values, place)
    return values


def _text(value: Any) -> str | None:
    return None if value is None else json.dumps(value)


def _short_line(error: Exception) -> str:
    line = first_line(error)
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}..."


def facts_csv(rows: Iterable[Mapping[str, Any]], dropped: Iterable[DroppedTrial] = ()) -> str:
    """Return the columns that are numbers and words, and the searched parameters.

    Where trials were dropped, a column says why.
    """
    table = []
    reasons = {place: trial.why for trial in dropped for place in trial.places}
    for row in rows:
        plain = {key: value for key, value in row.items() if key not in export_values.IN_JSON}
        searched = {f"params_{key}": value for key, value in row["params"].items()}
        measured = {f"numbers_{key}": value for key, value in (row["numbers"] or {}).items()}
        network = (row["arm"], row["repeat"], row["slot"], row["network"])
        why = {"dropped": reasons.get(network)} if reasons else {}
        table.append(plain | searched | measured | why)
    names = list(dict.fromkeys(key for row in table for key in row))
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    return buffer.getvalue()
