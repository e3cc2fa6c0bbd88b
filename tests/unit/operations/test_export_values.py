"""Every cell of an export: refused in one line before all is written, or shown without harm."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.commands import main_ok
from support.fakes import auto_sweep, fake_train
from support.finished_sweeps import TARGETS, finished, saved
from support.pages import get
from sweeper import lifecycle
from sweeper.cli import main
from sweeper.dashboard import Application
from sweeper.errors import InputError
from sweeper.operations import export as exports
from sweeper.store import Dump, Store
from sweeper.worker.worker_loop import work

MARKUP = "</script><script>ran()</script><img src=x onerror=ran()>"
Row = dict[str, Any]


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The export of a finished sweep, with ranges that were found, and of its confirmation."""
    folder = tmp_path_factory.mktemp("export")
    with closing(Store(f"sqlite:///{folder}/sweeps.db")) as store:
        sweep = finished(store, auto_sweep(targets=TARGETS))
        lifecycle.register(store, sweep)
        work(sweep.name, store, pack=8, train=fake_train)
        saved(store, "tiny", folder / "whole")
        saved(store, sweep.name, folder / "whole" / exports.CONFIRMED)
    change_sheet(folder / "whole", "failures", lambda rows: rows.append(FAILURE))
    change_sheet(folder / "whole", "drifts", lambda rows: rows.append(drift(folder / "whole")))
    return folder / "whole"


FAILURE = {
    "sweep": "tiny", "arm": "l1", "repeat": 0, "slot": 1, "worker": "w" * 32, "attempt": "a" * 32,
    "kind": "error", "error": "ValueError: no", "at": 1.8e9,
}  # fmt: skip


def drift(folder: Path) -> Row:
    digest = json.loads((folder / exports.SHEET).read_text())["provenance"][0]["digest"]
    redone = {"arm": "l1", "repeat": 0, "slot": 0, "state": "complete"}
    redone |= {"nonzero": 100, "val_accuracy": 0.9}
    return {
        "sweep": "tiny", "id": "d" * 32, "provenance": digest, "redone": [redone],
        "recorded_at": 1.8e9,
    }  # fmt: skip


def copied(export: Path, to: Path) -> Path:
    return Path(shutil.copytree(export, to / "export", dirs_exist_ok=True))


def change_sheet(folder: Path, key: str, change: Callable[[Any], Any]) -> None:
    path = folder / exports.SHEET
    sheet = json.loads(path.read_text())
    change(sheet[key])
    path.write_text(json.dumps(sheet))


def rows_of(folder: Path) -> list[Row]:
    return list(pq.read_table(folder / exports.FACTS).to_pylist())


def change_facts(folder: Path, change: Callable[[list[Row]], Any]) -> Any:
    rows = rows_of(folder)
    change(rows)
    pq.write_table(pa.Table.from_pylist(rows), folder / exports.FACTS)


def fact(key: str, value: Any, at: int = 4) -> Callable[[Path], Any]:
    """Put a value into a cell of facts.parquet."""
    return lambda folder: change_facts(folder, lambda rows: rows[at].update({key: value}))


def inside(key: str, change: Callable[[Any], Any], at: int = 4) -> Callable[[Path], Any]:
    """Change what the JSON of a cell holds."""

    def changed(rows: list[Row]) -> None:
        value = json.loads(rows[at][key])
        change(value)
        rows[at][key] = json.dumps(value)

    return lambda folder: change_facts(folder, changed)


def cell(table: str, key: str, value: Any, at: int = 0) -> Callable[[Path], Any]:
    """Put a value into a cell of sweep.json."""
    return lambda folder: change_sheet(folder, table, lambda rows: rows[at].update({key: value}))


def head(**values: Any) -> Callable[[Path], Any]:
    def change(folder: Path) -> None:
        path = folder / exports.SHEET
        path.write_text(json.dumps(json.loads(path.read_text()) | values))

    return change


