"""What a command prints: its learning curve and its result, whatever else it prints."""

import json
import os
from pathlib import Path

import pytest

from sweeper.trainers.command_output import CommandOutput
from sweeper.trainers.learning_curve import LearningCurve
from sweeper.trainers.script_result import ResultError
from sweeper.trainers.script_trainer import files_hash
from sweeper.types import LearningPoint

ODD = [
    b"",
    b"{}",
    b"{not json}",
    b'{"epoch": "one"}',
    b'{"epoch": NaN}',
    b'{"epoch": 1e999}',
    b'{"epoch": 1, "x": 1' + b"0" * 400 + b"}",
    b'{"epoch": 1' + b"0" * 5000 + b"}",
    b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    b'{"epoch": \xff}',
]


@pytest.mark.parametrize("line", ODD, ids=range(len(ODD)))
def test_an_odd_line_is_a_line_as_any_other(line: bytes, tmp_path: Path) -> None:
    curve, kept = LearningCurve(), list[int]()
    output = CommandOutput(curve, lambda: kept.append(1))
    output.take(line)
    assert (curve.points, kept) == ((), [])
    output.take(b'{"epoch": 1, "loss": 0.5, "note": "none"}\r\n')
    output.take(b'{"checkpoint": true}')
    output.take(b'{"validation": 0.5}')
    assert curve.points == (LearningPoint(1.0, (("loss", 0.5),)),)
    assert (kept, output.result(tmp_path)) == ([1], {"validation": 0.5})


@pytest.mark.parametrize("content", [b"", b"[1]", b"\xff", b'{"a":' * 100_000])
def test_a_file_that_is_no_result_is_one_line(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "result.json").write_bytes(content)
    with pytest.raises(ResultError, match=r"^no result: result\.json[^\n]+$"):
        CommandOutput(LearningCurve(), lambda: None).result(tmp_path)


def test_a_hash_is_of_the_files_that_a_command_names_and_of_no_pipe(tmp_path: Path) -> None:
    script, pipe = tmp_path / "train.sh", tmp_path / "pipe"
    script.write_text(json.dumps([1]))
    os.mkfifo(pipe)
    command = ["sh", str(script), str(pipe), "/dev/zero", "{folder}", "x" * 5000, "\0"]
    first = files_hash(command)
    assert len(first) == 64
    script.write_text(json.dumps([2]))
    assert files_hash(command) != first
    assert files_hash(["true", "{rate}", str(tmp_path)]) == ""
