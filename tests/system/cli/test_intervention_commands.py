"""Commands that have a hand on a sweep: pause, resume, drop, enqueue."""

import csv
import json
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from support.commands import Command, command_here
from support.fakes import fake_probe, fake_train, ladder_sweep, small_sweep
from sweeper import lifecycle, settings
from sweeper.store import Store
from sweeper.worker.worker_loop import work


@pytest.fixture
def sweeper(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Commands in a folder of their own."""
    monkeypatch.chdir(tmp_path)
    return command_here(capsys)


@pytest.fixture
def store(sweeper: Command) -> Iterator[Store]:
    """The store of that folder, with the sweep `tiny` of three arms."""
    with closing(Store(settings.DEFAULT_STORAGE)) as opened:
        lifecycle.register(opened, small_sweep())
        yield opened


def test_pause_and_resume_say_what_they_did(sweeper: Command, store: Store) -> None:
    goes_on = "sweeper resume tiny goes on"
    assert sweeper("pause", "tiny", "--arm", "l1") == (0, f"tiny: paused l1; {goes_on}\n", "")
    assert sweeper("pause", "tiny", "--arm", "l1")[1] == "tiny: was paused already: l1\n"
    assert sweeper("pause", "tiny")[1] == f"tiny: paused dense, mix; {goes_on}\n"
    start = "no worker is alive: sweeper run FILE starts some"
    still = "still paused: l1, mix"
    assert sweeper("resume", "tiny", "--arm", "dense")[1] == (
        f"tiny: goes on: dense; {still}; {start}\n"
    )
    assert sweeper("resume", "tiny", "--arm", "dense")[1] == "tiny: dense was not paused\n"
    assert sweeper("resume", "tiny")[1] == f"tiny: goes on: l1, mix; {start}\n"
    assert sweeper("resume", "tiny")[1] == "tiny: nothing was paused\n"


def test_a_mistake_is_one_line_and_exit_code_2(sweeper: Command, store: Store) -> None:
    allowed = "allowed: dense, l1, mix; did you mean 'l1'?"
    line = f"error: tiny: no such arm: got 'l11'; {allowed}\n"
    for command in ("pause", "resume"):
        assert sweeper(command, "tiny", "--arm", "l11") == (2, "", line)
        assert sweeper(command, "tinny")[0] == 2
    work("tiny", store, pack=8, train=fake_train)
    line = "error: tiny: is finished, there is nothing to pause\n"
    assert sweeper("pause", "tiny") == (2, "", line)


def test_status_says_which_arms_are_paused(sweeper: Command, store: Store) -> None:
    sweeper("pause", "tiny", "--arm", "l1")
    out = sweeper("status", "tiny")[1]
    assert re.search(r"^ *l1 +0/6 .*paused$", out, re.MULTILINE)
    assert "1 arm paused: sweeper resume tiny goes on" in out
    assert "tiny: waiting for workers" in out
    sweeper("pause", "tiny")
    out = sweeper("status", "tiny")[1]
    assert "tiny: paused\n" in out
    assert "paused" in sweeper("list")[1]
    assert max(map(len, out.splitlines())) <= 80
    told = json.loads(sweeper("status", "tiny", "--json")[1])
    assert [arm["paused"] for arm in told["arms"]] == [True, True, True]


@pytest.fixture
def finished(store: Store) -> Store:
    """The store with the sweep finished: three arms of six trials."""
    work("tiny", store, pack=8, train=fake_train)
    return store


def rows_of(table: Path) -> list[dict[str, str]]:
    with table.open() as file:
        return list(csv.DictReader(file))


def best(sweeper: Command, arm: str) -> dict[str, Any]:
    points = json.loads(sweeper("front", "tiny", "--json")[1])["fronts"][arm]["points"]
    return dict(points[-1])


def test_drop_leaves_a_trial_out_of_everything_but_the_record(
    sweeper: Command, finished: Store, tmp_path: Path
) -> None:
    point = best(sweeper, "l1")
    name = f"l1/0/{point['slot']}"
    code, out, err = sweeper("drop", "tiny", "--trial", name, "--why", "it was too warm")
    assert (code, err) == (0, "")
    assert out == f"tiny: {name}: dropped\ntiny: 1 trial is dropped; all stay on record\n"
    assert best(sweeper, "l1")["slot"] != point["slot"]
    assert "it was too warm" in sweeper("front", "tiny")[1]
    assert "1 trial dropped: sweeper drop tiny says which" in sweeper("status", "tiny")[1]
    listed = sweeper("drop", "tiny")[1]
    assert re.search(rf"^ *{name} +20..-..-.. +it was too warm", listed, re.MULTILINE)
    assert sweeper("report", "tiny", "--out", "report.html")[0] == 0
    assert "it was too warm" in (tmp_path / "report.html").read_text()
    out = sweeper("export", "tiny", "--out", "files")[1]
    assert "tiny: 1 dropped trial in no front; facts.csv says why" in out
    assert out.count("too warm") == 0
    rows = rows_of(tmp_path / "files/facts.csv")
    assert [row["slot"] for row in rows if row["dropped"]] == [str(point["slot"])]
    assert len(rows) == 18
    fronts = rows_of(tmp_path / "files/fronts.csv")
    assert str(point["slot"]) not in [row["slot"] for row in fronts if row["arm"] == "l1"]
    assert sweeper("restore", "files", "--storage", "sqlite:///other.db")[0] == 0
    with closing(Store("sqlite:///other.db")) as other:
        assert other.interventions.dropped("tiny") == finished.interventions.dropped("tiny")
        assert other.records("tiny") == finished.records("tiny")
    assert "was dropped already" in sweeper("drop", "tiny", "--trial", name, "--why", "again")[1]
    code, out, _ = sweeper("drop", "tiny", "--trial", name, "--undo")
    assert out == f"tiny: {name}: counts again\ntiny: 0 trials are dropped; all stay on record\n"
    assert best(sweeper, "l1") == point
    assert sweeper("drop", "tiny")[1] == "tiny: nothing is dropped\n"


def test_a_trial_may_be_named_by_its_number_in_optuna(sweeper: Command, finished: Store) -> None:
    record = finished.records("tiny")[-1]
    words = ("--trial", str(record.trial), "--arm", "mix", "--why", "no reason")
    assert f"mix/0/{record.slot.number}: dropped" in sweeper("drop", "tiny", *words)[1]


WHY = ("--why", "no reason")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--trial", "l1/0/2"), '--why: say why, such as --why "the machine overheated"'),
        (("--trial", "l1/0/2", "--why", "a\nb"), "--why: must be one line of at most 500"),
        (("--trial", "l1/0/2", "--undo", *WHY), "--undo, --why: give one of them, not both"),
        (("--why", "no reason"), "--trial: say which trial, such as l1/0/17"),
        (("--trial", "l1/0", *WHY), "--trial: must be arm/repeat/slot, such as l1/0/17, got"),
        (("--trial", "l2/0/1", *WHY), "tiny: no such arm: got 'l2'; allowed: dense, l1, mix"),
        (("--trial", "l1/0/6", *WHY), "--trial: tiny has no slot 6 of l1, repeat 0"),
        (("--trial", "3", *WHY), "--trial 3: say of which --arm: dense, l1, mix"),
        (("--trial", "99", "--arm", "l1", *WHY), "--trial: trial 99 of tiny/l1/0 is not on record"),
        (("--trial", "x", *WHY), "--trial: must be arm/repeat/slot, such as l1/0/17, or a number"),
        (
            ("--trial", "1", "--arm", "l1", "--repeat", "1", *WHY),
            "--repeat: must be 0 to 0, got 1",
        ),
        (("--trial", "l1/0/2", "--density", "0.1", *WHY), "--density: is for ladders: a trial of"),
    ],
)
def test_a_trial_that_cannot_be_dropped_is_one_line(
    sweeper: Command, finished: Store, words: tuple[str, ...], line: str
) -> None:
    code, out, err = sweeper("drop", "tiny", *words)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {line}")
    assert len(err.splitlines()) == 1
    assert finished.interventions.dropped("tiny") == ()


def test_one_density_of_a_ladder_is_dropped_with_all_of_its_seeds(
    sweeper: Command, tmp_path: Path
) -> None:
    with closing(Store(settings.DEFAULT_STORAGE)) as store:
        lifecycle.register(store, ladder_sweep())
        work("tiny", store, pack=12, train=fake_train)
        words = ("--trial", "l1/0/2", "--density", "0.1", *WHY)
        assert "l1/0/2, density 0.1: dropped" in sweeper("drop", "tiny", *words)[1]
        (trial,) = store.interventions.dropped("tiny")
        assert trial.networks == (1, 4)
        counted = store.interventions.counted_records("tiny")
        gone = [record for record in store.records("tiny") if record not in counted]
        assert {record.config.density for record in gone} == {0.1}
        assert len(gone) == 2
        line = "error: --density: must be one of 0.2, 0.1, 0.05, got 0.3\n"
        words = ("--trial", "l1/0/2", "--density", "0.3", *WHY)
        assert sweeper("drop", "tiny", *words)[2] == line
        assert sweeper("drop", "tiny", "--trial", "l1/0/2", "--undo")[0] == 0
        assert store.interventions.dropped("tiny") == ()


ENQUEUED = """
name: mine
dataset: digits
model: mlp(8)
training: {epochs: 1, learning_rate: {log_uniform: [0.01, 0.2]}}
sparsification: {density: 0.1}
search: {sampler: qmc, trials: 3, repeats: 2}
arms:
  l1: {penalty: l1, strength: auto}
  dense: {}
"""


@pytest.fixture
def study(sweeper: Command, tmp_path: Path) -> str:
    """A study file that nobody has registered."""
    (tmp_path / "mine.yaml").write_text(ENQUEUED)
    return "mine.yaml"


def test_enqueue_registers_the_sweep_and_its_configurations_come_first(
    sweeper: Command, study: str, tmp_path: Path
) -> None:
    (tmp_path / "more.json").write_text('[{"strength": 0.002}, {"learning_rate": 0.1}]')
    words = ("--params", "strength=1e-3,learning_rate=0.1", "--params", "@more.json")
    code, out, err = sweeper("enqueue", study, "--arm", "l1", *words, "--repeat", "1")
    assert (code, err) == (0, "")
    assert out == (
        "mine: 3 configurations enqueued: l1, repeat 1, slots 0, 1, 2\n"
        "mine: the range of strength of l1 is not known yet: a value outside of it will move to "
        "its nearest end\n"
        "mine: registered; sweeper run mine.yaml starts it\n"
    )
    code, out, err = sweeper("enqueue", study, "--arm", "dense", "--params", "learning_rate=0.05")
    assert out == (
        "mine: 1 configuration enqueued: dense, repeat 0, slot 0\n"
        "mine: 1 configuration enqueued: dense, repeat 1, slot 0\n"
    )
    line = (
        "error: mine: l1, repeat 1: has 0 slots that nobody has begun, got 1 configuration; "
        "a higher search.trials, taken by `run --extend`, makes more\n"
    )
    assert sweeper("enqueue", study, "--arm", "l1", "--params", "strength=1") == (2, "", line)
    with closing(Store(settings.DEFAULT_STORAGE)) as store:
        work("mine", store, pack=8, train=fake_train, probe=fake_probe)
        params = {record.slot.place: record.params for record in store.records("mine")}
        assert params["l1", 1, 0] == {"strength": 1e-3, "learning_rate": 0.1}
        assert params["l1", 1, 1]["strength"] == 0.002
        assert params["l1", 1, 2]["learning_rate"] == 0.1
        assert params["dense", 0, 0] == params["dense", 1, 0] == {"learning_rate": 0.05}
        dumped = store.dump("mine")
    assert sweeper("report", "mine", "--out", "report.html")[0] == 0
    page = (tmp_path / "report.html").read_text()
    assert "<li>l1: 0, 3 by repeat, enqueued by hand</li>" in page
    assert "<li>dense: 1 in each repeat, enqueued by hand</li>" in page
    assert sweeper("export", "mine", "--out", "files")[0] == 0
    assert sweeper("restore", "files", "--storage", "sqlite:///other.db")[0] == 0
    with closing(Store("sqlite:///other.db")) as other:
        assert other.dump("mine") == dumped
    sheet = json.loads((tmp_path / "files/sweep.json").read_text())
    sheet["enqueued"][0]["params"]["learning_rate"] = 0.15
    (tmp_path / "files/sweep.json").write_text(json.dumps(sheet))
    code, _, err = sweeper("restore", "files", "--storage", "sqlite:///third.db")
    assert code == 2
    assert "learning_rate, which is enqueued: must be 0.15, got" in err


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        (
            ("--arm", "l1", "--params", "strenth=1,learning_rate=3"),
            [
                "--params: strenth: l1 does not search it: got 'strenth'; allowed: "
                "learning_rate, strength; did you mean 'strength'?",
                "--params: learning_rate: must be a number from 0.01 to 0.2, got 3",
            ],
        ),
        (
            ("--arm", "l1", "--params", "strength=-1"),
            ["--params: strength: must be a number > 0, got -1"],
        ),
        (
            ("--arm", "l1", "--params", "strength"),
            ["--params: must be NAME=VALUE,... with each name once, or @FILE, got 'strength'"],
        ),
        (
            ("--arm", "l2", "--params", "strength=1"),
            ["mine: no such arm: got 'l2'; allowed: dense, l1"],
        ),
        (
            ("--arm", "l1", "--params", "strength=1", "--repeat", "2"),
            ["--repeat: must be 0 to 1, got 2"],
        ),
        (
            ("--arm", "l1", *("--params", "strength=1") * 4),
            ["--params: l1 has 3 trials in each repeat, got 4 configurations"],
        ),
    ],
)
def test_a_configuration_that_cannot_be_tried_is_one_line(
    sweeper: Command, study: str, words: tuple[str, ...], lines: list[str]
) -> None:
    code, out, err = sweeper("enqueue", study, *words)
    assert (code, out) == (2, "")
    assert err.splitlines() == [f"error: {line}" for line in lines]
    assert "no sweeps yet" in sweeper("list")[1]


def test_a_file_that_changed_since_is_refused(sweeper: Command, study: str) -> None:
    words = ("enqueue", study, "--arm", "l1", "--params", "strength=1")
    assert sweeper(*words)[0] == 0
    code, _, err = sweeper(*words, "--set", "seed=3")
    assert code == 2
    assert "seed: registered 0, now 3" in err
