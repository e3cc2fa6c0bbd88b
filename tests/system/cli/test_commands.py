"""The commands, as a user types them."""

import csv
import io
import json
import os
import re
import resource
import shutil
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from support.commands import Command, command_here, write_study
from support.fakes import fake_train, small_sweep
from support.study_text import TINY
from sweeper import __version__, api, lifecycle, settings
from sweeper.analysis import strength_range
from sweeper.analysis.confirmation import confirmation_sweep
from sweeper.cli.common import dashboard_command, duration
from sweeper.cli.init_command import template
from sweeper.cli.progress_bars import ProgressDisplay, progress_line, progress_table
from sweeper.config import Sweep
from sweeper.config.registry import DATASET_FORMS, DATASETS
from sweeper.errors import InputError, StorageError
from sweeper.operations.remaining_time import seconds_left
from sweeper.store import Store
from sweeper.types import ArmProgress, SweepStatus, WorkerStatus
from sweeper.worker.launch.machine import Machine
from sweeper.worker.worker_loop import work


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder with a study file, and an environment without our variables."""
    for name in ("SWEEPER_STORAGE", "SWEEPER_PASSWORD_FILE", "SWEEPER_DATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.yaml").write_text(TINY)
    return tmp_path


@pytest.fixture
def sweeper(folder: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run a command in this process; returns exit code, output and errors."""
    return command_here(capsys)


@pytest.fixture
def quick_workers(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Work in this process and without torch; returns what each launch was asked for."""
    launches: list[dict[str, Any]] = []

    def run_workers(name: str, store: Store, **options: Any) -> None:
        launches.append(options)
        work(name, store, pack=2, train=fake_train, data=None)
        options["on_status"](store.status(name))

    monkeypatch.setattr("sweeper.worker.launch.local_workers.run_workers", run_workers)
    return launches


@pytest.fixture
def finished(folder: Path, finished_database: Path, quick_workers: list[dict[str, Any]]) -> Path:
    """A current folder whose sweeper.db holds the finished sweep `tiny`."""
    shutil.copy(finished_database, folder)
    return folder


def python(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run Python apart from this process, which has loaded everything."""
    command = [sys.executable, *words]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=240, check=False
    )


def test_help_lists_every_command(sweeper: Command) -> None:
    code, out, _ = sweeper("--help")
    assert code == 0
    for command in (
        "run", "worker", "check", "schema", "init", "data", "regularizers", "front", "report",
        "verify", "reproduce", "dashboard", "status", "list", "stop", "delete", "db",
    ):  # fmt: skip
        assert re.search(rf"^  {command}\s+[A-Z]", out, re.MULTILINE), command


def test_help_takes_less_than_half_a_second(folder: Path) -> None:
    # CPU time, the best of three: a loaded machine says nothing about the command.
    times = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert python("-m", "sweeper", "--help", folder=folder).returncode == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(times) < 0.5


def test_only_commands_that_train_load_torch(finished: Path) -> None:
    code = """
import shlex, sys
from sweeper.cli import main
for command in sys.argv[1:]:
    try:
        main(shlex.split(command))
    except SystemExit:
        found = {"torch", "torchvision", "sklearn"} & set(sys.modules)
        assert not found, (command, found)
print("all of them")
"""
    commands = [
        "--help", "schema", "check tiny.yaml", "data minst", "status tiny", "list", "front tiny",
        "report tiny", "db check", "db upgrade", "run tiny.yaml", "stop tiny", "delete tiny --yes",
        "regularizers", "regularizers --json", "regularizers mcp", "regularizers small_dense",
    ]  # fmt: skip
    done = python("-c", code, *commands, folder=finished)
    assert done.stdout.endswith("all of them\n"), done.stderr


def test_importing_sweeper_and_its_names_loads_no_torch(folder: Path) -> None:
    code = """
import sys, sweeper
assert not {"torch", "optuna", "sqlalchemy", "pydantic", "numpy"} & set(sys.modules)
from sweeper import Formula, Front, Hyperparameter, InputError, StorageError, Sweep, SweeperError
from sweeper import TrainingError, front, run
assert set(sweeper.__all__) <= set(dir(sweeper))
assert "torch" not in sys.modules
"""
    done = python("-c", code, folder=folder)
    assert done.returncode == 0, done.stderr


def test_the_version_is_said(sweeper: Command) -> None:
    assert sweeper("--version") == (0, f"sweeper {__version__}\n", "")


