"""Trial configuration: all that the training of one network depends on, data and device apart."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

Scalar = float | int | str | bool
Options = tuple[tuple[str, "Scalar | tuple[int, ...]"], ...]

TrialState = Literal["complete", "diverged", "collapsed"]
"""`diverged`: NaN or infinity in the loss or weights. `collapsed`: accuracy under the floor."""

Track = Literal["pruned", "as_trained"]
"""The network of a trial that is judged: after pruning and fine-tuning, or with its own zeros."""

ApplyMode = Literal["loss", "decoupled", "prox", "shrink"]
APPLY_MODES: tuple[ApplyMode, ...] = ("loss", "decoupled", "prox", "shrink")
"""Modes in which a penalty acts: see `sweeper.training.penalties`."""

PruningScope = Literal["global", "per_layer", "erk"]
"""Weights that are ranked together: those of all layers, or of each, at the density of all or at
Erdos-Renyi-Kernel densities."""

Accuracy = Literal["val_accuracy", "test_accuracy"]
SizeMeasure = Literal["nonzero", "effective"]
"""A count of parameters: all that are not 0, or those of them that reach the output."""


@dataclass(frozen=True, slots=True)
class SplitConfig:
    """Split of a dataset into training, validation and test examples."""

    validation: float | None = None
    """Share of the training examples that are held out; None: as the dataset has it."""
    test: float | None = None
    """Share of all examples that are held out for the test, of a dataset without a test part."""
    seed: int = 0
    """Of the draw of validation examples; those for the test never change."""
    by_repeat: bool = False
    """Whether the seed differs from repeat to repeat."""


@dataclass(frozen=True, slots=True)
class LossConfig:
    """Loss that training minimises."""

    name: str = "cross_entropy"
    """Name in the registry, or `package.module:function`."""
    label_smoothing: float = 0.0
    """Share of a label that is spread over all classes, for cross-entropy."""


@dataclass(frozen=True, slots=True)
class TeacherConfig:
    """Trained network that all networks of a sweep learn from beside the labels."""

    network: str
    """A .safetensors file, or `package.module:function`."""
    weight: float
    """Share of the loss that is the distance from it, in (0, 1]."""
    temperature: float
    """By which logits are divided for that distance."""
    hash: str = ""
    """sha256 of its parameters and buffers; empty before it is known."""


@dataclass(frozen=True, slots=True)
class PruneConfig:
    """Choice of the weights that are pruned, and the order in which they go."""

    names: tuple[str, ...] = ()
    """Patterns of names of weights, with `!` before those left out; none: all of two or more
    dimensions."""
    scope: PruningScope = "global"
    granularity: str = "weight"
    """`weight`; `input` or `output`, whole units or channels; `2:4`, of consecutive inputs."""
    dead_biases: bool = False
    """Whether biases go that no weight leads on from."""

    @property
    def pattern(self) -> tuple[int, int] | None:
        """How many of how many consecutive inputs stay, if that is fixed."""
        return consecutive(self.granularity)


def consecutive(granularity: str) -> tuple[int, int] | None:
    """Return the numbers of a granularity like `2:4`; None for any other.

    >>> consecutive("2:4"), consecutive("input")
    ((2, 4), None)
    """
    stay, colon, of = granularity.partition(":")
    return (int(stay), int(of)) if colon else None


@dataclass(frozen=True, slots=True)
class ScriptConfig:
    """Training of a user's own that is called for each trial: a function, or a command."""

    function: str = ""
    """`package.module:function`; empty for a command."""
    command: tuple[str, ...] = ()
    """Program and arguments, with `{name}` where a value of the trial stands."""

    @property
    def text(self) -> str:
        """The training as people write it."""
        return self.function or shlex.join(self.command)


