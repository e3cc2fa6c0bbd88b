"""The command `figure`: every kind of picture, several sweeps in one, and its errors in a line."""

import re
import shutil
from pathlib import Path

import pytest

from support.commands import Command, command_here
from support.factories import make_facts, make_record, make_sweep
from support.fakes import fake_train
from support.study_text import TINY
from sweeper import lifecycle
from sweeper.config import Sweep
from sweeper.plots import parse_size
from sweeper.reports.sweep_figures import KINDS, sized_figure
from sweeper.store import Store
from sweeper.worker.worker_loop import work

LONGER = re.sub(r"trials: \d+", "trials: 6", TINY.replace("name: tiny", "name: longer"))


@pytest.fixture
def sweeper(
    tmp_path: Path,
    finished_database: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Command:
    """Run a command where `tiny` is finished, and `longer` with six trials of each arm."""
    monkeypatch.delenv("SWEEPER_STORAGE", raising=False)
    monkeypatch.chdir(tmp_path)
    shutil.copy(finished_database, "sweeper.db")
    Path("longer.yaml").write_text(LONGER)
    store = Store("sqlite:///sweeper.db")
    lifecycle.register(store, Sweep.load(Path("longer.yaml")))
    work("longer", store, pack=16, train=fake_train, data=None)
    store.close()
    return command_here(capsys)


@pytest.mark.parametrize("kind", ["fronts", "hypervolume", "effort"])
def test_a_picture_is_an_svg_of_the_size_of_a_column(sweeper: Command, kind: str) -> None:
    code, out, err = sweeper("figure", "longer", kind, "--out", "here/a.svg")
    assert (code, err) == (0, "")
    figure, caption = out.splitlines()
    assert figure == "figure: here/a.svg"
    assert caption.startswith("caption: longer: ")  # to be pasted below it
    svg = Path("here/a.svg").read_text()
    assert 'width="3.3in" height="2.4in"' in svg
    assert ">dense<" in svg
    assert ">l1<" in svg
    assert "var(" not in svg  # no page gives it colours


def test_named_arms_alone_are_drawn_as_they_are_among_all(sweeper: Command) -> None:
    sweeper("figure", "longer", "fronts", "--out", "all.svg")
    code, _, _ = sweeper("figure", "longer", "fronts", "--out", "l1.svg", "--arms", "l1")
    every, l1 = Path("all.svg").read_text(), Path("l1.svg").read_text()
    assert code == 0
    assert ">l1<" in l1
    assert ">dense<" not in l1
    [color] = {*re.findall(r'stroke="(#[0-9A-F]{6})"', l1)}
    assert f'stroke="{color}"' in every
    assert len({*re.findall(r'stroke="(#[0-9A-F]{6})"', every)}) == 2


def test_published_networks_can_be_left_out() -> None:
    sweep = make_sweep()
    record = make_record(sweep, make_facts(sweep))
    size = parse_size("column")
    beside, alone = (
        sized_figure(record, "fronts", size, published=published) for published in (True, False)
    )
    assert "published (weights only)" in beside
    assert "Evci 2020" in beside
    assert "published" not in alone
    assert "Evci" not in alone


def test_sweeps_side_by_side_share_the_colours_of_arms(sweeper: Command) -> None:
    words = ["figure", "tiny", "fronts", "--with", "longer", "--out", "a.svg", "--size", "120x90mm"]
    code, _, err = sweeper(*words)
    svg = Path("a.svg").read_text()
    assert (code, err) == (0, "")
    assert all(f">{name}<" in svg for name in ("tiny", "longer", "dense", "l1"))
    assert 'class="open"' in svg  # markers of the second sweep
    assert "stroke-dasharray" in svg


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("longer", "front"), "front: not a kind of figure: got 'front'; allowed: "),
        (("tiny", "confirmed"), "tiny: no figure of confirmed: nothing is confirmed yet: "),
        (("tiny", "learning"), "tiny: no figure of learning: no learning curves are on record"),
        (("tiny", "finetuned"), "tiny: no figure of finetuned: sparsification.finetuned_curve is"),
        (("longer", "fronts", "--arms", "l2"), "--arms: longer has no such arm: got 'l2'; allowed"),
        (("longer", "fronts", "--size", "3x"), "--size: must be as 3.3x2.4in, in in, cm, mm, px"),
        (("longer", "fronts", "--size", "1x1in"), "--size: axes and legend of 2 arms leave no"),
        (("longer", "effort", "--with", "tiny"), "--with: only fronts of several sweeps stand in"),
        (("lnger", "fronts"), "no such sweep: got 'lnger'; allowed: longer, tiny; did you mean"),
    ],
)
def test_a_mistake_is_one_line(sweeper: Command, words: tuple[str, ...], line: str) -> None:
    code, out, err = sweeper("figure", *words, "--out", "a.svg")
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {line}")
    assert len(err.splitlines()) == 1
    assert not Path("a.svg").exists()


def test_another_ending_is_refused_before_anything_is_read(sweeper: Command) -> None:
    code, _, err = sweeper("figure", "nobody", "fronts", "--out", "a.pgn")
    assert code == 2
    assert "a.pgn: not a kind of image: got 'pgn'" in err


def test_the_help_names_every_kind(sweeper: Command) -> None:
    shown = " ".join(sweeper("figure", "--help")[1].split())
    assert all(kind in shown for kind in KINDS)
