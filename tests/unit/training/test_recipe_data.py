"""Data of the recipes of a sweep: read once, split as each repeat says, and never other data."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from support.factories import make_tasks
from support.fakes import fake_train, small_sweep
from sweeper.config import Sweep
from sweeper.errors import DataError
from sweeper.trainers.pack_trainer import PackTrainer
from sweeper.training import datasets
from sweeper.training.recipe_data import RecipeData
from sweeper.types import TrialConfig, TrialResult, nothing


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> Path:
    write(tmp_path)
    return tmp_path


def write(folder: Path, seed: int = 0) -> None:
    random = np.random.default_rng(seed)
    labels = np.arange(240) % 3
    examples = random.normal(size=(240, 4)) + labels[:, None]
    np.savez(folder / "own.npz", x=examples, y=labels)


def own(**changes: Any) -> Sweep:
    dataset = {"name": "arrays", "file": "own.npz", "standardise": True}
    return small_sweep(dataset=dataset, training={"epochs": 1, "batch_size": 32}, **changes)


def known(folder: Path, **changes: Any) -> Sweep:
    sweep = own(**changes)
    data = datasets.load_for(sweep.recipe(0), folder)
    parts = {part: len(getattr(data, part)) for part in ("train", "validation", "test")}
    facts = {"shape": data.shape, "classes": data.classes, "hash": data.hash, **parts}
    return Sweep.model_validate({**sweep.model_dump(mode="json"), "facts": facts})


def test_repeats_that_draw_their_split_are_read_once_and_differ_in_what_is_held_out(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[str] = []
    usual = datasets.read

    def counted(*arguments: Any, **options: Any) -> Any:
        reads.append(arguments[0])
        return usual(*arguments, **options)

    monkeypatch.setattr(datasets, "read", counted)
    sweep = own(split={"seed": "repeat"}, search={"repeats": 2})
    data = RecipeData(folder)
    first = data.of(sweep.recipe(0))
    assert data.of(sweep.recipe(0)) is first
    second = data.of(sweep.recipe(1))
    assert reads == ["arrays"]
    assert not torch.equal(first.validation.labels, second.validation.labels) or not torch.equal(
        first.validation.examples, second.validation.examples
    )
    assert len(first.test) == len(second.test)
    assert first.hash == second.hash
    again = data.of(sweep.recipe(0))
    assert torch.equal(again.train.examples, first.train.examples)
    assert first.normalisation != second.normalisation
    assert again.normalisation == first.normalisation


def test_one_split_for_all_repeats_is_loaded_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = own(search={"repeats": 3})
    data = RecipeData(folder)
    first = data.of(sweep.recipe(0))
    monkeypatch.setattr(datasets, "load_for", None)
    assert data.of(sweep.recipe(2)) is first


def test_other_data_than_those_known_are_one_line(folder: Path) -> None:
    sweep = known(folder)
    facts = sweep.facts
    assert facts is not None
    RecipeData(folder, known_hash=facts.hash).of(sweep.recipe(0))
    write(folder, seed=1)
    with pytest.raises(DataError) as caught:
        RecipeData(folder, known_hash=facts.hash).of(sweep.recipe(0))
    said = str(caught.value)
    assert said.startswith(
        "own.npz: the data are other ones than when the sweep was registered (hash "
    )
    assert f"then {facts.hash[:12]})" in said
    assert "\n" not in said
    with pytest.raises(DataError, match="other ones than when the sweep was registered"):
        PackTrainer(sweep, device="cpu", pack=1, folder=folder)


def test_a_trainer_trains_each_repeat_on_its_split_and_says_so_in_its_provenance(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, Any]] = []

    def watched(configs: list[TrialConfig], data: Any, device: str, **_: Any) -> list[TrialResult]:
        seen.append((configs[0].recipe.repeat, data))
        return fake_train(configs)

    monkeypatch.setattr("sweeper.training.pack.train_pack", watched)
    sweep = known(folder, split={"seed": "repeat"}, search={"repeats": 2})
    trainer = PackTrainer(sweep, device="cpu", pack=4, folder=folder)
    origins = []
    for repeat in (0, 1, 0):
        values: dict[str, Any] = {"density": 0.1, "learning_rate": 0.05}
        trainer.train(make_tasks(sweep, [sweep.config("dense", repeat, 0, values)]), nothing)
        origins.append(trainer.provenance)
    expected = [datasets.load_for(sweep.recipe(repeat), folder) for repeat in (0, 1, 0)]
    for (_, data), wanted in zip(seen, expected, strict=True):
        assert torch.equal(data.train.examples, wanted.train.examples)
    assert [origin.normalisation for origin in origins] == [d.normalisation for d in expected]
    assert origins[0] == origins[2] != origins[1]
    assert {origin.data_hash for origin in origins} == {expected[0].hash}
