"""The command `compare`: a table that fits, a figure, and what is unequal in words."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from support.commands import Command, command_here
from support.fakes import fake_train
from support.study_text import TINY
from sweeper import compare, lifecycle
from sweeper.config import Sweep
from sweeper.store import Store
from sweeper.worker.worker_loop import work


@pytest.fixture
def sweeper(
    tmp_path: Path,
    finished_database: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Command:
    """Run a command where `tiny` and `longer`, of one more epoch, are finished."""
    monkeypatch.delenv("SWEEPER_STORAGE", raising=False)
    monkeypatch.chdir(tmp_path)
    shutil.copy(finished_database, "sweeper.db")
    longer = TINY.replace("name: tiny", "name: longer").replace("epochs: 1", "epochs: 2")
    Path("longer.yaml").write_text(longer)
    store = Store("sqlite:///sweeper.db")
    lifecycle.register(store, Sweep.load(Path("longer.yaml")))
    work("longer", store, pack=16, train=fake_train, data=None)
    store.close()

    return command_here(capsys)


def test_the_table_fits_a_terminal_and_says_what_is_unequal(sweeper: Command) -> None:
    code, out, _ = sweeper("compare", "tiny", "longer")
    assert code == 0
    table, _, notes = out.partition("not ranked, since they are unequal:\n")
    assert max(map(len, table.splitlines())) <= 80
    lines = [line.split()[0] for line in table.splitlines()[3:]]
    assert lines == ["tiny", "dense", "l1", "longer", "dense", "l1"]
    assert notes == (
        "  training.epochs is 1 in tiny, 2 in longer.\n"
        "No answer: the best networks of a search owe something to luck. For one:\n"
        "  sweeper confirm tiny\n"
        "  sweeper confirm longer\n"
        "  sweeper table tiny --with longer\n"
    )


def test_json_holds_what_python_has(sweeper: Command) -> None:
    told = json.loads(sweeper("compare", "tiny", "longer", "--json", "--arms", "l1")[1])
    fronts = compare("tiny", "longer", arms=["l1"])
    assert list(told["arms"]) == list(fronts) == ["tiny/l1", "longer/l1"]
    for name, arm in told["arms"].items():
        assert tuple(arm["smallest_at"].values()) == fronts.sizes(name)
        assert (arm["networks"], arm["candidates"]) == (len(fronts[name]), fronts[name].candidates)


def test_the_figure_goes_where_it_is_told(sweeper: Command) -> None:
    code, out, _ = sweeper("compare", "tiny", "longer", "--out", "here/fronts.svg")
    assert (code, out.splitlines()[-1]) == (0, "figure: here/fronts.svg")
    assert "longer/l1" in Path("here/fronts.svg").read_text()
    sweeper("compare", "tiny", "longer", "--out", "fronts.csv", "--arms", "tiny/l1")
    assert set(pd.read_csv("fronts.csv")["sweep"]) == {"tiny"}


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("tiny", "tiny"), "compare: tiny is named twice"),
        (("tiny", "--arms", "l2,l1"), "arms: no such arm: got 'l2'; allowed: dense, l1"),
        (("tiny", "--track", "cut"), "--track: got 'cut'; allowed: as_trained, pruned"),
        (("tiny", "--size", "big"), "--size: got 'big'; allowed: effective, nonzero"),
    ],
)
def test_a_mistake_is_one_line(sweeper: Command, words: tuple[str, ...], line: str) -> None:
    assert sweeper("compare", *words) == (2, "", f"error: {line}\n")
