"""Losses: their values and slopes, those of a user's own, and what is trained along them."""

import dataclasses
import math
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from support.packs import RECIPE, config, facts
from sweeper.config.registry import LOSSES
from sweeper.errors import PluginError
from sweeper.training.datasets import Data, load
from sweeper.training.losses import Loss
from sweeper.training.pack import train_pack
from sweeper.training.validate_losses import try_out
from sweeper.types import LossConfig

SMOOTHED = LossConfig("cross_entropy", 0.1)
REGISTERED = [*map(LossConfig, LOSSES), SMOOTHED]
OWN = """\
import torch
from torch.nn import functional

def hinge(outputs, labels):
    right = outputs.gather(1, labels[:, None])
    margin = (1 + outputs - right).clamp_min(0)
    return margin.sum(1) - 1

def a_number(outputs, labels):
    return functional.cross_entropy(outputs, labels)

def text(outputs, labels):
    return "much"

def raises(outputs, labels):
    return outputs @ labels

def overflows(outputs, labels):
    return outputs.exp().sum(1)

def detached(outputs, labels):
    return outputs.detach().sum(1)

def ranks(outputs, labels):
    each = functional.cross_entropy(outputs, labels, reduction="none")
    return each / each.sum()

def counts(outputs, labels):
    return (outputs.argmax(1) != labels).long()

nothing = 3
"""


@pytest.fixture(scope="module")
def digits() -> Data:
    return load("digits")


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_losses.py").write_text(OWN, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.parametrize("loss", REGISTERED, ids=str)
def test_the_gradient_in_the_outputs_is_that_of_the_mean(loss: LossConfig) -> None:
    generator = torch.Generator().manual_seed(1)
    outputs = torch.randn(3, 8, 5, generator=generator, dtype=torch.float64)
    labels = torch.arange(8) % 5
    leaf = outputs.clone().requires_grad_()
    # Oracle: autograd through the mean of the values.
    mean = sum((Loss(loss).values(network, labels).mean() for network in leaf), torch.zeros(()))
    (expected,) = torch.autograd.grad(mean, leaf)
    torch.testing.assert_close(Loss(loss).gradient(outputs.clone(), labels), expected)


def test_values_are_those_of_pytorch() -> None:
    outputs = torch.randn(8, 5, generator=torch.Generator().manual_seed(2))
    labels = torch.arange(8) % 5
    wanted = functional.one_hot(labels, 5).float()
    for loss, expected in (
        (LossConfig(), functional.cross_entropy(outputs, labels)),
        (SMOOTHED, functional.cross_entropy(outputs, labels, label_smoothing=0.1)),
        (LossConfig("mse"), functional.mse_loss(outputs, wanted)),
        (
            LossConfig("binary_cross_entropy"),
            functional.binary_cross_entropy_with_logits(outputs, wanted),
        ),
    ):
        torch.testing.assert_close(Loss(loss).values(outputs, labels).mean(), expected)
        torch.testing.assert_close(Loss(loss).total(outputs, labels) / 8, expected)


def test_smoothing_spreads_a_share_of_the_label() -> None:
    # Two classes, equal logits: log 2 however the label is spread.
    even = Loss(SMOOTHED).values(torch.zeros(1, 2), torch.tensor([0]))
    assert float(even) == pytest.approx(math.log(2))
    # Oracle by hand: 0.95 x 0 + 0.05 x 10 for a right logit that is 10 larger.
    sure = Loss(SMOOTHED).values(torch.tensor([[10.0, 0.0]]), torch.tensor([0]))
    assert float(sure) == pytest.approx(0.05 * 10 + math.log(1 + math.exp(-10)))


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize("loss", [*REGISTERED[1:], LossConfig("own_losses:hinge")], ids=str)
@pytest.mark.parametrize("model", ["mlp", "module"])
def test_a_network_does_not_depend_on_its_pack_whatever_its_loss(
    digits: Data, loss: LossConfig, model: str
) -> None:
    # With dropout a network has no kernels of its own: gradients come by autograd.
    options = RECIPE.model_options if model == "mlp" else (("dropout", 0.1), *RECIPE.model_options)
    recipe = dataclasses.replace(RECIPE, loss=loss, model_options=options, curve=(0.2,))
    # Means over ten outputs have a tenth of the slope.
    rate = 0.5 if loss.name in {"mse", "binary_cross_entropy"} else 0.05
    configs = [config(k, recipe=recipe, learning_rate=rate) for k in range(3)]
    together = train_pack(configs, digits)
    (alone,) = train_pack(configs[1:2], digits)
    assert facts([together[1]]) == facts([alone])
    usual = train_pack([config(1, learning_rate=rate)], digits)
    assert facts([alone])[0].as_trained != usual[0].as_trained
    for result in together:
        assert result.as_trained is not None
        assert result.as_trained.val_accuracy > 0.5


@pytest.mark.usefixtures("own")
def test_own_losses_are_tried_before_they_are_trained_along() -> None:
    try_out(LossConfig("own_losses:hinge"), 10)
    try_out(LossConfig("mse"), 10)
    for name, expected in {
        "a_number": "must return one value for each example, here [6], returned []",
        "text": "must return a tensor, returned a str",
        "raises": "RuntimeError: ",
        "overflows": "is not finite for outputs of some thousands",
        "detached": "has no gradient: it must be made of torch's functions",
        "ranks": "mixes examples: the value of one changes with those beside it",
        "counts": "must return floats, returned torch.int64",
        "nothing": "must be a function, is a int",
        "missing": "cannot be loaded: AttributeError: ",
    }.items():
        with pytest.raises(PluginError) as raised:
            try_out(LossConfig(f"own_losses:{name}"), 10)
        assert str(raised.value).startswith(f"own_losses:{name}: {expected}"), name
