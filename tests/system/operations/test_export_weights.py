"""Kept networks as one file: out of one artifact store and into another."""

import uuid
from contextlib import closing
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save

from support.databases import on_sqlite
from support.fakes import fake_train, small_sweep
from support.finished_sweeps import TARGETS, finished
from sweeper import lifecycle
from sweeper.cli import main
from sweeper.config import Sweep
from sweeper.errors import InputError
from sweeper.operations import export_weights
from sweeper.search.artifacts import NETWORK, Artifact
from sweeper.store import Store
from sweeper.worker.worker_loop import work

PLAIN = "application/octet-stream"


def tensors(number: int) -> bytes:
    """A network, made up."""
    weight = np.full((3, 50), number, dtype=np.float32)
    return bytes(save({"1.weight": weight}, metadata={"shapes": '{"1.weight": [3, 50]}'}))


@pytest.fixture
def sweep(store: Store, tmp_path: Path) -> Sweep:
    """A confirmation whose networks, made up, are kept in a folder `kept`."""
    sweep = finished(store, small_sweep(targets=TARGETS))
    lifecycle.register(store, sweep)
    work(sweep.name, store, pack=8, train=fake_train)
    with lifecycle.open_studies(store, sweep) as search:
        search.artifacts.use(str(tmp_path / "kept"))
        for fact in store.records(sweep.name):
            content = tensors(fact.trial)
            name = f"{fact.slot.arm}-{fact.trial}{NETWORK}"
            search.artifacts.restore(
                fact.slot.study, fact.trial, Artifact(str(uuid.uuid4()), name, PLAIN, content)
            )
    return sweep


def kept(store: Store, sweep: Sweep, place: Path) -> dict[tuple[str, int], Artifact | None]:
    with lifecycle.open_studies(store, sweep) as search:
        search.artifacts.use(str(place))
        return {
            (fact.slot.study, fact.trial): search.artifacts.load(
                fact.slot.study, fact.trial, NETWORK
            )
            for fact in store.records(sweep.name)
        }


def restored(store: Store, source: Store, sweep: Sweep, folder: Path) -> None:
    lifecycle.restore(store, source.dump(sweep.name))
    assert (folder / export_weights.FILE).exists()


def test_every_network_lies_beside_its_trial_in_another_database(
    store: Store, other: Store, sweep: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_weights, "_AT_ONCE", 4)  # in several pieces
    told: list[tuple[int, int]] = []
    path = export_weights.save(
        tmp_path / "out", store, sweep.name, str(tmp_path / "kept"), on_network=lambda *of: None
    )
    assert path is not None
    restored(other, store, sweep, path.parent)
    count = export_weights.restore(
        path.parent,
        other,
        sweep.name,
        str(tmp_path / "new"),
        on_network=lambda done, all_: told.append((done, all_)),
    )
    before = kept(store, sweep, tmp_path / "kept")
    assert count == len(before) == len(store.records(sweep.name)) > 4
    assert told == [(done, count) for done in range(count)]
    assert kept(other, sweep, tmp_path / "new") == before
    assert None not in before.values()


@on_sqlite
def test_those_of_the_first_seeds_alone(store: Store, sweep: Sweep, tmp_path: Path) -> None:
    assert export_weights.save(tmp_path, store, sweep.name, str(tmp_path / "kept"), seeds=1)
    confirms = sweep.confirms
    assert confirms is not None
    assert confirms.seeds > 1
    rows = pq.read_table(tmp_path / export_weights.FILE).to_pylist()
    written = {(row["study"], row["trial"]) for row in rows}
    assert written == {
        (fact.slot.study, fact.trial)
        for fact in store.records(sweep.name)
        if confirms.at(*fact.slot.place)[1] == 0
    }


@on_sqlite
def test_without_any_network_nothing_is_written(store: Store, sweep: Sweep, tmp_path: Path) -> None:
    assert export_weights.save(tmp_path, store, sweep.name, str(tmp_path / "elsewhere")) is None
    assert not (tmp_path / export_weights.FILE).exists()
    assert all(one and one.content is None for one in kept(store, sweep, tmp_path / "no").values())


