"""Fronts that know their sweep: drawn, saved, compared, shown by notebooks."""

import json
from pathlib import Path

import pandas as pd
import pytest

from support.factories import make_facts, make_record, make_sweep
from sweeper.analysis import Front, fronts
from sweeper.analysis.sweep_record import SweepRecord
from sweeper.errors import InputError
from sweeper.operations.sweep_fronts import SweepFront, SweepFronts


def record(name: str, seed: int = 0) -> SweepRecord:
    """Return a finished sweep of two arms, four trials each."""
    sweep = make_sweep(name, model="mlp(30)")
    return make_record(sweep, make_facts(sweep, seed))


KEY = ("validation (selected on)", "test")
"""What lines and markers are, in the legend."""
COMPARED = SweepFronts.compared([record("a"), record("b", 1)])


def test_the_fronts_of_a_sweep_are_those_of_its_arms_and_can_be_drawn() -> None:
    known = record("a")
    of_arms = SweepFronts.of(known.records, known.sweep)
    expected = fronts(known.records, known.sweep)
    assert {arm: front.points for arm, front in of_arms.items()} == {
        arm: front.points for arm, front in expected.items()
    }
    assert isinstance(of_arms["l1"], Front)
    drawn = json.loads(of_arms["l1"].plot().to_json())
    markers = next(trace for trace in drawn["data"] if trace["mode"] == "markers")
    assert markers["x"] == [point.nonzero for point in of_arms["l1"]]
    assert {trace["name"] for trace in drawn["data"]} == {"l1", *KEY}
    every = json.loads(of_arms.plot().to_json())
    assert {trace["name"] for trace in every["data"]} == {"none", "l1", *KEY}


def test_every_part_of_a_figure_has_its_line_for_words() -> None:
    layout = json.loads(COMPARED.plot().to_json())["layout"]
    lines = layout["title"]["subtitle"]["text"].split("<br>")
    assert lines == COMPARED.view().subtitle.split(" · ")
    assert layout["margin"]["t"] > 16 * len(lines) + 20


def test_a_front_is_called_by_its_measure() -> None:
    sweep = make_sweep("a", measure="f1")
    front = SweepFront.of_record(make_record(sweep, make_facts(sweep)), "l1")
    assert "val F1 " in repr(front)
    assert "chosen on val F1" in front._repr_html_()


def test_all_arms_together_are_one_front() -> None:
    known = record("a")
    front = SweepFront.of_record(known, by="test_accuracy")
    assert front.points == Front.of(known.records, by="test_accuracy").points
    assert json.loads(front.plot().to_json())["data"][0]["name"] == "all arms"
    with pytest.raises(InputError, match=r"^a: no such arm: got 'l2'; allowed: l1, none$"):
        SweepFront.of_record(known, "l2")


def test_arms_of_several_sweeps_are_called_by_both_names() -> None:
    assert list(COMPARED) == ["a/none", "a/l1", "b/none", "b/l1"]
    known = record("b", 1)
    assert COMPARED["b/l1"].points == fronts(known.records, known.sweep)["l1"].points
    assert COMPARED.notes == ()
    frame = COMPARED.to_pandas()
    assert set(frame["sweep"]) == {"a", "b"}
    assert len(frame) == sum(map(len, COMPARED.values()))


@pytest.mark.parametrize(
    ("arms", "names"),
    [(("l1",), ["a/l1", "b/l1"]), (("b/none", "l1"), ["a/l1", "b/none", "b/l1"])],
)
def test_an_arm_is_named_for_all_sweeps_or_for_one(arms: tuple[str, ...], names: list[str]) -> None:
    assert list(SweepFronts.compared([record("a"), record("b")], arms=arms)) == names


@pytest.mark.parametrize(
    ("arm", "line"),
    [
        ("l2", "arms: no such arm: got 'l2'; allowed: l1, none"),
        ("c/l1", "arms: no such arm: got 'c/l1'; allowed: a/l1, a/none, b/l1, b/none; did you "
            "mean 'b/l1'?"),
    ],
)  # fmt: skip
def test_an_arm_that_no_sweep_has_is_refused(arm: str, line: str) -> None:
    with pytest.raises(InputError) as refusal:
        SweepFronts.compared([record("a"), record("b")], arms=[arm])
    assert str(refusal.value) == line


def test_a_notebook_shows_sizes_at_the_targets_and_what_is_unequal() -> None:
    sweep = make_sweep("b", search={"trials": 5}, model="mlp(31)")
    unequal = SweepFronts.compared([record("a"), make_record(sweep, make_facts(sweep))])
    text = unequal._repr_html_()
    target = unequal.targets[0]
    point = unequal["a/l1"].at(target)
    assert unequal.sizes("a/l1")[0] == (point.nonzero if point else None)
    assert f"<th>{100 * target:g} %</th>" in text
    assert "<li>search.trials is 4 in a, 5 in b.</li>" in text
    assert "not ranked, since they differ in " in unequal.view().subtitle
    assert repr(unequal) == "<SweepFronts a, b: a/none, a/l1, b/none, b/l1>"


def test_a_comparison_may_be_of_the_other_track_and_size() -> None:
    other = SweepFronts.compared([record("a"), record("b")], track="as_trained", size="effective")
    assert {(front.track, front.size) for front in other.values()} == {("as_trained", "effective")}
    assert other.view().x_name == "effective parameters"
    assert other.table_title.startswith("effective parameters of the smallest network")


def test_a_comparison_is_saved_by_its_ending(tmp_path: Path) -> None:
    picture = COMPARED.save(tmp_path / "in" / "fronts.svg").read_text()
    assert picture.startswith("<svg xmlns=")
    assert ">a/l1<" in picture
    page = COMPARED.save(str(tmp_path / "fronts.html")).read_text()
    assert "<th>arm</th>" in page
    assert "Plotly.newPlot" in page
    assert "<script src=" not in page  # it works offline
    table = pd.read_csv(COMPARED.save(tmp_path / "fronts.csv"))
    assert list(table["nonzero"]) == list(COMPARED.to_pandas()["nonzero"])
    with pytest.raises(
        InputError, match=r"fronts\.txt: not a kind of figure: got 'txt'; allowed: "
    ):
        COMPARED.save(tmp_path / "fronts.txt")
