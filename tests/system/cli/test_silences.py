"""No command is silent for long: on a terminal and elsewhere."""

import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.commands import Command, command_here
from support.processes import LONG
from sweeper.cli import activity
from sweeper.settings import PROGRESS_VARIABLE

COMMANDS = [
    (("front", "tiny"), "tiny: reading all trials"),
    (("compare", "tiny"), "reading all trials"),
    (("report", "tiny"), "tiny: reading all trials"),
    (("export", "tiny", "--out", "export"), "tiny: reading all trials"),
    (("list",), "reading the sweeps"),
    (("db", "upgrade"), "the tables are brought up to date"),
    (("doctor",), "looking at the storage"),
    (("reproduce", "tiny"), "tiny: trials trained again"),
    (("delete", "tiny", "--yes"), "tiny: its workers leave"),
]


@pytest.fixture(autouse=True)
def usual(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tests have nothing said on stderr."""
    monkeypatch.delenv(PROGRESS_VARIABLE)


@pytest.fixture
def sweeper(
    tmp_path: Path,
    finished_database: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Command:
    """Commands beside a finished sweep, which say at once what they do."""
    monkeypatch.delenv("SWEEPER_STORAGE", raising=False)
    monkeypatch.chdir(tmp_path)
    shutil.copy(finished_database, tmp_path)
    monkeypatch.setattr(activity, "FIRST_SECONDS", 0.0)
    return command_here(capsys)


@pytest.mark.parametrize(("words", "line"), COMMANDS, ids=lambda value: value[0])
def test_a_command_says_what_it_does(sweeper: Command, words: tuple[str, ...], line: str) -> None:
    code, out, err = sweeper(*words)
    assert code == 0, err
    assert line in err
    assert line not in out


def test_a_restored_sweep_is_told_study_by_study(
    sweeper: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sweeper("export", "tiny", "--out", "export")[0] == 0
    monkeypatch.setattr(activity, "NEXT_SECONDS", 0.0)
    monkeypatch.setattr(activity, "_LOOK_SECONDS", 0.001)
    _, out, err = sweeper("restore", "export", "--storage", "sqlite:///other.db")
    assert out == "tiny: 12 trials restored\n", err
    assert "export: reading and checking" in err
    assert "tiny: trials go into the tables" in err
    assert "tiny: Optuna's studies: 1 of 3" in err


LOADS = """
import sys
import threading
from sweeper.cli import main

class Watch:
    def find_spec(self, name, *rest):
        if name == "torch":
            print("loads it", *(thread.name for thread in threading.enumerate()))
            raise SystemExit(0)

sys.meta_path.insert(0, Watch())
main(sys.argv[1:])
"""


@pytest.mark.parametrize(
    "words",
    [
        ("data", "digits"),
        ("verify", "tiny", "--artifacts", "kept"),
        ("reproduce", "tiny"),
    ],
    ids=lambda words: words[0],
)
def test_who_loads_pytorch_says_what_goes_on(
    words: tuple[str, ...], tmp_path: Path, finished_database: Path
) -> None:
    shutil.copy(finished_database, tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", LOADS, *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=LONG,
        check=False,
    )
    [line] = [line for line in done.stdout.splitlines() if line.startswith("loads it")]
    assert "sweeper-activity" in line


TALKATIVE = """
import time
from sweeper.cli import activity, common
activity.TERMINAL_SECONDS = 0.0
with activity.activity("tiny: reading") as doing:
    while not activity.shown_on():
        time.sleep(0.01)
    doing.count(1, 2)
    time.sleep(0.5)
    common.warn("the database is away")
    time.sleep(0.5)
print("the end")
"""


def test_on_a_terminal_a_line_renews_itself_and_makes_room_for_others() -> None:
    controller, terminal = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80"}
    process = subprocess.Popen(
        [sys.executable, "-c", TALKATIVE], stdout=terminal, stderr=terminal, env=environment
    )
    os.close(terminal)
    shown = b""
    while True:
        try:
            part = os.read(controller, 65536)
        except OSError:  # its other side is closed
            break
        if not part:
            break
        shown += part
    os.close(controller)
    assert process.wait() == 0
    assert b"tiny: reading" in shown
    assert b"tiny: reading: 1 of 2" in shown
    before, _, after = shown.rpartition(b"the end")
    assert b"\x1b[2K" in before  # erased
    assert after.strip() == b""
    warning = before[before.index(b"warning") :].replace(b"\x1b[0m", b"")
    assert warning.startswith(b"warning: the database is away\r\n")  # a line of its own
