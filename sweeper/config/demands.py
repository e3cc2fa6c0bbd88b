"""Demands of a study file's parts on one another that are not met, each with the key at fault."""

import math
from typing import TYPE_CHECKING

from sweeper.config import comparison_plan, script_sweep, weight_patterns
from sweeper.config.arm import Arm
from sweeper.config.confirmation_plan import SUFFIX
from sweeper.config.domains import grid_size
from sweeper.config.penalty import Problem, largest_value, smallest_value
from sweeper.config.registry import LOSSES, MEASURES, MODELS
from sweeper.errors import shown

if TYPE_CHECKING:
    from sweeper.config.sweep import Sweep

MOST_TRIALS = 1_000_000
"""Of a sweep: each is a row of a table from the moment when it is registered."""


def of_sweep(sweep: "Sweep") -> list[Problem]:
    """Return all demands that are not met, in the order of the parts."""
    problems: list[Problem] = []
    if sweep.name != (sweep.confirms.name if sweep.confirms else sweep.name.removesuffix(SUFFIX)):
        text = f"must not end in {SUFFIX}, which is for `sweeper confirm`, got {shown(sweep.name)}"
        problems.append(("name", text))
    if sweep.script is not None:
        problems += script_sweep.problems(sweep)
    elif further := script_sweep.packed_problems(sweep):
        return problems + further  # without a dataset or a network nothing else can be said
    elif sweep.is_resolved:
        problems += of_data(sweep)
    if sweep.networks > MOST_TRIALS:
        what = "trials" if sweep.networks_of_slot == 1 else "networks"
        text = f"all arms and repeats together must have <= {MOST_TRIALS:,} {what}"
        key = "confirms.seeds" if sweep.confirms else "search.trials"
        problems.append((key, f"{text}, got {shown(sweep.networks)}"))
    elif sweep.search.sampler == "grid":
        problems += of_grid(sweep)
    if (start := sweep.warm_start) is not None:
        if start.source == sweep.name:
            problems.append(("warm_start.from", f"must be another sweep, got {shown(sweep.name)}"))
        if start.top > (most := sweep.search.trials):
            text = f"must be <= {most}, the trials of an arm and repeat, got {start.top}"
            problems.append(("warm_start.top", text))
    for name, arm in sweep.arms.items():
        problems += [
            (f"arms.{name}.{key}" if key else f"arms.{name}", text)
            for key, text in of_arm(sweep, arm)
        ]
    return problems + comparison_plan.problems(sweep)


def of_data(sweep: "Sweep") -> list[Problem]:
    """Return the demands of network, training and split on the dataset that are not met."""
    problems: list[Problem] = []
    data, name = sweep.data, sweep.dataset.text
    network = MODELS.get(sweep.model.name)
    if network and not network.takes(data.shape):
        sides = f">= {network.least_side}x{network.least_side}"
        text = f"{sweep.model.text} needs images of 1 channel or more and {sides}"
        problems.append(("model", f"{text}, {name} has {data.shape}"))
    if network and network.batch_norm and sweep.training.batch_size < 2:
        text = f"must be >= 2 for the batch norm of {sweep.model.text}, got 1"
        problems.append(("training.batch_size", text))
    if sweep.training.batch_size > data.train:
        text = f"must be <= {data.train}, the training examples of {name}"
        problems.append(("training.batch_size", f"{text}, got {sweep.training.batch_size}"))
    if sweep.dataset.in_registry and sweep.split.test is not None:
        problems.append(("split.test", f"{name} has a test part of its own"))
    problems += _target_problems(sweep)
    if sweep.training.augment:
        problems += _augmentation_problems(sweep)
    layers = sweep.model.layers(data) if sweep.sparsification.prune and not problems else None
    if layers is not None:
        names = [layer.weight for layer in layers if layer.weight]
        for place, text in weight_patterns.faults(sweep.sparsification.prune, names):
            problems.append((f"sparsification.prune.{place}".rstrip("."), text))
    return problems


