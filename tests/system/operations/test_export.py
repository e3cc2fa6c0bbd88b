"""Sweeps as files, and in another database from them."""

import json
import signal
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import pyarrow.parquet as pq
import pytest

from support.commands import main_ok
from support.databases import on_sqlite
from support.fakes import auto_sweep, fake_probe, fake_train, optuna_study, small_sweep
from support.finished_sweeps import TARGETS, find_all, finished, saved
from support.processes import wait_for
from support.worker_processes import assert_exact, facts, worker_process
from sweeper import lifecycle
from sweeper.cli import main
from sweeper.config import Sweep
from sweeper.errors import DigestError, InputError
from sweeper.operations import export
from sweeper.store import Store
from sweeper.types import Normalisation, StrengthRange
from sweeper.worker.worker_loop import work


@pytest.mark.parametrize("name", ["facts.csv", "fronts.csv", "sweep.json", "facts.parquet"])
@on_sqlite
def test_an_export_overwrites_no_file_of_a_users(store: Store, tmp_path: Path, name: str) -> None:
    lifecycle.register(store, small_sweep())
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / name).write_text("my own\n")
    with pytest.raises(InputError, match="holds files that are no export of tiny, and would be"):
        saved(store, "tiny", folder)
    assert [file.name for file in folder.iterdir()] == [name]
    assert (folder / name).read_text() == "my own\n"


@on_sqlite
def test_an_export_overwrites_its_own_also_a_half_made_one_and_no_other_sweeps(
    store: Store, tmp_path: Path
) -> None:
    for name in ("tiny", "tin"):
        lifecycle.register(store, small_sweep(name))
        work(name, store, pack=18, train=fake_train)
    saved(store, "tiny", tmp_path / "out")
    for left in ("nothing", "sweep.json", "fronts.csv", "facts.csv"):
        (tmp_path / "out" / left).unlink(missing_ok=True)
        with pytest.raises(InputError, match="are no export of tin,"):
            saved(store, "tin", tmp_path / "out")
    assert export.read(saved(store, "tiny", tmp_path / "out")).sweep == small_sweep()


def some(store: Store, sweep: Sweep, count: int) -> None:
    """Work on a sweep until some of its trials are on record."""
    lifecycle.register(store, sweep)

    def enough(line: str) -> None:
        if line.startswith("recorded") and len(store.records(sweep.name)) >= count:
            store.stop(sweep.name)

    work(sweep.name, store, pack=2, train=fake_train, probe=fake_probe, on_event=enough)
    lifecycle.register(store, sweep)


def trials(store: Store, sweep: Sweep) -> dict[str, list[tuple[object, ...]]]:
    return {
        study: [
            (trial.number, trial.state, trial.values, trial.params, trial.user_attrs)
            for trial in optuna_study(store.url, study).trials
        ]
        for study in sweep.studies()
    }


def test_a_sweep_half_done_goes_on_elsewhere_as_if_it_had_stayed(
    store: Store, other: Store, tmp_path: Path
) -> None:
    sweep = auto_sweep(search={"sampler": "tpe", "trials": 14, "in_flight": 2})
    some(store, sweep, 16)
    done = len(store.records("tiny"))
    assert 16 <= done < store.status("tiny").budget
    lifecycle.restore(other, export.read(saved(store, "tiny", tmp_path)))
    assert other.records("tiny") == store.records("tiny")
    assert other.strength_ranges("tiny") == store.strength_ranges("tiny")
    assert other.sweep("tiny").digest == sweep.digest
    assert list(other.sweep("tiny").arms) == list(sweep.arms)
    assert trials(other, sweep) == trials(store, sweep)
    for place in (store, other):
        work("tiny", place, pack=3, train=fake_train, probe=fake_probe)
        assert_exact(place, sweep)
    assert facts(other) == facts(store)


def test_what_is_read_is_what_was_written_to_the_last_bit(
    store: Store, other: Store, tmp_path: Path
) -> None:
    sweep = finished(store, auto_sweep(targets=TARGETS))
    lifecycle.register(store, sweep)
    work(sweep.name, store, pack=8, train=fake_train)
    for name in ("tiny", sweep.name):
        one, two = tmp_path / "one" / name, tmp_path / "two" / name
        dump = export.read(saved(store, name, one))
        assert dump == store.dump(name)
        lifecycle.restore(other, dump)
        saved(other, name, two)
        for file in (export.SHEET, export.FACTS, export.FLAT, export.FRONTS):
            assert (one / file).read_bytes() == (two / file).read_bytes()
        assert trials(other, dump.sweep) == trials(store, dump.sweep)
        assert pq.read_table(one / export.FACTS).num_rows == len(store.records(name))


def test_the_normalisation_of_the_data_travels_with_the_records(
    store: Store, other: Store, tmp_path: Path
) -> None:
    numbers = Normalisation((0.1 + 0.2, -1e-17), (3.0, 1e300))
    lifecycle.register(store, small_sweep())
    data = SimpleNamespace(hash="d" * 64, normalisation=numbers)
    work("tiny", store, pack=18, train=fake_train, data=data)
    assert {record.provenance.normalisation for record in store.records("tiny")} == {numbers}
    dump = export.read(saved(store, "tiny", tmp_path / "out"))
    assert dump == store.dump("tiny")
    lifecycle.restore(other, dump)
    assert other.records("tiny") == store.records("tiny")