def test_check_says_what_would_be_run(sweeper: Command) -> None:
    code, out, err = sweeper("check", "tiny.yaml")
    assert (code, err) == (0, "")
    assert "tiny: mlp(32) on digits, 2,410 parameters" in out
    assert re.search(r"^dense +none +- *$", out, re.MULTILINE)
    assert re.search(r"^l1 +l1 +prox +strength *$", out, re.MULTILINE)
    assert "searched in every arm: density, learning_rate\n" in out
    assert "2 arms x 1 repeat x 6 trials = 12 trials (tpe)" in out
    assert "12 x 16 = 192 training steps" in out
    assert re.search(r"^time: roughly \d+ s on this machine's CPU$", out, re.MULTILINE)
    assert "warning: search.trials: 6 trials do not exceed its random start-up of 10" in out


ARMS = """\
arms:
  l1: {penalty: l1, strength: auto}
  both: {sum: {l1: {strength: auto}, marginal_entropy: {strength: auto, shuffle: true}}}
  gradual: {method: gradual_magnitude, penalty: l2, strength: auto}
  a-name-that-is-longer-than-most-of-them-are: {method: l0_hard_concrete, strength: 1}
"""


def test_check_counts_the_ranges_to_find_and_fits_80_columns(
    sweeper: Command, folder: Path
) -> None:
    (folder / "tiny.yaml").write_text(TINY.partition("arms:")[0] + ARMS)
    code, out, err = sweeper("check", "tiny.yaml")
    assert (code, err) == (0, "")
    shown = out.partition("\nwarning:")[0]
    assert max(map(len, shown.splitlines())) <= 80
    assert re.search(r"^l1 +l1 +prox +strength \(auto\) *$", out, re.MULTILINE)
    for text in (
        "l1.strength (auto),",
        "marginal_entropy.strength",
        "gradual_magnitude",
        "shuffled",
    ):
        assert text in out
    # The probe of l1 alone serves the sum as well; one epoch of digits is eight steps.
    assert "4 ranges to find first: 3 x 16 networks x 8 steps\n" in out


def test_check_refuses_arms_that_differ_in_case_alone(sweeper: Command, folder: Path) -> None:
    file = folder / "twins.yaml"
    strength = "{penalty: l1, strength: {log_uniform: [1e-5, 1e-3]}}"
    file.write_text(
        "name: twins\ndataset: digits\nmodel: mlp(32)\ntraining: {epochs: 1}\n"
        f"search: {{trials: 1}}\narms: {{L1: {strength}, l1: {strength}}}\n"
    )
    code, out, error = sweeper("check", str(file))
    assert (code, out) == (2, "")
    assert error == (
        f"error: {file}: arms.l1: differs from 'L1' in case alone, which MySQL and MariaDB take "
        "for one name: rename one of them\n"
    )


def test_every_mistake_of_a_study_file_is_one_line(sweeper: Command, folder: Path) -> None:
    text = TINY.replace("digits", "digit").replace("trials: 6", "trials: 0")
    (folder / "tiny.yaml").write_text(text)
    code, out, err = sweeper("check", "tiny.yaml")
    assert (code, out) == (2, "")
    assert err.splitlines() == [
        "error: tiny.yaml: dataset: no such dataset: got 'digit'; allowed: "
        f"{', '.join(sorted([*DATASETS, *DATASET_FORMS, 'package.module:function']))}; "
        "did you mean 'digits'?",
        "error: tiny.yaml: search.trials: must be >= 1, got 0",
    ]


def test_debug_shows_the_traceback_wherever_it_stands(sweeper: Command) -> None:
    for words in (("--debug", "check", "no.yaml"), ("check", "no.yaml", "--debug")):
        code, _, err = sweeper(*words)
        assert code == 2
        assert err.startswith("Traceback (most recent call last):")
        assert err.endswith("error: no.yaml: cannot be read: No such file or directory\n")


