"""Texts of study files, and a sweep read from one."""

from pathlib import Path

from sweeper.config import Sweep

TINY = """\
name: tiny
dataset: digits
model: mlp(32)
training: {epochs: 1, learning_rate: {log_uniform: [0.01, 0.2]}}
sparsification: {density: {log_uniform: [0.01, 0.2]}}
search: {trials: 6, in_flight: 3}
targets: {accuracy: [0.5, 0.97, 0.999]}
arms:
  dense: {}
  l1: {penalty: l1, strength: {log_uniform: [1e-4, 1e-1]}}
"""
SMALL = """\
name: small
dataset: digits
model: mlp(64, 32)
training: {epochs: 4}
sparsification: {density: {log_uniform: [0.01, 0.2]}}
search: {trials: 24}
arms: {dense: {}}
"""


def load(tmp_path: Path, text: str) -> Sweep:
    path = tmp_path / "x.yaml"
    path.write_text(text, encoding="utf-8")
    return Sweep.load(path)
