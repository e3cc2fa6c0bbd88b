"""Tables for papers, from networks made by hand."""

import csv
import io
import string
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support import latex_rows
from support.factories import make_record
from support.family_cases import ARMS, SIZES, again, search, sizes
from sweeper.analysis import mean, paired_ratio
from sweeper.analysis.paper_table import PaperRow, PaperTable, paper_table
from sweeper.analysis.sweep_record import SweepRecord
from sweeper.analysis.table_cells import Column, PaperCell
from sweeper.config import Sweep
from sweeper.errors import InputError
from sweeper.reports.latex_table import escaped, latex
from sweeper.reports.table_text import csv_text, markdown


def record(repeats: int = 5, middle: Any = sizes, *, confirmed: bool = True) -> SweepRecord:
    sweep, facts = search(repeats)
    if not confirmed:
        return make_record(sweep, facts)
    confirms, _, trained = again(repeats, middle)
    return make_record(sweep, facts, confirmation=(confirms, trained))


AT = (Column(accuracy=0.97),)


def row(table: PaperTable, arm: str) -> PaperRow:
    (found,) = [row for row in table.rows if row.arm == arm]
    return found


def test_a_confirmed_sweep_has_means_with_intervals_over_its_repeats() -> None:
    table = paper_table([record()], (*AT, Column(size=SIZES[1])))
    at, within = row(table, "l1").cells
    # Oracle: the sizes that were put in, and the networks that were trained.
    expected = paired_ratio([sizes("l1", repeat)[1] for repeat in range(5)], [1.0] * 5)
    assert expected is not None
    assert (at.value, at.low, at.high, at.n) == pytest.approx(
        (expected.center, expected.low, expected.high, 5)
    )
    _, found, _ = again(5, sizes)
    at_size = [
        config.accuracy("test_accuracy")
        for config in found
        if config.arm == "l1" and SIZES[1] in config.sizes
    ]
    interval = mean(at_size)
    assert interval is not None
    assert (within.value, within.low, within.high) == pytest.approx(
        (interval.center, interval.low, interval.high)
    )
    assert all(row.confirmed for row in table.rows)
    assert not any("nothing is confirmed" in caption for caption in table.captions)


def test_an_unconfirmed_sweep_has_the_networks_of_its_fronts_and_says_so() -> None:
    made = record(1, confirmed=False)
    table = paper_table([made], (*AT, Column(size=SIZES[0]), Column(accuracy=0.99)))
    point = made.fronts()["l1"].at(accuracy=0.97)
    assert point is not None
    at, within, never = row(table, "l1").cells
    assert (at.value, at.low, at.n, at.beside) == (point.nonzero, None, 1, point.test_accuracy)
    assert within.value == pytest.approx(0.95)
    assert (never.value, never.note) == (None, "not reached")
    assert table.captions[0].startswith("toy: nothing is confirmed. ")
    for text in (markdown(table, "sweeper table toy"), latex(table, "sweeper table toy", "1")):
        assert "nothing is confirmed" in text
        assert "\\textbf" not in text
        assert "**" not in text
        assert "not reached" in text  # why cells are empty


def test_an_unfinished_confirmation_confirms_nothing() -> None:
    sweep, facts = search(5)
    confirms, _, trained = again(5, sizes)
    made = make_record(sweep, facts, confirmation=(confirms, trained[:-1]))
    assert not any(row.confirmed for row in paper_table([made], AT).rows)


def test_the_other_track_is_never_confirmed() -> None:
    table = paper_table([record()], AT, track="as_trained")
    assert {row.track for row in table.rows} == {"as_trained"}
    assert not any(row.confirmed for row in table.rows)
    assert "itself, as trained (5 repeats" in table.captions[0]


def test_under_five_repeats_there_is_no_interval_and_nothing_is_bold() -> None:
    table = paper_table([record(3)], AT)
    cell = row(table, "mixed").cells[0]
    assert (cell.low, cell.high, cell.n, cell.best) == (None, None, 3, False)
    assert "without intervals, which need 5 repeats" in table.captions[0]


def test_the_best_is_bold_only_where_no_other_arm_may_be_as_good() -> None:
    table = paper_table([record()], AT)
    assert [row.arm for row in table.rows if row.cells[0].best] == ["mixed"]
    assert "**" in markdown(table, "")

    def alike(arm: str, repeat: int) -> tuple[float, float]:
        val, test = sizes("mixed" if arm == "gradual" else arm, repeat)
        return val, test * (1.1 if arm == "gradual" and repeat % 2 else 0.95)

    assert not any(row.cells[0].best for row in paper_table([record(middle=alike)], AT).rows)


def test_a_bound_is_told_by_its_one_sided_limit_and_keeps_all_from_being_best() -> None:
    def small(arm: str, repeat: int) -> tuple[float, float]:
        val, test = sizes(arm, repeat)
        return val, 1800 if (arm, repeat) == ("mixed", 2) else test

    table = paper_table([record(middle=small)], AT)
    cell = row(table, "mixed").cells[0]
    known = [SIZES[0] if repeat == 2 else sizes("mixed", repeat)[1] for repeat in range(5)]
    limit = paired_ratio(known, [1.0] * 5, confidence=0.9)
    assert limit is not None
    assert (cell.bound, cell.low) == (True, None)
    assert cell.high == pytest.approx(limit.high)
    assert f"≤ {limit.high:,.0f} |" in markdown(table, "")
    assert not any(row.cells[0].best for row in table.rows)
    few = paper_table([record(3, small)], AT)
    assert row(few, "mixed").cells[0].high is None
    assert any(
        "a mean of bounds, no limit: mixed at 97 %" in note.lower()
        or "a mean of bounds, no limit" in note
        for note in few.notes
    )