@dataclass(frozen=True, slots=True)
class SharedConfig:
    """Settings that all networks of a pack share. Two trials fit one pack if theirs are equal."""

    model: str
    model_options: Options
    dataset: str
    batch_size: int
    epochs: int
    finetune_epochs: int
    optimizer: str
    schedule: str
    repeat: int
    order_seed: int
    """Seed of the data order: equal for all arms of a repeat (paired randomness)."""
    curve: tuple[float, ...]
    """Densities at which the trained network is judged without fine-tuning."""
    precision: str = "float32"
    """Precision of matrix products in training: `float32`, or `bfloat16`, `tf32` where there is."""
    finetuned_curve: tuple[float, ...] = ()
    """Further densities at which the trained network is fine-tuned, and judged then."""
    dataset_options: Options = ()
    """Of a dataset that is not in the registry: its file, its folder, arguments of its function."""
    split: SplitConfig = SplitConfig()
    augment: tuple[str, ...] = ()
    """Random changes of the training examples of each step, in order: `shift(1)`, `flip`."""
    loss: LossConfig = LossConfig()
    measure: str = "accuracy"
    """Quality of a network: name in the registry, or `package.module:function`."""
    teacher: TeacherConfig | None = None
    prune: PruneConfig = PruneConfig()
    script: ScriptConfig | None = None
    """What trains in place of all the above but `repeat` and `order_seed`; they are empty then."""


@dataclass(frozen=True, slots=True)
class PenaltyConfig:
    """A penalty, the way it is applied, its strength and its further hyperparameters."""

    penalty: str
    """Name in the registry, or `package.module:function`."""
    apply: str
    """`loss`, `decoupled`, `prox` or `shrink`."""
    strength: float
    hyper: tuple[tuple[str, Scalar], ...] = ()
    shuffled: bool = False
    """Evaluated on a fixed random permutation of the entries: a control without arrangement."""
    during: tuple[float, float] = (0.0, 1.0)
    """Shares of the training between which it acts."""
    ramp: float = 0.0
    """Share of that time over which its strength rises, linearly from 0."""

    @property
    def step_invariant(self) -> bool:
        """Whether it acts in the same way at every step."""
        return self.during == (0.0, 1.0) and not self.ramp


@dataclass(frozen=True, slots=True)
class MethodConfig:
    """Method of an arm: a sum of penalties, and one other method or none."""

    terms: tuple[PenaltyConfig, ...] = ()
    name: str = "plain"
    """Name of a method in the registry; `plain` for training as usual."""
    own_strength: float = 0.0
    """Of a method that has one, such as gates."""
    hyper: tuple[tuple[str, Scalar], ...] = ()
    """Of the method; those of penalties stand in their terms."""

    @property
    def strength(self) -> float:
        """The strength that a table shows: of the first term, else of the method."""
        return self.terms[0].strength if self.terms else self.own_strength


@dataclass(frozen=True, slots=True)
class TrialConfig:
    """One network to train: everything that its result depends on, data and device apart."""

    recipe: SharedConfig
    init_seed: int
    """Seed of the initial weights: equal for all arms at one (repeat, slot)."""
    learning_rate: float
    momentum: float
    """Momentum of SGD, first beta of Adam."""
    finetune_learning_rate_factor: float
    """Learning rate of fine-tuning = this factor x `learning_rate`."""
    method: MethodConfig
    density: float
    """Kept weights / all weights on the pruned track, in (0, 1]."""
    floor: float
    """Validation accuracy on the objective's track under which the trial has collapsed."""
    track: Track
    weight_decay: float = 0.0
    """Of all parameters: in the loss, or decoupled from the moments with AdamW."""
    values: tuple[tuple[str, Scalar], ...] = ()
    """Of a script: all that it is given by name, searched or fixed, in the order of the names."""
    training_density: float | None = None
    """Density that the training itself is told, of a network that is cut from it at `density`; None
    where that is the same. Such networks may share their training: see `by_training`."""


def by_training(configs: Sequence[TrialConfig]) -> list[range]:
    """Return the places of configurations that share a training, of each training in turn.

    Those one after the other that differ in nothing but a falling density do.
    """
    starts = [
        place
        for place, config in enumerate(configs)
        if not place or not _share_training(configs[place - 1], config)
    ]
    return [range(start, stop) for start, stop in pairwise([*starts, len(configs)])]


def _share_training(config: TrialConfig, next_: TrialConfig) -> bool:
    return (
        config.training_density is not None
        and next_.density < config.density
        and replace(next_, density=config.density) == config
    )
