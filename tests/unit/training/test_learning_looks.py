"""Learning curves of packs: the networks as they are after an epoch, and nothing else changed."""

import dataclasses
import math
import sys
from types import ModuleType
from typing import Any

import pytest
import torch

from support.packs import RECIPE, config, every_method, facts, small_images
from sweeper.config.judging_plan import FEWEST_LOOKS, LEAST, PartSizes, judging_plan
from sweeper.training.datasets import Data, load
from sweeper.training.methods import Method
from sweeper.training.pack import train_pack
from sweeper.training.stack import Stack
from sweeper.types import LearningPoint, MethodConfig, TrialResult

SMALL = dataclasses.replace(RECIPE, epochs=2, curve=(), finetuned_curve=(0.5,))
"""Of images that are few enough to be all looked at."""


@pytest.fixture(scope="module")
def digits() -> Data:
    return load("digits")


def without_curves(results: list[TrialResult]) -> list[TrialResult]:
    return [dataclasses.replace(result, learning=()) for result in facts(results)]


def values(curve: tuple[LearningPoint, ...], name: str) -> list[float]:
    return [dict(point.values)[name] for point in curve]


def test_looks_change_no_bit_of_any_method_and_draw_no_random_number(digits: Data) -> None:
    recipe = dataclasses.replace(RECIPE, epochs=2, curve=())
    configs = [config(k, one, recipe=recipe) for k, one in enumerate(every_method())]
    torch.manual_seed(11)
    before = torch.get_rng_state()
    looked_at = train_pack(configs, digits)
    assert torch.equal(torch.get_rng_state(), before)
    assert without_curves(looked_at) == facts(train_pack(configs, digits, learning=False))
    assert all(len(result.learning) == 2 + 1 for result in looked_at)


@pytest.mark.parametrize("model", ["mlp", "convnet"])
def test_looks_change_no_bit_beside_dropout_and_batch_norm(model: str) -> None:
    options = {"mlp": (("dropout", 0.3), ("widths", (8,))), "convnet": (("widths", (4, 6)),)}
    recipe = dataclasses.replace(SMALL, model=model, model_options=options[model], batch_size=16)
    configs = [config(k, recipe=recipe, floor=0.0) for k in range(2)]
    data = small_images(side=8)
    looked_at = train_pack(configs, data)
    assert without_curves(looked_at) == facts(train_pack(configs, data, learning=False))
    (alone,) = train_pack(configs[1:], data)
    assert alone.learning == looked_at[1].learning != ()


def test_a_curve_is_the_same_in_any_pack(digits: Data) -> None:
    recipe = dataclasses.replace(RECIPE, epochs=2, curve=())
    methods = every_method()
    configs = [config(k, one, recipe=recipe) for k, one in enumerate(methods)]
    together = train_pack(configs, digits)
    for k in range(0, len(methods), 7):
        (alone,) = train_pack([configs[k]], digits)
        assert alone.learning == together[k].learning, methods[k]


def test_the_last_look_of_each_phase_sees_the_network_that_is_judged() -> None:
    # Oracle: the judging of the whole validation part, of which each look sees all.
    data = small_images(side=8)
    configs = [config(k, one, recipe=SMALL, floor=0.0) for k, one in enumerate(every_method())]
    for result in train_pack(configs, data):
        assert result.as_trained is not None
        assert result.pruned is not None
        assert [point.epoch for point in result.learning] == [1, 2, 3]
        _, trained, finetuned = values(result.learning, "val_accuracy")
        assert trained == result.as_trained.val_accuracy
        assert finetuned == result.pruned.val_accuracy


def test_an_early_look_sees_what_a_training_of_that_length_ends_with() -> None:
    # Oracle: a training of an epoch, whose steps are the same while the rate is constant.
    data = small_images(side=8)
    recipe = dataclasses.replace(SMALL, schedule="constant", epochs=3)
    short = dataclasses.replace(recipe, epochs=1)
    (longer,) = train_pack([config(1, recipe=recipe)], data)
    (ended,) = train_pack([config(1, recipe=short)], data)
    assert longer.learning[0] == ended.learning[0]
    assert ended.as_trained is not None
    assert values(longer.learning, "val_accuracy")[0] == ended.as_trained.val_accuracy


def test_losses_are_those_of_the_labels_and_another_measure_has_its_name(digits: Data) -> None:
    recipe = dataclasses.replace(RECIPE, measure="f1", curve=())
    (result,) = train_pack([config(1, recipe=recipe, learning_rate=0.0)], digits)
    names = {name for point in result.learning for name, _ in point.values}
    assert names == {"val_f1", "val_loss"}
    # An untrained network: about what a guess among ten digits costs.
    assert values(result.learning, "val_loss")[0] == pytest.approx(math.log(10), abs=0.3)


def test_a_diverged_training_has_a_curve_without_losses_that_are_no_numbers(digits: Data) -> None:
    (result,) = train_pack([config(2, learning_rate=1e30)], digits)
    assert result.state == "diverged"
    assert result.learning
    assert all(math.isfinite(value) for point in result.learning for _, value in point.values)


class Counting(Method):
    """Finishes once: a second time it would leave another network."""

    def start(self, weights: Stack, biases: Stack, context: Any) -> list[int]:
        return [0]

    def finish(self, weights: Stack, state: list[int]) -> None:
        assert not state[0]
        state[0] += 1


def test_a_method_of_ones_own_that_finishes_is_seen_in_its_fine_tuning_alone(
    digits: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = ModuleType("counting")
    module.__dict__["Counting"] = Counting
    monkeypatch.setitem(sys.modules, "counting", module)
    configs = [config(0, MethodConfig((), "counting:Counting")), config(1)]
    counted, plain = train_pack(configs, digits)
    assert [point.epoch for point in counted.learning] == [4]
    assert [point.epoch for point in plain.learning] == [1, 2, 3, 4]


def test_looks_take_a_hundredth_of_a_training_unless_they_are_the_fewest() -> None:
    mnist, digits = PartSizes(50_000, 10_000, 10_000), PartSizes(1137, 300, 360)
    for epochs, finetune, sizes in ((20, 10, mnist), (400, 0, mnist), (20, 10, digits)):
        recipe = dataclasses.replace(RECIPE, epochs=epochs, finetune_epochs=finetune)
        plan = judging_plan(recipe, sizes, is_mlp=True)
        count = len(plan.learning.looks(epochs)) + len(plan.learning.looks(finetune))
        assert plan.learning_passes == count * plan.learning.examples
        fewest = plan.learning.most == FEWEST_LOOKS and plan.learning.examples == LEAST
        assert fewest or plan.learning_passes <= 0.01 * plan.training_passes
        assert fewest == (sizes is digits)
