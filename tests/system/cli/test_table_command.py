"""The command `table`, as a user types it."""

import csv
import io
import json
import shutil
from pathlib import Path

import pytest

from support import latex_rows
from support.commands import Command, command_here


@pytest.fixture
def sweeper(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    finished_database: Path,
) -> Command:
    """Run a command in a folder whose sweeper.db holds the finished sweep `tiny`."""
    monkeypatch.delenv("SWEEPER_STORAGE", raising=False)
    monkeypatch.chdir(tmp_path)
    shutil.copy(finished_database, tmp_path / "sweeper.db")
    return command_here(capsys)


def test_csv_holds_the_numbers_of_front(sweeper: Command) -> None:
    fronts = json.loads(sweeper("front", "tiny", "--json")[1])["fronts"]
    code, out, _ = sweeper("table", "tiny", "--format", "csv")
    assert code == 0
    told: dict[str, dict[float, float | None]] = {}
    for line in csv.DictReader(io.StringIO(out)):
        told.setdefault(line["arm"], {})[float(line["at"])] = (
            float(line["value"]) if line["value"] else None
        )
        assert line["confirmed"] == "false"
        assert (line["low"], line["high"]) == ("", "")
    assert told == {
        arm: {float(at): size for at, size in front["nonzero_at_accuracy"].items()}
        for arm, front in fronts.items()
    }
    assert any(size for sizes in told.values() for size in sizes.values())
    sizes = ",".join(next(iter(fronts.values()))["accuracy_at_nonzero"])
    out = sweeper("table", "tiny", "--format", "csv", "--size", sizes)[1]
    for line in csv.DictReader(io.StringIO(out)):
        expected = fronts[line["arm"]]["accuracy_at_nonzero"][line["at"]]
        assert (float(line["value"]) if line["value"] else None) == expected


def test_a_file_has_the_format_of_its_ending(sweeper: Command, tmp_path: Path) -> None:
    code, out, _ = sweeper("table", "tiny", "--at", "0.9", "--out", "t.tex")
    assert (code, out) == (0, "table: t.tex\n")
    text = (tmp_path / "t.tex").read_text(encoding="utf-8")
    assert "% sweeper table tiny --at 0.9 --out t.tex\n" in text
    assert "nothing is confirmed" in text
    assert [line[0] for line in latex_rows.rows(text)] == ["arm", "dense", "l1"]
    code, _, err = sweeper("table", "tiny", "--out", "t.pdf")
    line = "error: --out: t.pdf: not a kind of table: got '.pdf'; allowed: .csv, .md, .tex\n"
    assert (code, err) == (2, line)


def test_markdown_comes_unasked_and_says_what_made_it(sweeper: Command) -> None:
    code, out, _ = sweeper("table", "tiny", "--arms", "l1", "--size", "20000")
    assert code == 0
    assert "| l1 |" in out
    assert "| dense |" not in out
    assert "by `sweeper table tiny --arms l1 --size 20000`." in out


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--format", "latx"),
         "--format: got 'latx'; allowed: csv, latex, markdown; did you mean 'latex'?"),
        (("--at", "95"), "--at: must be a share > 0 and < 1, got '95'; did you mean 0.95?"),
        (("--at", "x"), "--at: must be a share from 0 to 1, such as 0.95, got 'x'"),
        (("--at", "0.9,0.9"), "--at: 0.9 is named twice"),
        (("--size", "1.5"), "--size: must be a whole number >= 1, got '1.5'"),
        (("--size", "inf"), "--size: must be a whole number >= 1, got 'inf'"),
        (("--arms", "l3"), "arms: no such arm: got 'l3'; allowed: dense, l1"),
        (("--track", "prunned"),
         "--track: got 'prunned'; allowed: as_trained, pruned; did you mean 'pruned'?"),
        (("--with", "tiny"), "compare: tiny is named twice"),
    ],
)  # fmt: skip
def test_what_the_table_cannot_take_is_one_line(
    sweeper: Command, words: tuple[str, ...], line: str
) -> None:
    code, out, err = sweeper("table", "tiny", *words)
    assert (code, out, err) == (2, "", f"error: {line}\n")


def test_a_sweep_that_is_not_there_is_one_line(sweeper: Command) -> None:
    code, _, err = sweeper("table", "tiny", "--with", "tyni")
    assert code == 2
    assert "'tyni'" in err
    assert err.count("\n") == 1
