"""Division of a dataset: sizes exact, every class its share, parts disjoint, the draw fixed."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sweeper.config.dataset import DatasetChoice, SplitRule, held_out, known_facts
from sweeper.config.registry import DATASETS
from sweeper.errors import DataError
from sweeper.training import datasets
from sweeper.training.raw_dataset import RawDataset, RawPart
from sweeper.training.stratified_split import stratified_split
from sweeper.types import SplitConfig


def numbered(labels: Any, first: int = 0) -> RawPart:
    """Return examples that are their own numbers."""
    array = np.array(labels, dtype=np.int64)
    numbers = np.arange(first, first + len(array), dtype=np.float32)
    return RawPart(numbers[:, None], array)


def raw(labels: Any, **parts: Any) -> RawDataset:
    return RawDataset("mine", int(np.max(labels)) + 1, numbered(labels), **parts)


def numbers(part: datasets.DataSplit) -> list[int]:
    return [int(number) for number in part.examples[:, 0].tolist()]


@given(st.lists(st.integers(0, 4), min_size=10, max_size=200), st.integers(1, 9), st.integers(0))
def test_split_is_stratified_exact_and_fixed(labels: list[int], size: int, seed: int) -> None:
    array = np.array(labels)
    stays, held = stratified_split(array, size, seed)
    assert len(held) == size
    assert sorted([*stays, *held]) == list(range(len(labels)))
    assert list(stays) == sorted(stays)
    assert list(held) == sorted(held)
    for label in set(labels):
        share = (array == label).sum() * size / len(labels)
        assert abs((array[held] == label).sum() - share) <= 1
    assert np.array_equal(stratified_split(array, size, seed)[1], held)


@st.composite
def divisions(draw: st.DrawFn) -> tuple[list[int], SplitConfig]:
    """Return labels of classes that are large enough, and a rule for them."""
    classes = draw(st.integers(2, 5))
    counts = draw(st.lists(st.integers(12, 40), min_size=classes, max_size=classes))
    labels = draw(
        st.permutations([label for label in range(classes) for _ in range(counts[label])])
    )
    shares = st.none() | st.floats(0.15, 0.6)
    return labels, SplitConfig(draw(shares), draw(shares), draw(st.integers(0, 2**32 - 1)))


@given(divisions())
def test_parts_have_their_shares_and_the_test_never_changes(
    drawn: tuple[list[int], SplitConfig],
) -> None:
    labels, rule = drawn
    data = datasets.divide(raw(labels), rule)
    test = held_out(0.2 if rule.test is None else rule.test, len(labels))
    rest = len(labels) - test
    validation = held_out(0.2 if rule.validation is None else rule.validation, rest)
    assert (len(data.test), len(data.validation)) == (test, validation)
    parts = [numbers(part) for part in (data.train, data.validation, data.test)]
    assert sorted(number for part in parts for number in part) == list(range(len(labels)))
    for part, loaded in zip(parts, (data.train, data.validation, data.test), strict=True):
        assert [labels[number] for number in part] == loaded.labels.tolist()
    for label in set(labels):
        share = labels.count(label) * test / len(labels)
        assert abs((data.test.labels == label).sum().item() - share) <= 1
    again = datasets.divide(raw(labels), SplitConfig(rule.validation, rule.test, rule.seed + 1))
    assert numbers(again.test) == parts[2]
    assert again.hash != data.hash
    assert datasets.divide(raw(labels), rule).hash == data.hash


def test_another_seed_holds_out_other_examples_and_repeats_have_one_hash() -> None:
    labels = [number % 4 for number in range(400)]
    repeats = [
        datasets.divide(raw(labels), SplitConfig(seed=seed, by_repeat=True)) for seed in range(3)
    ]
    assert len({tuple(numbers(data.validation)) for data in repeats}) == 3
    assert len({tuple(numbers(data.test)) for data in repeats}) == 1
    assert len({data.hash for data in repeats}) == 1
    fixed = [datasets.divide(raw(labels), SplitConfig(seed=seed)).hash for seed in range(3)]
    assert len({repeats[0].hash, *fixed}) == 4
    assert datasets.divide(raw(labels), SplitConfig(validation=0.3)).hash not in fixed


def test_the_hash_covers_examples_labels_and_parts() -> None:
    labels = [number % 2 for number in range(40)]
    given = raw(labels)
    other = given.train.examples.copy()
    other[7] += 1
    swapped = list(reversed(labels))
    hashes = [
        datasets.divide(one).hash
        for one in (
            given,
            raw(swapped),
            RawDataset("mine", 2, RawPart(other, given.train.labels)),
            raw(labels, test=numbered([0, 1], 90)),
            raw(labels, test=numbered([0, 1], 91)),
            raw(labels, validation=numbered([0, 1], 90), test=numbered([0, 1], 90)),
            RawDataset("mine", 2, given.train, standardised=(True,)),
        )
    ]
    assert len(set(hashes)) == len(hashes)
    # By another name they are the same data.
    assert datasets.divide(RawDataset("yours", 2, given.train)).hash == hashes[0]


def test_parts_that_a_dataset_brings_are_used_as_they_are() -> None:
    labels = [number % 2 for number in range(20)]
    parts = {"validation": numbered([0, 1, 1], 50), "test": numbered([1, 0], 60)}
    data = datasets.divide(raw(labels, **parts))
    assert numbers(data.train) == list(range(20))
    assert numbers(data.validation) == [50, 51, 52]
    assert numbers(data.test) == [60, 61]
    data = datasets.divide(raw(labels, test=parts["test"]))
    assert (len(data.train), len(data.validation)) == (16, 4)
    data = datasets.divide(raw(labels, validation=parts["validation"]))
    assert (len(data.train), len(data.test)) == (16, 4)
    assert numbers(data.validation) == [50, 51, 52]


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (
            SplitConfig(validation=0.1),
            "split.validation: mine has a validation part of its own",
        ),
        (
            SplitConfig(seed=3),
            "split.seed: mine has a validation part of its own; leave it out",
        ),
        (SplitConfig(seed=0, by_repeat=True), "split.seed: mine has a validation part of its own;"),
        (SplitConfig(test=0.25), "split.test: mine has a test part of its own; leave it out, got "),
    ],
)
def test_a_split_of_parts_that_a_dataset_brings_is_refused(rule: SplitConfig, said: str) -> None:
    parts = {"validation": numbered([0, 1], 50), "test": numbered([1, 0], 60)}
    with pytest.raises(DataError) as caught:
        datasets.divide(raw([0, 1] * 10, **parts), rule)
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize(
    ("labels", "parts", "rule", "said"),
    [
        ([0] * 20 + [1], {}, {}, "mine: class 1 has too few examples to split: 1, needs 3"),
        ([0] * 20 + [1] * 2, {}, {}, "mine: class 1 has too few examples to split: 2, needs 3"),
        (
            [0] * 20 + [1],
            {"test": [0, 1]},
            {},
            "mine: class 1 has too few examples to split: 1",
        ),
        (
            [0] * 20 + [1] * 3,
            {"test": [0, 1]},
            {"validation": 0.9},
            "mine: class 1 has too few examples to split: 0, needs 1",
        ),
        (
            list(range(5)) * 20,
            {},
            {"validation": 0.02},
            "split.validation: 2 of 80 examples of mine are too few to judge 5 classes by",
        ),
        (
            list(range(5)) * 20,
            {},
            {"test": 0.03},
            "split.test: 3 of 100 examples of mine are too few to judge 5 classes by",
        ),
    ],
)
def test_too_few_examples_are_one_line(
    labels: list[int], parts: dict[str, list[int]], rule: dict[str, float], said: str
) -> None:
    given = {name: numbered(of_part, 50) for name, of_part in parts.items()}
    with pytest.raises(DataError) as caught:
        datasets.divide(raw(labels, **given), SplitConfig(**rule))  # type: ignore[arg-type]
    assert str(caught.value).startswith(said)


def test_a_rare_class_is_named_by_its_label_and_said_where_it_is_absent() -> None:
    labels = [0] * 30 + [1] * 30 + [2] * 3
    named = RawDataset("mine", 3, numbered(labels), labels=("cat", "dog", "eel"))
    data = datasets.divide(named, SplitConfig(validation=0.1, test=0.1))
    assert "test has no example of 'eel', of which there are few" in data.notes
    short = RawDataset("mine", 3, numbered(labels[:-2]), labels=("cat", "dog", "eel"))
    with pytest.raises(DataError, match="class 'eel' has too few examples to split: 1, needs 3"):
        datasets.divide(short)


def test_numbers_that_no_float32_holds_are_refused() -> None:
    examples = np.linspace(-1, 1, 20)[:, None] * 1e308
    huge = RawDataset("mine", 2, RawPart(examples, np.arange(20) % 2), standardised=(True,))
    with pytest.raises(DataError, match="mine: its numbers are too large for float32"):
        datasets.divide(huge)


def test_only_some_columns_are_scaled() -> None:
    random = np.random.default_rng(0)
    table = np.stack([random.normal(9, 2, 100), random.integers(0, 2, 100)], axis=1)
    part = RawPart(table, np.arange(100) % 2)
    data = datasets.divide(RawDataset("mine", 2, part, standardised=(True, False)))
    assert data.normalisation is not None
    assert (data.normalisation.mean[1], data.normalisation.deviation[1]) == (0, 1)
    assert set(data.train.examples[:, 1].tolist()) == {0, 1}
    assert data.train.examples[:, 0].mean().item() == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize(
    ("name", "shape", "hashed"),
    [
        ("digits", (1, 8, 8), "025e7ad80dfe5853e0e251fb3150a77d003440d24687d4b5faead011d9b4c91b"),
        ("wine", (13,), "b9bdda3aaa5a2c35f326ed85d18730fe263a4aa95cd46e76f5db8e78098bb1fa"),
        (
            "breast-cancer",
            (30,),
            "46b007e1cabf8797f6ee31a92214644d6d6506b594fefa15e8e055f38de0c648",
        ),
    ],
)
def test_bundled_datasets_are_as_the_registry_says(
    name: str, shape: tuple[int, ...], hashed: str
) -> None:
    data, known = datasets.load(name), DATASETS[name]
    assert data.hash == hashed
    assert data.shape == known.shape == shape
    sizes = len(data.train), len(data.validation), len(data.test)
    assert sizes == (known.train, known.validation, known.test)
    assert data.classes == known.classes
    for part in (data.validation, data.test):
        assert set(part.labels.tolist()) == set(range(data.classes))
    assert torch.allclose(data.train.examples.mean(), torch.zeros(()), atol=1e-4)
    if len(shape) == 1:
        assert len(data.features) == shape[0]
        assert data.normalisation is not None
        assert len(data.normalisation.mean) == shape[0]


@pytest.mark.parametrize("share", [0.1, 0.5, None])
def test_sizes_of_a_chosen_split_are_known_before_loading(share: float | None) -> None:
    for name in ("digits", "wine"):
        data = datasets.load(name, split=SplitConfig(validation=share, seed=4))
        rule = SplitRule.model_validate({"seed": 4} if share is None else {"validation": share})
        facts = known_facts(DatasetChoice.model_validate(name), rule)
        assert facts is not None
        assert facts.train == len(data.train)
        assert facts.validation == len(data.validation)


@pytest.mark.parametrize("name", DATASETS)
def test_random_examples_are_like_those_of_any_dataset(name: str) -> None:
    like = datasets.images_like(name, 100)
    assert like.shape == DATASETS[name].shape
    assert like.train.examples.std().item() == pytest.approx(1, abs=0.1)
    assert set(like.train.labels.tolist()) <= set(range(DATASETS[name].classes))
