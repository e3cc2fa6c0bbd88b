"""The commands `check` and `init` on scripts, as a user types them."""

from pathlib import Path

import pytest

from support.commands import Command, command_here, finish
from support.commands import sweeper as started
from sweeper.cli.init_command import script_template
from sweeper.config import Sweep
from sweeper.worker.launch.machine import Machine

MINE = """\
import os

print("said while it is imported")


def train(trial):
    return {}


def two(trial, data):
    return {}


def leaves(trial):
    return {}
"""
STUDY = """\
name: mine
trial: mine:train
time_limit: 10m
resources: {cpus: 4, memory: 512MiB}
objectives: {size: FLOPs, quality: F1}
parameters: {rate: {log_uniform: [1e-4, 1e-1]}, epochs: 3, depth: 2}
search: {trials: 12, repeats: 2}
targets: {f1: [0.9], flops: [1000]}
arms:
  dense: {}
  l1: {penalty: l1, strength: {log_uniform: [1e-5, 1e-2]}}
  wide: {parameters: {width: {choice: [16, 32]}, epochs: 5}}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with a script and its study file, on a machine of eight cores."""
    monkeypatch.chdir(tmp_path)
    machine = Machine(8, 0, 2**40)
    monkeypatch.setattr(Machine, "here", classmethod(lambda cls: machine))
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "mine.yaml").write_text(STUDY)
    return tmp_path


@pytest.fixture
def sweeper(folder: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run a command in this process; returns exit code, output and errors."""
    return command_here(capsys)


CHECKED = """\
mine: mine:train
axes: FLOPs against F1
arm    penalty  way   searched  fixed   
────────────────────────────────────────
dense  none           -         epochs 3
l1     l1       prox  strength  epochs 3
wide   none           width     epochs 5
searched in every arm: rate
fixed in every arm: depth 2
3 arms x 2 repeats x 12 trials = 72 trials (tpe)
a trial takes 4 CPUs and 512 MiB of memory: 2 workers here
time: at most 6 h 00 min here, for a trial is ended after 10 min 00 s
warning: arms: unequal numbers of searched parameters: dense 1, l1 2, wide 2
"""  # noqa: W291


def test_check_says_what_would_run_where_it_fits_and_how_long_at_most(sweeper: Command) -> None:
    assert sweeper("check", "mine.yaml") == (0, CHECKED, "")


def test_check_of_a_command_names_what_is_missing(sweeper: Command, folder: Path) -> None:
    text = STUDY.replace("trial: mine:train", 'command: [sh, train.sh, "{rate}"]')
    (folder / "mine.yaml").write_text(text.replace("time_limit: 10m\n", ""))
    code, out, err = sweeper("check", "mine.yaml")
    assert (code, err) == (0, "")
    assert "mine: sh train.sh '{rate}'\n" in out
    assert "time: unknown, and without limit: time_limit ends a trial that hangs\n" in out
    line = "command: 'train.sh': no such file in this folder, where workers look for it"
    assert f"warning: {line}\n" in out
    (folder / "mine.yaml").write_text(text.replace("[sh,", "[shh,"))
    error = "error: mine.yaml: command: 'shh': no such program on this machine\n"
    assert sweeper("check", "mine.yaml") == (2, "", error)


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        ("two", "must take one argument, the trial, and takes (trial, data)"),
        ("os", "must be a function of one argument, the trial, got <module 'os'"),
        ("nothing", "cannot be loaded: AttributeError: module 'mine' has no attribute 'nothing'"),
    ],
)
def test_a_function_that_cannot_be_called_is_one_line(
    sweeper: Command, folder: Path, function: str, problem: str
) -> None:
    (folder / "mine.yaml").write_text(STUDY.replace("mine:train", f"mine:{function}"))
    for words in (("check", "mine.yaml"), ("run", "mine.yaml")):
        code, out, err = sweeper(*words)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert err.startswith(f"error: mine.yaml: trial: mine:{function}: {problem}")
    assert not (folder / "sweeper.db").exists()


def test_a_module_that_ends_its_process_is_one_line(sweeper: Command, folder: Path) -> None:
    (folder / "mine.py").write_text("import os\nos._exit(3)\n")
    line = "mine.yaml: trial: mine:train: ends the process that tries it: exit code 3"
    assert sweeper("check", "mine.yaml") == (2, "", f"error: {line}\n")


def test_what_fits_nowhere_is_a_warning_of_check_and_an_error_of_run(
    sweeper: Command, folder: Path
) -> None:
    (folder / "mine.yaml").write_text(STUDY.replace("cpus: 4", "gpus: 2"))
    line = "resources: a trial needs 2 GPUs, this machine has none"
    out = sweeper("check", "mine.yaml")[1]
    assert "a trial takes 1 CPU, 2 GPUs and 512 MiB of memory: does not fit\n" in out
    assert f"warning: {line}: run it where there is more\n" in out
    assert sweeper("run", "mine.yaml") == (2, "", f"error: {line}\n")


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "file"), [("trial", "training.py"), ("command", "training.sh")])
def test_init_writes_a_training_that_runs_and_never_overwrites(
    sweeper: Command, folder: Path, kind: str, file: str
) -> None:
    code, out, _ = sweeper("init", "new", f"--{kind}")
    steps = "cd new, then sweeper check study.yaml, then sweeper run study.yaml"
    assert (code, out) == (0, f"wrote new/study.yaml and new/{file}; next: {steps}\n")
    study = folder / "new" / "study.yaml"
    assert study.read_text() == script_template(command=kind == "command")
    assert "warning" not in finish(started(folder / "new", "check", "study.yaml")).replace(
        "warning: arms: unequal numbers", ""
    )
    study.write_text(study.read_text().replace("trials: 12", "trials: 2"))
    out = finish(started(folder / "new", "run", "study.yaml", "--no-report"))
    budget = 2 * len(Sweep.load(study).arms)
    assert f"{budget} of {budget} trials done" in out
    before = {path: path.read_bytes() for path in (folder / "new").glob("*.*")}
    refused = sweeper("init", "new", f"--{kind}")
    assert refused == (2, "", "error: new/study.yaml: is there already, and is left as it is\n")
    study.unlink()
    refused = sweeper("init", "new", f"--{kind}")
    assert refused == (2, "", f"error: new/{file}: is there already, and is left as it is\n")
    assert {path: path.read_bytes() for path in (folder / "new").glob("*.*")} == {
        path: content for path, content in before.items() if path != study
    }


def test_init_is_for_one_kind(sweeper: Command) -> None:
    line = "error: --command: a sweep has either a trial or a command\n"
    assert sweeper("init", "new", "--trial", "--command") == (2, "", line)


def test_the_study_file_that_init_writes_names_every_key_of_scripts() -> None:
    text = script_template(command=False)
    for key in ("trial", "time_limit", "resources", "cpus", "gpus", "memory", "seed", "objectives",
                "size", "quality", "floor", "parameters", "sampler", "trials", "repeats",
                "in_flight", "targets", "arms"):  # fmt: skip
        assert f"{key}:" in text, key