def test_a_bug_is_one_line_and_says_how_to_see_more(
    sweeper: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(path: Path, changes: object) -> Sweep:
        raise ZeroDivisionError("one\ntwo")

    monkeypatch.setattr(Sweep, "load", broken)
    code, out, err = sweeper("check", "a file.yaml")
    assert (code, out) == (1, "")
    assert err.splitlines() == [
        "error: a bug in sweeper: ZeroDivisionError: one",
        "       the traceback comes with: sweeper --debug check 'a file.yaml'",
    ]


@pytest.mark.parametrize("words", [("chek",), ("run",), ("check", "a", "b"), ("list", "--jso")])
def test_a_mistake_of_usage_exits_with_2(sweeper: Command, words: tuple[str, ...]) -> None:
    code, out, err = sweeper(*words)
    assert code == 2
    assert out == ""
    assert "Error: " in err


def test_an_unknown_command_suggests_the_near_one(sweeper: Command) -> None:
    assert "Did you mean 'status'?" in sweeper("statsu")[2]


def test_init_writes_a_study_file_that_runs_and_never_overwrites(
    sweeper: Command, folder: Path
) -> None:
    code, out, _ = sweeper("init", "new")
    assert code == 0
    next_steps = "sweeper check new/study.yaml, then sweeper run new/study.yaml"
    assert out == f"wrote new/study.yaml; next: {next_steps}\n"
    assert (folder / "new" / "study.yaml").read_text() == template()
    assert Sweep.load(folder / "new" / "study.yaml").name == "my-first-sweep"
    assert sweeper("check", "new/study.yaml")[0] == 0
    code, _, err = sweeper("init", "new")
    assert (code, err) == (2, "error: new/study.yaml: is there already, and is left as it is\n")


def test_schema_prints_json(sweeper: Command) -> None:
    code, out, _ = sweeper("schema")
    assert code == 0
    assert json.loads(out)["$schema"].endswith("2020-12/schema")


def test_an_unknown_dataset_suggests_the_near_one(sweeper: Command) -> None:
    code, _, err = sweeper("data", "minst")
    assert code == 2
    assert err == (
        f"error: no such dataset: got 'minst'; allowed: {', '.join(sorted(DATASETS))}; "
        "did you mean 'mnist'?\n"
    )


def test_bundled_data_is_ready_at_once(sweeper: Command, folder: Path) -> None:
    code, out, _ = sweeper("data", "digits", "--data", str(folder))
    assert (code, out) == (0, "digits: ready, for it comes with scikit-learn\n")


def test_run_ends_with_table_report_and_dashboard(
    sweeper: Command, folder: Path, quick_workers: list[dict[str, Any]]
) -> None:
    code, out, err = sweeper("run", "tiny.yaml")
    assert (code, err) == (0, "")
    assert "tiny: new sweep, 2 arms, 12 trials" in out
    assert "12 of 12 trials done" in out
    assert re.search(r"^ *dense +6/6 ", out, re.MULTILINE)
    assert "report:    sweeps/tiny/report.html" in out
    assert (folder / "sweeps" / "tiny" / "report.html").stat().st_size > 1000
    assert out.endswith(
        "dashboard: sweeper dashboard\nfronts:    http://127.0.0.1:8080/sweeps/tiny/\n"
    )
    # A terminal breaks a warning as it likes, and files have it whole.
    tables = [line for line in out.splitlines() if not line.startswith("warning: ")]
    assert max(map(len, tables)) <= 80
    [asked] = quick_workers
    assert asked["devices"] == Machine.here().devices("auto")


def test_a_changed_key_is_part_of_the_sweep_and_of_the_command_that_goes_on(
    sweeper: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(name: str, store: Store, **options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sweeper.worker.launch.local_workers.run_workers", interrupted)
    command = ("run", "tiny.yaml", "--set", "search.trials=8", "--set", "targets.accuracy=[0.5]")
    code, out, _ = sweeper(*command)
    assert code == 130
    assert "tiny: new sweep, 2 arms, 16 trials" in out
    assert out.endswith(
        "goes on: sweeper run tiny.yaml --set search.trials=8 --set 'targets.accuracy=[0.5]'\n"
    )
    assert "tiny: goes on: 0 of 16 done" in sweeper(*command)[1]
    code, _, error = sweeper("run", "tiny.yaml")
    assert code == 2
    assert "search.trials: registered 8, now 6" in error


def test_a_run_whose_time_is_over_says_how_far_it_is_and_goes_on(
    sweeper: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []

    def run_workers(name: str, store: Store, **options: Any) -> None:
        asked.append(options)
        until = time.time() - 1 if len(asked) == 1 else options["until"]
        work(name, store, pack=2, train=fake_train, data=None, until=until)

    monkeypatch.setattr("sweeper.worker.launch.local_workers.run_workers", run_workers)
    code, out, err = sweeper("run", "tiny.yaml", "--for", "2h", "--no-report")
    assert (code, err) == (0, "")
    assert 7100 < asked[0]["until"] - time.time() <= 7200
    assert re.search(r"^until .*: 0 of 12 trials done; the same command goes on: ", out, re.M)
    assert "goes on: sweeper run tiny.yaml --for 2h --no-report\n" in out
    assert sweeper("run", "tiny.yaml", "--for", "2h", "--no-report")[0] == 0
    for words, line in (
        (("--for", "2x"), "--for: must be a duration such as 90s, 2h or 1h30m, got '2x'"),
        (("--until", "noon"), "--until: must be a time such as 18:00, or a date with one such"),
        (("--until", "2020-01-01T10:00"), "--until: is past, got '2020-01-01T10:00'"),
        (("--until", "18:00", "--for", "1h"), "--until, --for: give one of them, not both"),
    ):
        code, out, err = sweeper("run", "tiny.yaml", *words)
        assert (code, out, len(err.splitlines())) == (2, "", 1)
        assert err.startswith(f"error: {line}")


def test_a_finished_sweep_is_left_as_it_is(
    sweeper: Command, finished: Path, quick_workers: list[dict[str, Any]]
) -> None:
    quick_workers.clear()
    code, out, _ = sweeper("run", "tiny.yaml", "--no-report")
    assert code == 0
    assert "tiny: all 12 trials are on record, nothing to do" in out
    assert "report:" not in out
    assert quick_workers == []


def test_a_sweep_goes_on_where_it_stopped(
    sweeper: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(name: str, store: Store, **options: Any) -> None:
        calls = 0

        def train(configs: Any, data: object, device: str, **kwargs: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls > 3:
                raise KeyboardInterrupt
            return fake_train(configs, data, device, **kwargs)

        work(name, store, pack=1, train=train, data=None)

    monkeypatch.setattr("sweeper.worker.launch.local_workers.run_workers", interrupted)
    report = f"{folder}/my report.html"
    code, out, _ = sweeper("run", "tiny.yaml", "--workers", "1", "--report", report)
    assert code == 130
    assert out.endswith(
        "stopped; what is done is on record, and the same command goes on: "
        f"sweeper run tiny.yaml --workers 1 --report '{folder}/my report.html'\n"
    )
    code, out, _ = sweeper("run", "tiny.yaml")
    assert "tiny: goes on: 3 of 12 done" in out


def test_another_file_of_the_same_name_is_refused_and_a_longer_one_extends(
    sweeper: Command, finished: Path, quick_workers: list[dict[str, Any]]
) -> None:
    (finished / "tiny.yaml").write_text(TINY.replace("trials: 6", "trials: 8"))
    code, _, err = sweeper("run", "tiny.yaml")
    assert code == 2
    assert "search.trials" in err
    assert "--extend" in err
    code, out, _ = sweeper("run", "tiny.yaml", "--extend")
    assert code == 0
    assert "tiny: extended to 2 arms, 16 trials: 12 of 16 done" in out
    assert re.search(r"^ *l1 +8/8 ", out, re.MULTILINE)


def test_status_shows_arms_in_80_columns(sweeper: Command, finished: Path) -> None:
    code, out, _ = sweeper("status", "tiny")
    assert code == 0
    assert "tiny: finished" in out
    assert re.search(r"^ *l1 +6/6 ", out, re.MULTILINE)
    assert max(map(len, out.splitlines())) <= 80
    assert sweeper("status", "tiny", "--watch")[:2] == (0, out)


def test_status_as_json_holds_the_totals(sweeper: Command, finished: Path) -> None:
    found = json.loads(sweeper("status", "tiny", "--json")[1])
    assert (found["done"], found["budget"], found["finished"]) == (12, 12, True)
    assert [arm["arm"] for arm in found["arms"]] == ["dense", "l1"]


def test_an_unknown_sweep_suggests_the_near_one(sweeper: Command, finished: Path) -> None:
    for command in ("status", "front", "report", "stop"):
        code, out, err = sweeper(command, "tinny")
        assert (code, out) == (2, "")
        assert "did you mean 'tiny'?" in err


def test_list_shows_every_sweep(sweeper: Command, finished: Path) -> None:
    code, out, _ = sweeper("list")
    assert code == 0
    assert re.search(r"^ *tiny +finished +2 +12/12", out, re.MULTILINE)
    [found] = json.loads(sweeper("list", "--json")[1])
    assert found["name"] == "tiny"


def test_a_database_that_is_not_there_is_one_line_and_not_created(
    sweeper: Command, folder: Path
) -> None:
    code, out, err = sweeper("list")
    assert (code, out) == (StorageError.exit_code, "")
    assert len(err.splitlines()) == 1
    assert "sweeper db upgrade" in err
    assert not (folder / "sweeper.db").exists()


def test_db_upgrade_makes_what_db_check_asks_for(sweeper: Command, folder: Path) -> None:
    code, out, _ = sweeper("db", "upgrade")
    assert code == 0
    assert out.endswith("sweeper.db: up to date\n")
    assert sweeper("db", "check")[0] == 0
    assert "no sweeps yet" in sweeper("list")[1]


def test_stop_keeps_the_results_and_says_how_to_go_on(sweeper: Command, folder: Path) -> None:
    store = Store(settings.DEFAULT_STORAGE)
    lifecycle.register(store, small_sweep())
    goes_on = "no worker was at work; sweeper run FILE goes on\n"
    assert sweeper("stop", "tiny")[:2] == (0, f"tiny: stopped; {goes_on}")
    assert sweeper("stop", "tiny")[:2] == (0, f"tiny: is stopped already; {goes_on}")
    assert store.state("tiny") == "stopped"
    assert "tiny: stopped" in sweeper("status", "tiny")[1]
    store.close()


def test_a_finished_sweep_is_not_stopped(sweeper: Command, finished: Path) -> None:
    said = "tiny: is finished: 12 of 12 trials are on record\n"
    assert sweeper("stop", "tiny")[:2] == (0, said)
    assert "tiny: finished" in sweeper("status", "tiny")[1]
    assert "did you mean 'tiny'?" in sweeper("stop", "tny")[2]


def test_a_failed_sweep_says_so_when_it_is_stopped(sweeper: Command, folder: Path) -> None:
    store = Store(settings.DEFAULT_STORAGE)
    lifecycle.register(store, small_sweep())
    for _ in range(3):
        worker = store.join("tiny", device="cpu")
        store.release(worker, store.claim(worker, 1), error="ValueError: no")
    assert store.state("tiny") == "failed"
    store.close()
    assert sweeper("stop", "tiny")[1].startswith("tiny: has failed already, and nobody works on it")


def test_what_workers_gave_back_is_not_called_lost(sweeper: Command, folder: Path) -> None:
    store = Store(settings.DEFAULT_STORAGE)
    lifecycle.register(store, small_sweep())
    worker = store.join("tiny", device="cpu")
    store.release(worker, store.claim(worker, 2))
    status = store.status("tiny")
    assert status.failures == {"given back": 2}
    assert "lost" not in progress_line(status)
    assert "lost" not in sweeper("status", "tiny")[1]
    store.release(worker, store.claim(worker, 1), error="ValueError: no")
    assert "1 attempt lost and tried again (1 error)" in progress_line(store.status("tiny"))
    assert re.search(r"^attempts lost +error *$", sweeper("status", "tiny")[1], re.MULTILINE)
    store.close()


def test_delete_asks_first_unless_told_not_to(
    sweeper: Command, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    code, out, _ = sweeper("delete", "tiny")
    assert code == 1
    assert "tiny: delete it with 12 results?" in out
    store = Store(settings.DEFAULT_STORAGE)
    facts = store.records("tiny")
    again = confirmation_sweep(store.sweep("tiny"), store.status("tiny"), facts, seeds=1)
    lifecycle.register(store, again)
    store.close()
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    _, out, _ = sweeper("delete", "tiny")
    assert "tiny: delete it with 12 results and its confirmation with 0?" in out
    assert "tiny" in sweeper("list")[1]
    assert sweeper("delete", "tiny", "--yes")[:2] == (0, "tiny: deleted\n")
    assert "no sweeps yet" in sweeper("list")[1]


def test_front_shows_each_arm_and_the_targets(sweeper: Command, finished: Path) -> None:
    code, out, _ = sweeper("front", "tiny")
    assert code == 0
    assert re.search(r"^ *dense: \d of \d networks \(pruned\)", out, re.MULTILINE)
    assert "nonzero parameters of the smallest network at a validation accuracy:" in out
    assert "50 %" in out
    assert "99.9 %" in out
    assert max(map(len, out.splitlines())) <= 80


def test_front_and_its_json_warn_of_an_end_on_the_edge_of_a_range(
    sweeper: Command, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    monkeypatch.setattr(strength_range, "EDGE", 0.0)  # no point lies beyond an end
    assert "warning" not in sweeper("front", "tiny")[1]
    monkeypatch.setattr(strength_range, "EDGE", 1.0)  # every point lies near one
    assert (
        "warning: The front of l1 ends on the edge of a searched strength"
        in (sweeper("front", "tiny")[1])
    )
    found = json.loads(sweeper("front", "tiny", "--json")[1])["warnings"]
    assert found
    assert all(line.startswith("l1: an end of its front lies on the ") for line in found)


def test_front_as_json_and_csv_hold_the_same_points(sweeper: Command, finished: Path) -> None:
    found = json.loads(sweeper("front", "tiny", "--json")[1])
    rows = list(csv.DictReader(io.StringIO(sweeper("front", "tiny", "--csv")[1])))
    points = [point for arm in found["fronts"].values() for point in arm["points"]]
    assert points
    assert [(row["arm"], int(row["trial"]), int(row["nonzero"])) for row in rows] == [
        (point["arm"], point["trial"], point["nonzero"]) for point in points
    ]
    assert found["fronts"]["l1"]["nonzero_at_accuracy"]["0.999"] is None
    assert "params_strength" in rows[0]
    expected = api.front("tiny", "l1").points
    assert [point["nonzero"] for point in found["fronts"]["l1"]["points"]] == [
        point.nonzero for point in expected
    ]


def test_front_takes_the_other_track_and_accuracy(sweeper: Command, finished: Path) -> None:
    words = ("front", "tiny", "--json", "--track", "as_trained", "--by", "test")
    found = json.loads(sweeper(*words)[1])
    assert {arm["track"] for arm in found["fronts"].values()} == {"as_trained"}
    assert {arm["by"] for arm in found["fronts"].values()} == {"test_accuracy"}


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--track", "prunned"), "--track: got 'prunned'; allowed: as_trained, pruned; "
            "did you mean 'pruned'?"),
        (("--by", "tset"), "--by: got 'tset'; allowed: test, validation; did you mean 'test'?"),
        (("--json", "--csv"), "--json and --csv: choose one"),
    ],
)  # fmt: skip
def test_a_wrong_choice_says_what_is_allowed(
    sweeper: Command, words: tuple[str, ...], line: str
) -> None:
    assert sweeper("front", "tiny", *words) == (2, "", f"error: {line}\n")


def test_report_goes_where_it_is_told(sweeper: Command, finished: Path) -> None:
    code, out, _ = sweeper("report", "tiny", "--out", "here/r.html")
    assert (code, out) == (0, "report: here/r.html\n")
    assert "<html" in (finished / "here" / "r.html").read_text()


def test_a_notebook_gets_the_same_front(finished: Path) -> None:
    front = api.front("tiny", "l1")
    assert front.points
    assert "<table>" in front._repr_html_()
    again = api.run(finished / "tiny.yaml")
    assert again["l1"] == front
    assert set(again) == {"dense", "l1"}
    with pytest.raises(InputError, match="did you mean 'l1'"):
        api.front("tiny", "l11")
    wrong = {"by": "validation", "track": "as-trained"}
    for key, word in wrong.items():
        with pytest.raises(InputError, match=f"^{key}: got '{word}'; allowed: "):
            api.front("tiny", "l1", **{key: word})  # type: ignore[arg-type]


def test_the_storage_is_the_option_or_the_variable_or_the_current_folder(
    sweeper: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweeper("db", "upgrade", "--storage", "sqlite:///option.db")
    monkeypatch.setenv("SWEEPER_STORAGE", "sqlite:///variable.db")
    sweeper("db", "upgrade")
    monkeypatch.delenv("SWEEPER_STORAGE")
    sweeper("db", "upgrade")
    names = {"option.db", "variable.db", "sweeper.db"}
    assert names <= {path.name for path in folder.iterdir()}


def test_the_dashboard_command_never_holds_a_password(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def command(url: str) -> str:
        return dashboard_command(Store(url), url)

    secret = "postgresql://me:geheim@db/sweeps"
    assert command(settings.DEFAULT_STORAGE) == "sweeper dashboard"
    assert command("sqlite:///my sweeps.db") == (
        "sweeper dashboard --storage 'sqlite:///my sweeps.db'"
    )
    shown = command(secret)
    assert "geheim" not in shown
    assert shown.startswith("SWEEPER_STORAGE=")
    monkeypatch.setenv("SWEEPER_STORAGE", secret)
    assert command(secret) == "sweeper dashboard"


def test_the_address_of_the_dashboard_is_the_one_that_people_reach_it_by(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    variable = "SWEEPER_DASHBOARD_URL"
    monkeypatch.delenv(variable, raising=False)
    assert settings.dashboard_url() is None
    for given in ("https://sweeps.example/lab", "http://[::1]:8080/"):
        monkeypatch.setenv(variable, given)
        assert settings.dashboard_url() == given.rstrip("/") + "/"
    for wrong in ("sweeps.example", "ftp://it/", "http://it:0/", "http://it:x/", "http://a\nb/"):
        monkeypatch.setenv(variable, wrong)
        with pytest.raises(InputError, match=f"^{variable}: must be an address such as"):
            settings.dashboard_url()
    monkeypatch.setenv(variable, "https://sweeps.example")
    assert settings.dashboard_url("http://it:9090") == "http://it:9090/"
    monkeypatch.setenv(variable, "http://me:geheim@it/")
    with pytest.raises(InputError, match=r"must hold no name and no password$"):
        settings.dashboard_url()


def test_an_address_that_is_none_ends_a_run_before_it_trains(
    sweeper: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = write_study(tmp_path, trials=1)
    for variable in ("SWEEPER_DASHBOARD_URL", "SWEEPER_WEBHOOK"):
        with monkeypatch.context() as patch:
            patch.setenv(variable, "nonsense")
            code, out, err = sweeper("run", str(study))
            assert (code, out, len(err.splitlines())) == (2, "", 1)
            assert err.startswith(f"error: {variable}: must be an address")
    assert not Path("sweeper.db").exists()


def test_a_database_that_does_not_answer_is_one_line_without_the_password(
    sweeper: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWEEPER_STORAGE", "postgresql://me:geheim@127.0.0.1:1/sweeps")
    code, out, err = sweeper("list")
    assert (code, out) == (1, "")
    assert len(err.splitlines()) == 1
    assert err.startswith("error: ")
    assert "geheim" not in err


def test_a_bug_is_reported_without_the_password(
    sweeper: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: object, **named: object) -> None:
        raise KeyError("postgresql://me:geheim@db/x?password=geheim")

    monkeypatch.setattr("sweeper.store.Store.__init__", broken)
    monkeypatch.setenv("SWEEPER_STORAGE", "postgresql://me:geheim@db/x?password=geheim")
    code, _, err = sweeper("list")
    assert code == 1
    assert "a bug in sweeper: KeyError" in err
    assert "geheim" not in err
    assert "postgresql://me:***@db/x" in err


def progress(done: int, *, alive: int = 2, claimed: int = 0) -> SweepStatus:
    """Return a sweep of two arms of ten trials; a trial of `slow` takes 3 s, of `fast` 1 s."""
    arms = tuple(
        ArmProgress(name, 10, done, claimed, done, 0, 0, {}, None, 0.97, 1234, done * seconds, None)
        for name, seconds in (("fast", 1.0), ("slow", 3.0))
    )
    workers = tuple(
        WorkerStatus(f"{n:032x}", "host", n, "cpu", True, 0, done, 0.0) for n in range(alive)
    )
    return SweepStatus("tiny", "0" * 64, "open", 0.0, 60.0, arms, workers)


def test_the_time_left_follows_from_what_trials_took() -> None:
    status = progress(4)
    # Six trials of 1 s and six of 3 s are left, and two workers share them.
    assert seconds_left(status, status.arms[0]) == pytest.approx(12.0)
    assert progress_line(status) == "8 of 20 trials done, 2 workers, about 12 s left"


def test_the_time_left_is_as_those_who_work_now_have_it() -> None:
    """A sweep that began on a machine twice as fast; `slow` had no trial here yet."""
    status = progress(4)
    fast, slow = status.arms
    elsewhere = replace(status, arms=(replace(fast, pace=2.0), slow))
    assert seconds_left(elsewhere, fast) == pytest.approx((6 * 2 + 6 * 2) / 2)
    both = replace(status, arms=(replace(fast, pace=2.0), replace(slow, pace=6.0)))
    assert seconds_left(both, slow) == pytest.approx((6 * 2 + 6 * 6) / 2)
    new = replace(status, arms=(fast, replace(slow, done=0, seconds=0.0)))
    assert seconds_left(new, fast) == pytest.approx((6 * 1 + 6 * 1) / 2)


def test_progress_within_packs_is_shown() -> None:
    status = progress(0)
    first, second = (
        replace(one, slots=8, progress=share)
        for one, share in zip(status.workers, (0.8, 0.124), strict=True)
    )
    busy = replace(status, workers=(first, second))
    assert progress_line(busy) == "0 of 20 trials done, 2 workers (each at 12 %, 80 %)"
    many = replace(status, workers=(first, second, first, second, first))
    assert progress_line(many).endswith("5 workers (each at 12 % to 80 %)")


def test_ranges_that_are_still_to_be_found_come_first() -> None:
    status = replace(progress(0), probes=27, probed=3)
    assert progress_line(status) == "3 of 27 ranges found, 0 of 20 trials done, 2 workers"
    one = replace(progress(0), probes=1)
    assert progress_line(one).startswith("0 of 1 range found, ")
    done = replace(progress(4), probes=27, probed=27)
    assert progress_line(done) == progress_line(progress(4))


def test_another_range_is_news_where_there_is_no_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter(range(0, 100, 6))  # more than QUIET_SECONDS, less than IDLE_SECONDS
    monkeypatch.setattr("sweeper.cli.progress_bars.time.monotonic", lambda: float(next(clock)))
    with ProgressDisplay() as shown:
        for probed in (0, 0, 1, 1, 2):
            shown.update(replace(progress(0), probes=3, probed=probed))
    lines = capsys.readouterr().out.splitlines()
    assert [line[0] for line in lines] == ["0", "1", "2"]


def test_an_arm_that_is_nearly_done_does_not_wait_for_the_others() -> None:
    status = progress(4)
    slow = replace(status.arms[1], done=8, seconds=24.0)
    found = replace(status, arms=(status.arms[0], slow))
    # Slots are claimed in turn: until its two are done, the other arm gets two as well.
    assert seconds_left(found, slow) == pytest.approx((2 * 3 + 2 * 1) / 2)
    assert seconds_left(found, found.arms[0]) == pytest.approx((2 * 3 + 6 * 1) / 2)


def test_no_time_is_promised_before_a_trial_is_done_or_without_workers() -> None:
    for status in (progress(0), progress(4, alive=0)):
        assert seconds_left(status, status.arms[0]) is None
        assert "left" not in progress_line(status)


def test_a_long_arm_name_keeps_the_progress_in_80_columns() -> None:
    from rich.console import Console

    status = progress(4)
    counts = (100_000, 99_999, 0, 99_999, 99_999, 0)
    arm = ArmProgress("a" * 64, *counts, {}, None, 1.0, 266_610, 1e6, None)
    long = SweepStatus("tiny", "0" * 64, "open", 0.0, 1.0, (arm,), status.workers)
    out = io.StringIO()
    Console(file=out, width=80).print(progress_table(long))
    assert max(len(line.rstrip()) for line in out.getvalue().splitlines()) <= 80
    assert "99999/100000" in out.getvalue()
    assert "266,610" in out.getvalue()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "-"), (0.4, "0 s"), (59.6, "1 min 00 s"), (3599.7, "1 h 00 min"), (90_000, "1 d 01 h")],
)
def test_a_duration_shows_its_two_largest_units(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_the_dashboard_listens_only_to_this_machine(sweeper: Command, finished: Path) -> None:
    code, out, err = sweeper("dashboard", "--host", "0.0.0.0")
    assert (code, out) == (2, "")
    assert err.startswith("error: host 0.0.0.0: ")


def test_the_dashboard_is_served_and_ends_with_the_signal(finished: Path) -> None:
    from urllib.request import urlopen

    command = [sys.executable, "-m", "sweeper", "dashboard", "--port", "0"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as server:
        try:
            assert server.stdout is not None
            line = server.stdout.readline()
            found = re.fullmatch(r"dashboard: (http://127.0.0.1:\d+/) \(Ctrl-C ends it\)\n", line)
            assert found, line
            with urlopen(f"{found[1]}api/studies", timeout=240) as answer:
                names = {study["study_name"] for study in json.load(answer)["study_summaries"]}
            assert names == {"tiny", "tiny/dense/0", "tiny/l1/0"}
            with urlopen(found[1], timeout=240) as answer:
                assert answer.url == f"{found[1]}sweeps/"
            with urlopen(f"{found[1]}sweeps/index.json", timeout=240) as answer:
                assert [sweep["name"] for sweep in json.load(answer)["sweeps"]] == ["tiny"]
        finally:
            server.terminate()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), r"dashboard: http://127\.0\.0\.1:\d+/ \(Ctrl-C ends it\)\n"),
        (
            ("--host", "0.0.0.0"),
            r"dashboard: http://localhost:(\d+)/ \(listens on 0\.0\.0\.0:\1; Ctrl-C ends it\)\n",
        ),
        (
            ("--public-url", "https://sweeps.example"),
            r"dashboard: https://sweeps\.example/ \(listens on 127\.0\.0\.1:\d+; Ctrl-C .*\)\n",
        ),
    ],
)
def test_the_dashboard_says_an_address_that_a_browser_can_open(
    finished: Path, options: tuple[str, ...], said: str
) -> None:
    command = [sys.executable, "-m", "sweeper", "dashboard", "--port", "0", *options]
    token = {"SWEEPER_DASHBOARD_TOKEN": "correct-horse-battery"}
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", **token}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as server:
        assert server.stdout is not None
        line = server.stdout.readline()
        server.terminate()
    assert re.fullmatch(said, line), line


def test_an_error_with_brackets_is_shown_as_it_is(sweeper: Command, folder: Path) -> None:
    store = Store(settings.DEFAULT_STORAGE)
    lifecycle.register(store, small_sweep())
    said = "[enforce fail at alloc.cpp:117] a weight [pack, out] ends with [/a]"
    with sqlite3.connect("sweeper.db") as direct:
        direct.execute("UPDATE sweeper_sweep SET state = 'failed', error = ?", [said])
    store.close()
    assert f"tiny: failed: {said}" in sweeper("status", "tiny")[1]
    code, out, _ = sweeper("list")
    assert code == 0
    assert "[/a]" in out


def test_where_a_sign_cannot_be_written_another_stands_for_it(finished: Path) -> None:
    latin = dict(os.environ, PYTHONIOENCODING="latin-1")
    told = "from sweeper.cli.common import console; console().print('\u2264 5', '\u2013')"
    wrapped = (
        "import sweeper.cli.app as app; app.app = lambda **_: " + f"exec({told!r}); app.main([])"
    )
    done = subprocess.run(
        [sys.executable, "-c", wrapped], env=latin, capture_output=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, b"? 5 ?\n"), done.stderr


def test_status_is_watched_or_written_as_json(sweeper: Command, finished: Path) -> None:
    code, _, err = sweeper("status", "tiny", "--watch", "--json")
    assert (code, err) == (2, "error: --json, --watch: give one of them, not both\n")


def test_a_file_is_no_folder_for_a_study(sweeper: Command, folder: Path) -> None:
    (folder / "notes.txt").write_text("mine")
    code, _, err = sweeper("init", "notes.txt")
    assert (code, err) == (2, "error: notes.txt: must be a folder, and is a file\n")


def test_the_table_of_check_has_its_headings_where_nothing_is_searched(
    sweeper: Command, folder: Path
) -> None:
    (folder / "dense.yaml").write_text(
        "name: dense\ndataset: digits\nmodel: mlp(8)\ntraining: {epochs: 1}\n"
        "search: {trials: 1}\narms: {a: {}}\n"
    )
    _, out, _ = sweeper("check", "dense.yaml")
    assert re.search(r"^arm +penalty +way +searched *$", out, re.M)
