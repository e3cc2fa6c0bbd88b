"""Exports of sweeps whose trials bring several networks: whole there and back, or one line."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from support.commands import main_ok
from support.fakes import fake_train, ladder_sweep
from support.finished_sweeps import TARGETS, finished, saved
from sweeper import lifecycle
from sweeper.config import Sweep
from sweeper.errors import InputError
from sweeper.operations import export
from sweeper.store import Store
from sweeper.worker.worker_loop import work

Row = dict[str, Any]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A finished sweep of ladders and seeds, with its confirmation."""
    with closing(Store(f"sqlite:///{tmp_path_factory.mktemp('ladders')}/sweeps.db")) as opened:
        again = finished(opened, ladder_sweep(search={"trials": 4}, targets=TARGETS))
        lifecycle.register(opened, again)
        work(again.name, opened, pack=8, train=fake_train)
        yield opened


@pytest.fixture(scope="module")
def whole(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export")
    saved(store, "tiny", folder)
    saved(store, "tiny/confirmed", folder / export.CONFIRMED)
    return folder


def test_a_ladder_goes_there_and_back_with_its_confirmation(
    store: Store, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"sqlite:///{tmp_path}/new.db"
    main_ok("restore", str(whole), "--storage", url)
    count = len(store.records("tiny/confirmed"))
    assert capsys.readouterr().out.splitlines()[:2] == [
        "tiny: 72 networks restored",
        f"tiny/confirmed: {count} networks restored",
    ]
    with closing(Store(url)) as new:
        assert {n: new.dump(n) for n in new.names()} == {n: store.dump(n) for n in store.names()}
        # Every slot is on record: nothing of it is trained again.
        assert work("tiny", new, pack=4, train=fake_train) == 0


def set_to(at: int, **values: Any) -> Callable[[list[Row]], Any]:
    return lambda rows: rows[at].update(values)


def as_trained(at: int, of: int) -> Callable[[list[Row]], Any]:
    """Give a network what its training has once."""

    def change(rows: list[Row]) -> None:
        layers = json.loads(rows[at]["layers"]) | {
            "as_trained": json.loads(rows[of]["layers"])["as_trained"]
        }
        names = [name for name in rows[of] if name.startswith("as_trained_")]
        rows[at].update({"layers": json.dumps(layers), **{name: rows[of][name] for name in names}})

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (set_to(5, network=6), r"row 5: network: must be < 6, the networks of a slot, got 6$"),
        (set_to(5, network=4), r"row 5: 'dense', repeat 0, slot 0, network 4, stands twice$"),
        (set_to(5, trial=77), r"'dense', repeat 0, slot 0: trial: must be 5, got 77$"),
        (as_trained(1, 0), r"network 1: as_trained_\*: stands with the first network of a"),
        (lambda rows: rows.pop(5), r"slot 0: must have all of its 6 networks, has 5$"),
    ],
    ids=["beyond", "twice", "not in a row", "as trained again", "without one"],
)
def test_a_slot_that_is_not_whole_is_refused_in_one_line(
    whole: Path, tmp_path: Path, change: Callable[[list[Row]], Any], said: str
) -> None:
    folder = Path(shutil.copytree(whole, tmp_path / "export"))
    rows = pq.read_table(folder / export.FACTS).to_pylist()
    change(rows)
    pq.write_table(pa.Table.from_pylist(rows), folder / export.FACTS)
    sheet = json.loads((folder / export.SHEET).read_text())
    (folder / export.SHEET).write_text(json.dumps({**sheet, "facts": len(rows)}))
    with pytest.raises(InputError, match=said) as refused:
        export.read_all(folder)
    assert "\n" not in str(refused.value)


def test_a_rung_that_no_ladder_has_is_refused(whole: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(whole, tmp_path / "export"))
    path = folder / export.CONFIRMED / export.SHEET
    sheet = json.loads(path.read_text())
    for chosen in sheet["spec"]["confirms"]["chosen"].values():
        chosen[0]["rung"] = 3
    digest = Sweep.model_validate(sheet["spec"]).digest
    path.write_text(json.dumps({**sheet, "digest": digest}))
    with pytest.raises(InputError, match=r"rung: must be < 3, got 3"):
        export.read_all(folder)