def test_a_repeat_that_misses_it_leaves_the_cell_empty_and_is_named() -> None:
    def missing(arm: str, repeat: int) -> tuple[float, float]:
        val, test = sizes(arm, repeat)
        return val, 20_000 if (arm, repeat) == ("l1", 3) else test

    table = paper_table([record(middle=missing)], AT)
    assert row(table, "l1").cells[0].value is None
    assert "Reached in 4 of 5 repeats: l1 at 97 %." in table.notes
    assert "| l1 | – |" in markdown(table, "")


def test_several_sweeps_stand_in_one_table_by_their_names() -> None:
    first = record()
    other = Sweep.model_validate(first.sweep.model_dump() | {"name": "other_one"})
    second = replace(record(confirmed=False), sweep=other)
    table = paper_table([first, second], AT, arms=["l1", "other_one/l2"])
    names = [(row.sweep, row.arm, row.confirmed) for row in table.rows]
    assert names == [("toy", "l1", True), ("other_one", "l1", False), ("other_one", "l2", False)]
    lines = latex_rows.rows(latex(table, "", "1"))
    assert [line[0] for line in lines] == ["arm", "toy/l1", "other_one/l1", "other_one/l2"]
    assert not any(row.cells[0].best for row in table.rows)  # repeats of two sweeps are no pairs


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"arms": ["l3"]}, "arms: no such arm: got 'l3'; allowed: "),
        ({"columns": [Column(size=5000)]}, "--size: toy chose nothing within 5000 to be confirmed; "
         "allowed: 1900, 7600 (its targets.nonzero)"),
    ],
)  # fmt: skip
def test_what_cannot_be_told_is_one_line(changes: Any, text: str) -> None:
    with pytest.raises(InputError) as error:
        paper_table([record()], **changes)
    assert str(error.value).startswith(text)
    assert "\n" not in str(error.value)


def test_latex_and_markdown_say_the_same_numbers() -> None:
    table = paper_table([record()], (*AT, Column(size=SIZES[1])))
    tex = latex(table, "sweeper table toy", "0.1.0")
    in_latex = [[cell.replace("--", "–") for cell in line] for line in latex_rows.rows(tex)[1:]]
    lines = [line for line in markdown(table, "").splitlines() if line.startswith("| ")][2:]
    in_markdown = [line.replace("\\", "").replace("**", "")[2:-2].split(" | ") for line in lines]
    assert in_latex == in_markdown
    assert tex.startswith(f"% toy (sha256 {table.origins[0][-13:-1]}), sweeper 0.1.0\n")
    assert "\n% sweeper table toy\n" in tex
    assert "{,}" in tex
    assert ",0" not in tex.partition(r"\begin{tabular}")[2]  # numbers are grouped by {,}


def test_what_is_wider_than_a_column_stands_across_the_page() -> None:
    for columns, environment in ((1, "table"), (8, "table*")):
        tex = latex(paper_table([record()], AT * columns), "", "1")
        assert f"\\begin{{{environment}}}\n" in tex
        assert tex.rstrip().endswith(f"\\end{{{environment}}}")


def test_csv_holds_all_digits() -> None:
    table = paper_table([record()], (*AT, Column(size=SIZES[1]), Column(accuracy=0.99)))
    lines = list(csv.DictReader(io.StringIO(csv_text(table))))
    assert len(lines) == 3 * len(ARMS)
    for line, cell in zip(lines, (cell for row in table.rows for cell in row.cells), strict=True):
        told = tuple(float(line[key]) if line[key] else None for key in ("value", "low", "high"))
        assert told == (cell.value, cell.low, cell.high)
        assert int(line["n"]) == cell.n


LETTERS = st.text(string.ascii_letters + string.digits + "._- &%$#{}~^\\<>|≤–", min_size=1)


@given(name=LETTERS, value=st.none() | st.floats(1, 1e7))
def test_latex_escapes_any_name(name: str, value: float | None) -> None:
    name = " ".join(name.split()) or "x"
    cells = (PaperCell(value, n=1),)
    rows = (PaperRow("sweep", name, None, False, cells),)
    table = PaperTable(AT, rows, "F_1", "FLOPs & more", "validation", (f"Of {name}.",), (name,))
    _, (shown, number) = latex_rows.rows(latex(table, name, "1"))
    expected = name.replace("–", "--")
    assert shown == expected
    assert number == ("--" if value is None else f"{value:,.0f}")


def test_two_hyphens_are_no_dash() -> None:
    assert escaped("a--b---c") == "a-{}-b-{}-{}-c"


@given(name=LETTERS.filter(lambda text: "\\" not in text))
def test_markdown_keeps_its_columns_whatever_an_arm_is_called(name: str) -> None:
    rows = (PaperRow("sweep", name, None, False, (PaperCell(1234.0, n=1),)),)
    table = PaperTable(AT, rows, "accuracy", "size", "validation", (), ("sweep",))
    line = markdown(table, "").splitlines()[2]
    assert line.replace("\\|", "").count("|") == 3
