"""Commands of sweeper: in this process, and as processes with study files."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sweeper.cli import main

Command = Callable[..., tuple[int, str, str]]
"""A command in this process: its words to exit code, output and errors."""


def command_here(capsys: pytest.CaptureFixture[str]) -> Command:
    def command(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(words)
        said = capsys.readouterr()
        code = ended.value.code
        return (code if isinstance(code, int) else 0), said.out, said.err

    return command


def main_ok(*words: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    assert ended.value.code == 0


STUDY = """
name: tiny
dataset: digits
model: {model}
training: {{epochs: {epochs}, batch_size: 64, learning_rate: {{log_uniform: [0.02, 0.3]}}}}
sparsification: {{density: {{log_uniform: [0.02, 0.5]}}, finetune_epochs: 1, floor: 0.3}}
search: {{sampler: qmc, trials: {trials}}}
arms:
  dense: {{}}
  l1: {{penalty: l1, strength: auto}}
"""
FACTORY = '''
from torch import nn


def network(shape, classes, *, kernels):
    """Not a chain of linear layers: trained through torch.func."""
    return nn.Sequential(
        nn.Conv2d(shape[0], kernels, 3), nn.Tanh(), nn.Flatten(),
        nn.Linear(kernels * (shape[1] - 2) * (shape[2] - 2), classes),
    )
'''


def write_study(folder: Path, *, trials: int = 6, epochs: int = 2, model: str = "mlp(24)") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    study = folder / "study.yaml"
    study.write_text(STUDY.format(trials=trials, epochs=epochs, model=model), encoding="utf-8")
    return study


def sweeper(folder: Path, *arguments: str, url: str | None = None) -> "subprocess.Popen[str]":
    environment = {**os.environ, "SWEEPER_STORAGE": url or f"sqlite:///{folder}/sweeper.db"}
    return subprocess.Popen(
        [sys.executable, "-m", "sweeper", *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: "subprocess.Popen[str]") -> str:
    out, _ = process.communicate(timeout=240)
    assert process.returncode == 0, out
    return out
