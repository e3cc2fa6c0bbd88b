"""The study file: what it accepts, and that a mistake is one line with key, value and choices."""

import json
import os
import re
import resource
import socket
from contextlib import closing
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from support.paths import ROOT
from support.study_text import SMALL, load
from sweeper.config import Arm, Choice, Integer, LogUniform, Sweep, Uniform, derive_seed
from sweeper.config.json_schema import json_schema
from sweeper.config.parsing import _Loader, parse
from sweeper.config.probe_plan import probe_key
from sweeper.config.registry import (
    DATASET_FORMS,
    DATASETS,
    FORMULAS,
    LOSSES,
    MEASURES,
    METHODS,
    MODELS,
    OPTIMIZERS,
    PRECISIONS,
    SAMPLERS,
    SCHEDULES,
)
from sweeper.config.sections import ModelChoice
from sweeper.errors import SpecError
from sweeper.types import PenaltyConfig

STUDIES = sorted((ROOT / "studies").rglob("*.yaml"))


def test_a_date_that_is_none_is_an_error_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text("name: 2024-13-45\n", encoding="utf-8")
    with pytest.raises(SpecError, match=r"study\.yaml: month must be in"):
        Sweep.load(file)


def test_a_whole_number_given_for_a_float_is_a_float(tmp_path: Path) -> None:
    arm = Arm.model_validate({"penalty": "l1_marginal_entropy", "strength": 1e-3, "mix": 1})
    (term,) = arm.config({}).terms
    assert term.hyper == (("mix", 1.0),)
    assert type(dict(term.hyper)["mix"]) is float


def test_widths_of_a_factory_tell_nothing_about_its_size() -> None:
    own = ModelChoice.model_validate({"name": "a.b:c", "widths": [64]})
    assert own.parameters(DATASETS["digits"]) is None
    assert ModelChoice.model_validate("mlp()").parameters(DATASETS["digits"]) == 650


def problems(tmp_path: Path, text: str) -> list[str]:
    """Return the problems of a study file without the file's name before them."""
    with pytest.raises(SpecError) as caught:
        load(tmp_path, text)
    lines = str(caught.value).splitlines()
    assert lines == list(caught.value.problems)
    assert all(line.startswith(f"{tmp_path / 'x.yaml'}: ") for line in lines)
    return [line.removeprefix(f"{tmp_path / 'x.yaml'}: ") for line in lines]


