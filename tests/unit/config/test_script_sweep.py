"""Study files of scripts: what they say, what is refused, what a trial is given."""

from pathlib import Path

import jsonschema
import pytest

from sweeper.config import Sweep
from sweeper.config.json_schema import json_schema
from sweeper.config.parsing import parse
from sweeper.config.script import bytes_of, filled, seconds_of
from sweeper.config.sweep_difference import differences
from sweeper.errors import SpecError

STUDY = """\
name: mine
trial: my.training:run
time_limit: 10m
resources: {gpus: 0.5, cpus: 4, memory: 16GiB}
objectives: {size: FLOPs, quality: F1}
parameters: {rate: {log_uniform: [1e-4, 1e-1]}, epochs: 3}
search: {trials: 4, repeats: 2}
targets: {f1: [0.9], flops: [1000]}
arms:
  dense: {}
  l1: {penalty: l1, strength: {log_uniform: [1e-5, 1e-2]}}
  wide: {parameters: {width: {choice: [16, 32]}, epochs: 5}}
"""


def load(folder: Path, text: str = STUDY) -> Sweep:
    file = folder / "mine.yaml"
    file.write_text(text, encoding="utf-8")
    return Sweep.load(file)


def problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(SpecError) as caught:
        load(folder, text)
    return [line.removeprefix(f"{folder / 'mine.yaml'}: ") for line in caught.value.problems]


def test_a_trial_is_given_what_is_fixed_shared_and_its_arms(tmp_path: Path) -> None:
    sweep = load(tmp_path)
    given = sweep.config("wide", 1, 2, {"width": 16, "rate": 0.01})
    assert given.values == (("epochs", 5), ("rate", 0.01), ("width", 16))
    assert given.recipe.script is not None
    assert given.recipe.script.text == "my.training:run"
    penalised = sweep.config("l1", 1, 2, {"strength": 1e-3, "rate": 0.01})
    assert penalised.values == (("epochs", 3), ("rate", 0.01), ("strength", 1e-3))
    assert penalised.method.terms[0].strength == 1e-3
    # Paired: one seed for all arms at a (repeat, slot), one order of data for all of a repeat.
    assert given.init_seed == penalised.init_seed
    assert given.recipe.order_seed == penalised.recipe.order_seed
    assert given.init_seed != sweep.config("l1", 1, 3, {"strength": 1e-3, "rate": 0.01}).init_seed


def test_what_is_registered_is_what_the_file_says(tmp_path: Path) -> None:
    sweep = load(tmp_path)
    again = Sweep.from_json(sweep.canonical)
    assert (again, again.digest) == (sweep, sweep.digest)
    assert "dataset" not in sweep.canonical
    assert (sweep.size_key, sweep.size_label) == ("flops", "FLOPs")
    assert (sweep.measure_key, sweep.measure_label) == ("f1", "F1")
    assert (sweep.targets.accuracy, sweep.targets.nonzero) == ((0.9,), (1000,))
    assert (sweep.time_limit, sweep.resources.memory) == (600.0, 16 * 2**30)


def test_limits_and_resources_may_change(tmp_path: Path) -> None:
    longer = load(tmp_path, STUDY.replace("10m", "2h").replace("cpus: 4", "cpus: 2"))
    changed = differences(load(tmp_path), longer)
    assert [(change.path, change.appends) for change in changed] == [
        ("time_limit", True),
        ("resources.cpus", True),
    ]
    other = load(tmp_path, STUDY.replace("my.training:run", "my.training:other"))
    assert [change.appends for change in differences(load(tmp_path), other)] == [False]


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("my.training:run", "run", "trial: must be package.module:function, got 'run'"),
        (
            "trial:",
            "dataset: mnist\ntrial:",
            "dataset: is not for a sweep with `trial`, which brings its own",
        ),
        (
            "trial:",
            "command: [sh]\ntrial:",
            "command: a sweep has either a trial or a command",
        ),
        (
            "10m",
            "soon",
            "time_limit: must be seconds, or a time such as 90s, 10m or 2h, got 'soon'",
        ),
        (
            "16GiB",
            "lots",
            "resources.memory: must be bytes, or an amount such as 512MiB or 16GiB, got 'lots'",
        ),
        (
            "gpus: 0.5",
            "gpus: 1.5",
            "resources.gpus: must be a fraction of one or a whole number, got 1.5",
        ),
        ("size: FLOPs", "size: f1", "objectives.quality: must not be called as the size is, 'f1'"),
        (
            "epochs: 3",
            "folder: 3",
            "parameters.folder: every trial is given it already: folder, device, data, seed, "
            "order_seed, arm, repeat, slot, attempt",
        ),
        (
            "epochs: 3",
            "strength: 3",
            "parameters.strength: is searched of the penalty of l1 already; rename it",
        ),
        (
            "l1: {penalty: l1, strength: {log_uniform: [1e-5, 1e-2]}}",
            "l1: {penalty: l1, strength: auto}",
            "arms.l1.strength: auto is for networks that are trained in packs: write a number or "
            "a domain",
        ),
        (
            "dense: {}",
            "dense: {method: rigl}",
            "arms.dense.method: is for networks that are trained in packs; a script trains as it "
            "likes",
        ),
        (
            "targets: {f1: [0.9], flops: [1000]}",
            "",
            "targets: required: flops and f1 at which fronts are read off",
        ),
        (
            "flops: [1000]",
            "nonzero: [1000]",
            "targets.nonzero: unknown key: the size is 'flops', whose targets are targets.flops",
        ),
        (
            "trial: my.training:run",
            'command: [sh, train.sh, "{rate}", "{widht}"]',
            "command: no such value: got 'widht'; allowed: arm, attempt, data, device, epochs, "
            "folder, order_seed, rate, repeat, seed, slot; did you mean 'width'?",
        ),
        (
            "trial: my.training:run",
            'command: [sh, "{rate"]',
            "command: a single { in '{rate': write {{ for one",
        ),
    ],
)
def test_a_mistake_of_a_script_is_one_line(tmp_path: Path, old: str, new: str, line: str) -> None:
    assert old in STUDY
    lines = problems(tmp_path, STUDY.replace(old, new, 1))
    assert line.partition("; did you")[0] in [text.partition("; did you")[0] for text in lines]


