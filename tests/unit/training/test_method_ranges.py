"""Every method of the registry, with the ends of its ranges and each of its choices."""

import dataclasses
from collections.abc import Iterator

import pytest

from support.packs import RECIPE, config, facts, method, small_images
from sweeper.config.registry import METHODS
from sweeper.training.pack import train_pack
from sweeper.types import MethodConfig, Scalar, SharedConfig

STRENGTHS = (0.0, 1e-4, 1e-2)
SHORT = dataclasses.replace(RECIPE, dataset="mnist", epochs=3, batch_size=8, curve=())
LENET = dataclasses.replace(SHORT, model="lenet-300-100", model_options=())
CONVNET = dataclasses.replace(SHORT, model="convnet", model_options=(("widths", (6, 8)),))


def values(name: str, key: str) -> Iterator[Scalar]:
    """Yield the ends of a range, or each choice."""
    hyper = METHODS[name].hyper[key]
    if hyper.choices:
        yield from hyper.choices
    else:
        yield hyper.low + 1e-3 * hyper.above
        yield hyper.high


def variants(name: str) -> Iterator[MethodConfig]:
    """Yield a method as it is without a word, and with each value of each of its keys."""
    for strength in STRENGTHS if METHODS[name].has_strength else (0.0,):
        yield method(name, strength)
    strength = STRENGTHS[1] if METHODS[name].has_strength else 0.0
    for key in METHODS[name].hyper:
        for value in values(name, key):
            yield method(name, strength, **{key: value})


@pytest.mark.slow
@pytest.mark.parametrize("recipe", [SHORT, LENET, CONVNET], ids=["mlp", "lenet", "convnet"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_every_value_trains_in_a_pack_and_as_it_does_alone(
    recipe: SharedConfig, optimizer: str
) -> None:
    recipe = dataclasses.replace(recipe, optimizer=optimizer)
    data = small_images(64, side=8 if recipe is not LENET else 28)
    is_mlp = recipe.model != "convnet"
    names = [name for name, entry in METHODS.items() if is_mlp or not entry.mlp_only]
    chosen = [variant for name in names for variant in variants(name)]
    rate = 0.05 if optimizer == "sgd" else 2e-3
    pack = [
        config(k, variant, recipe=recipe, floor=0.0, learning_rate=rate)
        for k, variant in enumerate(chosen)
    ]
    results = train_pack(pack, data)
    assert [t.method for t, end in zip(pack, results, strict=True) if end.state != "complete"] == []
    for k in range(len(pack) % 7, len(pack), 7):
        assert facts(train_pack(pack[k : k + 1], data)) == facts(results[k : k + 1]), chosen[k]