def test_the_defaults_are_filled_in(tmp_path: Path) -> None:
    sweep = load(tmp_path, SMALL)
    assert sweep.training.optimizer == "sgd"
    assert sweep.search.in_flight == 4
    assert sweep.total_parameters == 64 * 64 + 64 + 64 * 32 + 32 + 32 * 10 + 10
    assert sweep.steps_per_trial == sweep.steps_in_all == (4 + 1) * (1137 // 128)


def test_finetuning_at_further_densities_counts_as_work_and_only_where_it_is(
    tmp_path: Path,
) -> None:
    plain = load(tmp_path, SMALL)

    def curve(densities: str) -> Sweep:
        text = SMALL.replace("{density:", f"{{finetuned_curve: {densities}, density:")
        return load(tmp_path, text)

    further = curve("[0.1, 0.2]")
    assert further.steps_per_trial == plain.steps_per_trial
    assert further.steps_in_all == plain.steps_in_all + 2 * (1137 // 128)
    assert further.recipe(0).finetuned_curve == (0.1, 0.2)
    assert curve("[]").digest == plain.digest != further.digest


def test_every_kind_of_domain_is_understood(tmp_path: Path) -> None:
    arms = """
  a: {penalty: l1, strength: {log_uniform: [1e-4, 1]}}
  b: {penalty: l1, strength: {uniform: [0, 1]}}
  c: {penalty: l1, strength: {integer: [1, 3]}}
  d: {penalty: l1, strength: {choice: [1, 2.5]}}
"""
    sweep = load(tmp_path, SMALL.replace("arms: {dense: {}}", f"arms:{arms}"))
    found = {name: sweep.domains(name)["strength"] for name in sweep.arms}
    assert found == {
        "a": LogUniform(log_uniform=(1e-4, 1)),
        "b": Uniform(uniform=(0, 1)),
        "c": Integer(integer=(1, 3)),
        "d": Choice(choice=(1, 2.5)),
    }


@pytest.mark.parametrize("text", ["1e-5", "1E-5", "1.0e-05", ".00001", "+1e-5", "0.1e-4"])
def test_a_number_in_scientific_notation_is_a_number(tmp_path: Path, text: str) -> None:
    edited = SMALL.replace("epochs: 4", f"epochs: 4, learning_rate: {text}")
    assert load(tmp_path, edited).training.learning_rate == 1e-5


@pytest.mark.parametrize(("text", "epochs"), [("010", 10), ("08", 8), ("+5", 5), ("1_000", 1000)])
def test_a_whole_number_is_a_decimal_one(tmp_path: Path, text: str, epochs: int) -> None:
    assert load(tmp_path, SMALL.replace("epochs: 4", f"epochs: {text}")).training.epochs == epochs


@pytest.mark.parametrize("text", ["1:30", "0x10", "0o17", "1_", "_1", "1__0"])
def test_what_is_a_number_to_old_yaml_only_is_none(tmp_path: Path, text: str) -> None:
    assert problems(tmp_path, SMALL.replace("epochs: 4", f"epochs: {text}")) == [
        f"training.epochs: must be a whole number, got {text!r}"
    ]


def test_numbers_beyond_floats_are_one_line(tmp_path: Path) -> None:
    large = "1" + "0" * 400
    wrong = SMALL.replace("{dense: {}}", f"{{a: {{penalty: l1, strength: {large}}}}}")
    assert problems(tmp_path, wrong)[0].startswith("arms.a.strength: ")
    for part in (f"ridge: {large}", f"ridge: {{choice: [1, {large}]}}"):
        arm = f"{{a: {{penalty: elastic_net, strength: 1, {part}}}}}"
        (line,) = problems(tmp_path, SMALL.replace("{dense: {}}", arm))
        assert line == "arms.a.ridge: is too large a number"


def test_a_window_that_holds_no_step_is_refused(tmp_path: Path) -> None:
    arm = "{a: {penalty: l1, strength: 1, during: [0.9999, 1.0]}}"
    (line,) = problems(tmp_path, SMALL.replace("{dense: {}}", arm))
    assert re.fullmatch(
        r"arms\.a\.during: holds none of the [\d,]+ training steps, got \[0\.9999, 1\.0\]", line
    )
    load(tmp_path, SMALL.replace("{dense: {}}", arm.replace("0.9999", "0.96")))


@pytest.mark.parametrize(
    "model",
    [
        "mlp(64,32)",
        "mlp( 64, 32 )",
        "{name: mlp, widths: [64, 32]}",
        "{name: mlp, widths: [64, 32], options: {dropout: 0}}",
    ],
)
def test_widths_may_be_written_in_any_of_these_ways(tmp_path: Path, model: str) -> None:
    sweep = load(tmp_path, SMALL.replace("model: mlp(64, 32)", f"model: {model}"))
    assert sweep.model.arguments == (("widths", (64, 32)),)
    assert sweep.model.text == "mlp(64, 32)"
    assert sweep.digest == load(tmp_path, SMALL).digest


def test_dropout_is_part_of_the_question_and_of_the_name(tmp_path: Path) -> None:
    text = "{name: mlp, widths: [64, 32], options: {dropout: 0.2}}"
    sweep = load(tmp_path, SMALL.replace("mlp(64, 32)", text))
    assert sweep.model.arguments == (("dropout", 0.2), ("widths", (64, 32)))
    assert sweep.model.text == "mlp(64, 32) with dropout 0.2"
    assert sweep.total_parameters == load(tmp_path, SMALL).total_parameters
    assert sweep.digest != load(tmp_path, SMALL).digest
    assert Sweep.from_json(sweep.canonical) == sweep


def test_a_convnet_is_written_with_its_widths(tmp_path: Path) -> None:
    sweep = load(tmp_path, SMALL.replace("mlp(64, 32)", "convnet(8, 16)"))
    assert sweep.model.arguments == (("widths", (8, 16)),)
    assert sweep.model.text == "convnet(8, 16)"
    assert sweep.model.hidden is None
    assert sweep.total_parameters == 72 + 16 + 8 * 16 * 9 + 32 + (16 * 4 + 1) * 10


@pytest.mark.parametrize("shape", [(30,), (2, 30), (2, 3, 30, 30), (3, 7, 30), (3, 30, 7)])
def test_networks_for_images_refuse_other_examples(shape: tuple[int, ...]) -> None:
    for name in ("lenet-5", "convnet", "vgg-16-bn", "resnet-20", "resnet-32"):
        if name != "convnet" or len(shape) != 3:
            assert not MODELS[name].takes(shape)
    assert MODELS["mlp"].takes(shape)


def test_a_factory_of_ones_own_has_an_unknown_size(tmp_path: Path) -> None:
    text = "{name: 'my.nets:tiny', options: {width: 3}}"
    sweep = load(tmp_path, SMALL.replace("mlp(64, 32)", text))
    assert sweep.total_parameters is None
    assert sweep.model.arguments == (("width", 3),)


def test_prox_of_a_concave_penalty_needs_a_small_learning_rate(tmp_path: Path) -> None:
    arm = "arms: {a: {penalty: mcp, strength: 1, gamma: 1.5}}"
    text = SMALL.replace("arms: {dense: {}}", arm)
    load(tmp_path, text.replace("epochs: 4", "epochs: 4, learning_rate: 1.4"))
    wrong = text.replace("epochs: 4", "epochs: 4, learning_rate: {uniform: [0.1, 1.5]}")
    assert problems(tmp_path, wrong) == [
        "arms.a.gamma: must be > 1.5 as prox (the largest learning rate is 1.5), got 1.5"
    ]
    load(tmp_path, wrong.replace("gamma", "apply: shrink, gamma"))


def test_a_granularity_of_consecutive_inputs_says_the_densities(tmp_path: Path) -> None:
    text = SMALL.replace(RULE, "sparsification: {granularity: '2:4'}")
    rule = load(tmp_path, text).sparsification
    assert (rule.density, rule.curve) == (0.5, (0.25, 0.5, 0.75))


def test_patterns_choose_weights_and_small_dense_needs_all(tmp_path: Path) -> None:
    text = SMALL.replace(RULE, "sparsification: {prune: ['!5*']}")
    assert load(tmp_path, text).prunable == {"1.weight": (64, 64), "3.weight": (32, 64)}
    line = (
        "arms.small.method: small_dense narrows every layer, sparsification.prune leaves some out"
    )
    changed = text.replace("{dense: {}}", "{small: {method: small_dense}}")
    assert problems(tmp_path, changed) == [line]


@pytest.mark.parametrize("method", ["snip", "grasp", "set", "rigl", "sparse_momentum"])
def test_a_method_that_picks_weights_needs_single_ones(tmp_path: Path, method: str) -> None:
    text = SMALL.replace(RULE, "sparsification: {granularity: input, scope: erk}")
    changed = text.replace("{dense: {}}", f"{{a: {{method: {method}}}}}")
    line = f"arms.a.method: {method} picks single weights: needs sparsification.granularity weight"
    assert problems(tmp_path, changed) == [f"{line}, got input"]


def test_small_dense_needs_a_fully_connected_network(tmp_path: Path) -> None:
    text = SMALL.replace("dense: {}", "a: {method: small_dense}")
    load(tmp_path, text)
    wrong = text.replace("mlp(64, 32)", "lenet-5").replace("digits", "mnist")
    assert problems(tmp_path, wrong) == [
        "arms.a.method: small_dense needs a fully connected network, lenet-5 is none"
    ]


def test_a_sum_searches_each_strength_by_its_own_name(tmp_path: Path) -> None:
    arm = """a: {sum: {l1: {strength: {uniform: [0, 1]}},
      renyi_entropy: {strength: auto, order: {uniform: [1, 3]}}}}"""
    sweep = load(tmp_path, SMALL.replace("dense: {}", arm))
    assert list(sweep.domains("a")) == [
        "l1.strength", "renyi_entropy.strength", "renyi_entropy.order", "density",
    ]  # fmt: skip
    params = {
        "l1.strength": 0.5, "renyi_entropy.strength": 2.0, "renyi_entropy.order": 1.5,
        "density": 0.1,
    }  # fmt: skip
    config = sweep.config("a", 0, 0, dict(params))
    assert config.method.terms == (
        PenaltyConfig("l1", "prox", 0.5),
        PenaltyConfig("renyi_entropy", "shrink", 2.0, (("order", 1.5), ("scaled", True))),
    )
    assert config.density == 0.1


def test_the_order_of_a_sum_does_not_matter(tmp_path: Path) -> None:
    terms = ["l1: {strength: 1}", "hoyer: {strength: 2}"]
    one, other = (
        load(tmp_path, SMALL.replace("dense: {}", f"a: {{sum: {{{', '.join(order)}}}}}"))
        for order in (terms, terms[::-1])
    )
    assert one.digest == other.digest
    params: dict[str, Any] = {"density": 0.1}
    assert one.config("a", 0, 0, params) == other.config("a", 0, 0, params)


def test_l1_groups_and_l2_may_be_proximal_together(tmp_path: Path) -> None:
    arm = "a: {sum: {l2: {strength: 1}, group_lasso: {strength: 1}, l1: {strength: 1}}}"
    sweep = load(tmp_path, SMALL.replace("dense: {}", arm))
    assert sweep.arms["a"].mode_text == "prox + prox + prox"


def test_an_arm_of_each_kind_says_what_it_is(tmp_path: Path) -> None:
    def arm(**keys: Any) -> Arm:
        return Arm.model_validate(keys)

    control = arm(penalty="marginal_entropy", strength="auto", shuffle=True)
    both = arm(method="gradual_magnitude", penalty="l2", strength=1e-4)
    assert (arm().penalty_text, arm().mode_text) == ("none", "")
    assert control.penalty_text == "marginal_entropy, shuffled"
    late = arm(penalty="l1", strength=1.0, during=[0.5, 1], ramp=0.25)
    assert late.summary == (
        "sum of magnitudes, from 50 % to 100 % of training, rising over 25 % of its time"
    )
    assert late.penalty_text == "l1, 50-100%, rising"
    assert (both.penalty_text, both.mode_text) == ("gradual_magnitude + l2", "prox")
    assert [one.gives_zeros for one in (arm(), control, both)] == [False, True, True]
    assert not arm(penalty="l1", strength=1, apply="loss").gives_zeros


def test_a_range_takes_the_place_of_auto_and_nothing_else_changes(tmp_path: Path) -> None:
    arms = """
  a: {penalty: l1, strength: auto}
  b: {sum: {l1: {strength: auto}, l2: {strength: auto}}}
"""
    sweep = load(tmp_path, SMALL.replace("arms: {dense: {}}", f"arms:{arms}"))
    assert [sweep.auto_parameters(arm) for arm in "ab"] == [
        ("strength",), ("l1.strength", "l2.strength"),
    ]  # fmt: skip
    known = sweep.with_ranges({("a", "strength"): (1e-3, 1.0), ("b", "l2.strength"): (0.1, 2.0)})
    assert known.domains("a")["strength"] == LogUniform(log_uniform=(1e-3, 1.0))
    assert known.auto_parameters("b") == ("l1.strength",)
    assert known.digest != sweep.digest


def test_probes_of_the_same_penalty_are_the_same_whatever_the_sweep(tmp_path: Path) -> None:
    arms = """
  a: {penalty: l1, strength: auto}
  b: {sum: {l1: {strength: auto}, l2: {strength: auto}}}
  c: {method: gradual_magnitude, penalty: l1, strength: auto}
  d: {penalty: l1, strength: auto, apply: loss}
  e: {penalty: l1, strength: auto, shuffle: true}
"""
    text = SMALL.replace("arms: {dense: {}}", f"arms:{arms}")

    def key(arm: str, parameter: str = "strength", text: str = text) -> str:
        return probe_key(load(tmp_path, text), arm, parameter)

    assert key("a") == key("b", "l1.strength") == key("c")
    other = text.replace("name: small", "name: big\nseed: 7").replace("[0.01, 0.2]", "[0.1, 0.3]")
    assert key("a", text=other) == key("a")
    assert len({key("a"), key("b", "l2.strength"), key("d"), key("e")}) == 4
    assert key("a", text=text.replace("mlp(64, 32)", "mlp(64)")) != key("a")
    assert key("a", text=text.replace("epochs: 4", "epochs: 4, momentum: 0.5")) != key("a")


def test_a_formula_of_ones_own_is_taken_by_name_and_read_without_importing_it() -> None:
    keys = {"penalty": "nowhere.to_be_found:formula", "strength": "auto", "width": 2.5, "on": True}
    arm = Arm.model_validate({**keys, "apply": "shrink"})
    (term,) = arm.config({"strength": 0.5}).terms
    hyper = (("width", 2.5), ("on", True))
    assert term == PenaltyConfig("nowhere.to_be_found:formula", "shrink", 0.5, hyper)
    assert Arm.model_validate_json(arm.model_dump_json()) == arm


def test_parts_may_be_repeated_by_anchor_and_merge(tmp_path: Path) -> None:
    arms = """
  a: &a {penalty: l1, strength: 0.1}
  b: {<<: *a, apply: loss}
"""
    sweep = load(tmp_path, SMALL.replace("arms: {dense: {}}", f"arms:{arms}"))
    assert (sweep.arms["b"].penalty, sweep.arms["b"].mode_text) == ("l1", "loss")


# What replaces which part of SMALL -> the one line that it must give.
RULE = "sparsification: {density: {log_uniform: [0.01, 0.2]}}"
ONE_MISTAKE = {
    "unknown key": ("seed", "sede: 1", "sede: unknown key: got 'sede'; allowed: arms, command, "
        "compare, dataset, measure, model, name, objectives, parameters, reference, resources, "
        "search, seed, select_on, sparsification, split, targets, time_limit, training, trial, "
        "warm_start; did you mean 'seed'?"),
    "unknown key in a part": ("epochs: 4", "epochs: 4, epoch: 3",
        "training.epoch: unknown key: got 'epoch'; allowed: augment, batch_size, epochs, "
        "learning_rate, loss, momentum, optimizer, precision, schedule, teacher, weight_decay; "
        "did you mean 'epochs'?"),
    "unknown key of a formula": ("dense: {}", "l1: {penalty: l1, strength: 1, mix: 1}",
        "arms.l1.mix: unknown key: got 'mix'; allowed: apply, during, family, method, "
        "parameters, penalty, ramp, shuffle, strength, sum"),
    "family": ("dense: {}", "dense: {family: a b}",
        "arms.dense.family: must be 1-54 letters, digits, '.', '_' or '-', got 'a b'"),
    "family that is a part of another": ("dense: {}", "dense: {family: arrangement}",
        "arms.dense.family: 'arrangement' is the part of `entropy` that sees arrangement; name "
        "another"),
    "side of a comparison": ("seed", "compare: {families: [denze]}",
        "compare.families.0: no such family or arm: got 'denze'; allowed: dense, other; did you "
        "mean 'dense'?"),
    "empty side": ("seed", "compare: {against: []}",
        "compare.against: needs 1 or more, got []"),
    "key of a comparison": ("seed", "compare: {with: [dense]}",
        "compare.with: unknown key: got 'with'; allowed: against, families"),
    "adamw without decay": ("epochs: 4", "epochs: 4, optimizer: adamw",
        "training.weight_decay: must be > 0 or a domain for adamw, such as 0.01; without it, it "
        "is adam"),
    "negative decay": ("epochs: 4", "epochs: 4, weight_decay: -1",
        "training.weight_decay: must be >= 0, got -1"),
    "precision": ("epochs: 4", "epochs: 4, precision: fp16",
        "training.precision: no such precision: got 'fp16'; allowed: bfloat16, float32, tf32"),
    "loss": ("epochs: 4", "epochs: 4, loss: crossentropy",
        "training.loss: no such loss: got 'crossentropy'; allowed: binary_cross_entropy, "
        "cross_entropy, mse, package.module:function; did you mean 'cross_entropy'?"),
    "key of another loss": ("epochs: 4", "epochs: 4, loss: {name: mse, label_smoothing: 0.1}",
        "training.loss.label_smoothing: mse does not take it; allowed: for cross_entropy"),
    "key of a loss": ("epochs: 4", "epochs: 4, loss: {name: mse, smoothing: 0.1}",
        "training.loss.smoothing: unknown key: got 'smoothing'; allowed: label_smoothing, name; "
        "did you mean 'label_smoothing'?"),
    "list in place of a loss": ("epochs: 4", "epochs: 4, loss: [mse]",
        "training.loss: must be a name, or a mapping with a name and its keys, got ['mse']"),
    "teacher": ("epochs: 4", "epochs: 4, teacher: net.pt",
        "training.teacher.network: must be a .safetensors file or package.module:function, got "
        "'net.pt'"),
    "weight of a teacher": ("epochs: 4", "epochs: 4, teacher: {network: a.b:c, weight: 2}",
        "training.teacher.weight: must be <= 1, got 2"),
    "measure": ("seed", "measure: precision", "measure: no such measure: got 'precision'; "
        "allowed: accuracy, auroc, balanced_accuracy, f1, package.module:function, r2"),
    "measure of numbers": ("seed", "measure: r2", "measure: r2 is for numbers, the targets of "
        "digits are labels; allowed: accuracy, balanced_accuracy, f1, auroc, "
        "package.module:function"),
    "a target in percent": ("epochs: 4}", "epochs: 4}\ntargets: {accuracy: [95]}",
        "targets.accuracy.0: must be < 1, got 95; did you mean 0.95?"),
    "targets of another measure": ("seed", "measure: f1\ntargets: {accuracy: [0.5]}",
        "targets.accuracy: unknown key: the measure is 'f1', whose targets are targets.f1"),
    "targets of no measure": ("seed", "measure: a.b:top_5\ntargets: {f1: [0.5]}",
        "targets.f1: unknown key: got 'f1'; allowed: accuracy, nonzero"),
    "a curve without epochs": ("{density:", "{finetune_epochs: 0, finetuned_curve: [0.1], density:",
        "sparsification.finetuned_curve: needs finetune_epochs of 1 or more"),
    "missing": ("name: small\n", "", "name: required, but not given"),
    "dataset": ("digits", "digit", "dataset: no such dataset: got 'digit'; allowed: "
        f"{', '.join(sorted([*DATASETS, *DATASET_FORMS, 'package.module:function']))}; "
        "did you mean 'digits'?"),
    "switch in place of channels": ("digits", "{name: images, folder: a, channels: true}",
        "dataset.channels: must be 1 or 3, got True"),
    "key of another form": ("digits", "{name: images, folder: a, file: a.csv}",
        "dataset.file: images does not take it; it takes folder, size, channels"),
    "key of a form": ("digits", "{name: arrays, fil: a.csv}",
        "dataset.fil: unknown key: got 'fil'; allowed: channels, file, folder, name, options, "
        "size, standardise, target, test_file, values; did you mean 'file'?"),
    "key of a name": ("digits", "{name: digits, file: a.csv}",
        "dataset.file: digits does not take it; it takes no further key"),
    "form without its key": ("digits", "{name: images}",
        "dataset.folder: required for images, but not given"),
    "table without a target": ("digits", "{name: arrays, file: a.csv}",
        "dataset.target: required for tables: the column that holds the labels"),
    "target of arrays": ("digits", "{name: arrays, file: a.npz, target: y}",
        "dataset.target: is for tables, .csv and .parquet, alone"),
    "file of another kind": ("digits", "{name: arrays, file: a.txt}",
        "dataset.file: must end in .npz, .csv or .parquet, got 'a.txt'"),
    "files of two kinds": ("digits", "{name: arrays, file: a.csv, target: y, test_file: b.npz}",
        "dataset.test_file: must end as file does, .csv, got 'b.npz'"),
    "list in place of a dataset": ("digits", "[digits]",
        "dataset: must be a name, or a mapping with a name and its keys, got ['digits']"),
    "searched option": ("digits", "{name: 'a:b', options: {n: {uniform: [0, 1]}}}",
        "dataset.options.n: must be one fixed value (trials that differ here could not be "
        "trained as one pack or compared), got {'uniform': [0, 1]}"),
    "share": ("name: small", "name: small\nsplit: {validation: 1.5}",
        "split.validation: must be < 1, got 1.5"),
    "no share": ("name: small", "name: small\nsplit: 0.2",
        "split: must be a mapping of keys to values, got 0.2"),
    "seed of a split": ("name: small", "name: small\nsplit: {seed: rpeat}",
        "split.seed: must be a whole number from 0 to 4,294,967,295, or repeat, got 'rpeat'"),
    "key of a split": ("name: small", "name: small\nsplit: {sead: 1}",
        "split.sead: unknown key: got 'sead'; allowed: seed, test, validation; "
        "did you mean 'seed'?"),
    "test part": ("name: small", "name: small\nsplit: {test: 0.2}",
        "split.test: digits has a test part of its own"),
    "augmentation": ("epochs: 4", "epochs: 4, augment: [flip, shft(1)]",
        "training.augment.1: must be shift(N), crop(N) or flip, got 'shft(1)'"),
    "augmentation as large as an image": ("epochs: 4", "epochs: 4, augment: [flip, shift(8)]",
        "training.augment.1: moves images by their whole size, digits has (1, 8, 8)"),
    "pattern without a weight": (RULE, "sparsification: {prune: ['*', '!1.weigth']}",
        "sparsification.prune.1: matches no weight of two or more dimensions: got '!1.weigth'; "
        "allowed: 1.weight, 3.weight, 5.weight; did you mean '1.weight'?"),
    "no weight left": (RULE, "sparsification: {prune: ['1*', '!?.weight']}",
        "sparsification.prune: leaves no weight to prune, of 1.weight, 3.weight, 5.weight"),
    "empty pattern": (RULE, "sparsification: {prune: ['! ']}",
        "sparsification.prune.0: must be a pattern such as 'conv*' or '!head*', got '! '"),
    "scope": (RULE, "sparsification: {scope: layer}",
        "sparsification.scope: must be 'global', 'per_layer' or 'erk', got 'layer'"),
    "granularity": (RULE, "sparsification: {granularity: '4:2'}",
        "sparsification.granularity: must be weight, input, output or N:M with N < M, such as "
        "2:4, got '4:2'"),
    "granularity by another name": (RULE, "sparsification: {granularity: row}",
        "sparsification.granularity: must be weight, input, output or N:M with N < M, such as "
        "2:4, got 'row'"),
    "density of a pattern": (RULE, "sparsification: {granularity: '2:4', density: 0.1}",
        "sparsification.density: must be 0.5 for granularity 2:4, got 0.1"),
    "searched density of a pattern": (RULE,
        "sparsification: {granularity: '2:4', density: {uniform: [0.1, 0.5]}}",
        "sparsification.density: must be 0.5 for granularity 2:4, got {'uniform': [0.1, 0.5]}"),
    "scope of a pattern": (RULE, "sparsification: {granularity: '2:4', scope: erk}",
        "sparsification.scope: every layer has the same density with granularity 2:4; allowed: "
        "global, got erk"),
    "curve of a pattern": (RULE, "sparsification: {granularity: '2:4', curve: [0.25, 0.3]}",
        "sparsification.curve.1: must be a multiple of 1/4 for granularity 2:4, got 0.3"),
    "optimizer": ("epochs: 4", "epochs: 4, optimizer: sdg",
        "training.optimizer: no such optimizer: got 'sdg'; allowed: adam, adamw, sgd; "
        "did you mean 'sgd'?"),
    "sampler": ("trials: 24", "trials: 24, sampler: nsga",
        "search.sampler: no such sampler: got 'nsga'; allowed: gp, grid, nsga2, qmc, random, tpe; "
        "did you mean 'nsga2'?"),
    "model": ("mlp(64, 32)", "lenet300", "model: no such model: got 'lenet300'; allowed: "
        "convnet, lenet-300-100, lenet-5, mlp, package.module:factory, resnet-20, resnet-32, "
        "vgg-16-bn; did you mean 'lenet-300-100'?"),
    "mlp": ("mlp(64, 32)", "mlp(64 32)",
        "model: must list whole numbers, mlp(64, 32), got 'mlp(64 32)'"),
    "no widths": ("mlp(64, 32)", "mlp",
        "model.widths: required for mlp, such as mlp(64, 32)"),
    "no widths of a convnet": ("mlp(64, 32)", "convnet",
        "model.widths: required for convnet, such as convnet(32, 64, 128)"),
    "a convnet without layers": ("mlp(64, 32)", "convnet()",
        "model.widths: convnet needs 1 or more, got none"),
    "convnet": ("mlp(64, 32)", "convnet(a)",
        "model: must list whole numbers, convnet(32, 64, 128), got 'convnet(a)'"),
    "widths of another": ("mlp(64, 32)", "{name: lenet-5, widths: [3]}",
        "model.widths: lenet-5 takes none; allowed: for mlp, convnet"),
    "dropout of another": ("mlp(64, 32)", "{name: convnet, widths: [8], options: {dropout: 0.2}}",
        "model.options.dropout: convnet does not take it; options that it takes: none"),
    "dropout": ("mlp(64, 32)", "{name: mlp, widths: [8], options: {dropout: 1}}",
        "model.options.dropout: must lie in [0, 0.95], got 1"),
    "option": ("mlp(64, 32)", "{name: mlp, widths: [8], options: {drop: 0.1}}",
        "model.options.drop: mlp does not take it; options that it takes: dropout"),
    "a batch of one": ("model: mlp(64, 32)\ntraining: {epochs: 4",
        "model: convnet(8)\ntraining: {batch_size: 1, epochs: 4",
        "training.batch_size: must be >= 2 for the batch norm of convnet(8), got 1"),
    "width 0": ("mlp(64, 32)", "{name: mlp, widths: [0]}", "model.widths.0: must be >= 1, got 0"),
    "image size": ("mlp(64, 32)", "lenet-5",
        "model: lenet-5 needs images of 1 channel or more and >= 16x16, digits has (1, 8, 8)"),
    "penalty": ("dense: {}", "a: {penalty: L1, strength: 1}", "arms.a.penalty: no such formula: "
        f"got 'L1'; allowed: {', '.join(sorted([*FORMULAS, 'package.module:function']))}"),
    "way": ("dense: {}", "a: {penalty: l1, strength: 1, apply: porx}",
        "arms.a.apply: no such way for l1: got 'porx'; allowed: decoupled, loss, prox, shrink; "
        "did you mean 'prox'?"),
    "way that does not exist": ("dense: {}",
        "a: {penalty: joint_entropy, strength: 1, apply: prox}",
        "arms.a.apply: joint_entropy cannot be applied as prox: its proximal operator has no "
        "closed form; use shrink"),
    "method": ("dense: {}", "a: {method: gradual}", "arms.a.method: no such method: "
        f"got 'gradual'; allowed: {', '.join(sorted([*METHODS, 'package.module:Class']))}"),
    "key of another method": ("dense: {}", "a: {method: gradual_magnitude, at: 1}",
        "arms.a.at: unknown key: got 'at'; allowed: apply, begin, during, end, family, method, "
        "parameters, penalty, ramp, shuffle, strength, sum"),
    "end before begin": ("dense: {}", "a: {method: gradual_magnitude, end: 0.1}",
        "arms.a.begin: must be < end 0.1, got 0.2"),
    "gates and a penalty": ("dense: {}",
        "a: {method: l0_hard_concrete, penalty: l1, strength: 1}",
        "arms.a.method: l0_hard_concrete stands by itself, without penalties"),
    "gates without strength": ("dense: {}", "a: {method: l0_hard_concrete}",
        "arms.a.strength: required: a number, a domain or auto"),
    "way without a penalty": ("dense: {}", "a: {apply: prox}",
        "arms.a.apply: has no meaning without a penalty"),
    "control without a penalty": ("dense: {}", "a: {shuffle: true}",
        "arms.a.shuffle: has no meaning without a penalty"),
    "time without a penalty": ("dense: {}", "a: {during: [0, 0.5]}",
        "arms.a.during: has no meaning without a penalty"),
    "time backwards": ("dense: {}", "a: {penalty: l1, strength: 1, during: [0.5, 0.5]}",
        "arms.a.during: must begin before it ends, got [0.5, 0.5]"),
    "time beyond the end": ("dense: {}",
        "a: {sum: {l1: {strength: 1, during: [0.5, 2]}, l2: {strength: 1}}}",
        "arms.a.sum.l1.during.1: must be <= 1, got 2"),
    "time of one end": ("dense: {}", "a: {penalty: l1, strength: 1, during: 0.5}",
        "arms.a.during: must be a list, got 0.5"),
    "time of three ends": ("dense: {}", "a: {penalty: l1, strength: 1, during: [0, 0.5, 1]}",
        "arms.a.during: must have 2 entries or fewer, got [0, 0.5, 1]"),
    "ramp is a share": ("dense: {}", "a: {penalty: l1, strength: 1, ramp: 1.5}",
        "arms.a.ramp: must be <= 1, got 1.5"),
    "shuffle is no switch": ("dense: {}", "a: {penalty: l1, strength: 1, shuffle: 1}",
        "arms.a.shuffle: must be true or false, got 1"),
    "sum of one": ("dense: {}", "a: {sum: {l1: {strength: 1}}}",
        "arms.a.sum: needs two or more penalties; for one say `penalty:`"),
    "sum and penalty": ("dense: {}",
        "a: {penalty: l1, strength: 1, sum: {l2: {strength: 1}, hoyer: {strength: 1}}}",
        "arms.a.sum: an arm has either a penalty or a sum of several"),
    "two proximal terms": ("dense: {}", "a: {sum: {l1: {strength: 1}, mcp: {strength: 1}}}",
        "arms.a.sum: l1, mcp cannot all be prox: the operator of a sum is exact for l1, l2 and "
        "group_lasso together only; apply others as shrink"),
    "key of a summand": ("dense: {}",
        "a: {sum: {l1: {strength: 1, mix: 1}, l2: {strength: 1}}}",
        "arms.a.sum.l1.mix: unknown key: got 'mix'; allowed: apply, during, ramp, shuffle, "
        "strength"),
    "strength of a summand": ("dense: {}", "a: {sum: {l1: {strength: 1}, l2: {}}}",
        "arms.a.sum.l2.strength: required: a number, a domain or auto"),
    "value of a summand": ("dense: {}", "a: {sum: {l1: {strength: -1}, l2: {strength: 1}}}",
        "arms.a.sum.l1.strength: must be >= 0, got -1"),
    "nothing in a sum": ("dense: {}", "a: {sum: {none: {strength: 1}, l1: {strength: 1}}}",
        "arms.a.sum.none: is no penalty, and adds nothing"),
    "no such summand": ("dense: {}", "a: {sum: {l9: {strength: 1}, l1: {strength: 1}}}",
        "arms.a.sum.l9: no such formula: got 'l9'; allowed: "
        f"{', '.join(sorted([*FORMULAS, 'package.module:function']))}"),
    "shuffled gates": ("dense: {}", "a: {method: l0_hard_concrete, strength: 1, shuffle: true}",
        "arms.a.shuffle: has no meaning without a penalty"),
    "key of a method beside a plugin": ("dense: {}",
        "a: {penalty: 'a.b:c', strength: 1, method: one_shot_magnitude, at: 7}",
        "arms.a.at: must lie in [0, 1], got 7"),
    "common key for a plugin": ("dense: {}",
        "a: {penalty: 'a.b:c', strength: 1, learning_rate: 5}",
        "arms.a.learning_rate: learning_rate stands for all arms in its own part of the file, and "
        "cannot be a formula's"),
    "order as a loss": ("dense: {}",
        "a: {penalty: renyi_entropy, strength: 1, order: 0.5, apply: loss}",
        "arms.a.order: must be >= 1 as loss: below it the gradient is infinite at a weight of 0; "
        "use shrink"),
    "letter out of range": ("dense: {}", "a: {penalty: scad, strength: 1, a: 2}",
        "arms.a.a: must lie in (2, 10000], got 2"),
    "no strength": ("dense: {}", "a: {penalty: l1}",
        "arms.a.strength: required: a number, a domain or auto"),
    "strength of nothing": ("dense: {}", "a: {strength: 1}",
        "arms.a.strength: has no meaning without a penalty"),
    "negative strength": ("dense: {}", "a: {penalty: l1, strength: -1}",
        "arms.a.strength: must be >= 0, got -1"),
    "log of a negative": ("dense: {}", "a: {penalty: l1, strength: {log_uniform: [-1.0, 1]}}",
        "arms.a.strength: low must be > 0, got -1.0"),
    "low above high": ("dense: {}", "a: {penalty: l1, strength: {uniform: [2, 1]}}",
        "arms.a.strength: low must be < high, got [2.0, 1.0]"),
    "one end": ("dense: {}", "a: {penalty: l1, strength: {uniform: [2]}}",
        "arms.a.strength: must be [low, high], got [2]"),
    "three ends": ("dense: {}", "a: {penalty: l1, strength: {uniform: [1, 2, 3]}}",
        "arms.a.strength: must be [low, high], got [1, 2, 3]"),
    "no ends": ("dense: {}", "a: {penalty: l1, strength: {uniform: 2}}",
        "arms.a.strength: must be [low, high], got 2"),
    "word as an end": ("dense: {}", "a: {penalty: l1, strength: {uniform: [a, 2]}}",
        "arms.a.strength: must be a number, got ['a', 2]"),
    "one choice": ("dense: {}", "a: {penalty: l1, strength: {choice: [1]}}",
        "arms.a.strength: needs two or more different values, got [1]"),
    "choice twice": ("dense: {}", "a: {penalty: l1, strength: {choice: [1, 1.0]}}",
        "arms.a.strength: needs two or more different values, got [1, 1.0]"),
    "choice of lists": ("dense: {}", "a: {penalty: l1, strength: {choice: [[1], 2]}}",
        "arms.a.strength: each choice must be a number, a word, true or false, got [[1], 2]"),
    "unknown domain": ("dense: {}", "a: {penalty: l1, strength: {loguniform: [1, 2]}}",
        "arms.a.strength: must be a number, auto or one of uniform, log_uniform, integer, choice, "
        "got {'loguniform': [1, 2]}"),
    "two domains": ("dense: {}", "a: {penalty: l1, strength: {uniform: [1, 2], choice: [1, 2]}}",
        "arms.a.strength: must be a number, auto or one of uniform, log_uniform, integer, choice, "
        "got {'uniform': [1, 2], 'choice': [1, 2]}"),
    "hyperparameter too large": ("dense: {}",
        "a: {penalty: l1_marginal_entropy, strength: 1, mix: 11}",
        "arms.a.mix: must lie in [0, 10], got 11"),
    "hyperparameter of another kind": ("dense: {}",
        "a: {penalty: joint_entropy, strength: 1, scaled: 1}",
        "arms.a.scaled: must be one of [True, False], got 1"),
    "hyperparameter missing": ("dense: {}",
        "a: {penalty: l1_marginal_entropy, strength: 1, mix: }",
        "arms.a.mix: must be a number, a word, true or false, got None"),
    "domain for the pack": ("epochs: 4", "epochs: {integer: [1, 4]}",
        "training.epochs: must be one fixed value (trials that differ here could not be trained "
        "as one pack or compared), got {'integer': [1, 4]}"),
    "truth value": ("epochs: 4", "epochs: yes",
        "training.epochs: must be a whole number, got True"),
    "number in quotes": ("epochs: 4", "epochs: '4'",
        "training.epochs: must be a whole number, got '4'"),
    "fraction": ("epochs: 4", "epochs: 4.5", "training.epochs: must be a whole number, got 4.5"),
    "zero": ("trials: 24", "trials: 0", "search.trials: must be >= 1, got 0"),
    "not finite": ("epochs: 4", "epochs: 4, learning_rate: .nan",
        "training.learning_rate: must be a finite number, got nan"),
    "word": ("epochs: 4", "epochs: 4, learning_rate: fast",
        "training.learning_rate: must be a number, got 'fast'"),
    "density above 1": ("[0.01, 0.2]", "[0.01, 2]", "sparsification.density: must be <= 1, got 2"),
    "batch": ("epochs: 4", "epochs: 4, batch_size: 5000", "training.batch_size: must be <= 1137, "
        "the training examples of digits, got 5000"),
    "track": ("{density: {log_uniform: [0.01, 0.2]}}", "{track: prunde}",
        "sparsification.track: must be 'pruned' or 'as_trained', got 'prunde'"),
    "name": ("name: small", "name: a/b",
        "name: must be 1-54 letters, digits, '.', '_' or '-', got 'a/b'"),
    "number as a name": ("name: small", "name: 5",
        "name: must be a word (put it in quotes), got 5"),
    "name of an arm": ("dense: {}", "'a b': {}",
        "arms.a b: must be 1-54 letters, digits, '.', '_' or '-', got 'a b'"),
    "reserved": ("dense: {}", "confirmed: {}",
        "arms: 'confirmed' is reserved for confirmed networks; rename the arm"),
    "not finite in a list": ("epochs: 4}", "epochs: 4}\ntargets: {accuracy: [.nan]}",
        "targets.accuracy.0: must be a finite number, got nan"),
    "empty list": ("epochs: 4}", "epochs: 4}\ntargets: {accuracy: []}",
        "targets.accuracy: needs 1 or more, got []"),
    "no arms": ("{dense: {}}", "{}", "arms: needs 1 or more, got {}"),
    "empty arms": ("{dense: {}}", "", "arms: must be a mapping of keys to values, got None"),
    "list of arms": ("{dense: {}}", "[dense]",
        "arms: must be a mapping of keys to values, got ['dense']"),
    "empty arm": ("{dense: {}}", "{dense: }",
        "arms.dense: must be a mapping of keys to values, got None"),
    "grid too small": ("trials: 24}\narms: {dense: {}}",
        "trials: 24, sampler: grid}\narms: {a: {penalty: l1, strength: {choice: [1, 2]}}}",
        "arms.a: the grid sampler needs choice or integer domains only"),
    "key that is no word": ("dense: {}", "no: {}",
        "line 7, column 8: a key must be a word, got False; put it in quotes"),
    "key twice": ("name: small", "name: small\nname: other",
        "line 2, column 1: the key 'name' stands twice"),
    "syntax": ("dense: {}", "dense: [", "line 7, column 16: did not find expected node "
        "content"),
    "tag": ("name: small", "name: !!python/object:os.system x", "line 1, column 7: could not "
        "determine a constructor for the tag 'tag:yaml.org,2002:python/object:os.system'"),
}  # fmt: skip


@pytest.mark.parametrize("kind", ONE_MISTAKE)
def test_a_mistake_is_one_line_with_key_value_and_what_is_allowed(
    tmp_path: Path, kind: str
) -> None:
    old, new, line = ONE_MISTAKE[kind]
    text = SMALL.replace(old, new) if old in SMALL else f"{SMALL}{new}\n"
    assert problems(tmp_path, text) == [line]


@pytest.mark.parametrize(("text", "got"), [("", "nothing"), ("- 1\n", "[1]"), ("5\n", "5")])
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str, got: str) -> None:
    assert problems(tmp_path, text) == [f"must be a mapping of keys to values, got {got}"]


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"x\.yaml: cannot be read: No such file or directory"):
        Sweep.load(tmp_path / "x.yaml")


