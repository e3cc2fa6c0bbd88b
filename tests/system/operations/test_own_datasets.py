"""A dataset of one's own on its whole way: checked, run, confirmed, exported, restored, shown."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from support.commands import finish, main_ok, sweeper
from support.pages import get
from sweeper.cli import main
from sweeper.dashboard import Application
from sweeper.lifecycle import load_record
from sweeper.store import Store

STUDY = """\
name: flowers
dataset: {name: arrays, file: flowers.csv, target: kind}
split: {validation: 0.25, seed: repeat}
model: mlp(8)
training: {epochs: 2, batch_size: 32, learning_rate: {log_uniform: [0.02, 0.2]}}
sparsification: {density: {log_uniform: [0.1, 0.6]}, finetune_epochs: 1, floor: 0.3}
search: {sampler: random, trials: 2, repeats: 2, in_flight: 2}
targets: {nonzero: [60, 100], accuracy: [0.5, 0.8]}
arms:
  dense: {}
  l1: {penalty: l1, strength: auto}
"""
KINDS = ("iris", "rose", "tulip")


def write_table(folder: Path, seed: int = 0) -> None:
    """Write 300 flowers of three kinds, with a column of words."""
    random = np.random.default_rng(seed)
    lines = ["length,width,colour,kind"]
    for number in range(300):
        kind = number % 3
        length, width = random.normal(size=2) * 5 + 10 * kind
        colour = ("blue", "red")[(number + kind) % 2]
        lines.append(f"{length:.6f},{width:.6f},{colour},{KINDS[kind]}")
    (folder / "flowers.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def command(folder: Path, *words: str, database: str = "sweeper.db") -> str:
    """Run a command that succeeds; returns all that it wrote."""
    return finish(sweeper(folder, *words, url=f"sqlite:///{folder}/{database}"))


def refused(folder: Path, *words: str) -> list[str]:
    """Run a command that a mistake ends; returns the lines that it wrote."""
    process = sweeper(folder, *words)
    out, _ = process.communicate(timeout=240)
    assert process.returncode == 2, out
    return out.splitlines()


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a study that ran to its end, was confirmed and exported."""
    folder = tmp_path_factory.mktemp("flowers")
    write_table(folder)
    (folder / "flowers.yaml").write_text(STUDY, encoding="utf-8")
    (folder / "ran.txt").write_text(command(folder, "run", "flowers.yaml", "--workers", "1"))
    command(folder, "confirm", "flowers", "--seeds", "2", "--artifacts", "kept", "--workers", "1")
    command(folder, "export", "flowers", "--out", "exported", "--artifacts", "kept")
    return folder


@pytest.fixture
def store(done: Path) -> Iterator[Store]:
    with closing(Store(f"sqlite:///{done}/sweeper.db")) as opened:
        yield opened


def test_check_prints_what_was_found_out(done: Path) -> None:
    lines = command(done, "check", "flowers.yaml").splitlines()
    assert lines[:2] == [
        "flowers: mlp(8) on flowers.csv, 67 parameters",
        "dataset: examples of 4 in 3 classes: 180 for training, 60 for validation, 60 for the test",
    ]
    assert "dataset: labels 'iris', 'rose', 'tulip' became 0, 1, 2" in lines


def test_a_run_says_what_became_of_the_labels_and_ends_with_its_budget(
    done: Path, store: Store
) -> None:
    lines = (done / "ran.txt").read_text().splitlines()
    assert "flowers: dataset: labels 'iris', 'rose', 'tulip' became 0, 1, 2" in lines
    assert len(store.records("flowers")) == 8


def test_a_sweep_holds_the_facts_and_each_record_its_split_and_normalisation(store: Store) -> None:
    facts = store.sweep("flowers").facts
    assert facts is not None
    assert (facts.shape, facts.classes, facts.train) == ((4,), 3, 180)
    assert facts.labels == KINDS
    assert facts.features == ("length", "width", "colour=blue", "colour=red")
    records = store.records("flowers")
    assert {record.provenance.data_hash for record in records} == {facts.hash}
    splits = {record.slot.repeat: record.config.recipe.split for record in records}
    assert splits[0] != splits[1]
    numbers = {record.slot.repeat: record.provenance.normalisation for record in records}
    first, second = numbers[0], numbers[1]
    assert first is not None
    assert first != second
    assert len(first.mean) == 4
    # A confirmation trains on the split of the repeat in which a configuration was chosen.
    for record in store.records("flowers/confirmed"):
        assert record.config.recipe.split == splits[record.slot.repeat]
        assert record.provenance.normalisation == numbers[record.slot.repeat]


def test_splits_of_repeats_are_no_reason_not_to_rank(store: Store) -> None:
    record = load_record(store, "flowers")
    assert record.problems == ()


def test_kept_networks_are_verified_on_the_split_of_their_repeat(done: Path) -> None:
    out = command(done, "verify", "flowers", "--artifacts", "kept")
    assert out.endswith("networks as on record\n")


def test_an_export_is_restored_and_written_again_as_it_was(done: Path, tmp_path: Path) -> None:
    exported = done / "exported"
    command(tmp_path, "restore", str(exported), "--artifacts", "kept")
    command(tmp_path, "export", "flowers", "--out", "again", "--artifacts", "kept")
    for name in ("sweep.json", "facts.parquet", "confirmed/sweep.json", "confirmed/facts.parquet"):
        assert (exported / name).read_bytes() == (tmp_path / "again" / name).read_bytes(), name
    sheet = json.loads((exported / "sweep.json").read_text())
    assert all(len(origin["normalisation"]["mean"]) == 4 for origin in sheet["provenance"])


