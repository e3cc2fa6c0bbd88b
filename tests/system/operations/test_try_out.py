"""The trial of outside code that a study file names, in a process of its own, before all else."""

import subprocess
import sys
from pathlib import Path

import pytest

from support.fakes import small_sweep
from support.paths import TESTS
from sweeper.errors import PluginError, SpecError
from sweeper.operations.plan import plan
from sweeper.operations.try_out import TriedStudy, try_out
from sweeper.trainers.pack_trainer import PackTrainer
from sweeper.training import datasets

STUDY = """\
name: mine
dataset: {dataset}
model: {model}
training: {{epochs: 1, batch_size: 64, learning_rate: 0.1}}
sparsification: {{density: {{log_uniform: [0.1, 0.5]}}, finetune_epochs: 1, floor: 0.2}}
search: {{sampler: random, trials: 2, in_flight: 2}}
arms: {{l1: {{penalty: l1, strength: {{log_uniform: [0.001, 0.1]}}}}}}
"""
MINE = """\
import ctypes
import os

print("said while it is imported")


def fine(shape, classes):
    from torch import nn

    print("said while it is built")
    return nn.Sequential(nn.Flatten(), nn.Linear(shape[1] * shape[2], classes))


def pair(shape, classes):
    from torch import nn

    class Pair(nn.Sequential):
        def forward(self, images):
            return super().forward(images), images

    return Pair(nn.Flatten(), nn.Linear(64, classes))


def tokens(folder):
    import numpy as np

    from sweeper import Dataset

    ids = np.random.RandomState(0).randint(0, 50, (400, 12))
    labels = (ids[:, 0] > 24).astype(int)
    return Dataset(train=(ids[:300], labels[:300]), test=(ids[300:], labels[300:]))


def recurrent(shape, classes):
    from torch import nn

    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = nn.Embedding(50, 8)
            self.rnn = nn.GRU(8, 16, batch_first=True)
            self.out = nn.Linear(16, classes)

        def forward(self, ids):
            return self.out(self.rnn(self.table(ids))[0][:, -1])

    return Recurrent()


def leaves(shape, classes):
    os._exit(0)


def crashes(shape, classes):
    ctypes.string_at(0)
"""
# Runs commands in one process, and says after each its code and whether torch was loaded.
COMMANDS = """
import sys
from sweeper.cli import main
for command in sys.argv[1:]:
    try:
        main(command.split())
    except SystemExit as ended:
        print("code", ended.code, "torch" in sys.modules, flush=True)
"""


@pytest.fixture(name="folder")
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SWEEPER_STORAGE", raising=False)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    (tmp_path / "mine.py").write_text(MINE)
    return tmp_path


def run(*commands: str) -> tuple[list[str], list[str]]:
    """Run commands in one process; returns the lines of its output and of its errors."""
    done = subprocess.run(
        [sys.executable, "-c", COMMANDS, *commands],
        capture_output=True,
        text=True,
        timeout=290,
        check=True,
    )
    return done.stdout.splitlines(), done.stderr.splitlines()


def write(folder: Path, name: str) -> None:
    text = STUDY.format(dataset="digits", model=f"mine:{name}")
    (folder / f"{name}.yaml").write_text(text)


def test_a_network_that_is_not_there_is_one_line_and_nothing_is_registered(folder: Path) -> None:
    write(folder, "nope")
    out, errors = run("check nope.yaml", "run nope.yaml", "launch nope.yaml")
    lost = "cannot be loaded: AttributeError: module 'mine' has no attribute 'nope'"
    assert errors == [f"error: nope.yaml: model: mine:nope: {lost}"] * 3
    assert out == ["code 2 False"] * 3
    assert sorted(path.name for path in folder.iterdir() if path.suffix) == ["mine.py", "nope.yaml"]
    assert not (folder / "sweeps").exists()


def test_a_network_that_no_pack_computes_is_refused_before_anything_is_registered(
    folder: Path,
) -> None:
    write(folder, "pair")
    out, [error] = run("run pair.yaml")
    said = "must return logits [batch, 10], here [6, 10], returned a tuple"
    assert error == f"error: pair.yaml: model: mine:pair: {said}"
    assert out[-1] == "code 2 False"
    assert not list(folder.glob("*.db*"))


def test_a_network_that_is_fine_is_checked_without_torch_in_the_command(folder: Path) -> None:
    write(folder, "fine")
    out, errors = run("check fine.yaml")
    assert errors == []
    assert out[0] == "mine: mine:fine on digits, 650 parameters"
    assert out[-1] == "code 0 False"
    assert not any("said while" in line for line in out)


def test_what_is_pruned_is_said_and_a_pattern_that_fits_no_weight_is_one_line(folder: Path) -> None:
    files = {
        "lost": ("mine:fine", "prune: ['2.weight'], "),
        "mine": ("mine:fine", "prune: ['1*'], granularity: output, "),
        "known": ("mlp(20)", "prune: ['!3*'], scope: per_layer, density: 0.1, "),
    }
    for name, (model, keys) in files.items():
        text = STUDY.format(dataset="digits", model=model)
        head, tail = text.split("sparsification: {")
        if "density" in keys:
            tail = tail.replace("density: {log_uniform: [0.1, 0.5]}, ", "")
        (folder / f"{name}.yaml").write_text(f"{head}sparsification: {{{keys}{tail}")
    out, errors = run("check lost.yaml", "check mine.yaml", "check known.yaml")
    text = "sparsification.prune.0: matches no weight of two or more dimensions: got '2.weight'; "
    assert errors[0] == f"error: lost.yaml: {text}allowed: 1.weight; did you mean '1.weight'?"
    lines = [line for line in out if line.startswith("pruned: ")]
    assert lines == [
        "pruned: output units: 64 to 320 of 640 weights in 1*",
        "pruned: weights, each layer alike: 128 of 1,280 weights in 1.weight",
    ]