def test_a_file_that_is_not_text_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_bytes(b"name: \xff")
    with pytest.raises(SpecError, match=r"x\.yaml: is not UTF-8 text \(byte 6\)"):
        Sweep.load(tmp_path / "x.yaml")


def test_all_mistakes_of_a_file_are_said_at_once(tmp_path: Path) -> None:
    text = """\
name: a b
dataset: minst
model: lenet300
training: {epochs: 0, optimizer: sdg}
search: {}
arms:
  a: {penalty: l1, apply: porx, mix: 1}
  b: {penalty: l1, strength: {uniform: [2, 1]}}
"""
    keys = [line.split(": ")[0] for line in problems(tmp_path, text)]
    assert keys == [
        "name", "dataset", "model", "training.epochs", "training.optimizer", "search.trials",
        "arms.a.apply", "arms.a.strength", "arms.a.mix", "arms.b.strength",
    ]  # fmt: skip


def test_an_arm_may_be_named_like_a_domain(tmp_path: Path) -> None:
    arms = "{uniform: {penalty: l1, strength: -1}, fixed: {penalty: l9}}"
    lines = problems(tmp_path, SMALL.replace("{dense: {}}", arms))
    assert [line.split(": ")[0] for line in lines] == [
        "arms.uniform.strength",
        "arms.fixed.penalty",
    ]


names = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,10}\Z").filter(lambda n: n != "confirmed")
positive = st.floats(1e-9, 1, allow_subnormal=False)
ranges = st.tuples(positive, positive).filter(lambda pair: pair[0] != pair[1]).map(sorted)
searched = positive | st.builds(
    lambda key, pair: {key: list(pair)}, st.sampled_from(["uniform", "log_uniform"]), ranges
)
penalties = st.sampled_from([name for name in FORMULAS if name != "none"])
pruning = st.fixed_dictionaries({"density": searched})
no_penalty: st.SearchStrategy[dict[str, Any]] = st.just({})
strengths = searched | st.just("auto")
other_keys: dict[str, st.SearchStrategy[Any]] = {
    "shuffle": st.booleans(),
    "during": st.tuples(st.floats(0, 0.4), st.floats(0.5, 1)).map(list),
    "ramp": st.floats(0, 1),
}
family = {"family": st.sampled_from(["mine", "lp", "other", None])}
one_penalty = st.fixed_dictionaries(
    {"penalty": penalties, "strength": strengths}, optional=other_keys | family
)
summand = st.fixed_dictionaries({"strength": strengths}, optional=other_keys)
sums = st.fixed_dictionaries(
    {
        "sum": st.dictionaries(
            st.sampled_from(
                [n for n, f in FORMULAS.items() if f.default_mode != "prox" and n != "none"]
            ),
            summand,
            min_size=2,
            max_size=3,
        )
    }
)
methods = (
    st.sampled_from(sorted(METHODS))
    .map(
        lambda name: {
            "method": name,
            **({"strength": "auto"} if METHODS[name].has_strength else {}),
        }
    )
    .filter(lambda arm: arm["method"] != "small_dense")
)