def test_an_export_from_before_normalisations_were_kept_is_read_and_written_as_it_was(
    store: Store, other: Store, tmp_path: Path
) -> None:
    finished(store, small_sweep())
    saved(store, "tiny", tmp_path / "one")
    assert "normalisation" not in (tmp_path / "one" / export.SHEET).read_text()
    lifecycle.restore(other, export.read(tmp_path / "one"))
    assert {record.provenance.normalisation for record in other.records("tiny")} == {None}
    saved(other, "tiny", tmp_path / "two")
    for file in (export.SHEET, export.FACTS):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_lost_attempts_and_their_trials_travel_too(
    store: Store, other: Store, tmp_path: Path
) -> None:
    sweep = small_sweep()
    lifecycle.register(store, sweep)
    with worker_process(store.url, "--delay", "600") as process:
        wait_for(lambda: sum(arm.claimed for arm in store.status("tiny").arms) > 0)
        process.send_signal(signal.SIGKILL)
        process.wait()
    work("tiny", store, pack=4, train=fake_train)
    lost = store.status("tiny").failures
    assert lost
    lifecycle.restore(other, store.dump("tiny"))
    lifecycle.restore(other, store.dump("tiny"))
    assert other.status("tiny").failures == lost
    assert_exact(other, sweep)
    states = [[row[1] for row in rows] for rows in trials(other, sweep).values()]
    assert states == [[row[1] for row in rows] for rows in trials(store, sweep).values()]


def test_what_is_here_already_stays_and_what_is_missing_is_added(
    store: Store, other: Store, tmp_path: Path
) -> None:
    sweep = small_sweep()
    some(store, sweep, 4)
    before = len(store.records("tiny"))
    assert lifecycle.restore(other, store.dump("tiny")) == (before, before)
    assert lifecycle.restore(other, store.dump("tiny")) == (0, before)
    work("tiny", store, pack=3, train=fake_train)
    assert lifecycle.restore(other, store.dump("tiny")) == (18 - before, 18)
    assert_exact(other, sweep)
    assert facts(other) == facts(store)


def test_a_slot_that_a_worker_holds_is_refused_and_nothing_changes(
    store: Store, other: Store
) -> None:
    sweep = small_sweep()
    some(store, sweep, 18)
    lifecycle.register(other, sweep)
    worker = other.join("tiny", device="cpu")
    (held,) = other.claim(worker, 1)
    with pytest.raises(InputError, match="a worker is at it: sweeper stop first"):
        lifecycle.restore(other, store.dump("tiny"))
    assert other.records("tiny") == ()
    other.release(worker, [held])
    assert lifecycle.restore(other, store.dump("tiny")) == (18, 18)


def test_another_result_of_a_slot_is_refused_and_nothing_changes(
    store: Store, other: Store
) -> None:
    sweep = small_sweep()
    some(store, sweep, 4)
    lifecycle.register(other, sweep)
    work("tiny", other, pack=3, train=fake_train)  # the same results at another time
    kept = other.records("tiny")
    with pytest.raises(InputError, match=r"^tiny: slot \d of \w+, repeat 0: has another result he"):
        lifecycle.restore(other, store.dump("tiny"))
    assert other.records("tiny") == kept
    elsewhere = small_sweep(seed=1)
    foreign = replace(store.dump("tiny"), spec=json.dumps(elsewhere.model_dump(mode="json")))
    with pytest.raises(DigestError, match="seed: registered 0, now 1"):
        lifecycle.restore(other, foreign)


def ranged(store: Store, bracket: StrengthRange) -> None:
    """Register a sweep with ranges as a probe on another processor might have found them."""
    lifecycle.register(store, auto_sweep())
    find_all(store, "tiny", bracket)


def test_ranges_that_nothing_was_drawn_from_give_way_to_those_of_the_trials(
    store: Store, other: Store
) -> None:
    sweep = auto_sweep()
    lifecycle.register(store, sweep)
    work("tiny", store, pack=9, train=fake_train, probe=fake_probe)
    ranged(other, StrengthRange(0.01, 0.02, (), open_below=False, open_above=False, seconds=1.0))
    lifecycle.restore(other, store.dump("tiny"))
    assert other.strength_ranges("tiny") == store.strength_ranges("tiny")
    assert trials(other, sweep) == trials(store, sweep)


def test_other_ranges_with_trials_in_them_are_refused_and_nothing_changes(
    store: Store, other: Store
) -> None:
    lifecycle.register(store, auto_sweep())
    work("tiny", store, pack=9, train=fake_train, probe=fake_probe)
    ranged(other, StrengthRange(0.01, 0.02, (), open_below=False, open_above=False, seconds=1.0))
    some(other, auto_sweep(), 4)
    kept, before = other.records("tiny"), other.strength_ranges("tiny")
    said = r"^tiny: l1\.strength of both has another range here .* 0\.01 to 0\.02 instead of .* to "
    with pytest.raises(InputError, match=said):
        lifecycle.restore(other, replace(store.dump("tiny"), facts=()))
    assert (other.records("tiny"), other.strength_ranges("tiny")) == (kept, before)


