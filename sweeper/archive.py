"""A sweep as files: to keep, to publish, and to go on with in another database.

    sweep.json      the sweep, its ranges, provenance and lost attempts
    facts.parquet   one row for each trial, as it is on record
    facts.csv       the same without configuration, curves and layers: for people and spreadsheets
    fronts.csv      the networks on each arm's front
    confirmed/      the same of its confirmation, if there is one; its networks: see `networks`

What is read back is equal to what was written, bit for bit.
"""

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sweeper.errors import InputError
from sweeper.fronts import Front
from sweeper.store.dumps import Dump
from sweeper.writing import write_whole

FORMAT = 1
"""To be raised when an older program could not read what is written."""
SHEET, FACTS, FLAT, FRONTS, CONFIRMED = (
    "sweep.json",
    "facts.parquet",
    "facts.csv",
    "fronts.csv",
    "confirmed",
)
_JSON = ("params", "config", "layers", "curve", "finetuned")


def save(folder: Path, dump: Dump, fronts: Mapping[str, Front]) -> list[Path]:
    """Write a sweep into a folder and return the files. Raises InputError, SweeperError.

    Each file is the old one or the new one, whole; sweep.json, which is read first, comes last.
    """
    rows = {name: getattr(dump, name) for name in ("provenance", "brackets", "failures", "drifts")}
    sheet = {
        "format": FORMAT,
        "name": dump.sweep.name,
        "digest": dump.sweep.digest,
        "state": dump.state,
        "error": dump.error,
        "created_at": dump.created_at,
        "facts": len(dump.facts),
        "spec": json.loads(dump.spec),
        **{name: [dict(one) for one in some] for name, some in rows.items()},
    }
    written = {
        FACTS: _parquet(dump.facts),
        FLAT: facts_csv(dump.facts).encode(),
        FRONTS: fronts_csv(fronts).encode(),
        SHEET: (json.dumps(sheet, indent=1) + "\n").encode(),
    }
    return [write_whole(folder / name, content) for name, content in written.items()]


def read(folder: Path) -> Dump:
    """Read what `save` wrote. Raises InputError for a folder that does not hold a whole sweep."""
    path = folder / SHEET
    try:
        sheet = json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_number)
        table = _read_parquet(folder / FACTS)
    except OSError as error:
        raise InputError(f"{error.filename or folder}: {error.strerror or error}") from None
    except ValueError as error:
        raise InputError(f"{path}: is no export of sweeper: {error}") from None
    if not isinstance(sheet, dict) or sheet.get("format") != FORMAT:
        found = sheet.get("format") if isinstance(sheet, dict) else None
        raise InputError(f"{path}: format: must be {FORMAT}, got {found!r}")
    if len(table) != sheet["facts"]:
        raise InputError(
            f"{folder / FACTS}: holds {len(table)} trials, {SHEET} says {sheet['facts']}: "
            "write the export again"
        )
    try:
        dump = Dump(
            spec=json.dumps(sheet["spec"]),
            state=sheet["state"],
            error=sheet["error"],
            created_at=sheet["created_at"],
            provenance=tuple(sheet["provenance"]),
            brackets=tuple(sheet["brackets"]),
            facts=tuple(table),
            failures=tuple(sheet["failures"]),
            drifts=tuple(sheet["drifts"]),
        )
        digest = dump.sweep.digest
    except (KeyError, TypeError) as error:
        raise InputError(f"{path}: is no export of sweeper: {error} is missing") from None
    if digest != sheet["digest"]:
        raise InputError(f"{path}: spec: was changed; its digest is not {sheet['digest'][:12]}...")
    return dump


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number of a sweep")


def fronts_csv(fronts: Mapping[str, Front]) -> str:
    """Return the networks of fronts, one in a line, with the searched parameters as columns."""
    import pandas as pd

    frames = [front.to_pandas() for front in fronts.values()]
    kept = [frame for frame in frames if len(frame)] or frames[:1]
    return str(pd.concat(kept, ignore_index=True).to_csv(index=False, lineterminator="\n"))


def _parquet(rows: Sequence[Mapping[str, Any]]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    plain = [
        {key: _text(value) if key in _JSON else value for key, value in row.items()} for row in rows
    ]
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(plain), buffer, compression="zstd")
    return buffer.getvalue()


def _read_parquet(path: Path) -> list[dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        rows = pq.read_table(io.BytesIO(path.read_bytes())).to_pylist()
    except pa.ArrowInvalid as error:
        raise InputError(f"{path}: cannot be read: {str(error).splitlines()[0]}") from None
    return [
        {key: _value(value) if key in _JSON else value for key, value in row.items()}
        for row in rows
    ]


def _text(value: Any) -> str | None:
    return None if value is None else json.dumps(value)


def _value(text: str | None) -> Any:
    return None if text is None else json.loads(text)


def facts_csv(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return the columns that are numbers and words, and the searched parameters."""
    table = []
    for row in rows:
        plain = {key: value for key, value in row.items() if key not in _JSON}
        searched = {f"params_{key}": value for key, value in row["params"].items()}
        table.append(plain | searched)
    names = list(dict.fromkeys(key for row in table for key in row))
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    return buffer.getvalue()
