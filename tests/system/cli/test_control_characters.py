"""Texts of a database or a worker: a terminal shows them, and obeys none."""

import csv
import json
import os
import pty
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from sweeper.redact import visible

CLIPBOARD, CLEAR, LINK = "\x1b]52;c;ZXZpbA==\x07", "\x1b[2J", "\x1b]8;;http://evil.example\x1b\\"
HOSTILE = f"{CLIPBOARD}{CLEAR}{LINK}\u202e\u2066\x9b2J[red]red[/red][link=http://evil.example]\x7f"
LINES = f"{HOSTILE}\r\nerror: all is lost\x85a\u2028error: b\n"


@pytest.fixture
def hostile(finished_database: Path, tmp_path: Path) -> str:
    """A storage in which all that workers and other databases may write is hostile."""
    file = tmp_path / "sweeper.db"
    shutil.copy(finished_database, file)
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("UPDATE sweeper_sweep SET state = 'failed', error = ?", [LINES])
        database.execute(
            "UPDATE sweeper_worker SET lease_until = 1e12, host = ?, device = ?", [LINES] * 2
        )
        slots = "(SELECT sweep, arm, repeat, number FROM sweeper_slot WHERE arm = 'l1' LIMIT 1)"
        database.execute(
            "INSERT INTO sweeper_failure"
            " (sweep, arm, repeat, slot, worker, attempt, kind, error, at)"
            f" SELECT sweep, arm, repeat, number, 'a', 'b', 'error', ?, 1 FROM {slots}", [LINES]
        )  # fmt: skip
        database.execute(
            "UPDATE sweeper_fact SET params = ?", [json.dumps({"learning_rate": LINES, LINES: 1})]
        )
        database.execute(
            "UPDATE sweeper_slot SET state = 'free', worker = NULL, trial = NULL WHERE number = 0"
        )
        database.execute("DELETE FROM sweeper_fact WHERE slot = 0")
    return f"sqlite:///{file}"


def on_a_terminal(*command: str, storage: str = "", folder: Path) -> str:
    """Run a program on a terminal of its own; returns all that it wrote there."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "SWEEPER_STORAGE": storage, "TERM": "xterm-256color"}
    try:
        with subprocess.Popen(
            [sys.executable, *command],
            stdin=theirs, stdout=theirs, stderr=theirs, env=environment, cwd=folder,
        ):  # fmt: skip
            os.close(theirs)
            written = b""
            while True:
                try:
                    part = os.read(ours, 65_536)
                except OSError:  # EIO: the last one that had it open has ended
                    return written.decode()
                written += part
    finally:
        os.close(ours)


def harmless(written: str) -> str:
    """Return what is seen of it; raises AssertionError for anything that a terminal obeys."""
    # Colours are rich's, and so is the line that renews itself while a command takes its time.
    seen = re.sub(r"\x1b\[([0-9;]*m|\?25[lh]|2K|1A|1G)|\r(?!\n)", "", written)
    seen = seen.replace("\r\n", "\n")
    left = sorted({sign for sign in seen if sign != "\n" and not sign.isprintable()})
    assert left == []
    assert not re.search(r"^(error: all is lost|error: b)", seen, re.M)
    return seen


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("status tiny", r"tiny: failed: \x1b]52;c;ZXZpbA==\x07\x1b[2J"),
        ("list", r"\x1b"),
        ("front tiny", "l1: "),
        ("front tiny --csv", r"\x1b]52;c;ZXZpbA==\x07\x1b[2J"),
        ("front tiny --json", r"\u001b]52;c;ZXZpbA==\u0007\u001b[2J"),
        ("status tiny --json", r"\u001b]52;c;ZXZpbA==\u0007\u001b[2J"),
        ("worker tiny", r"\x1b]52;c;ZXZpbA==\x07\x1b[2J"),
    ],
)
def test_what_a_database_holds_does_nothing_to_a_terminal(
    hostile: str, tmp_path: Path, words: str, shown: str
) -> None:
    written = on_a_terminal("-m", "sweeper", *words.split(), storage=hostile, folder=tmp_path)
    assert shown in harmless(written)


@pytest.mark.slow
@pytest.mark.parametrize("debug", ["", "'--debug'"])
@pytest.mark.parametrize("kind", ["SweeperError", "TrainingError", "RuntimeError"])
def test_what_an_error_says_does_nothing_to_a_terminal(
    tmp_path: Path, kind: str, debug: str
) -> None:
    program = (
        "import warnings, sweeper.cli.app as app\nfrom sweeper.errors import *\n"
        f"def fail(**_): warnings.warn({HOSTILE!r}); raise {kind}({HOSTILE!r})\n"
        f"app.app = fail; app.main([{debug}])"
    )
    seen = harmless(on_a_terminal("-c", program, folder=tmp_path))
    assert seen.count("UserWarning: " + visible(HOSTILE)) == 1
    assert seen.count(f"{kind}: {visible(HOSTILE)}" if debug else visible(HOSTILE)) >= 1
    assert ("Traceback" in seen) == bool(debug)


@pytest.mark.slow
def test_what_is_printed_while_a_table_renews_itself_does_nothing_to_a_terminal(
    tmp_path: Path,
) -> None:
    program = (
        "import sys, sweeper.cli.app as app\n"
        "from sweeper.cli.progress_bars import ProgressDisplay\n"
        "from sweeper.cli.common import table, warn\n"
        "def shown(**_):\n"
        "  with ProgressDisplay() as progress:\n"
        f"    print({HOSTILE!r}); print({HOSTILE!r}, file=sys.stderr)\n"
        f"    warn({LINES!r}); progress.console.print({LINES!r}, soft_wrap=True)\n"
        f"    rows = table({LINES!r}); rows.add_row({LINES!r}); progress.console.print(rows)\n"
        "app.app = shown; app.main([])"
    )
    written = on_a_terminal("-c", program, folder=tmp_path)
    # rich moves the cursor itself, to draw again where it has drawn
    assert visible(HOSTILE) in harmless(
        re.sub(r"\r(?!\n)|\x1b\[(\?25[lh]|[0-9]*[AK])", "", written)
    )


@pytest.mark.slow
def test_a_table_in_a_file_is_what_the_database_holds(hostile: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sweeper", "front", "tiny", "--csv", "--storage", hostile]
    done = subprocess.run(command, capture_output=True, check=True, cwd=tmp_path)
    rows = list(csv.DictReader(done.stdout.decode().splitlines(keepends=True)))
    assert len(rows) > 0
    assert HOSTILE in rows[0]["params_learning_rate"]
