"""Measures: beside their definitions, of worthless networks, and of a user's own."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from support.packs import RECIPE, config, facts
from sweeper.config.registry import MEASURES
from sweeper.errors import PluginError
from sweeper.training.datasets import Data, load
from sweeper.training.measures import Labels, Outputs, measured
from sweeper.training.pack import train_pack
from sweeper.training.validate_measures import try_out

OF_LABELS = [name for name, entry in MEASURES.items() if not entry.of_values]
OWN = """\
import numpy as np

def top_2(labels, outputs):
    best = np.argsort(outputs, axis=1)[:, -2:]
    return (best == labels[:, None]).any(1).mean()

def percent(labels, outputs):
    return 100 * (outputs.argmax(1) == labels).mean()

def error(labels, outputs):
    return (outputs.argmax(1) != labels).mean()

def undefined(labels, outputs):
    return float("nan")

def raises(labels, outputs):
    return outputs @ labels

def text(labels, outputs):
    return "good"

nothing = 3
"""


@pytest.fixture(scope="module")
def digits() -> Data:
    return load("digits")


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_measures.py").write_text(OWN, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)


def _drawn(classes: int, count: int = 60) -> tuple[Outputs, Labels]:
    random = np.random.default_rng(classes)
    # Labels of very different counts, the last class with one example.
    labels = np.minimum(random.geometric(0.5, count) - 1, classes - 2)
    labels[0] = classes - 1
    return random.standard_normal((count, classes)).astype(np.float32), labels


def _recalls(outputs: Outputs, labels: Labels) -> list[float]:
    predicted = outputs.argmax(1)
    return [float((predicted[labels == c] == c).mean()) for c in np.unique(labels)]


def _f1s(outputs: Outputs, labels: Labels) -> list[float]:
    predicted, scores = outputs.argmax(1), []
    for c in np.unique(labels):
        right = ((predicted == c) & (labels == c)).sum()
        scores.append(2 * right / ((predicted == c).sum() + (labels == c).sum()))
    return scores


def _pairs_in_order(outputs: Outputs, labels: Labels) -> list[float]:
    scores = np.exp(outputs) / np.exp(outputs).sum(1, keepdims=True)
    shares = []
    for c in np.unique(labels):
        of, others = scores[labels == c, c][:, None], scores[labels != c, c][None]
        shares.append(float(((of > others) + 0.5 * (of == others)).mean()))
    return shares


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_measures_are_what_they_are_defined_as(classes: int) -> None:
    outputs, labels = _drawn(classes)
    # Oracles: counts, and for AUROC all pairs of examples.
    assert measured("accuracy", outputs, labels) == (outputs.argmax(1) == labels).mean()
    recalls, f1s = _recalls(outputs, labels), _f1s(outputs, labels)
    assert measured("balanced_accuracy", outputs, labels) == pytest.approx(np.mean(recalls))
    assert measured("f1", outputs, labels) == pytest.approx(np.mean(f1s))
    pairs = _pairs_in_order(outputs, labels)
    assert measured("auroc", outputs, labels) == pytest.approx(np.mean(pairs), abs=1e-6)


@pytest.mark.parametrize("measure", OF_LABELS)
def test_a_network_that_gives_nan_is_worth_nothing(measure: str) -> None:
    outputs, labels = _drawn(3)
    assert 0 < measured(measure, outputs, labels) < 1
    outputs[4, 1] = np.nan
    assert measured(measure, outputs, labels) == 0
    assert measured(measure, np.eye(3, dtype=np.float32)[labels], labels) == 1


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize("measure", [*OF_LABELS[1:], "own_measures:top_2"])
def test_a_network_is_judged_alike_in_any_pack(digits: Data, measure: str) -> None:
    recipe = dataclasses.replace(RECIPE, measure=measure, curve=(0.02, 0.9))
    configs = [config(k, recipe=recipe) for k in range(3)]
    together = train_pack(configs, digits)
    assert facts(together[1:2]) == facts(train_pack(configs[1:2], digits))
    usual = train_pack([config(k) for k in range(3)], digits)
    for result, plain in zip(together, usual, strict=True):
        assert result.as_trained is not None
        assert plain.as_trained is not None
        assert result.as_trained.nonzero == plain.as_trained.nonzero  # trained all the same
        assert result.as_trained.val_accuracy != plain.as_trained.val_accuracy
        assert result.curve[-1].val_accuracy != plain.curve[-1].val_accuracy


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize("name", ["percent", "undefined", "raises"])
def test_what_is_no_measure_of_a_real_network_is_one_line(name: str) -> None:
    outputs, labels = _drawn(3)
    with pytest.raises(PluginError, match=f"^own_measures:{name}: (must return a number|ValueErr)"):
        measured(f"own_measures:{name}", outputs, labels)


@pytest.mark.usefixtures("own")
def test_own_measures_are_tried_before_anything_is_trained() -> None:
    try_out("own_measures:top_2", 10)
    for name, expected in {
        "percent": "must return a number in [0, 1], 1 for a perfect network, returned 100",
        "error": "gives 0 to outputs that are right, ",
        "raises": "ValueError: ",
        "text": "ValueError: could not convert string to float: 'good'",
        "nothing": "must be a function, is a int",
        "missing": "cannot be loaded: AttributeError: ",
    }.items():
        with pytest.raises(PluginError) as raised:
            try_out(f"own_measures:{name}", 10)
        assert str(raised.value).startswith(f"own_measures:{name}: {expected}"), name