def with_decay(training: dict[str, Any]) -> dict[str, Any]:
    """AdamW without weight decay is refused."""
    if training.get("optimizer") == "adamw" and not training.get("weight_decay"):
        return {**training, "weight_decay": 0.01}
    return training


# Those that a batch of the usual size fits into, and any augmentation.
named_datasets = st.sampled_from(
    [name for name, entry in DATASETS.items() if entry.train >= 128 and len(entry.shape) == 3]
)
own_datasets: st.SearchStrategy[Any] = st.sampled_from(
    [
        "a.b:data",
        {"name": "a.b:data", "options": {"n": 1, "share": 0.5, "kind": "x", "on": True}},
        {"name": "arrays", "file": "a.npz", "test_file": "b.npz"},
        {"name": "arrays", "file": "a.csv", "target": "y", "standardise": False},
        {"name": "images", "folder": "pictures", "size": 32, "channels": 3},
    ]
)
datasets = named_datasets | named_datasets.map(lambda name: {"name": name}) | own_datasets
splits = st.fixed_dictionaries(
    {},
    optional={
        "validation": st.floats(0.01, 0.5),
        "seed": st.integers(0, 2**32 - 1) | st.just("repeat"),
    },
)
losses = st.sampled_from([*LOSSES, "a.b:c"]) | st.fixed_dictionaries(
    {"name": st.just("cross_entropy")}, optional={"label_smoothing": st.floats(0, 0.99)}
)