KILLED = """
import os, signal, sys
from sweeper import lifecycle
from sweeper.operations import export
from sweeper.search import SweepStudies
from sweeper.store import Store
def die(*arguments):
    os.kill(os.getpid(), signal.SIGKILL)
url, folder, where = sys.argv[1:]
if where == "trials":
    calls, create = [], SweepStudies._recreated
    def some(self, fact):
        calls.append(1)
        return die() if len(calls) > 7 else create(self, fact)
    SweepStudies._recreated = some
else:
    setattr(*{"studies": (SweepStudies, "create"), "state": (Store, "finish_restore")}[where], die)
lifecycle.restore(Store(url), export.read(__import__("pathlib").Path(folder)))
"""


@pytest.mark.parametrize("where", ["studies", "trials", "state"])
def test_killed_half_way_it_is_finished_by_the_same_command(
    where: str, store: Store, other: Store, tmp_path: Path
) -> None:
    sweep = small_sweep()
    some(store, sweep, 10)
    folder = saved(store, "tiny", tmp_path / "export")
    command = [sys.executable, "-c", KILLED, other.url, str(folder), where]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert work("tiny", other, train=fake_train) == 0  # no slot is given out meanwhile
    # Nor does it go on without what the sampler learned there.
    with pytest.raises(InputError, match=r"^tiny: it is restored in part only: the same `sweeper "):
        lifecycle.register(other, sweep)
    assert other.status("tiny").error
    lifecycle.restore(other, export.read(folder))
    assert trials(other, sweep) == trials(store, sweep)
    work("tiny", other, pack=3, train=fake_train)
    work("tiny", store, pack=3, train=fake_train)
    assert_exact(other, sweep)
    assert facts(other) == facts(store)


@pytest.mark.parametrize(
    ("break_", "said"),
    [
        (lambda folder: (folder / "sweep.json").unlink(), "sweep.json: cannot be read: No such"),
        (lambda folder: (folder / "facts.parquet").unlink(), "parquet: cannot be read: No such"),
        (lambda folder: (folder / "facts.parquet").write_bytes(b"no"), "parquet: cannot be read"),
        (lambda folder: (folder / "sweep.json").write_text("{"), "is no export of sweeper"),
        (lambda folder: _change(folder, format=2), "format: must be 1, got 2"),
        (lambda folder: _change(folder, created_at=float("nan")), "NaN is no number of a sweep"),
        (lambda folder: _change(folder, facts=3), "holds 18 trials, sweep.json says 3"),
        (lambda folder: _change(folder, digest="0" * 64), "spec: was changed"),
        (lambda folder: _change(folder, provenance=None), "provenance: must be a list, got None"),
    ],
)
def test_a_broken_export_is_one_line(
    break_: object, said: str, tmp_path: Path, sqlite_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(Store(sqlite_url)) as store:
        lifecycle.register(store, small_sweep())
        work("tiny", store, pack=9, train=fake_train)
        folder = saved(store, "tiny", tmp_path / "export")
    break_(folder)  # type: ignore[operator]
    with pytest.raises(SystemExit) as ended:
        main(["restore", str(folder), "--storage", f"sqlite:///{tmp_path}/new.db"])
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.startswith("error: ")
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "new.db").exists()


def _change(folder: Path, **changes: object) -> None:
    path = folder / "sweep.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes), encoding="utf-8")


def test_the_commands_carry_a_sweep_with_its_confirmation(
    tmp_path: Path, sqlite_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(Store(sqlite_url)) as store:
        sweep = finished(store, small_sweep(targets=TARGETS))
        lifecycle.register(store, sweep)
        work(sweep.name, store, pack=8, train=fake_train)
        kept = {name: store.dump(name) for name in store.names()}
    folder, new = tmp_path / "export", f"sqlite:///{tmp_path}/new.db"
    main_ok("export", "tiny", "--storage", sqlite_url, "--out", str(folder))
    assert "confirmed/facts.parquet" in capsys.readouterr().out
    for figure in ("fronts", "curves", "confirmed", "effort"):
        root = ElementTree.parse(folder / f"{figure}.svg").getroot()
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        words = [text.text or "" for text in root.iter("{http://www.w3.org/2000/svg}text")]
        assert "l1" in words
        assert not any("var(" in value for node in root.iter() for value in node.attrib.values())
    main_ok("restore", str(folder), "--storage", new)
    out = capsys.readouterr().out
    assert "tiny: 18 trials restored" in out
    assert f"tiny/confirmed: {len(kept[sweep.name].facts)} trials restored" in out
    with closing(Store(new)) as store:
        assert {name: store.dump(name) for name in store.names()} == kept
    main_ok("restore", str(folder), "--storage", new)
    assert "tiny: 0 trials restored; 18 were here already" in capsys.readouterr().out
