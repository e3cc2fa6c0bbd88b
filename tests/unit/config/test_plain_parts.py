"""Study as a dict: checked as a file is, and what YAML does not have is refused or turned plain."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from support.study_text import TINY
from sweeper.config import Sweep
from sweeper.config.plain_parts import plain_parts
from sweeper.errors import SpecError


def tiny(**changes: Any) -> dict[str, Any]:
    """Return the keys of a study file; `changes` replace its top-level keys."""
    parts: dict[str, Any] = yaml.safe_load(TINY.replace("1e-4", "1.0e-4").replace("1e-1", "0.1"))
    return {**parts, **changes}


def lines(parts: dict[str, Any]) -> list[str]:
    with pytest.raises(SpecError) as refusal:
        Sweep.of_mapping(parts)
    return list(refusal.value.problems)


def test_a_dict_is_the_sweep_of_the_file_with_the_same_keys(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY)
    assert Sweep.of_mapping(tiny()) == Sweep.load(tmp_path / "tiny.yaml")


def test_what_python_writes_otherwise_is_turned_plain() -> None:
    training = {"epochs": np.int64(1), "learning_rate": {"log_uniform": (np.float32(0.5), 0.75)}}
    targets = {"accuracy": np.array([0.5, 0.97]).tolist(), "nonzero": (9,)}
    sweep = Sweep.of_mapping(tiny(training=training, targets=targets))
    assert sweep == Sweep.of_mapping(
        tiny(
            training={"epochs": 1, "learning_rate": {"log_uniform": [0.5, 0.75]}},
            targets={"accuracy": [0.5, 0.97], "nonzero": [9]},
        )
    )
    assert plain_parts({"file": Path("a") / "b.csv"}, "x") == {"file": str(Path("a") / "b.csv")}


def test_problems_are_those_of_a_file_at_the_name_or_at_dict() -> None:
    training = {"epochs": -1}
    assert lines(tiny(training=training)) == ["tiny: training.epochs: must be >= 1, got -1"]
    nameless = tiny(training=training)
    del nameless["name"]
    assert lines(nameless) == [
        "dict: name: required, but not given",
        "dict: training.epochs: must be >= 1, got -1",
    ]
    assert lines(tiny(confirms={}))[0].startswith("tiny: confirms: is for `sweeper confirm NAME`")


def test_what_yaml_does_not_have_is_refused_with_its_key() -> None:
    parts = tiny(dataset=len, model={"name": "mlp", "sizes": {8, 9}}, arms={3: {}, "l1": {}})
    assert lines(parts) == [
        "tiny: dataset: name it as module:len, in a file that workers can import, "
        "got <built-in function len>",
        "tiny: model.sizes: must be a number, a word, true or false, a list or a dict, "
        f"got { ({8, 9})!r}",
        "tiny: arms: a key must be a word, got 3",
    ]


def test_a_dict_within_itself_or_too_large_is_refused() -> None:
    endless = tiny()
    endless["arms"] = {"l1": endless}
    assert lines(endless) == ["tiny: is nested more than 30 levels deep"]
    [line] = lines(tiny(arms=[0] * 200_000))
    assert line == "tiny: stands for more than 100,000 values"