def test_keys_of_scripts_are_for_scripts_alone(tmp_path: Path) -> None:
    text = "name: a\ndataset: digits\nmodel: mlp(8)\ntraining: {epochs: 1}\nsearch: {trials: 1}\n"
    text += "time_limit: 1h\narms: {a: {parameters: {b: 1}}}\n"
    assert problems(tmp_path, text) == [
        "time_limit: is for sweeps with `trial` or `command`",
        "arms.a.parameters: is for sweeps with `trial` or `command`",
    ]
    nothing = problems(tmp_path, text.replace("digits", "none").replace("mlp(8)", "none"))
    assert "dataset: must be one, got 'none'; see `trial` and `command`" in nothing


def test_values_stand_in_the_places_of_their_names() -> None:
    arguments = ("train", "--rate={rate}", "{ folder }/x", "{{literal}}", "$HOME")
    values = {"rate": 0.1, "folder": "/tmp/a b"}
    assert filled(arguments, values) == ["train", "--rate=0.1", "/tmp/a b/x", "{literal}", "$HOME"]


def test_times_and_amounts() -> None:
    assert [seconds_of(text) for text in ("90s", "1.5m", "2 h", 7)] == [90, 90, 7200, 7]
    assert [bytes_of(text) for text in ("1MiB", "2 GB", 5)] == [2**20, 2 * 10**9, 5]


VALIDATOR = jsonschema.Draft202012Validator(json_schema())
COMMAND = STUDY.replace("trial: my.training:run", 'command: [sh, train.sh, "{rate}", 3]')
PACKED = "name: a\ndataset: digits\nmodel: mlp(8)\ntraining: {epochs: 1}\nsearch: {trials: 1}\n"


@pytest.mark.parametrize("text", [STUDY, COMMAND, PACKED + "arms: {a: {parameters: {}}}\n"])
def test_the_json_schema_accepts_scripts(tmp_path: Path, text: str) -> None:
    load(tmp_path, text)
    assert list(VALIDATOR.iter_errors(parse(tmp_path / "mine.yaml"))) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("my.training:run", "run"),
        ("trial:", "dataset: mnist\ntrial:"),
        ("trial:", "sparsification: {density: 0.1}\ntrial:"),
        ("trial:", "command: [sh]\ntrial:"),
        ("trial: my.training:run\n", ""),
        ("trial: my.training:run", "command: []"),
        ("trial: my.training:run", "command: [[sh]]"),
        ("10m", "soon"),
        ("10m", "0"),
        ("16GiB", "lots"),
        ("gpus: 0.5", "gpus: -1"),
        ("gpus: 0.5", "gpu: 1"),
        ("epochs: 3", "folder: 3"),
        ("epochs: 3", "1st: 3"),
        ("epochs: 3", "epochs: [3]"),
        ("epochs: 5", "seed: 5"),
        ("strength: {log_uniform: [1e-5, 1e-2]}", "strength: auto"),
        ("penalty: l1, strength: {log_uniform: [1e-5, 1e-2]}",
         "sum: {l1: {strength: auto}, l2: {strength: 1}}"),
        ("dense: {}", "dense: {method: rigl}"),
        ("flops: [1000]", "flops: [0]"),
        ("floor: 0.1", "floor: 1"),
        ("quality: F1", "qualities: F1"),
    ],
)  # fmt: skip
def test_what_the_json_schema_refuses_of_a_script_is_refused(
    tmp_path: Path, old: str, new: str
) -> None:
    text = STUDY.replace("objectives: {", "objectives: {floor: 0.1, ").replace(old, new, 1)
    assert problems(tmp_path, text)
    assert list(VALIDATOR.iter_errors(parse(tmp_path / "mine.yaml")))


def test_the_json_schema_refuses_keys_of_scripts_elsewhere(tmp_path: Path) -> None:
    for text in ("time_limit: 1h\narms: {a: {}}\n", "arms: {a: {parameters: {b: 1}}}\n"):
        assert problems(tmp_path, PACKED + text)
        assert list(VALIDATOR.iter_errors(parse(tmp_path / "mine.yaml")))
