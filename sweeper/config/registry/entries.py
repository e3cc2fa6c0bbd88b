"""Entries of the registry: formulas, methods, models and datasets, without loading torch."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from sweeper.config.registry.network_sizes import LayerSize
from sweeper.types import APPLY_MODES, ApplyMode, Scalar

Family = Literal["lp", "entropy", "arrangement", "hybrid", "shuffled", "other"]
"""Families in which formulas are compared; `choices.FAMILIES` has their titles."""

EXACT_ZEROS = frozenset({"prox", "shrink"})
"""The modes that can set weights to exactly 0 while training."""


@dataclass(frozen=True, slots=True)
class Hyperparameter:
    """A hyperparameter: a float in [low, high], or one of `choices` if given.

    Floats may differ within a pack; choices are static and split it.
    """

    default: Scalar
    summary: str
    low: float = -math.inf
    high: float = math.inf
    above: bool = False
    """Whether `low` itself is not allowed."""
    choices: tuple[Scalar, ...] = ()
    differentiable_from: float = -math.inf
    """Below it the gradient is infinite at a weight of 0: loss and decoupled are refused."""
    min_above_learning_rate: float | None = None
    """prox is exact only while the learning rate is below the value minus this number."""

    @property
    def allowed(self) -> str:
        """The allowed values as people write them, such as `(0, 1]` or `true, false`."""
        if self.choices:
            return ", ".join(str(choice).lower() for choice in self.choices)
        left, right = "(" if self.above else "[", "]" if self.high < math.inf else ")"
        return f"{left}{self.low:g}, {self.high:g}{right}"


@dataclass(frozen=True, slots=True)
class Formula:
    """A penalty R(W): where its functions lie and what is known of it."""

    summary: str
    """What it is in a few words, for a table."""
    formula: str
    """R(W) in the letters of `sweeper regularizers NAME`."""
    reference: str
    value: str
    """`module:function`, (weight [pack, out, in], **hyper) -> [pack]."""
    default_mode: ApplyMode
    family: Family = "other"
    """Formulas that it is compared with, and in whose name it speaks."""
    shrinkage: str | None = None
    """`module:function`, (weight, **hyper) -> dR/d|w|, broadcastable over [pack, out, in]."""
    prox: str | None = None
    """`module:function`, (weight, *, step, strength, **hyper) -> weight."""
    hyper: Mapping[str, Hyperparameter] = field(default_factory=dict)
    sees_arrangement_of: str = ""
    """Which arrangement of the weights it sees, such as `rows and columns`; empty: none."""
    scale_invariant: bool = False
    """R(aW) = R(W) for a > 0; with a hyperparameter `scaled`, while that is false."""
    gives_zeros: bool = True
    """Whether `prox` or `shrink` sets weights to exactly 0; the other modes never do."""
    strength_inside: bool = False
    """Whether strength is a letter of R (`value`, `shrinkage` take it), not a factor before it."""
    unsupported: Mapping[ApplyMode, str] = field(default_factory=dict)
    """Mode -> reason, for the modes that do not exist."""

    @property
    def modes(self) -> tuple[ApplyMode, ...]:
        """The modes in which the formula can be applied."""
        return tuple(mode for mode in APPLY_MODES if mode not in self.unsupported)


@dataclass(frozen=True, slots=True)
class MethodEntry:
    """What an arm may do to training beside penalties: a pruning schedule, gates, widths."""

    summary: str
    description: str
    """How it works, in one or two sentences."""
    reference: str
    factory: str
    """`module:class` of a `sweeper.training.methods.Method`."""
    hyper: Mapping[str, Hyperparameter] = field(default_factory=dict)
    has_strength: bool = False
    """Whether it has a strength of its own; then it stands without penalties."""
    takes_density: bool = True
    """Whether it brings the network to the trial's density by itself."""
    passes_densities: bool = False
    """Whether its density falls little by little, so that it passes those of a ladder."""
    mlp_only: bool = False
    """Whether it needs a fully connected network."""
    picks_weights: bool = False
    """Whether it picks single weights to be trained, by no rule of the study file."""


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """A network by name. Options and sizes are known here so that `check` needs no torch."""

    summary: str
    factory: str
    """`module:function`, (shape, classes, **options) -> nn.Module."""
    layers: Callable[..., Iterator[LayerSize]]
    """Its layers by the same arguments."""
    hidden: tuple[int, ...] | None = None
    """Hidden widths of a fully connected network that takes no widths."""
    with_widths: str = ""
    """How it is written with the widths of its layers, such as `mlp(64, 32)`; empty: without."""
    least_widths: int = 0
    options: Mapping[str, Hyperparameter] = field(default_factory=dict)
    least_side: int = 0
    """Height and width of the smallest images that it takes; 0: examples of any shape."""
    batch_norm: bool = False
    """Whether an example is normalised by those beside it, of which there must be some."""

    def takes(self, shape: tuple[int, ...]) -> bool:
        """Return True if examples of this shape fit."""
        return not self.least_side or (len(shape) == 3 and min(shape[1:]) >= self.least_side)


class ExampleShape(Protocol):
    """What the size of a network depends on: the shape of an example, and the classes."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def classes(self) -> int: ...


@dataclass(frozen=True, slots=True)
class DatasetForm:
    """A form that datasets of one's own have: files that a reader of ours turns into arrays."""

    summary: str
    loader: str
    """`module:function`, (folder, on_progress, **keys) -> raw examples and labels."""
    keys: Mapping[str, bool]
    """Keys of the study file that it takes -> whether they are required."""


@dataclass(frozen=True, slots=True)
class DatasetEntry:
    """A dataset by name, with the sizes that it is split into."""

    summary: str
    loader: str
    """`module:function`, (folder) -> raw examples and labels."""
    shape: tuple[int, ...]
    """Of an example: channels, height, width of an image; columns of a table."""
    classes: int
    train: int
    validation: int
    test: int
    bundled: bool = False
    """Whether it comes with a package, and needs no folder."""
    torchvision: str = ""
    """Its class in torchvision.datasets."""
    subset: str = ""
    """Its part of a collection, as torchvision's class names it."""
    folder: str = ""
    """Folder of its files within that of datasets, as torchvision has it; empty: that itself."""
    hash: str = ""
    """Of all images, labels and the split, where it is known: by it a dataset is whole."""
    hash_of_parts: bool = False
    """Whether its hash covers the drawn parts: results on record have such hashes."""
    checksums: Mapping[str, str] = field(default_factory=dict)
    """File in the format of MNIST -> its SHA-256, where it is known."""
    downloads: Mapping[str, str] = field(default_factory=dict)
    """Compressed file in the format of MNIST -> its MD5, as it was published."""
    files: Mapping[str, str] = field(default_factory=dict)
    """File of any other format -> its MD5, as it was published."""