def test_a_report_and_a_note_name_the_file_and_its_examples(done: Path) -> None:
    page = (done / "sweeps" / "flowers" / "report.html").read_text(encoding="utf-8")
    assert "on flowers.csv: dense, l1?" in page
    assert "60 test examples; each repeat holds out validation examples of its own." in page
    assert "images" not in page.split("<script")[0]
    # What is shown as the study file can be read as one.
    assert "facts:" not in page
    with closing(sqlite3.connect(done / "sweeper.db")) as database:
        query = "SELECT value_json FROM study_system_attributes WHERE key LIKE '%note%'"
        notes = " ".join(text for (text,) in database.execute(query))
    assert "On `flowers.csv` with mlp(8)." in notes


def test_both_dashboards_open_it(store: Store) -> None:
    with closing(Application(store)) as app:
        [row] = get(app, "/sweeps/index.json").json()["sweeps"]
        assert (row["name"], row["dataset"]) == ("flowers", "flowers.csv")
        status = get(app, "/sweeps/flowers/status.json").json()
        assert "mlp(8) on flowers.csv, 2 + 1 epochs" in status["question"]
        assert get(app, "/sweeps/flowers/").status == 200
        studies = get(app, "/api/studies").json()["study_summaries"]
        assert "flowers/l1/0" in {study["study_name"] for study in studies}


def test_other_data_are_refused_before_anything_runs_and_by_each_worker(
    done: Path, tmp_path: Path
) -> None:
    before = (done / "flowers.csv").read_bytes()
    more = STUDY.replace("trials: 2", "trials: 3")
    (done / "more.yaml").write_text(more, encoding="utf-8")
    try:
        write_table(done, seed=1)
        lines = refused(done, "run", "flowers.yaml")
        assert lines[-2] == (
            "error: the data of sweep 'flowers' are other ones than when it was registered; bring "
            "those back, or give the study another name:"
        )
        assert lines[-1].startswith("error:   dataset: registered 180 + 60 + 60 examples of 4")
        assert any(
            "dataset: registered" in line for line in refused(done, "run", "more.yaml", "--extend")
        )
        [line] = refused(done, "verify", "flowers", "--artifacts", "kept")
        assert line.startswith("error: flowers.csv: the data are other ones than when the sweep")
    finally:
        (done / "flowers.csv").write_bytes(before)


def test_a_worker_that_finds_other_data_stops_and_leaves_the_sweep_as_it_was(
    tmp_path: Path,
) -> None:
    write_table(tmp_path)
    (tmp_path / "flowers.yaml").write_text(STUDY, encoding="utf-8")
    first = STUDY.replace("trials: 2", "trials: 1").replace("repeats: 2", "repeats: 1")
    (tmp_path / "first.yaml").write_text(first.replace("strength: auto", "strength: 0.01"))
    command(tmp_path, "run", "first.yaml", "--workers", "1", "--no-report")
    with closing(Store(f"sqlite:///{tmp_path}/sweeper.db")) as store:
        sweep = store.sweep("flowers")
        values = {**sweep.model_dump(mode="json"), "name": "fresh"}
        store.register(type(sweep).model_validate(values))
        write_table(tmp_path, seed=1)
        [*_, line] = refused(tmp_path, "worker", "fresh")
        assert line.startswith(
            "error: flowers.csv: the data are other ones than when the sweep was registered (hash "
        )
        status = store.status("fresh")
        assert (status.state, status.done) == ("open", 0)
        assert not any(status.failures.values())
        write_table(tmp_path)
        command(tmp_path, "worker", "fresh")
        assert store.status("fresh").finished


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        (
            "flowers.csv",
            "roses.csv",
            "bad.yaml: dataset.file: roses.csv: ",
        ),
        (
            "target: kind",
            "target: sort",
            "bad.yaml: dataset: ",
        ),
        (
            "batch_size: 32",
            "batch_size: 320",
            "bad.yaml: training.batch_size: must be <= 180, the training examples of flowers.csv, "
            "got 320",
        ),
        (
            "model: mlp(8)",
            "model: lenet-5",
            "bad.yaml: model: lenet-5 needs images of ",
        ),
        (
            "epochs: 2,",
            "epochs: 2, augment: [flip],",
            "bad.yaml: training.augment: is for images (channels, height, width), flowers.csv has "
            "(4,)",
        ),
        (
            "validation: 0.25,",
            "validation: 0.001,",
            "bad.yaml: split.validation: ",
        ),
    ],
)
def test_what_is_wrong_with_the_data_or_does_not_fit_them_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    old: str,
    new: str,
    line: str,
) -> None:
    write_table(tmp_path)
    assert old in STUDY
    (tmp_path / "bad.yaml").write_text(STUDY.replace(old, new), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SWEEPER_STORAGE", raising=False)
    with pytest.raises(SystemExit) as ended:
        main(["run", "bad.yaml"])
    assert ended.value.code == 2
    [said] = capsys.readouterr().err.splitlines()
    assert said.startswith(f"error: {line}")
    assert not list(tmp_path.glob("*.db*"))


def test_check_looks_for_files_in_the_folder_of_datasets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data").mkdir()
    write_table(tmp_path / "data")
    (tmp_path / "flowers.yaml").write_text(STUDY, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    main_ok("check", "flowers.yaml", "--data", "data")
    assert "dataset: examples of 4 in 3 classes: 180 for training" in capsys.readouterr().out