def column(kind: Any, value: Any) -> Callable[[Path], Any]:
    def change(folder: Path) -> None:
        table = pq.read_table(folder / exports.FACTS)
        values = pa.array([value] * table.num_rows, type=kind)
        place = table.column_names.index("pack")
        pq.write_table(table.set_column(place, "pack", values), folder / exports.FACTS)

    return change


def written(file: str, content: bytes) -> Callable[[Path], Any]:
    return lambda folder: (folder / file).write_bytes(content)


# What is done to an export -> what the one line says.
REFUSED: dict[str, tuple[Callable[[Path], Any], str]] = {
    "a trial far off": (fact("trial", 5_000_000), "facts.parquet: trial: must be < 1"),
    "a negative trial": (fact("trial", -1), "facts.parquet: row 4: trial: must be >= 0, got -1"),
    "a trial twice": (
        lambda f: change_facts(f, lambda rows: rows[1].update(trial=0)),
        "row 1: trial: 0 of tiny/",
    ),
    "a slot twice": (
        lambda f: change_facts(f, lambda rows: rows.__setitem__(1, rows[0])),
        "row 1: 'both', repeat 0, slot 0 stands twice",
    ),
    "a slot beyond": (fact("slot", 6), "row 4: the sweep has no slot 'both', repeat 0, slot 6"),
    "another arm": (fact("arm", "l2"), "row 4: the sweep has no slot 'l2', repeat 0, slot 4"),
    "another sweep": (fact("sweep", "other"), "row 4: sweep: must be 'tiny', got 'other'"),
    "another study": (fact("study", "mine"), "row 4: study: must be 'tiny/both/0', got 'mine'"),
    "no provenance": (fact("provenance", "0" * 64), "row 4: provenance: this export has none, got"),
    "a long worker": (fact("worker", "w" * 33), "row 4: worker: "),
    "NaN": (
        fact("pruned_val_accuracy", float("nan")),
        "row 4: pruned_val_accuracy: must be a finite number, got nan",
    ),
    "infinite": (fact("seconds", float("inf")), "row 4: seconds: must be a finite number, got inf"),
    "an accuracy of 2": (fact("pruned_test_accuracy", 2.0), "must be <= 1, got 2.0"),
    "no accuracy": (fact("pruned_val_accuracy", None), "row 4: pruned_*: a "),
    "counts that contradict": (
        fact("as_trained_nonzero", 1),
        "as_trained_nonzero: must be its weights and biases, ",
    ),
    "more than all": (fact("pruned_nonzero", 10**9), "pruned_nonzero: must be <= the total 266610"),
    "beyond integers": (
        fact("total", 2**62),
        "row 4: total: must be <= 1000000000000000, got 4611",
    ),
    "no time": (
        fact("recorded_at", 1e300),
        "row 4: recorded_at: must be <= 100000000000, got 1e+3",
    ),
    "a state": (
        fact("state", "done"),
        "row 4: state: must be 'complete', 'diverged' or 'collapsed'",
    ),
    "a diverged network": (fact("state", "diverged"), "a diverged trial has none of them"),
    "no JSON": (fact("curve", "[1"), "row 4: curve: Expecting ',' delimiter"),
    "a curve of one": (fact("curve", "[[1]]"), "row 4: curve: 0: 1: required, but not given"),
    "a curve of words": (
        fact("curve", '[["a", 1, 0.5, 0.5]]'),
        "row 4: curve: 0: 0: must be a numb",
    ),
    "a curve of NaN": (fact("curve", "[[0.1, 1, NaN, 0.5]]"), "row 4: curve: NaN is no number"),
    "a curve of 1e999": (fact("curve", "[[0.1, 1, 1e999, 0.5]]"), "curve: 1e999 is no number of a"),
    "a curve of part of its examples": (
        fact("curve", "[[0.1, 1, 0.5, 0.5, 100]]"),
        "row 4: curve: 0: 5: required, but not given",
    ),
    "a curve of a part of an example": (
        fact("curve", "[[0.1, 1, 0.5, 0.5, 100, 0.5]]"),
        "row 4: curve: 0: 5: must be a whole number",
    ),
    "a long curve": (
        fact("curve", json.dumps([[0.1, 1, 0.5, 0.5]] * 1000)),
        "must have a point for",
    ),
    "a deep curve": (fact("curve", "[" * 100_000), "row 4: curve: is nested too deep"),
    "text for JSON": (fact("params", '"text"'), "row 4: params: must be a mapping of keys to val"),
    "other params": (inside("params", lambda p: p.update(more=1)), "row 4: params: must be l1.str"),
    "a param outside": (
        inside("params", lambda p: p.update({"learning_rate": 5.0})),
        "row 4: params: learning_rate: must lie in what the study says of it, got 5.0",
    ),
    "a param of text": (
        inside("params", lambda p: p.update({"learning_rate": "0.1"})),
        "must lie in what the study says of it, got '0.1'",
    ),
    "another config": (
        inside("config", lambda c: c.update(floor=0.0)),
        "row 4: config: must be what the study makes of its params, got {",
    ),
    "a config of lists": (
        inside("config", lambda c: c.update(method=[])),
        "row 4: config: must be",
    ),
    "another density": (fact("density", 0.5), "row 4: density: must be 0."),
    "layers": (
        fact("layers", '{"pruned": [], "as_trained": 5}'),
        "layers: as_trained: must be a l",
    ),
    "a track": (fact("layers", '{"other": []}'), "row 4: layers: other: "),
    "a further column": (
        lambda f: change_facts(f, lambda rows: [row.update(more=1) for row in rows]),
        "row 0: more: is not known to this version of sweeper",
    ),
    "a pack of lists": (column(pa.list_(pa.int64()), [1]), "'pack': must be one column of string,"),
    "a pack of records": (
        column(pa.struct([("a", pa.int64())]), {"a": 1}),
        "'pack': must be one c",
    ),
    "a pack of words": (column(pa.string(), "4"), "row 0: pack: must be a whole number, got '4'"),
    "a dictionary": (
        column(pa.dictionary(pa.int32(), pa.string()), "a"),
        "'pack': must be one col",
    ),
    "half a file": (
        lambda f: written("facts.parquet", (f / "facts.parquet").read_bytes()[:-9])(f),
        "facts.parquet: cannot be read: ",
    ),
    "no rows": (
        lambda f: change_facts(f, lambda rows: rows.__delitem__(slice(1, None))),
        "facts.parquet: holds 1 trials, sweep.json says 18",
    ),
    "more trials than slots": (head(facts=10**9), "facts: must be <= 18, the trials of the study"),
    "a state of the sweep": (
        head(state="running"),
        "sweep.json: state: must be 'open', 'stopped' or",
    ),
    "an error of none": (head(error="run rm -rf", state="stopped"), "error: is for a failed sweep"),
    "a name": (head(name="other"), "sweep.json: name: must be the study's, got 'other'"),
    "a created time": (
        head(created_at="now"),
        "sweep.json: created_at: must be a number, got 'now'",
    ),
    "rows that are none": (head(provenance={}), "sweep.json: provenance: must be a list, got {}"),
    "a normalisation of none": (
        cell("provenance", "normalisation", {"mean": [], "deviation": []}),
        "provenance: 0: normalisation: mean: needs 1 or more, got []",
    ),
    "a normalisation of text": (
        cell("provenance", "normalisation", {"mean": ["0"], "deviation": [1]}),
        "provenance: 0: normalisation: mean: 0: must be a number, got '0'",
    ),
    "a deviation of 0": (
        cell("provenance", "normalisation", {"mean": [0.5], "deviation": [0.0]}),
        "provenance: 0: normalisation: deviation: 0: must be > 0, got 0.0",
    ),
    "means without deviations": (
        cell("provenance", "normalisation", {"mean": [0.5, 1.0], "deviation": [1.0]}),
        "provenance: 0: normalisation: deviation: must be as many as means, 2, got 1",
    ),
    "a row that is a list": (head(provenance=[[]]), "provenance: 0: must be a mapping of keys"),
    "a bracket of text": (head(brackets=["l1"]), "brackets: 0: must be a mapping of keys"),
    "no brackets": (head(brackets=[]), "row 0: the range of a strength of both is missing in "),
    "a bracket of points": (
        cell("brackets", "points", [5]),
        "brackets: 0: points: 0: must be a map",
    ),
    "a bracket of nothing": (
        cell("brackets", "points", []),
        "brackets: 0: points: needs 2 or more, got []",
    ),
    "a bracket out of order": (
        lambda f: change_sheet(f, "brackets", lambda rows: rows[0]["points"].reverse()),
        "brackets: 0: points: must ascend in strength, from 0 on",
    ),
    "a bracket backwards": (cell("brackets", "low", 1e9), "brackets: 0: low: must be < high"),
    "a bracket of none": (cell("brackets", "parameter", "mix"), "parameter: this export has none"),
    "a bracket twice": (
        lambda f: change_sheet(f, "brackets", lambda rows: rows.append(rows[0])),
        "brackets: ('both', 'l1.strength') stands twice",
    ),
    "a failure": (cell("failures", "kind", "bored"), "failures: 0: kind: must be "),
    "a failure elsewhere": (
        cell("failures", "slot", 99),
        "failures: 0: the sweep has no slot 'l1'",
    ),
    "a long failure": (cell("failures", "error", "e" * 10_000), "failures: 0: error: "),
    "a failure that rings": (
        cell("failures", "error", "\x1b[2J"),
        "error: must be printable lines",
    ),
    "NUL in a failure": (cell("failures", "error", "a\0"), "failures: 0: error: must be printable"),
    "half a character": (cell("provenance", "host", "\ud800"), "provenance: 0: host: "),
    "a drift": (cell("drifts", "redone", [{}]), "drifts: 0: redone: 0: arm: required, but not"),
    "a drift of nothing": (cell("drifts", "redone", "all"), "drifts: 0: redone: must be a list"),
    "a study of another kind": (head(spec=[]), "sweep.json: spec: must be a mapping"),
    "a study of nothing": (head(spec={}), "sweep.json: spec: name: required, but not given"),
    "a large study": (
        lambda f: change_sheet(f, "spec", lambda s: s["search"].update(trials=10**12)),
        "sweep.json: spec: search.trials: all arms and repeats together must have <= 1,000,000",
    ),
    "a deep sheet": (
        written("sweep.json", b"[" * 1_000_000),
        "sweep.json: is no export of sweeper: ",
    ),
    "a sheet of bytes": (
        written("sweep.json", b"\xff\xfe{"),
        "sweep.json: is no export of sweeper: ",
    ),
    "a long number": (
        written("sweep.json", b'{"format": ' + b"1" * 9999 + b"}"),
        "is no export of s",
    ),
    "a list": (written("sweep.json", b"[]"), "sweep.json: format: must be 1, got None"),
    "another search": (
        lambda f: shutil.copy(f / "sweep.json", f / "confirmed" / "sweep.json"),
        "confirmed/facts.parquet: holds ",
    ),
    "a choice of nothing": (
        lambda f: (
            (change_facts(f, lambda rows: rows.__delitem__(slice(0, 6))), head(facts=12)(f))
        ),
        "confirmed/sweep.json: spec: confirms.chosen: no trial of the search is on record of ",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_cell_that_makes_no_sense_is_one_line_and_nothing_is_written(
    export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    change, said = REFUSED[kind]
    folder = copied(export, tmp_path)
    change(folder)
    with pytest.raises(SystemExit) as ended:
        main(["restore", str(folder), "--storage", f"sqlite:///{tmp_path}/new.db"])
    error = capsys.readouterr().err
    assert ended.value.code == 2, error
    assert said in error
    assert error.startswith(f"error: {folder}/")
    assert len(error.splitlines()) == 1
    assert len(error) < 800
    assert not (tmp_path / "new.db").exists()


def assert_shown(url: str, folder: Path) -> None:
    """Everything that shows a sweep shows it, and none of its texts is markup anywhere."""
    report = folder / "report.html"
    for words in (
        ("status", "tiny", "--json"), ("status", "tiny"), ("list",), ("front", "tiny"),
        ("front", "tiny", "--json"), ("front", "tiny", "--csv"),
        ("report", "tiny", "--out", str(report)),
        ("export", "tiny", "--out", str(folder / "again")),
    ):  # fmt: skip
        main_ok(*words, "--storage", url)
    assert MARKUP not in report.read_text()
    assert "<img src=x" not in report.read_text().replace("&lt;img", "")
    with closing(Store(url)) as store, closing(Application(store)) as app:
        for path in (
            "index.json", "tiny/status.json", "tiny/fronts.json", "tiny/fronts.json?size=effective",
            "tiny/fronts.json?track=as_trained", "tiny/confirmed.json", "tiny/report.html",
            "tiny/facts.csv", "tiny/fronts.csv",
        ):  # fmt: skip
            answer = get(app, f"/sweeps/{path}")
            assert answer.status == 200, (path, answer.body)
            if "json" in path:
                json.dumps(answer.json(), allow_nan=False)
    exports.read_all(folder / "again")


def ends(rows: list[Row]) -> None:
    """The least and the most that every number may be."""
    counted = ("nonzero", "weights", "biases", "effective")
    for number, row in enumerate(rows):
        most = number % 2
        if row["state"] != "diverged":
            row.update({key: row["total"] * most for key in row if key.endswith(counted)})
            row.update({key: 0 for key in row if key.endswith("_biases")})
            row.update({key: float(most) for key in row if key.endswith("_accuracy")})
            row["layers"] = json.dumps({"pruned": [], "as_trained": []})
            row["curve"] = json.dumps(
                [[1.0, row["total"] * most, float(most), 0.0, 10**15, 10**15]] * most
            )
        row.update(steps=10**15 * most, seconds=1e12 * most, recorded_at=1e11 * most)
        row["pack"] = 1 + (2**31 - 2) * most


def all_collapsed(rows: list[Row]) -> None:
    for row in rows:
        if row["state"] != "diverged":
            row["state"] = "collapsed"


def all_diverged(rows: list[Row]) -> None:
    for row in rows:
        tracks = [key for key in row if key.startswith(("pruned_", "as_trained_"))]
        row.update(dict.fromkeys(tracks))
        row.update(state="diverged", layers="{}", curve="[]", finetuned="[]")


def marked(folder: Path) -> None:
    for key in ("processor", "host"):
        cell("provenance", key, MARKUP)(folder)
    for key in ("sweeper", "torch", "git_commit", "device", "data_hash"):
        cell("provenance", key, MARKUP[:64])(folder)
    cell("failures", "error", f"{MARKUP}\n{MARKUP}")(folder)
    head(state="failed", error=MARKUP)(folder)
    layer = {"name": MARKUP, "shape": [1], "weights": 1, "total_weights": 1}
    layer |= {"biases": 0, "total_biases": 0}
    layers = json.dumps({"pruned": [layer], "as_trained": [layer]})

    def named(rows: list[Row]) -> None:
        for row in rows:
            row["layers"] = "{}" if row["state"] == "diverged" else layers

    for place in (folder, folder / exports.CONFIRMED):
        change_facts(place, named)


SHOWN: dict[str, Callable[[Path], Any]] = {
    "as it is": lambda folder: None,
    "ends": lambda f: [change_facts(p, ends) for p in (f, f / "confirmed")],
    "nothing complete": lambda f: change_facts(f, all_collapsed),
    "nothing at all": lambda f: ([change_facts(p, all_diverged) for p in (f, f / "confirmed")]),
    "markup": marked,
    "two points": lambda f: change_sheet(
        f, "brackets", lambda rows: rows[0]["points"].__delitem__(slice(2, None))
    ),
    "the beginning of time": head(created_at=0.0),
}


@pytest.mark.parametrize("kind", SHOWN)
def test_whatever_passes_is_restored_and_everything_shows_it(
    export: Path, tmp_path: Path, kind: str
) -> None:
    folder = copied(export, tmp_path)
    SHOWN[kind](folder)
    url = f"sqlite:///{tmp_path}/new.db"
    main_ok("restore", str(folder), "--storage", url)
    assert_shown(url, tmp_path)


HOSTILE = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.sampled_from([0, 1, -1, 0.0, 1.0]),
    st.floats(), st.text(max_size=20), st.just([]), st.just({}), st.lists(st.floats(), max_size=5),
    st.sampled_from(["[]", "{}", "null", '"x"', "[[1]]", "1e999", MARKUP, "\0", "'; DROP TABLE"]),
)  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield every place in JSON."""
    parts = value.items() if isinstance(value, dict) else enumerate(value)
    for key, part in parts:
        yield (*path, key)
        if isinstance(part, dict | list):
            yield from places(part, (*path, key))


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data(), value=HOSTILE)
def test_any_value_at_any_place_of_a_sheet_is_refused_in_one_line_or_makes_sense(
    export: Path, tmp_path: Path, data: st.DataObject, value: Any
) -> None:
    folder = copied(export, tmp_path)
    path = folder / exports.SHEET
    sheet = json.loads(path.read_text())
    *outer, key = data.draw(st.sampled_from(list(places(sheet))))
    part = sheet
    for step in outer:
        part = part[step]
    part[key] = value
    path.write_text(json.dumps(sheet))
    assert_refused_or_shown(folder)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data(), value=HOSTILE)
def test_any_value_in_any_cell_of_a_trial_is_refused_in_one_line_or_makes_sense(
    export: Path, tmp_path: Path, data: st.DataObject, value: Any
) -> None:
    folder = copied(export, tmp_path)
    rows = rows_of(folder)
    key = data.draw(st.sampled_from(sorted(rows[0])))
    whole = [row | {key: value} for row in rows]
    changed = data.draw(st.sampled_from([whole, [*rows[:4], whole[4], *rows[5:]]]))
    try:
        pq.write_table(pa.Table.from_pylist(changed), folder / exports.FACTS)
    except (pa.ArrowException, OverflowError, UnicodeEncodeError, TypeError):
        return  # no file can hold it
    assert_refused_or_shown(folder)


def assert_refused_or_shown(folder: Path) -> None:
    refused, dumps = "", tuple[Dump, ...]()
    try:
        dumps = exports.read_all(folder)
    except InputError as error:
        refused = str(error)
    if refused:
        assert refused.startswith(str(folder))
        assert len(refused.splitlines()) == 1
        assert len(refused) < 2500
        return
    new = folder / "new.db"
    new.unlink(missing_ok=True)
    with closing(Store(f"sqlite:///{new}")) as store:
        lifecycle.restore_all(store, dumps)
    assert_shown(f"sqlite:///{new}", folder)


def test_either_all_of_an_export_is_on_record_or_none_of_it(export: Path, tmp_path: Path) -> None:
    """A confirmation that does not fit what is here leaves its search out, too."""
    search, again = exports.read_all(export)
    with closing(Store(f"sqlite:///{tmp_path}/new.db")) as store:
        lifecycle.restore(store, again)
        store.upgrade()
        other = [dict(one) | {"recorded_at": 5.0} for one in again.facts]
        changed = type(again)(
            **{name: getattr(again, name) for name in again.__slots__} | {"facts": tuple(other)}
        )
        with pytest.raises(InputError, match="has another result here already"):
            lifecycle.restore_all(store, [search, changed])
        assert store.names() == ("tiny/confirmed",)
        assert lifecycle.restore_all(store, [search, again])[0] == (18, 18)
