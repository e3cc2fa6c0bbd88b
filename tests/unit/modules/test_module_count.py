"""Counts of a module: the numbers of a trial's record, of the very network that it judged."""

import dataclasses
from collections.abc import Callable, Mapping

import pytest
import torch
from torch import Tensor, nn

from support.packs import config
from support.plain_training import examples
from sweeper import count, effective
from sweeper.errors import InputError
from sweeper.training import models
from sweeper.training.datasets import Data, load
from sweeper.training.pack import train_pack
from sweeper.types import Options, PruneConfig

MODELS: dict[str, tuple[str, Options, Callable[[], Data]]] = {
    "mlp": ("mlp", (("widths", (24, 12)),), lambda: load("digits")),
    "convnet with batch norm": (
        "convnet",
        (("widths", (4, 6)),),
        lambda: examples(torch.float32),
    ),
}


@pytest.mark.parametrize("label", MODELS)
def test_numbers_are_those_of_the_record(label: str) -> None:
    name, options, of_data = MODELS[label]
    data = of_data()
    trial = config(1, density=0.3 if label == "mlp" else 0.03)
    prune = PruneConfig(dead_biases=True)
    shared = dataclasses.replace(
        trial.recipe, model=name, model_options=options, epochs=1, curve=(), prune=prune
    )
    networks: dict[int, Mapping[str, Tensor]] = {}

    def keep(place: int, tensors: Mapping[str, Tensor]) -> None:
        networks[place] = tensors

    (result,) = train_pack([dataclasses.replace(trial, recipe=shared)], data, keep=keep)
    judged = result.pruned
    assert judged is not None
    module = models.build(name, options, data.shape, data.classes, seed=0)
    module.load_state_dict(networks[0], strict=False)
    counted = count(module.eval(), training_examples=data.train.examples)
    for key in ("nonzero", "weights", "biases", "effective", "layers"):
        assert getattr(counted, key) == getattr(judged, key), key
    assert counted.total == result.total
    assert counted.effective is not None
    assert counted.effective < counted.nonzero < counted.total
    assert effective(module, training_examples=data.train.examples) == counted.effective
    # By the shape alone, no input is known to be idle.
    of_shape = count(module, data.train.examples[:1]).effective
    assert of_shape is not None
    assert counted.effective <= of_shape <= counted.nonzero
    # Some pixels of digits are 0 in all of them; of an image they cannot be folded.
    assert (counted.effective < of_shape) == (label == "mlp")
    assert count(module).effective is None


def test_tied_parameters_count_once_and_frozen_ones_too() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4, bias=False))
    model[1].weight = model[0].weight
    model.requires_grad_(False)
    counted = count(model)
    assert (counted.total, counted.nonzero, counted.weights, counted.biases) == (20, 20, 16, 4)


def test_a_compiled_module_has_the_layers_of_its_own() -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 1))
    plain = count(model, torch.zeros(1, 3))
    compiled = torch.compile(model, backend="eager")
    assert isinstance(compiled, nn.Module)
    assert count(compiled, torch.zeros(1, 3)) == plain
    model[2] = torch.compile(model[2], backend="eager")  # type: ignore[assignment]
    assert count(model).layers == plain.layers


def test_what_cannot_be_followed_is_none_in_a_count_and_a_reason_else() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Softmax(1), nn.Linear(4, 2))
    assert count(model, torch.zeros(1, 4)).effective is None
    with pytest.raises(InputError, match=r"^effective: the module cannot be followed: its layer 1"):
        effective(model, torch.zeros(1, 4))


@pytest.mark.parametrize(
    ("example", "text"),
    [
        (None, r"example: required: a tensor \[1, \.\.\.\]"),
        (torch.zeros(3), r"example: must be a tensor \[n, \.\.\.\] of inputs, got \[3\]"),
        (torch.zeros(1, 5), "example: must have 3 inputs, has 5"),
        ([1.0], r"example: must be a tensor \[n, \.\.\.\] of inputs, got \[1.0\]"),
    ],
)
def test_an_example_that_does_not_fit_is_one_line(example: Tensor | None, text: str) -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 1))
    with pytest.raises(InputError, match=f"^effective: {text}"):
        effective(model, example)


def test_parameters_that_weights_are_computed_from_are_not_counted_for_them() -> None:
    layer = nn.Linear(3, 2)
    nn.utils.parametrizations.weight_norm(layer)
    with pytest.raises(InputError, match=r"^count: parametrizations\.weight\.original0: a w"):
        count(layer)
