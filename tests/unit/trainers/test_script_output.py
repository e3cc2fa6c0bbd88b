"""What scripts print: bounded in its file, read to its end."""

import os
from pathlib import Path

from sweeper.trainers.script_output import BoundedLog, ScriptOutput


def test_of_a_long_output_the_beginning_and_the_end_are_kept(tmp_path: Path) -> None:
    log = BoundedLog(tmp_path / "log", first=10, last=5)
    for piece in (b"0123", b"4567", b"89ab", b"cdefgh"):
        log.write(piece)
    log.catch_up()
    assert (tmp_path / "log").read_bytes() == b"0123456789\n[3 bytes left out here]\ndefgh"
    log.write(b"ijklmnop")
    log.close()
    assert (tmp_path / "log").read_bytes() == b"0123456789\n[11 bytes left out here]\nlmnop"


def test_what_fits_is_as_it_was(tmp_path: Path) -> None:
    log = BoundedLog(tmp_path / "log", first=10, last=5)
    log.write(b"0123456789abcde")
    log.close()
    assert (tmp_path / "log").read_bytes() == b"0123456789abcde"
    assert log.last_line == "0123456789abcde"


def test_lines_of_standard_output_are_told_to_the_last_one(tmp_path: Path) -> None:
    output = ScriptOutput()
    ends = [os.dup(number) for number in output.writing]
    output.started()
    lines: list[bytes] = []
    log = BoundedLog(tmp_path / "log")
    with output.kept_in(log, lines.append):
        os.write(ends[0], b"one\ntwo")
        os.write(ends[1], b"three\n")
        os.write(ends[0], b"!\n\nfour")
        output.settle(10)
    for end in ends:
        os.close(end)
    output.close()
    assert lines == [b"one", b"two!", b"", b"four"]
    assert b"three\n" in (tmp_path / "log").read_bytes()
