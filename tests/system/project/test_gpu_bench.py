"""The command for a GPU goes its way on a CPU, and ends in time whatever hangs."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

import gpu
import throughput
from support.paths import TESTS
from support.processes import wait_for


@pytest.mark.slow
def test_the_command_for_a_gpu_runs_here_on_a_cpu(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(TESTS / "bench/gpu.py"), "--device", "cpu", "--quick",
         "--only", "tests,ours", "--out", str(tmp_path / "out")],
        capture_output=True, text=True, timeout=480, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    known = json.loads((tmp_path / "out/gpu.json").read_text())
    assert known["device"] == "cpu"
    assert [(one["name"], one["state"]) for one in known["parts"]] == [
        ("tests", "done"),
        ("ours", "done"),
    ]
    figures = known["figures"]
    assert set(figures["tests"].values()) == {"passed"}
    assert len(figures["tests"]) > 3
    [rate] = figures["ours"]["rates"]
    assert (rate["name"], rate["trials"]) == ("ours", 8)
    assert done.stdout == (tmp_path / "out/gpu.txt").read_text()
    assert "ours: 8 trials in " in done.stdout


def test_a_part_that_hangs_is_ended_with_all_that_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It ignores SIGTERM, as does what it starts.
    stubborn = "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True)"
    code = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "{stubborn}; time.sleep(600)"])
{stubborn}; print(child.pid, flush=True); time.sleep(600)
"""
    monkeypatch.setattr(gpu, "LAST_SECONDS", 1.2)
    part = gpu.Part("hanging", (sys.executable, "-c", code), 1.0)
    began = time.monotonic()
    outcome = gpu.run(part, tmp_path, 100.0, {})
    assert time.monotonic() - began < 30
    assert outcome.state == "timed out"
    child = max(map(int, outcome.output.split()))
    wait_for(lambda: has_ended(child))


def has_ended(pid: int) -> bool:
    """Return whether there is no such process, or only what has yet to be reaped."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state in "ZX"


def test_what_is_left_of_the_time_is_all_that_a_part_gets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gpu, "LAST_SECONDS", 0.3)
    slow = (sys.executable, "-c", "import time; time.sleep(600)")
    wrong = (sys.executable, "-c", "import sys; sys.exit('no such thing')")
    parts = [gpu.Part("jax", wrong, 60), gpu.Part("ours", slow, 600), gpu.Part("loop", slow, 600)]
    monkeypatch.setattr(gpu, "parts", lambda device, folder, *, quick: parts)
    began = time.monotonic()
    assert not gpu.measure("cuda", tmp_path, 2.0, quick=False)
    assert time.monotonic() - began < 20
    known = json.loads((tmp_path / "gpu.json").read_text())
    states = [(one["name"], one["state"]) for one in known["parts"]]
    assert states == [("jax", "failed"), ("ours", "timed out"), ("loop", "timed out")]
    table = capsys.readouterr().out
    assert "jax: no such thing" in table
    assert "0 of 0 tests passed" in table


def test_parts_are_programs_that_know_their_options(tmp_path: Path) -> None:
    for device, quick in (("cuda", False), ("cpu", True)):
        parts = gpu.parts(device, tmp_path, quick=quick)
        assert [part.name for part in parts] == ["tests", "step", "ours", "jax", "loop"]
        assert all(part.seconds < 480 for part in parts)
        for part in parts[1:]:
            options = [*part.command[2:]]
            assert ("--gpu-full" in options) == (device == "cuda")
            if device == "cuda":  # which is not here
                options = [word for word in options if word != "--gpu-full"]
                options[options.index("--device") + 1] = "cpu"
            assert throughput.parse(options)[1]
