"""Teachers: what a pack learns from beside the labels, and which networks can be one."""

import dataclasses
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

from support.packs import RECIPE, config, facts, small_images
from sweeper.errors import DataError, InputError, PluginError
from sweeper.training.datasets import Data, divide, load, read
from sweeper.training.losses import Loss
from sweeper.training.network_description import NetworkDescription
from sweeper.training.network_files import write_network
from sweeper.training.pack import train_pack
from sweeper.training.teacher import Teacher, try_out
from sweeper.types import LossConfig, Normalisation, SplitConfig, TeacherConfig

OWN = """\
import torch
from torch import nn

def linear(shape, classes):
    module = nn.Sequential(nn.Flatten(), nn.Linear(shape[1] * shape[2], classes))
    with torch.no_grad():
        module[1].weight.copy_(torch.eye(classes, shape[1] * shape[2]))
    return module

def wide(shape, classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(shape[1] * shape[2], classes + 1))

def infinite(shape, classes):
    module = linear(shape, classes)
    nn.init.constant_(module[1].bias, float("inf"))
    return module

class Forgetful(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, examples):
        return self.inner(examples) + torch.randn(())

def forgetful(shape, classes):
    return Forgetful(linear(shape, classes))

def raises(shape, classes):
    raise ValueError("no weights here")

def text(shape, classes):
    return "a network"
"""


@pytest.fixture(scope="module")
def digits() -> Data:
    return load("digits")


@pytest.fixture(autouse=True)
def _own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_teachers.py").write_text(OWN, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)


def _written(path: Path, normalisation: Normalisation | None = None) -> nn.Module:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 24), nn.ReLU(), nn.Linear(24, 10))
    takes_raw = None if normalisation is None else False
    widths = (("widths", (24,)),)
    description = NetworkDescription(
        "mlp", widths, (1, 8, 8), 10, normalisation=normalisation, takes_raw=takes_raw
    )
    write_network(path, module, description, {})
    return module


def test_the_loss_is_hintons(digits: Data) -> None:
    teacher = Teacher.of(TeacherConfig("own_teachers:linear", 0.3, 4.0), digits)
    loss, part = Loss(LossConfig(), teacher), digits.train.at(slice(0, 8))
    outputs = torch.randn(2, 8, 10, generator=torch.Generator().manual_seed(0))
    guide = loss.guide(part.examples)
    assert guide is not None
    leaf = outputs.clone().requires_grad_()
    total = torch.zeros(())
    for network in leaf:
        # Oracle: PyTorch's own functions, as the paper has them together.
        softened = functional.kl_div(
            (network / 4).log_softmax(1), (guide / 4).softmax(1), reduction="batchmean"
        )
        total = total + 0.7 * functional.cross_entropy(network, part.labels) + 0.3 * 16 * softened
    (expected,) = torch.autograd.grad(total, leaf)
    gradient = loss.gradient(outputs.clone(), part.labels, guide)
    torch.testing.assert_close(gradient, expected)
    means = [loss.values(network, part.labels, guide).mean() for network in outputs]
    torch.testing.assert_close(sum(means, torch.zeros(())), total.detach())


@pytest.mark.parametrize("model", ["mlp", "module"])
def test_a_pack_learns_what_its_teacher_says(digits: Data, model: str) -> None:
    options = RECIPE.model_options if model == "mlp" else (("dropout", 0.1), *RECIPE.model_options)
    taught = TeacherConfig("own_teachers:linear", 1.0, 1.0)
    recipe = dataclasses.replace(
        RECIPE, teacher=taught, model_options=options, curve=(0.2,), epochs=6
    )
    configs = [config(k, recipe=recipe, learning_rate=0.05, density=1.0) for k in range(3)]
    kept: dict[int, dict[str, torch.Tensor]] = {}
    together = train_pack(configs, digits, keep=lambda k, network: kept.update({k: dict(network)}))
    assert facts(together[1:2]) == facts(train_pack(configs[1:2], digits))
    # With weight 1 nothing is learnt of the labels, only of a teacher that is no good at them.
    assert all(result.pruned and result.pruned.test_accuracy < 0.4 for result in together)
    assert len(kept) == 3


def test_a_file_can_be_a_teacher_and_its_hash_is_held(digits: Data, tmp_path: Path) -> None:
    _written(tmp_path / "net.safetensors")
    unknown = TeacherConfig("net.safetensors", 0.5, 2.0)
    digest = try_out(unknown, digits)
    known = dataclasses.replace(unknown, hash=digest)
    examples = digits.test.examples[:4]
    assert Teacher.of(known, digits).outputs(examples).shape == (4, 10)
    other = dataclasses.replace(unknown, hash="0" * 64)
    with pytest.raises(InputError, match="its parameters are other ones than when the sweep was"):
        Teacher.of(other, digits)
    with pytest.raises(DataError, match="there is no"):
        try_out(TeacherConfig("nowhere.safetensors", 0.5, 2.0), digits)
    with pytest.raises(InputError, match=r"is for examples of \[1, 8, 8\] in 10 classes, the data"):
        try_out(unknown, small_images())


def test_a_teacher_of_another_split_sees_examples_as_it_was_trained_on(tmp_path: Path) -> None:
    raw = read("digits")
    here, there = (divide(raw, SplitConfig(seed=seed)) for seed in (0, 1))
    assert here.normalisation != there.normalisation
    module = _written(tmp_path / "net.safetensors", normalisation=there.normalisation)
    teacher = Teacher.of(TeacherConfig("net.safetensors", 0.5, 2.0), here)
    # Oracle: the network on the raw pixels, standardised as its own training examples were.
    assert there.normalisation is not None
    pixels = torch.tensor(raw.train.examples[:5].astype("float64"))
    mean, deviation = there.normalisation.mean[0], there.normalisation.deviation[0]
    with torch.no_grad():
        expected = module(((pixels - mean) / deviation).float())
    assert here.normalisation is not None
    ours = (pixels - here.normalisation.mean[0]) / here.normalisation.deviation[0]
    torch.testing.assert_close(teacher.outputs(ours.float()), expected, rtol=1e-4, atol=1e-4)


def test_what_cannot_teach_is_one_line(digits: Data) -> None:
    for name, expected in {
        "wide": "must return logits [6, 10], returned [6, 11]",
        "infinite": "its logits are not finite",
        "forgetful": "gives other logits for the same examples; allowed: no random numbers",
        "raises": "the call with ((1, 8, 8), 10): ValueError: no weights here",
        "text": "must return a torch.nn.Module, got str",
        "missing": "cannot be loaded: AttributeError: ",
    }.items():
        with pytest.raises(PluginError) as raised:
            try_out(TeacherConfig(f"own_teachers:{name}", 0.5, 2.0), digits)
        assert str(raised.value).startswith(f"own_teachers:{name}: {expected}"), name
