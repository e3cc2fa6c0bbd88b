"""A mirror in Weights & Biases: each trial is one run of a real folder, without any secret."""

import importlib
import json
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.commands import main_ok
from support.fakes import small_sweep
from support.script_records import flops_sweep, script_records
from sweeper.config import Sweep
from sweeper.errors import InputError
from sweeper.operations.trial_mirrors import MirroredTrial, mirror_all, mirrored
from sweeper.operations.wandb_mirror import WandbMirror
from sweeper.store import Store

wandb = pytest.importorskip("wandb", reason="W&B is not installed: sweeper[wandb]")
KEY = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of W&B's offline runs, and a home of its own."""
    settings = {
        "WANDB_MODE": "offline",
        "WANDB_DIR": str(tmp_path),
        "WANDB_API_KEY": KEY,
        "WANDB_ERROR_REPORTING": "false",
        "HOME": str(tmp_path / "home"),
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    wandb.teardown()  # it reads the environment once
    yield tmp_path / "wandb"
    wandb.teardown()


def run_folders(folder: Path) -> list[Path]:
    """Return the folders of offline runs."""
    return sorted(folder.glob("offline-run-*"))


def read_records(file: Path) -> Iterator[bytes]:
    """Give the records of a run's file: LevelDB's log, after seven bytes of W&B's own."""
    data, place, parts = file.read_bytes(), 7, b""
    while place + 7 <= len(data):
        rest = 32_768 - place % 32_768
        if rest < 7:  # a block's end, too short for a header
            place += rest
            continue
        length, kind = struct.unpack("<HB", data[place + 4 : place + 7])
        parts += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in {1, 4}:  # whole, or the last part
            yield parts
            parts = b""


def read_run(path: Path) -> dict[str, Any]:
    """Return what a run's file holds: id, project, name, group, config, history and exit."""
    record_type = importlib.import_module("wandb.proto.wandb_internal_pb2").Record
    wandb.teardown()  # its process has written all of it once it ends
    [file] = path.glob("*.wandb")
    run: dict[str, Any] = {"history": []}
    for data in read_records(file):
        record = record_type.FromString(data)
        match record.WhichOneof("record_type"):
            case "run":
                config = {one.key: json.loads(one.value_json) for one in record.run.config.update}
                run |= {"id": record.run.run_id, "project": record.run.project}
                run |= {"name": record.run.display_name, "group": record.run.run_group}
                run["config"] = config
            case "history":
                items = record.history.item
                row = {one.key or one.nested_key[0]: json.loads(one.value_json) for one in items}
                run["history"].append(row)
            case "exit":
                run["exit"] = record.exit.exit_code
    return run


def test_each_trial_is_one_finished_run_with_its_numbers(
    folder: Path, finished: tuple[Store, Sweep]
) -> None:
    store, sweep = finished
    records = store.records("tiny")
    assert mirror_all(store, "tiny", "wandb") == (len(records), len(records))
    by_key = {run["config"]["sweeper"]["trial"]: run for run in map(read_run, run_folders(folder))}
    assert len(by_key) == len(run_folders(folder)) == len(records)
    for record in records:
        run = by_key[f"{record.slot.study}#{record.trial}"]
        network = record.result.judged(sweep.sparsification.track)
        assert (run["project"], run["group"]) == ("sweeper-tiny", f"tiny/{record.slot.arm}")
        assert run["name"] == f"{record.slot.arm}/{record.slot.repeat}#{record.trial}"
        assert record.params.items() <= run["config"].items()
        assert run["exit"] == 0
        [row] = run["history"]
        assert row["total"] == record.result.total
        assert row.get("nonzero") == (network and network.nonzero)
        assert row.get("test_accuracy") == (network and network.test_accuracy)


def test_a_learning_curve_and_further_numbers_are_rows_with_steps(folder: Path) -> None:
    sweep = flops_sweep()
    record = next(one for one in script_records(sweep) if one.result.state == "complete")
    WandbMirror(sweep).add(MirroredTrial.of(record, sweep))
    curve = read_run(*run_folders(folder))["history"]
    assert [row["_step"] for row in curve] == list(range(1, 13))
    for row, point in zip(curve, record.result.learning, strict=True):
        values = {f"learning/{name}": value for name, value in point.values}
        assert {**values, "learning/epoch": point.epoch}.items() <= row.items()
    assert record.result.numbers
    numbers = {f"numbers/{name}": value for name, value in record.result.numbers}
    assert {**numbers, "total": record.result.total}.items() <= curve[-1].items()


def test_a_trial_that_is_there_is_not_added_again(
    folder: Path, finished: tuple[Store, Sweep], capfd: pytest.CaptureFixture[str]
) -> None:
    store, sweep = finished
    first, *_ = store.records("tiny")
    WandbMirror(sweep).add(MirroredTrial.of(first, sweep))
    main_ok("mirror", "tiny", "--to", "wandb")
    left = len(store.records("tiny")) - 1
    said = f"tiny: {left} trials mirrored to wandb; 1 were there already\n"
    assert tuple(capfd.readouterr()) == (said, "")
    before = run_folders(folder)
    assert mirror_all(store, "tiny", "wandb")[0] == 0
    assert run_folders(folder) == before
    assert WandbMirror(small_sweep("another")).keys() == set()


def test_a_run_that_a_crash_left_unfinished_is_put_there_anew(
    folder: Path, finished: tuple[Store, Sweep], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, sweep = finished
    first, *_ = store.records("tiny")
    trial = MirroredTrial.of(first, sweep)
    with monkeypatch.context() as crash:
        crash.setattr("sweeper.operations.wandb_mirror._log", lambda run, trial: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            WandbMirror(sweep).add(trial)
    [left] = run_folders(folder)
    (left / "remains").touch()
    half = read_run(left)["id"]
    mirror = WandbMirror(sweep)
    assert mirror.keys() == set()
    mirror.add(trial)
    [whole] = run_folders(folder)
    assert not (whole / "remains").exists()
    assert read_run(whole)["id"] == half
    assert mirror.keys() == {trial.key}


def test_neither_the_api_key_nor_the_command_line_is_in_a_run(
    folder: Path, finished: tuple[Store, Sweep], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, _ = finished
    url = "postgresql://me:geheim@db/sweeper"
    monkeypatch.setattr(sys, "argv", ["sweeper", "run", "--storage", url])
    mirror_all(store, "tiny", "wandb")
    texts = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    assert any(b"tiny/dense/0#" in text for text in texts)
    assert not any(b"geheim" in text or KEY.encode() in text for text in texts)


@pytest.mark.slow
def test_a_server_that_is_away_is_one_line_without_the_key(
    finished: tuple[Store, Sweep],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    store, sweep = finished
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")  # where nobody listens
    wandb.teardown()
    notes: list[str] = []
    with mirrored(store, sweep, ["wandb"], notes.append):
        pass
    [note] = notes
    assert note.startswith("mirror wandb: trials may be missing there (AuthenticationError: ")
    assert "127.0.0.1:9" in note
    assert note.endswith(": sweeper mirror tiny --to wandb adds them")
    assert KEY not in note
    assert tuple(capfd.readouterr()) == ("", "")


@pytest.mark.parametrize(
    ("mode", "text"),
    [
        ("disabled", "WANDB_MODE: got 'disabled'; allowed: online, offline"),
        ("online", "no API key: set WANDB_API_KEY, run `wandb login`, or set WANDB_MODE=offline"),
    ],
)
def test_nothing_to_mirror_into_is_refused_at_once(
    mode: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", mode)
    monkeypatch.delenv("WANDB_API_KEY")
    monkeypatch.delenv("NETRC", raising=False)
    wandb.teardown()
    with pytest.raises(InputError) as refusal:
        WandbMirror(small_sweep())
    assert str(refusal.value).startswith(f"mirror: wandb: {text}")
