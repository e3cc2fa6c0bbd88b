"""Changes of single keys: the changed study is the study, and errors name the change."""

from pathlib import Path
from typing import Any

import pytest

from support.study_text import TINY, load
from sweeper.config import Sweep
from sweeper.config.study_changes import changes_of_mapping, parse_changes
from sweeper.errors import SpecError


def changed(tmp_path: Path, *texts: str) -> Sweep:
    path = tmp_path / "x.yaml"
    path.write_text(TINY, encoding="utf-8")
    return Sweep.load(path, parse_changes(texts))


@pytest.mark.parametrize(
    ("text", "old", "new"),
    [
        ("search.trials=48", "trials: 6", "trials: 48"),
        ("arms.l1.strength=1e-5", "strength: {log_uniform: [1e-4, 1e-1]}", "strength: 1.0e-5"),
        ("targets.accuracy=[0.9, 0.95]", "[0.5, 0.97, 0.999]", "[0.9, 0.95]"),
        ("targets.accuracy.1=0.98", "[0.5, 0.97, 0.999]", "[0.5, 0.98, 0.999]"),
        ("arms.dense.method=gradual_magnitude", "dense: {}", "dense: {method: gradual_magnitude}"),
        ("name=other", "name: tiny", "name: other"),
        ("split.seed=7", "model: mlp(32)", "model: mlp(32)\nsplit: {seed: 7}"),
        (
            "arms.l2={penalty: l2, strength: auto}",
            "l1: {",
            "l2: {penalty: l2, strength: auto}\n  l1: {",
        ),
    ],
)
def test_a_changed_study_is_the_study_that_says_so(
    tmp_path: Path, text: str, old: str, new: str
) -> None:
    assert old in TINY
    assert changed(tmp_path, text).digest == load(tmp_path, TINY.replace(old, new)).digest


def test_changes_come_one_after_the_other(tmp_path: Path) -> None:
    sweep = changed(tmp_path, "search={trials: 9}", "search.repeats=2")
    assert (sweep.search.trials, sweep.search.repeats) == (9, 2)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("search.trails=48", "--set search.trails=48: unknown key: got 'trails'; allowed: "
         "in_flight, repeats, sampler, seeds, trials; did you mean 'trials'?"),
        ("search.trials=-3", "--set search.trials=-3: must be >= 1, got -3"),
        ("search.trials=many", "--set search.trials=many: must be a whole number, got 'many'"),
        ("search={trials: 0}", "--set search={trials: 0}: search.trials: must be >= 1, got 0"),
        ("name.x=3", "--set name.x=3: name is 'tiny', which has no keys: set it as a whole"),
        ("targets.accuracy.3=0.9", "--set targets.accuracy.3=0.9: targets.accuracy is a list, its "
         "places are from 0 to 2, got 3"),
        ("arms.l9.strength=auto", "--set arms.l9.strength=auto: has no meaning without a penalty"),
        ("search.trials", "--set search.trials: must be KEY=VALUE, such as search.trials=48"),
        ("search.trials=", "--set search.trials=: must be KEY=VALUE, such as search.trials=48"),
        ("arms..x=1", "--set arms..x=1: a key is words with dots between, got 'arms..x'"),
        ("confirms=1", "--set confirms=1: is for `sweeper confirm NAME`, not for files"),
        ("seed=!!set {a}", "--set seed=!!set {a}: line 1, column 1: could not determine a "
         "constructor for the tag 'tag:yaml.org,2002:set'"),
    ],
)  # fmt: skip
def test_an_error_names_the_change(tmp_path: Path, text: str, line: str) -> None:
    with pytest.raises(SpecError) as raised:
        changed(tmp_path, text)
    assert str(raised.value) == line


def test_what_the_file_itself_says_wrong_is_told_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(TINY.replace("epochs: 1", "epochs: 0"), encoding="utf-8")
    with pytest.raises(SpecError) as raised:
        Sweep.load(path, parse_changes(["training.batch_size=0"]))
    assert raised.value.problems == (
        f"{path}: training.epochs: must be >= 1, got 0",
        "--set training.batch_size=0: must be >= 1, got 0",
    )


def test_a_key_is_set_once() -> None:
    with pytest.raises(SpecError, match="--set seed=2: the key 'seed' is set twice"):
        parse_changes(["seed=1", "seed=2"])


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"search.trails": 48}, "changes: search.trails: unknown key: got 'trails'"),
        ({"seed": {1}}, "changes: seed: must be a number, a word, true or false, a list or a dict"),
    ],
)
def test_a_dict_of_changes_is_checked_alike(changes: dict[str, Any], line: str) -> None:
    recipe = {"dataset": "digits", "model": "mlp(8)", "training": {"epochs": 1}}
    study = recipe | {"name": "mine", "search": {"trials": 3}, "arms": {"dense": {}}}
    with pytest.raises(SpecError) as raised:
        Sweep.of_mapping(study, changes_of_mapping(changes))
    assert str(raised.value).startswith(line)
    assert Sweep.of_mapping(study, changes_of_mapping({"search.trials": 5})).trials == 5