def test_interrupted_it_is_finished_by_the_same_again(
    store: Store, other: Store, sweep: Sweep, tmp_path: Path
) -> None:
    export_weights.save(tmp_path, store, sweep.name, str(tmp_path / "kept"))
    restored(other, store, sweep, tmp_path)

    def interrupt(done: int, all_: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    new = tmp_path / "new"
    with pytest.raises(KeyboardInterrupt):
        export_weights.restore(tmp_path, other, sweep.name, str(new), on_network=interrupt)
    assert sum(one is not None for one in kept(other, sweep, new).values()) == 3
    for _ in range(2):
        export_weights.restore(tmp_path, other, sweep.name, str(new))
        assert kept(other, sweep, new) == kept(store, sweep, tmp_path / "kept")
    places = {fact.slot.arm: new / fact.slot.study for fact in store.records(sweep.name)}
    written = set(new.rglob(f"*{NETWORK}"))
    assert {path.parent for path in written} == set(places.values())
    assert len(written) == len(store.records(sweep.name))


def row(**changes: object) -> dict[str, object]:
    return {
        "study": "tiny/l1/confirmed",
        "trial": 0,
        "artifact": str(uuid.uuid4()),
        "name": f"l1{NETWORK}",
        "mimetype": PLAIN,
        "content": tensors(1),
    } | changes


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"artifact": "../../outside"}, "artifact: '../../outside' is no UUID"),
        ({"trial": 999}, "tiny/l1/confirmed, trial 999: tiny/confirmed has no such trial"),
        ({"study": "other/l1/confirmed"}, "trial 0: tiny/confirmed has no such trial"),
        ({"content": None}, "holds a network without all of its columns"),
        ({"content": b"<script>"}, "row 0: content: is no safetensors file: "),
        ({"content": b""}, "row 0: content: is no safetensors file: "),
        ({"name": "page.html"}, "row 0: name: must be a name that ends in .safetensors, got 'page"),
        ({"name": f"../x{NETWORK}"}, f"in {NETWORK}, got '../x{NETWORK}'"),
        ({"name": f"a\nb{NETWORK}"}, f"in {NETWORK}, got 'a\\nb{NETWORK}'"),
        ({"mimetype": "text/html"}, f"row 0: mimetype: must be {PLAIN}, got 'text/html'"),
        ({"mimetype": "image/svg+xml"}, f"row 0: mimetype: must be {PLAIN}, got 'image/svg+xml'"),
        ({"more": 1}, "is no file of networks: its columns are others"),
    ],
)
@on_sqlite
def test_a_file_of_other_networks_is_one_line(
    store: Store, sweep: Sweep, tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    columns = export_weights.schema()
    for name in changes.keys() - set(columns.names):
        columns = columns.append(pa.field(name, pa.int64()))
    table = pa.Table.from_pylist([row(**changes)], schema=columns)
    pq.write_table(table, tmp_path / export_weights.FILE)
    with pytest.raises(InputError) as refused:
        export_weights.restore(tmp_path, store, sweep.name, str(tmp_path / "new"))
    assert said in str(refused.value)
    assert not (tmp_path / "new").exists()
    assert not (tmp_path / "outside").exists()


@on_sqlite
def test_networks_that_stand_twice_and_more_of_them_than_trials_are_one_line(
    store: Store, sweep: Sweep, tmp_path: Path
) -> None:
    same = str(uuid.uuid4())
    for rows, said in (
        ([row(), row()], "row 1: tiny/l1/confirmed, trial 0: stands twice"),
        ([row(artifact=same), row(artifact=same, trial=1)], "trial 1: stands twice"),
        ([row()] * 1000, "holds 1000 networks of "),
    ):
        table = pa.Table.from_pylist(rows, schema=export_weights.schema())
        pq.write_table(table, tmp_path / export_weights.FILE)
        with pytest.raises(InputError) as refused:
            export_weights.restore(tmp_path, store, sweep.name, str(tmp_path / "new"))
        assert said in str(refused.value)
        assert not (tmp_path / "new").exists()


@on_sqlite
def test_another_file_of_the_same_name_is_never_written_over(
    store: Store, sweep: Sweep, tmp_path: Path
) -> None:
    """Names of artifacts are in every export that was published: another may use them again."""
    known = kept(store, sweep, tmp_path / "kept")
    (first, second, *_) = (one for one in known.values() if one)
    table = pa.Table.from_pylist(
        [row(artifact=second.artifact, content=tensors(99))], schema=export_weights.schema()
    )
    pq.write_table(table, tmp_path / export_weights.FILE)
    with pytest.raises(InputError, match=f"{second.artifact}: another file has this name there"):
        export_weights.restore(tmp_path, store, sweep.name, str(tmp_path / "kept"))
    assert kept(store, sweep, tmp_path / "kept") == known
    (tmp_path / "kept" / first.artifact).write_bytes((first.content or b"")[:9])  # a crash
    path = export_weights.save(tmp_path / "out", store, sweep.name, str(tmp_path / "kept"))
    assert path is not None


@pytest.mark.parametrize("content", [b"", b"PAR1", None])
@on_sqlite
def test_a_broken_file_is_one_line(
    store: Store, sweep: Sweep, tmp_path: Path, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / export_weights.FILE).write_bytes(content)
    with pytest.raises(InputError, match=f"{export_weights.FILE}: cannot be read: ") as refused:
        export_weights.restore(tmp_path, store, sweep.name, str(tmp_path / "new"))
    assert len(str(refused.value).splitlines()) == 1


def test_a_confirmation_of_which_nothing_was_kept_is_not_verified(
    sqlite_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(Store(sqlite_url)) as store:
        sweep = finished(store, small_sweep(targets=TARGETS))
        lifecycle.register(store, sweep)
        work(sweep.name, store, pack=8, train=fake_train)
    with pytest.raises(SystemExit) as ended:
        main(["verify", "tiny", "--storage", sqlite_url, "--artifacts", str(tmp_path / "none")])
    assert ended.value.code == 1
    assert "tiny: 0 networks as on record, " in (said := capsys.readouterr().out)
    assert said.endswith(" never kept\n")