def with_mine(arms: dict[str, Any]) -> dict[str, Any]:
    """Return arms with those that a comparison may name."""
    l1 = {"penalty": "l1", "strength": 1.0}
    return {**arms, "a": l1, "mine-too": {**l1, "family": "mine"}}


arms = no_penalty | one_penalty | sums | methods


def with_units(spec: dict[str, Any]) -> dict[str, Any]:
    """Methods that pick single weights are refused where whole units go."""
    if spec.get("sparsification", {}).get("granularity", "weight") == "weight":
        return spec
    picking = {name for name, entry in METHODS.items() if entry.picks_weights}
    arms = {key: arm for key, arm in spec["arms"].items() if arm.get("method") not in picking}
    return {**spec, "arms": arms or {"plain": {}}}


specs = st.fixed_dictionaries(
    {
        "name": names,
        "dataset": datasets,
        "model": st.sampled_from(
            ["lenet-300-100", "mlp(3)", "mlp()", "convnet(3, 4)", "resnet-20", "a.b:c"]
        ),
        "training": st.fixed_dictionaries(
            {"epochs": st.integers(1, 99)},
            optional={
                "learning_rate": searched,
                "momentum": searched,
                "optimizer": st.sampled_from(OPTIMIZERS),
                "weight_decay": searched,
                "schedule": st.sampled_from(SCHEDULES),
                "precision": st.sampled_from(PRECISIONS),
                "loss": losses,
                "teacher": st.sampled_from(["a.b:c", "net.safetensors", {"network": "a:b"}]),
                "augment": st.lists(st.sampled_from(["flip", "shift(1)", " crop( 2 ) "])),
            },
        ).map(with_decay),
        "search": st.fixed_dictionaries(
            {"trials": st.integers(1, 99)},
            optional={"sampler": st.sampled_from(sorted(set(SAMPLERS) - {"grid"}))},
        ),
        "arms": st.dictionaries(names, arms, min_size=1, max_size=4).map(with_mine),
    },
    optional={
        "compare": st.fixed_dictionaries(
            {}, optional={"families": st.just(["mine", "lp"]), "against": st.just(["a"])}
        ),
        "seed": st.integers(),
        "measure": st.sampled_from([*set(MEASURES) - {"r2"}, "a.b:c"]),
        "split": splits,
        "sparsification": st.fixed_dictionaries(
            {"density": searched},
            optional={
                "finetuned_curve": st.lists(st.floats(0.001, 1.0), max_size=3),
                "prune": st.lists(st.sampled_from(["*", "*weight"]), max_size=2),
                "scope": st.sampled_from(["global", "per_layer", "erk"]),
                "granularity": st.sampled_from(["weight", "input", "output"]),
            },
        )
        | st.fixed_dictionaries(
            {"granularity": st.sampled_from(["2:4", "1:2"])},
            optional={"curve": st.lists(st.just(0.5), max_size=2)},
        ),
    },
).map(with_units)


