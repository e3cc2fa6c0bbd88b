"""Dead biases: gone from every pruned network, without a change of what it computes."""

import dataclasses

import pytest
import torch

from support.packs import RECIPE, config, facts, method, penalty, small_images
from sweeper.errors import PluginError
from sweeper.training import sparse_inference
from sweeper.training.datasets import Data, load
from sweeper.training.dead_biases import live_biases, remove_dead_biases
from sweeper.training.pack import train_pack
from sweeper.training.reduced_network import alive
from sweeper.training.stack import Stack
from sweeper.training.stacked_architecture import StackedArchitecture
from sweeper.training.traced_network import TracedNetwork
from sweeper.types import PruneConfig, SharedConfig

DEAD = PruneConfig(dead_biases=True)


@pytest.fixture(scope="module")
def digits() -> Data:
    return load("digits")


def pruned_stack(network: StackedArchitecture, recipe: SharedConfig, data: Data) -> Stack:
    """Return two networks of which a few weights are left."""
    stack = network.init([0, 1], recipe, data)
    for name in network.weights:
        value = stack[name]
        value.mul_(torch.rand(value.shape, generator=torch.Generator().manual_seed(2)) < 0.06)
    return stack


def test_a_chain_is_followed_as_any_network_is(digits: Data) -> None:
    # Oracle: the graph of the same module, and the outputs.
    recipe = dataclasses.replace(RECIPE, prune=DEAD)
    network = StackedArchitecture.of(recipe, digits)
    stack = pruned_stack(network, recipe, digits)
    before = network.runner().logits(stack, digits.test.examples).clone()
    live = live_biases(network, stack)
    traced = TracedNetwork.of(network.template)
    for k in range(2):
        masks = alive(traced, network.values(stack, k), digits.shape)
        assert {n: m.tolist() for n, m in masks.items() if m.ndim == 1} == {
            name: mask[k].tolist() for name, mask in live.items()
        }
    counts = {name: int(stack[name].count_nonzero()) for name in live}
    assert remove_dead_biases(network, stack).keys() == live.keys()
    assert torch.equal(network.runner().logits(stack, digits.test.examples), before)
    assert int(stack["1.bias"].count_nonzero()) < counts["1.bias"]
    assert int(stack["5.bias"].count_nonzero()) == counts["5.bias"]


def test_every_arm_loses_its_dead_biases_and_curves_count_alike(
    digits: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Oracle: the same trainings with the key off, whose networks compute the same.
    plain = dataclasses.replace(RECIPE, finetune_epochs=0, curve=(0.03, 0.06))
    methods = [penalty("l1", "prox"), method("gradual_magnitude"), penalty("l2", "decoupled")]
    results = {}
    for rule in (PruneConfig(), DEAD):
        recipe = dataclasses.replace(plain, prune=rule)
        configs = [config(k, m, recipe=recipe, density=0.03) for k, m in enumerate(methods)]
        results[rule] = train_pack(configs, digits)
    for before, after in zip(results[PruneConfig()], results[DEAD], strict=True):
        assert before.pruned is not None
        assert after.pruned is not None
        assert after.as_trained == before.as_trained
        assert after.pruned.test_accuracy == before.pruned.test_accuracy
        assert after.pruned.weights == before.pruned.weights
        assert after.pruned.biases < before.pruned.biases
        assert after.pruned.effective == before.pruned.effective
        assert [p.test_accuracy for p in after.curve] == [p.test_accuracy for p in before.curve]
    pruned = results[DEAD][0].pruned
    assert pruned is not None
    assert pruned.nonzero == results[DEAD][0].curve[0].nonzero
    monkeypatch.setattr(sparse_inference, "MAX_DENSITY", 0.0)
    monkeypatch.setattr(sparse_inference, "MAX_DENSITY_FAST_MATMUL", 0.0)
    recipe = dataclasses.replace(plain, prune=DEAD)
    configs = [config(k, m, recipe=recipe, density=0.03) for k, m in enumerate(methods)]
    for sparse, dense in zip(results[DEAD], train_pack(configs, digits), strict=True):
        assert [p.nonzero for p in sparse.curve] == [p.nonzero for p in dense.curve]


def test_dead_channels_stay_dead_through_fine_tuning_in_any_pack() -> None:
    data = small_images(64, 8)
    recipe = dataclasses.replace(
        RECIPE, model="convnet", model_options=(("widths", (6, 8)),), dataset="mnist", epochs=1,
        curve=(0.1,), prune=DEAD,
    )  # fmt: skip
    configs = [config(k, recipe=recipe, density=0.05, track="pruned") for k in range(3)]
    kept: dict[int, Stack] = {}

    def keep(place: int, network: dict[str, torch.Tensor]) -> None:
        kept[place] = network

    together = facts(train_pack(configs, data, keep=keep))  # type: ignore[arg-type]
    assert facts(train_pack(configs[1:2], data)) == together[1:2]
    network = StackedArchitecture.of(recipe, data)
    dead = 0
    for values in kept.values():
        stack = {name: value[None] for name, value in values.items()}
        for name, mask in live_biases(network, stack).items():
            assert not stack[name][~mask].any()
            dead += int((~mask).sum())
    assert dead > 0
    for result in together:
        assert result.pruned is not None
        assert result.pruned.effective is not None
        assert result.pruned.effective < result.pruned.nonzero


def test_a_network_that_cannot_be_followed_has_no_effective_parameters(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    code = "from torch import nn\n\n\ndef net(shape, classes):\n    return nn.Sequential("
    code += "nn.Flatten(), nn.Linear(64, 8), nn.LayerNorm(8), nn.Linear(8, classes))\n"
    from pathlib import Path

    Path(str(tmp_path), "layered_net.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    data = small_images(64, 8)
    recipe = dataclasses.replace(RECIPE, model="layered_net:net", model_options=(), epochs=1)
    (result,) = train_pack([config(recipe=recipe)], data)
    assert result.pruned is not None
    assert result.pruned.effective is None
    with pytest.raises(PluginError, match="its layer 2 is a LayerNorm"):
        train_pack([config(recipe=dataclasses.replace(recipe, prune=DEAD))], data)