def _target_problems(sweep: "Sweep") -> list[Problem]:
    """Return a loss and a measure that are not for the targets of the dataset."""
    values, name = sweep.data.values, sweep.dataset.text
    targets = "numbers" if values else "labels"
    loss, measure = LOSSES.get(sweep.training.loss.name), MEASURES.get(sweep.measure)
    problems: list[Problem] = []
    if loss and values and not loss.takes_values:
        allowed = ", ".join(key for key, entry in LOSSES.items() if entry.takes_values)
        text = f"{sweep.training.loss.name} is for labels, the targets of {name} are numbers"
        problems.append(("training.loss", f"{text}; allowed: {allowed}, package.module:function"))
    if measure and measure.of_values != values:
        allowed = ", ".join(key for key, entry in MEASURES.items() if entry.of_values == values)
        whose = "numbers" if measure.of_values else "labels"
        text = f"{sweep.measure} is for {whose}, the targets of {name} are {targets}"
        problems.append(("measure", f"{text}; allowed: {allowed}, package.module:function"))
    if values and sweep.training.teacher:
        text = f"is for labels, the targets of {name} are numbers"
        problems.append(("training.teacher", text))
    return problems


def _augmentation_problems(sweep: "Sweep") -> list[Problem]:
    shape, name = sweep.data.shape, sweep.dataset.text
    if len(shape) != 3:
        text = f"is for images (channels, height, width), {name} has {shape}"
        return [("training.augment", text)]
    return [
        (f"training.augment.{place}", f"moves images by their whole size, {name} has {shape}")
        for place, text in enumerate(sweep.training.augment)
        if text != "flip" and int(text.rstrip(")").partition("(")[2]) >= min(shape[1:])
    ]


def of_arm(sweep: "Sweep", arm: Arm) -> list[Problem]:
    """Return the demands of an arm on the network and the learning rate that are not met."""
    problems: list[Problem] = []
    shared, text = sweep.shared_domains(), "stands for all arms in its own part of the file"
    for term in arm.terms:
        if ":" in term.penalty and not term.prefix:
            keys = [key for key in term.own_keys if key in shared]
            problems += [(key, f"{key} {text}, and cannot be a formula's") for key in keys]
    if arm.has_outside_method:
        keys = [key for key in arm.method_hyper if key in shared]
        problems += [(key, f"{key} {text}, and cannot be a method's") for key in keys]
    if arm.entry and arm.entry.mlp_only and sweep.model.hidden is None:
        text = f"{arm.method} needs a fully connected network, {sweep.model.name} is none"
        problems.append(("method", text))
    if arm.entry and arm.entry.mlp_only and sweep.sparsification.prune:
        text = f"{arm.method} narrows every layer, sparsification.prune leaves some out"
        problems.append(("method", text))
    granularity = sweep.sparsification.granularity
    if arm.entry and arm.entry.picks_weights and granularity != "weight":
        text = f"{arm.method} picks single weights: needs sparsification.granularity weight"
        problems.append(("method", f"{text}, got {granularity}"))
    rate = largest_value(sweep.training.learning_rate)
    for term in arm.terms:
        if sweep.is_resolved and term.keys.during and _is_empty(sweep, term.keys.during):
            steps = sweep.training.epochs * sweep.steps_per_epoch
            place = f"sum.{term.penalty}.during" if term.prefix else "during"
            window = list(term.keys.during)
            problems.append((place, f"holds none of the {steps:,} training steps, got {window}"))
        if term.mode != "prox":
            continue
        for key, entry in term.formula.hyper.items():
            if (
                entry.min_above_learning_rate is None
                or smallest_value(term.hyper[key]) > rate + entry.min_above_learning_rate
            ):
                continue
            place = f"sum.{term.penalty}.{key}" if term.prefix else key
            least = f"{rate + entry.min_above_learning_rate:g}"
            text = f"must be > {least} as prox (the largest learning rate is {rate:g})"
            problems.append((place, f"{text}, got {smallest_value(term.hyper[key]):g}"))
    return problems


def _is_empty(sweep: "Sweep", during: tuple[float, float]) -> bool:
    """Tell whether no step lies between two shares of the training."""
    steps = sweep.training.epochs * sweep.steps_per_epoch
    begin, end = (math.ceil(part * steps) for part in during)
    return begin == end


def of_grid(sweep: "Sweep") -> list[Problem]:
    """Return the arms that the grid sampler cannot search as the file says."""
    problems = []
    for name in sweep.arms:
        size = grid_size(sweep.domains(name))
        if size is None:
            text = "the grid sampler needs choice or integer domains only"
        elif size < sweep.search.trials:
            text = f"the grid has {size} points, fewer than search.trials {sweep.search.trials}"
        else:
            continue
        problems.append((f"arms.{name}", text))
    return problems
