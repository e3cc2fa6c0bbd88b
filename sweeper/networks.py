"""Networks that were kept, as one file: out of one artifact store and into another.

    confirmed/networks.parquet    one row for each network: where it belongs, and its safetensors

It lies beside what `archive` writes, and is read in pieces: dense networks take megabytes each.
"""

import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from sweeper import service
from sweeper.errors import InputError
from sweeper.results import Fact
from sweeper.search.artifacts import NETWORK, Kept
from sweeper.spec import Sweep
from sweeper.store import Store
from sweeper.writing import written_whole

if TYPE_CHECKING:
    import pyarrow as pa

FILE = "networks.parquet"
_AT_ONCE = 16
"""Networks that are in memory at a time."""
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""Optuna's artifacts are named by a UUID, which a folder of them uses as the name of a file."""
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
    """Write the networks of a confirmation that are kept at `artifacts`; None if there is none.

    With `seeds` those of the first seeds alone. Raises InputError, SweeperError.
    """
    sweep = store.sweep(name)
    wanted = [fact for fact in store.results(name) if seeds is None or _seed(sweep, fact) < seeds]
    with service.searching(store, sweep) as search:
        search.keep_at(artifacts)

        def kept() -> Iterator[tuple[str, int, Kept]]:
            for number, fact in enumerate(wanted):
                on_network(number, len(wanted))
                found = search.kept(fact.study, fact.trial, NETWORK)
                if found is not None and found.content is not None:
                    yield fact.study, fact.trial, found

        found = kept()
        first = next(found, None)
        if first is None:
            return None
        return _write(folder / FILE, itertools.chain([first], found))


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
    known = {(fact.study, fact.trial) for fact in store.results(name)}
    done = 0
    with service.searching(store, sweep) as search:
        search.keep_at(artifacts)
        for all_, study, trial, kept in _read(path):
            on_network(done, all_)
            if (study, trial) not in known:
                raise InputError(f"{path}: {study}, trial {trial}: {name} has no such trial")
            search.keep(study, trial, kept)
            done += 1
    return done


def _seed(sweep: Sweep, fact: Fact) -> int:
    if sweep.confirms is None:
        raise AssertionError("networks are kept of confirmations alone")
    return sweep.confirms.at(fact.arm, fact.repeat, fact.slot)[1]


def _write(path: Path, rows: Iterable[tuple[str, int, Kept]]) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = schema()
    rest = iter(rows)
    with (
        written_whole(path) as file,
        pq.ParquetWriter(file, columns, compression="zstd") as writer,
    ):
        while some := list(itertools.islice(rest, _AT_ONCE)):
            values = [
                {"study": study, "trial": trial, **asdict(kept)} for study, trial, kept in some
            ]
            writer.write_table(pa.Table.from_pylist(values, schema=columns))
    return path


def _read(path: Path) -> Iterator[tuple[int, str, int, Kept]]:
    """Yield how many there are, the study and the trial of one, and the network."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            if not file.schema_arrow.equals(schema()):
                raise InputError(f"{path}: is no file of networks: its columns are others")
            for batch in file.iter_batches(batch_size=_AT_ONCE):
                for row in batch.to_pylist():
                    if None in row.values():
                        raise InputError(f"{path}: holds a network without all of its columns")
                    if not _ID.fullmatch(row["artifact"]):
                        raise InputError(f"{path}: artifact: {row['artifact']!r} is no UUID")
                    study, trial = row.pop("study"), row.pop("trial")
                    yield file.metadata.num_rows, study, trial, Kept(**row)
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(f"{path}: cannot be read: {str(error).splitlines()[0]}") from None