def test_token_ids_are_for_networks_of_ones_own(folder: Path) -> None:
    for name, model in (("tokens", "lenet-300-100"), ("recurrent", "mine:recurrent")):
        text = STUDY.format(dataset="mine:tokens", model=model)
        (folder / f"{name}.yaml").write_text(text)
    out, [error] = run("check tokens.yaml", "check recurrent.yaml")
    reason = "mine:tokens: its examples are whole numbers, for networks of your own"
    start = "error: tokens.yaml: model: lenet-300-100: takes no token ids: "
    assert error.startswith(f"{start}{reason}")
    assert any(line.startswith("warning: model: mine:recurrent: GPUs run its") for line in out)
    assert out[1] == "mine: mine:recurrent on mine:tokens, 1,682 parameters"
    assert out[-1] == "code 0 False"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("leaves", "exit code 0"),
        ("crashes", "killed by SIGSEGV"),
    ],
)
def test_what_ends_its_process_is_one_line(folder: Path, name: str, reason: str) -> None:
    waited: list[str] = []
    sweep = small_sweep(model=f"mine:{name}")
    with pytest.raises(SpecError) as caught:
        try_out(sweep, "s.yaml", on_wait=waited.append)
    [line] = caught.value.problems
    assert line == f"s.yaml: model: mine:{name}: ends the process that tries it: {reason}"
    assert len(waited) <= 1
    assert all(f"mine:{name}" in said for said in waited)


def test_where_the_dataset_is_not_there_images_like_it_are_taken(folder: Path) -> None:
    assert not datasets.is_here("mnist", folder)
    like = datasets.images_like("mnist")
    assert like.train.examples.shape[1:] == (1, 28, 28)
    assert like.classes == 10
    assert abs(float(like.train.examples.mean())) < 1e-4
    fine = small_sweep(model="mine:fine", dataset="mnist")
    tried = try_out(fine, "s", folder=str(folder))
    assert tried == TriedStudy(fine, network=tried.network)
    assert tried.network
    assert tried.network.parameters == (28 * 28 + 1) * 10
    # Whether it would take the real images nobody knows.
    odd = small_sweep(model="mine:pair", dataset="mnist")
    [said] = try_out(odd, "s", folder=str(folder)).oddities
    assert said.startswith("model: mine:pair: its forward on (6, 1, 28, 28) examples: ")
    assert said.endswith("on examples like those of mnist, which is not here")


def test_a_network_of_ones_own_is_measured(folder: Path) -> None:
    fine = small_sweep(model="mine:fine", training={"epochs": 3, "batch_size": 100})
    network = try_out(fine, "s.yaml").network
    assert network
    assert network.parameters == (64 + 1) * 10
    assert 0 < network.step_seconds < 1
    planned = plan(fine, rate=lambda: 1e9, network=network)
    assert planned.parameters == network.parameters
    assert planned.seconds
    assert planned.seconds > planned.steps * network.step_seconds / 64  # by as many cores


def test_check_says_size_and_time_of_a_network_of_ones_own(folder: Path) -> None:
    file = folder / "own.yaml"
    file.write_text(STUDY.format(dataset="digits", model="mine:fine"), encoding="utf-8")
    command = [sys.executable, "-m", "sweeper", "check", str(file)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    assert "mine: mine:fine on digits, 650 parameters" in done.stdout
    assert "time: roughly " in done.stdout


def test_a_study_file_of_the_registry_alone_starts_no_process(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("subprocess.Popen", None)
    assert try_out(small_sweep(), "s.yaml") == TriedStudy(small_sweep())


def test_a_worker_tries_the_network_that_it_finds_itself(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(TESTS))
    sweep = small_sweep(model="support.network_cases:refused_gradient_hook")
    with pytest.raises(PluginError, match=r"parameter 1\.weight gets another gradient"):
        PackTrainer(sweep, device="cpu", pack=1)
    fine = small_sweep(model="support.network_cases:harmless_residual")
    assert PackTrainer(fine, device="cpu", pack=1).pack == 1


ASKED = """\
def hinge(outputs, labels):
    right = outputs.gather(1, labels[:, None])
    return (1 + outputs - right).clamp_min(0).sum(1)


def mean(outputs, labels):
    return outputs.mean()


def percent(labels, outputs):
    return 100.0


def teacher(shape, classes):
    import torch
    from torch import nn

    torch.manual_seed(1)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, classes))
"""


def test_loss_measure_and_teacher_of_ones_own_are_tried_and_the_teacher_is_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "asked.py").write_text(ASKED, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    training = {"epochs": 1, "loss": "asked:hinge", "teacher": "asked:teacher"}
    tried = try_out(small_sweep(training=training), "s.yaml").sweep
    teacher = tried.training.teacher
    assert teacher is not None
    assert len(teacher.hash) == 64
    assert tried.recipe(0).teacher == teacher.config
    assert try_out(tried, "s.yaml").sweep == tried
    training = {"epochs": 1, "loss": "asked:mean", "teacher": "asked:nobody"}
    with pytest.raises(SpecError) as raised:
        try_out(small_sweep(training=training, measure="asked:percent"), "s.yaml")
    assert list(raised.value.problems) == [
        "s.yaml: training.loss: asked:mean: must return one value for each example, here [6], "
        "returned []",
        "s.yaml: measure: asked:percent: must return a number in [0, 1], 1 for a perfect network, "
        "returned 100",
        "s.yaml: training.teacher: asked:nobody: cannot be loaded: AttributeError: module 'asked' "
        "has no attribute 'nobody'",
    ]
