"""The size's name stands wherever nonzero parameters stand, and nothing of packs beside it."""

import json
import re

import pytest

from support.factories import make_record
from support.html_text import readable
from support.script_records import flops_sweep, script_records, searched_flops
from sweeper import lifecycle
from sweeper.cli import main
from sweeper.cli.run_output import print_summary
from sweeper.config import Sweep
from sweeper.dashboard.sweeps.fronts_json import confirmed_payload, fronts_payload
from sweeper.dashboard.sweeps.status_json import index_payload, status_payload
from sweeper.operations import export
from sweeper.operations.sweep_fronts import SweepFront, SweepFronts
from sweeper.reports.html_page import page
from sweeper.reports.optuna_note import note as sweep_note
from sweeper.reports.sweep_figures import figures
from sweeper.search.note_texts import arm_note
from sweeper.store import Store

FOREIGN = re.compile(
    r"nonzero|accurac|parameters nonzero|biases|effective|epochs|as.trained|fine-tun|prun|densit"
    r"|none on none|published|\bmnist\b",
    re.I,
)
"""Words of networks that are trained in packs."""


@pytest.fixture
def searched(sqlite_store: Store) -> Sweep:
    """A finished and confirmed sweep of a script, in FLOPs and F1."""
    return searched_flops(sqlite_store, seeds=2)


def foreign(text: str) -> list[str]:
    """Return what a text says of packs, each with what stands around it."""
    plain = text.replace("epochs 12", "").replace("epochs: 12", "")
    return [plain[max(0, m.start() - 40) : m.end() + 20] for m in FOREIGN.finditer(plain)]


def test_the_report_speaks_of_the_scripts_size_alone(sqlite_store: Store, searched: Sweep) -> None:
    record = lifecycle.load_record(sqlite_store, searched.name)
    assert {*figures(record)} == {"fronts", "confirmed", "learning", "effort"}
    report = readable(page(record))
    assert foreign(report) == []
    for said in (
        "needs the least FLOPs for a given F1, trained by my_training:train",
        "FLOPs of the smallest network that reaches a validation F1",
        "FLOPs at a test F1",
        "within a number of FLOPs",
        "(log10 FLOPs, error)",
        "script (sha256 of its code)",
        "width 0.1 … 1",
        "epochs 12",
    ):
        assert said in report, said


def test_notes_and_pages_speak_of_it_too(sqlite_store: Store, searched: Sweep) -> None:
    record = lifecycle.load_record(sqlite_store, searched.name)
    assert record.confirmation is not None
    note = sweep_note(record, studies={})
    assert "FLOPs at 90 %" in note
    arms = [arm_note(sweep, "l1", [0], 1) for sweep in (searched, record.confirmation.sweep)]
    assert all("Trained by `my_training:train`" in text for text in arms)
    fronts = fronts_payload(record, "pruned", "nonzero")
    confirmed = confirmed_payload(record.confirmation)
    status = status_payload(record, record.status)
    index = index_payload([(searched, record.status)])["sweeps"][0]
    assert index["subject"] in status["question"]
    for payload in (fronts, confirmed):
        assert payload["unit"] == payload["x_name"] == "FLOPs"
        assert "FLOPs" in json.dumps(payload["figure"]["data"])
        assert foreign(payload["title"] + payload["subtitle"]) == []
    assert {"flops", "val_f1", "test_f1"} <= {*fronts["arms"][0]["points"][0]}
    words = " ".join([note, *arms, status["question"]])
    assert foreign(words) == []
    assert record.confirmation.other_track is None


def test_the_terminal_and_files_speak_of_it(
    sqlite_store: Store, sqlite_url: str, searched: Sweep, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (["front", "mine"], ["front", "mine", "--csv"], ["front", "mine", "--json"]):
        with pytest.raises(SystemExit) as ended:
            main([*words, "--storage", sqlite_url])
        assert ended.value.code in {0, None}
        said = capsys.readouterr().out
        assert "flops" in said.lower()
        assert foreign(said) == []
    print_summary("mine", sqlite_url, None)
    said = capsys.readouterr().out
    assert "FLOPs at a target F1" in said
    assert foreign(said) == []
    fronts = lifecycle.load_record(sqlite_store, "mine").fronts()
    head = export.fronts_csv(fronts, searched).splitlines()[0]
    assert head.startswith("arm,repeat,slot,study,trial,flops,val_f1,test_f1,params_")
    notebook = SweepFronts.of(sqlite_store.records("mine"), searched)
    one = SweepFront.of_record(lifecycle.load_record(sqlite_store, "mine"), "l1")
    assert foreign(repr(one) + one._repr_html_() + notebook._repr_html_()) == []
    assert "FLOPs" in repr(one)


@pytest.mark.parametrize("words", [["verify"], ["network", "--out", "net.safetensors"]])
def test_what_needs_a_kept_network_says_in_one_line_why_it_has_none(
    sqlite_url: str, searched: Sweep, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    command, *options = words
    for name in ("mine", "mine/confirmed"):
        with pytest.raises(SystemExit) as ended:
            main([command, name, *options, "--artifacts", "nets", "--storage", sqlite_url])
        assert ended.value.code == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"error: {name}: keeps no networks: my_training:train trains its")


def test_the_corner_of_hypervolumes_is_the_files_or_the_largest_size() -> None:
    sweep = flops_sweep(reference={"flops": 5_000_000_000, "error": 0.2})
    assert Sweep.from_json(sweep.canonical) == sweep
    assert '"reference":{"error":0.2,"flops":5000000000}' in sweep.canonical
    assert make_record(sweep, script_records(sweep)).reference_corner == (5_000_000_000, 0.2)
    usual = flops_sweep()
    corner = make_record(usual, script_records(usual)).reference_corner
    assert corner == (4_000_000_000, 0.1)
    with pytest.raises(ValueError, match=r"the size is 'flops', whose corner is reference.flops"):
        flops_sweep(reference={"nonzero": 100})
