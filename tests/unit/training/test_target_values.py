"""Target values: regression and several answers at once, from a user's data to what is judged."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_diabetes
from sklearn.metrics import r2_score

from support.packs import RECIPE, config, facts
from sweeper import Dataset
from sweeper.errors import DataError
from sweeper.training.array_files import read_arrays
from sweeper.training.datasets import Data, divide
from sweeper.training.evaluation import Evaluator, sample
from sweeper.training.measures import measured
from sweeper.training.pack import train_pack
from sweeper.training.stacked_architecture import StackedArchitecture
from sweeper.training.target_values import check_range
from sweeper.training.user_dataset import checked
from sweeper.types import LossConfig, SplitConfig, nothing

SQUARED = dataclasses.replace(
    RECIPE, loss=LossConfig("mse"), measure="r2", epochs=20, curve=(0.5, 1.0)
)


def _diabetes() -> Data:
    inputs, targets = load_diabetes(return_X_y=True)
    scaled = (targets - targets.mean()) / targets.std()
    dataset = Dataset((inputs, scaled), standardise=True, values=True)
    return divide(checked(dataset, "mine:diabetes"))


def _two_answers() -> Data:
    random = np.random.default_rng(0)
    inputs = random.standard_normal((300, 4)).astype(np.float32)
    answers = np.stack([inputs[:, 0] > 0, inputs[:, 1] + inputs[:, 2] > 0], axis=1)
    return divide(checked(Dataset((inputs, answers), values=True), "mine:answers"))


def test_a_network_learns_values_and_is_judged_by_the_variance_it_predicts() -> None:
    data = _diabetes()
    assert data.has_values
    assert data.classes == 1
    configs = [config(k, recipe=SQUARED, learning_rate=0.02, density=0.5) for k in range(3)]
    together = train_pack(configs, data)
    assert facts(together[1:2]) == facts(train_pack(configs[1:2], data))
    for result in together:
        assert result.pruned is not None
        # A linear model has 0.45 here.
        assert 0.25 < result.pruned.test_accuracy < 0.65


def test_what_is_judged_is_scikit_learns_r2() -> None:
    data = _diabetes()
    network = StackedArchitecture.of(SQUARED, data)
    stack = network.init([5], SQUARED, data)
    stack["5.bias"] += 0.2
    [val], _ = Evaluator(network, data, nothing, "r2").accuracies(stack)
    outputs = network.runner().logits(stack, data.validation.examples)[0]
    expected = r2_score(data.validation.labels.numpy(), outputs.numpy())
    assert val == pytest.approx(max(0.0, expected))
    ones = np.ones((4, 1), np.float32)
    assert measured("r2", 9 * ones, np.arange(4.0, dtype=np.float32)[:, None]) == 0


def test_several_answers_at_once_are_learned_by_binary_cross_entropy() -> None:
    data = _two_answers()
    recipe = dataclasses.replace(SQUARED, loss=LossConfig("binary_cross_entropy"))
    for options in (RECIPE.model_options, (("dropout", 0.1), *RECIPE.model_options)):
        changed = dataclasses.replace(recipe, model_options=options)
        (result,) = train_pack([config(1, recipe=changed, density=0.5)], data)
        network = StackedArchitecture.of(changed, data)
        assert network.total == result.total
        assert result.state in {"complete", "collapsed"}
        assert data.classes == 2


def test_parts_are_drawn_without_classes_and_samples_span_the_values() -> None:
    data = _diabetes()
    assert (len(data.train), len(data.validation), len(data.test)) == (283, 71, 88)
    chosen = sample(data.validation, 10)
    assert chosen is not None
    seen = data.validation.labels[chosen, 0]
    whole = data.validation.labels[:, 0]
    assert float(seen.min()) == float(whole.min())
    assert float(seen.max()) > float(whole.quantile(0.8))
    inputs, targets = load_diabetes(return_X_y=True)
    raw = checked(Dataset((inputs, targets / 100), values=True), "mine:diabetes")
    other = divide(raw, SplitConfig(seed=1))
    assert other.hash != divide(raw).hash


def test_a_column_of_a_table_may_hold_values(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    frame = pd.DataFrame(random.standard_normal((40, 3)), columns=["a", "b", "y"])
    frame.to_csv(tmp_path / "t.csv", index=False)
    raw = read_arrays(tmp_path, print, file="t.csv", target="y", values=True)
    assert raw.has_values
    assert raw.train.labels[:, 0] == pytest.approx(frame["y"].to_numpy(), rel=1e-6)
    np.savez(tmp_path / "t.npz", x=frame[["a", "b"]], y=frame[["a", "y"]])
    raw = read_arrays(tmp_path, print, file="t.npz", values=True)
    assert raw.classes == 2


def test_targets_that_are_no_numbers_are_one_line() -> None:
    inputs = np.random.default_rng(0).standard_normal((20, 3))
    for targets, said in (
        (["a"] * 20, "must be numbers, as `values` says, got <U1"),
        (np.full(20, np.nan), "must be finite and fit float32, got nan in example 0"),
        (np.full(20, 1e300), "must be finite and fit float32, got 1e+300 in example 0"),
        (np.zeros((20, 2, 2)), "must be numbers [n] or [n, k], got shape [20, 2, 2]"),
        (np.zeros(19), "20 inputs, but 19 targets"),
    ):
        with pytest.raises(DataError) as raised:
            checked(Dataset((inputs, targets), values=True), "mine:make")
        assert str(raised.value).endswith(said)
    short = (np.ones((4, 3)) + inputs[:4], np.zeros((4, 2)))
    with pytest.raises(DataError, match=r"test targets: must have shape \[1\] as in train"):
        checked(Dataset((inputs, np.arange(20.0)), short, values=True), "mine:make")


def test_targets_of_odd_scale_are_said_and_probabilities_are_checked() -> None:
    inputs, targets = load_diabetes(return_X_y=True)
    raw = checked(Dataset((inputs, 100 * targets), values=True), "mine:diabetes")
    assert raw.notes == (
        "target has mean 1.52e+04 and deviation 7.7e+03: networks learn values near 0 and 1 best; "
        "scale them where they are made",
    )
    with pytest.raises(DataError, match=r"train targets: must lie in \[0, 1\] for binary_cross"):
        check_range(divide(raw), LossConfig("binary_cross_entropy"))
    check_range(_two_answers(), LossConfig("binary_cross_entropy"))
    assert set(_two_answers().train.labels.flatten().tolist()) == {0.0, 1.0}
