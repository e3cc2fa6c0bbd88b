"""Export of weights: stored networks as one file, out of one artifact store and into another.

    confirmed/networks.parquet    one row for each network: where it belongs, and its safetensors

It lies beside the files of `export`, and is read in pieces: dense networks take megabytes each.
"""

import itertools
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError, deserialize

from sweeper import lifecycle
from sweeper.atomic_write import atomic_writer
from sweeper.config import Sweep
from sweeper.config.file_limits import open_regular
from sweeper.errors import InputError, shown
from sweeper.search.artifacts import NETWORK, NETWORK_TYPE, Artifact
from sweeper.store import Dump, Store
from sweeper.types import TrialRecord

if TYPE_CHECKING:
    import pyarrow as pa

FILE = "networks.parquet"
_AT_ONCE = 16
"""Networks that are in memory at a time."""
_LARGEST = 1_000_000_000
"""Bytes of one network."""
_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,120}}{re.escape(NETWORK)}")
"""Name that a worker gives the network of a slot; a browser takes it for nothing it runs."""
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""Optuna's artifacts have a UUID, which buckets and folders use as the name of a file."""
Progress = Callable[[int, int], None]


def schema() -> "pa.Schema":
    """Return the columns of the file."""
    import pyarrow as pa

    kinds = {
        "study": pa.string(),
        "trial": pa.int64(),
        "artifact": pa.string(),
        "name": pa.string(),
        "mimetype": pa.string(),
        "content": pa.binary(),
    }
    return pa.schema(list(kinds.items()))


def save(
    folder: Path,
    store: Store,
    name: str,
    artifacts: str,
    *,
    seeds: int | None = None,
    on_network: Progress = lambda done, all_: None,
) -> Path | None:
    """Write the networks of a confirmation that `artifacts` holds; None if there is none.

    With `seeds` those of the first seeds alone. Raises InputError, SweeperError.
    """
    sweep = store.sweep(name)
    records = [
        record for record in store.records(name) if seeds is None or _seed(sweep, record) < seeds
    ]
    with lifecycle.open_studies(store, sweep) as search:
        search.artifacts.use(artifacts)

        def stored() -> Iterator[tuple[str, int, Artifact]]:
            for number, record in enumerate(records):
                on_network(number, len(records))
                artifact = search.artifacts.load(record.slot.study, record.trial, NETWORK)
                if artifact is not None and artifact.content is not None:
                    yield record.slot.study, record.trial, artifact

        networks = stored()
        first = next(networks, None)
        if first is None:
            return None
        return _write(folder / FILE, itertools.chain([first], networks))


def restore(
    folder: Path,
    store: Store,
    name: str,
    artifacts: str,
    *,
    on_network: Progress = lambda done, all_: None,
) -> int:
    """Put networks that `save` wrote beside their trials, which are here; return how many.

    After a crash the same again finishes it. Raises InputError for a file that does not belong
    to this sweep.
    """
    path = folder / FILE
    sweep = store.sweep(name)
    trials = {(record.slot.study, record.trial) for record in store.records(name)}
    _check(path, name, trials)
    done = 0
    with lifecycle.open_studies(store, sweep) as search:
        search.artifacts.use(artifacts)
        for all_, study, trial, artifact in _read(path):
            on_network(done, all_)
            search.artifacts.restore(study, trial, artifact)
            done += 1
    return done


def check(folder: Path, dump: Dump) -> None:
    """Raise InputError for a file that `save` did not write of the trials of a dump."""
    trials = {(record["study"], record["trial"]) for record in dump.facts}
    _check(folder / FILE, dump.sweep.name, trials)


def _check(path: Path, name: str, trials: Collection[tuple[str, int]]) -> None:
    """Check every cell: a file may be anybody's, and none of it is put anywhere before."""
    seen: set[object] = set()
    for row, (all_, study, trial, artifact) in enumerate(_read(path)):
        place = f"{path}: row {row}"
        if all_ > len(trials):
            raise InputError(f"{path}: holds {all_} networks of {len(trials)} trials")
        if (study, trial) not in trials:
            text = f"{shown(study)[1:-1]}, trial {trial}: {name} has no such trial"
            raise InputError(f"{place}: {text}")
        for value in ((study, trial), artifact.artifact):
            if value in seen:
                raise InputError(f"{place}: {study}, trial {trial}: stands twice")
            seen.add(value)
        if not _ID.fullmatch(artifact.artifact):
            raise InputError(f"{place}: artifact: {shown(artifact.artifact)} is no UUID")
        if not _NAME.fullmatch(artifact.name):
            text = f"must be a name that ends in {NETWORK}, got {shown(artifact.name)}"
            raise InputError(f"{place}: name: {text}")
        if artifact.mimetype != NETWORK_TYPE:
            text = f"must be {NETWORK_TYPE}, got {shown(artifact.mimetype)}"
            raise InputError(f"{place}: mimetype: {text}")
        try:
            deserialize(artifact.content or b"")  # type: ignore[no-untyped-call]
        except SafetensorError as error:
            text = f"is no safetensors file: {(str(error).splitlines() or [''])[0][:200]}"
            raise InputError(f"{place}: content: {text}") from None


def _seed(sweep: Sweep, record: TrialRecord) -> int:
    if sweep.confirms is None:
        raise AssertionError("networks are stored of confirmations alone")
    return sweep.confirms.at(*record.slot.place)[1]


def _write(path: Path, rows: Iterable[tuple[str, int, Artifact]]) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = schema()
    rest = iter(rows)
    with (
        atomic_writer(path) as file,
        pq.ParquetWriter(file, columns, compression="zstd") as writer,
    ):
        while chunk := list(itertools.islice(rest, _AT_ONCE)):
            values = [
                {"study": study, "trial": trial, **asdict(artifact)}
                for study, trial, artifact in chunk
            ]
            writer.write_table(pa.Table.from_pylist(values, schema=columns))
    return path


def _read(path: Path) -> Iterator[tuple[int, str, int, Artifact]]:
    """Yield for each network the number of all, its study, its trial, and itself."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with open_regular(path) as opened, pq.ParquetFile(opened) as file:
            if not file.schema_arrow.equals(schema()):
                raise InputError(f"{path}: is no file of networks: its columns are others")
            metadata = file.metadata
            for group in range(metadata.num_row_groups):
                part = metadata.row_group(group)
                if not 0 <= part.total_byte_size <= _LARGEST * min(max(part.num_rows, 1), _AT_ONCE):
                    text = f"unpacks into {part.total_byte_size:,} bytes"
                    raise InputError(f"{path}: {part.num_rows} networks: {text}")
            for batch in file.iter_batches(batch_size=1):
                for row in batch.to_pylist():
                    if None in row.values():
                        raise InputError(f"{path}: holds a network without all of its columns")
                    study, trial = row.pop("study"), row.pop("trial")
                    yield metadata.num_rows, study, trial, Artifact(**row)
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {str(error).splitlines()[0]}") from None