def turned(value: Any) -> Any:
    """Return the same value with the keys of every mapping in the opposite order."""
    if isinstance(value, dict):
        return {key: turned(value[key]) for key in reversed(value)}
    return value


@given(specs)
@settings(max_examples=60, deadline=None)
def test_a_sweep_comes_back_unchanged_from_its_canonical_json(spec: dict[str, Any]) -> None:
    sweep = Sweep.model_validate(spec)
    again = Sweep.from_json(sweep.canonical)
    assert again == sweep
    assert again.digest == sweep.digest
    assert Sweep.model_validate(turned(spec)).digest == sweep.digest
    assert Sweep.model_validate(yaml.safe_load(yaml.safe_dump(spec))) == sweep


def test_the_digest_is_the_same_for_good(tmp_path: Path) -> None:
    # Sweeps on record are found by it: a change here makes every old sweep a stranger.
    digest = "08ce17960a5c"
    assert load(tmp_path, SMALL).digest.startswith(digest)


def test_any_change_of_a_value_changes_the_digest(tmp_path: Path) -> None:
    digests = {load(tmp_path, SMALL).digest}
    changes = [("24", "25"), ("64, 32", "64, 33"), ("0.01", "0.011"), ("dense", "none")]
    augmented = ("[flip]", "[shift(1)]", "[shift(2)]", "[shift(1), flip]", "[flip, shift(1)]")
    changes += [("epochs: 4", f"epochs: 4, augment: {augment}") for augment in augmented]
    for old, new in changes:
        digests.add(load(tmp_path, SMALL.replace(old, new)).digest)
    rules = ("prune: [1*]", "scope: erk", "granularity: input", "granularity: '2:4'")
    for rule in rules:
        changed = SMALL.replace(RULE, f"sparsification: {{{rule}}}")
        digests.add(load(tmp_path, changed).digest)
    assert len(digests) == 14


def test_what_does_not_matter_does_not_change_the_digest(tmp_path: Path) -> None:
    same = SMALL.replace("epochs: 4", "batch_size: 128, epochs: 4") + "# a remark\nseed: 0\n"
    same = same.replace("dense: {}", "dense: {family: null}") + "compare: {}\n"
    assert load(tmp_path, same).digest == load(tmp_path, SMALL).digest


def test_initial_weights_are_paired_over_arms_and_differ_over_slots(tmp_path: Path) -> None:
    arms = "{dense: {}, l1: {penalty: l1, strength: 1}}"
    sweep = load(tmp_path, SMALL.replace("{dense: {}}", arms))
    params = {"density": 0.1}
    seeds = {
        arm: [sweep.config(arm, 0, slot, dict(params)).init_seed for slot in range(3)]
        for arm in sweep.arms
    }
    assert seeds["dense"] == seeds["l1"]
    assert len(set(seeds["l1"])) == 3
    assert sweep.recipe(0).order_seed != sweep.recipe(1).order_seed


@given(st.lists(st.integers() | st.text(max_size=5), max_size=3))
def test_a_derived_seed_is_a_32_bit_number(parts: list[int | str]) -> None:
    assert 0 <= derive_seed(*parts) < 2**32


VALIDATOR = jsonschema.Draft202012Validator(json_schema())


def test_the_json_schema_is_a_valid_schema() -> None:
    schema = json_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.Draft202012Validator.check_schema(schema)
    json.dumps(schema)


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.name)
def test_the_json_schema_accepts_every_study_file(path: Path) -> None:
    Sweep.load(path)
    assert not list(VALIDATOR.iter_errors(parse(path)))


@given(specs)
@settings(max_examples=30, deadline=None)
def test_the_json_schema_accepts_whatever_the_program_accepts(spec: dict[str, Any]) -> None:
    Sweep.model_validate(spec)
    assert not list(VALIDATOR.iter_errors(spec))


