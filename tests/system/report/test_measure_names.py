"""The measure's name stands wherever that of accuracy stands, and nowhere beside it."""

import re

import optuna
import pytest

from support.fakes import fake_probe, fake_train, optuna_storage, small_sweep
from support.finished_sweeps import TARGETS, finished
from support.html_text import readable
from sweeper import lifecycle
from sweeper.analysis import fronts
from sweeper.cli import main
from sweeper.config import Sweep
from sweeper.dashboard.sweeps.fronts_json import confirmed_payload, fronts_payload
from sweeper.plots import front_view
from sweeper.reports.html_page import page
from sweeper.reports.optuna_note import note as sweep_note
from sweeper.store import Store
from sweeper.worker.worker_loop import work


@pytest.fixture
def f1_sweep(sqlite_store: Store) -> Sweep:
    """A finished and confirmed sweep for F1."""
    sweep = small_sweep(measure="f1", targets={**TARGETS, "f1": [0.9, 0.96]})
    again = finished(sqlite_store, sweep)
    lifecycle.register(sqlite_store, again)
    work(again.name, sqlite_store, pack=8, train=fake_train, probe=fake_probe)
    return sweep


def _without_the_file(text: str) -> str:
    """Return a text without names of metrics, which have underscores."""
    return text.replace("val_accuracy", "").replace("test_accuracy", "").lower()


def test_reports_pages_and_notes_call_it_by_its_name(sqlite_store: Store, f1_sweep: Sweep) -> None:
    record = lifecycle.load_record(sqlite_store, f1_sweep.name)
    report = readable(page(record))
    assert "at a given F1 on digits" in report
    assert "validation F1" in report
    assert "test F1" in report
    assert not re.findall(r".{40}accurac.{20}", _without_the_file(report))
    view = front_view(fronts(record.records, f1_sweep), f1_sweep)
    assert (view.y_name, view.y_short) == ("validation (line) and test (markers) F1, %", "F1 (%)")
    note = sweep_note(record, studies={})
    assert "Test F1" in note
    assert "accuracy" not in _without_the_file(note)
    assert record.confirmation is not None
    for payload in (
        fronts_payload(record, "pruned", "nonzero"),
        confirmed_payload(record.confirmation),
    ):
        assert "accuracy" not in _without_the_file(str(payload["title"]) + payload["subtitle"])
        assert payload["measure"] == "F1"


def test_optunas_values_and_the_terminal_have_its_name(
    sqlite_store: Store, sqlite_url: str, f1_sweep: Sweep, capsys: pytest.CaptureFixture[str]
) -> None:
    names = {
        study: optuna.load_study(study_name=study, storage=optuna_storage(sqlite_url)).metric_names
        for study in f1_sweep.studies()
    }
    assert set(map(str, names.values())) == {"['nonzero', 'val_f1']"}
    for words in (
        ["front", f1_sweep.name],
        ["front", f1_sweep.name, "--csv"],
        ["front", f1_sweep.name, "--json"],
        ["confirm", f1_sweep.name, "--seeds", "3"],
    ):
        with pytest.raises(SystemExit) as ended:
            main([*words, "--storage", sqlite_url])
        said = capsys.readouterr().out
        assert ended.value.code in {0, None}
        assert "f1" in said.lower()
        assert "accuracy" not in said