@pytest.mark.parametrize(
    "kind",
    [
        "unknown key", "unknown key in a part", "unknown key of a formula", "missing", "dataset",
        "switch in place of channels", "key of another form", "key of a form", "key of a name",
        "form without its key", "list in place of a dataset", "searched option",
        "empty pattern", "scope", "granularity by another name",
        "family", "family that is a part of another", "empty side", "key of a comparison",
        "share", "no share", "seed of a split", "key of a split", "augmentation",
        "optimizer", "adamw without decay", "precision", "loss", "key of another loss",
        "key of a loss", "list in place of a loss", "teacher",
        "weight of a teacher", "measure", "sampler", "model", "penalty", "way",
        "way that does not exist",
        "method", "key of another method", "gates without strength", "shuffle is no switch",
        "time beyond the end", "time of one end", "ramp is a share",
        "key of a summand", "strength of a summand", "no strength", "unknown domain",
        "two domains", "domain for the pack", "zero", "track",
        "name", "reserved", "no arms", "empty arms",
    ],
)  # fmt: skip
def test_the_json_schema_refuses_mistakes_while_one_types(kind: str) -> None:
    old, new, _ = ONE_MISTAKE[kind]
    text = SMALL.replace(old, new) if old in SMALL else f"{SMALL}{new}\n"
    assert list(VALIDATOR.iter_errors(yaml.safe_load(text)))


def laughs(levels: int = 9) -> str:
    """Lines of anchors, the last of which stands for 9 ** levels words."""
    lines = ["a0: &a0 [" + ", ".join(["lol"] * 9) + "]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, levels)]
    return "\n".join(lines) + "\n"


def merges(levels: int = 9) -> str:
    lines = ["b0: &b0 {k: 1}"]
    lines += [f"b{n}: &b{n} {{<<: [{', '.join([f'*b{n - 1}'] * 30)}]}}" for n in range(1, levels)]
    return "\n".join(lines) + "\n"


# What a file holds -> its first line, and how many lines are said at most.
TOO_MUCH: dict[str, tuple[str, str, int]] = {
    "deep list": (f"name: {'[' * 5000}{']' * 5000}\n", "nest", 1),
    "deep mapping": ("{a: " * 5000, "is nested more than 30 levels deep", 1),
    "deep block": ("- " * 5000, "is nested more than 30 levels deep", 1),
    "deep key": (f"? {'[' * 5000}", "nest", 1),
    "aliases": (laughs() + SMALL, "stands for more than 100,000 values", 1),
    "aliases as a key": (laughs() + "? *a8\n: b\n", "stands for more than 100,000 values", 1),
    "aliases in a list": (
        laughs(4) + SMALL + f"targets: {{accuracy: [{', '.join(['*a3'] * 30)}]}}\n",
        "stands for more than 100,000 values", 1),
    "merges": (merges() + SMALL, "stands for more than 100,000 values", 1),
    "itself": ("name: &a [1, *a]\n", "line 1, column 14: *a stands in what it stands for", 1),
    "keys": ("\n".join(f"k{n}: 1" for n in range(20_000)), "a mapping of more than 5,000 keys", 1),
    "wrong keys": (SMALL + "\n".join(f"k{n}: 1" for n in range(4_000)), "k0: unknown key: ", 21),
    "wrong arms": (
        SMALL.replace("{dense: {}}", f"{{{', '.join(f'a{n}: 1' for n in range(2000))}}}"),
        "arms.a0: must be a mapping of keys to values, got 1", 21),
    "values": (f"name: [{'1, ' * 150_000}]\n", "stands for more than 100,000 values", 1),
    "bytes": (f"name: {'a' * 5_000_000}\n", "is larger than 1,000,000 bytes", 1),
    "a long name": (SMALL.replace("small", "a" * 900_000),
        f"name: must be 1-54 letters, digits, '.', '_' or '-', got '{'a' * 56}...", 1),
    "a long key": (f"{SMALL}? {'k' * 900_000}\n: 1\n", f"{'k' * 57}...: unknown key: got 'kk", 1),
    "a long key twice": (f"{'k' * 900}: 1\n" * 2, f"the key '{'k' * 56}... stands twice", 1),
    "a long alias": (f"name: *{'a' * 90_000}\n", "found undefined alias", 1),
    "a long tag": (f"name: !{'a' * 90_000} 1\n", "could not determine a constructor", 1),
    "a long dataset": (SMALL.replace("digits", "d" * 90_000),
        "dataset: no such dataset: got 'ddd", 1),
    "a long choice": (
        SMALL.replace("{dense: {}}",
            f"{{a: {{penalty: l1, strength: {{choice: [{'1, ' * 50_000}]}}}}}}"),
        "arms.a.strength: needs two or more different values, got [1, 1, ", 1),
    "a long number": (SMALL.replace("epochs: 4", f"epochs: {'9' * 10_000}"),
        "line 4, column 20: a number of 10,000 digits is too large", 1),
    "trials": (SMALL.replace("24", "1_000_000_000"),
        "search.trials: all arms and repeats together must have <= 1,000,000 trials, got ",
        1),
    "a date": (SMALL.replace("name: small", "name: 2024-05-06"),
        "name: must be a word (put it in quotes), got 2024-05-06", 1),
    "a date as a key": (SMALL.replace("dense", "2024-05-06"),
        "line 7, column 8: a key must be a word, got 2024-05-06; put it in quotes", 1),
    "a set": (SMALL.replace("{dense: {}}", "!!set {dense, other}"),
        "could not determine a constructor for the tag", 1),
    "NUL": (f"{SMALL}seed: \0\n", "line 8: ", 1),
}  # fmt: skip


@pytest.mark.parametrize("kind", TOO_MUCH)
def test_too_much_of_anything_is_a_few_short_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    text, said, most = TOO_MUCH[kind]
    limit = 1_000_000_000 + resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    built: list[int] = []
    construct = _Loader.construct_object

    def counted(self: Any, node: Any, deep: bool = False) -> Any:
        built.append(1)
        # Not seconds, of which a busy machine takes any number; a bomb has 400 million.
        assert len(built) < 250_000
        return construct(self, node, deep)

    monkeypatch.setattr(_Loader, "construct_object", counted)
    lines = problems(tmp_path, text)
    assert said in lines[0]
    assert len(lines) <= most
    assert max(map(len, lines)) <= 2000
    if most > 1:
        assert re.fullmatch(r"and [1-9][\d,]* more problems", lines[-1])
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 < limit


def test_what_is_no_regular_file_is_one_line_and_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    with closing(socket.socket(socket.AF_UNIX)) as bound:
        bound.bind(str(tmp_path / "socket.yaml"))
        for name in ("pipe.yaml", "socket.yaml", "/dev/zero", "/dev/null"):
            with pytest.raises(SpecError, match="is no regular file") as refused:
                Sweep.load(tmp_path / name)
            assert len(str(refused.value).splitlines()) == 1
    with pytest.raises(SpecError, match="is a folder; a file is wanted"):
        Sweep.load(tmp_path)
    with pytest.raises(SpecError, match="cannot be read: "):
        Sweep.load(tmp_path / "a\0b")


def test_a_long_choice_and_thousands_of_arms_are_no_bombs(tmp_path: Path) -> None:
    values = ", ".join(f"{number / 7000:.5g}" for number in range(1, 7001))
    strength = f"strength: {{choice: [{values}]}}"
    sweep = load(tmp_path, SMALL.replace("{dense: {}}", f"{{a: {{penalty: l1, {strength}}}}}"))
    (term,) = sweep.arms["a"].terms
    assert isinstance(term.keys.strength, Choice)
    assert len(term.keys.strength.choice) == 7000
    arms = ", ".join(f"a{number}: {{penalty: l1, strength: 1}}" for number in range(3000))
    assert len(load(tmp_path, SMALL.replace("{dense: {}}", f"{{{arms}}}")).arms) == 3000


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    assert load(tmp_path, f"\ufeff{SMALL}") == load(tmp_path, SMALL)
    (tmp_path / "x.yaml").write_bytes(SMALL.encode("utf-16"))
    with pytest.raises(SpecError, match=r"x\.yaml: is not UTF-8 text \(byte 0\)"):
        Sweep.load(tmp_path / "x.yaml")
