"""Names of everything that a study file may choose, with facts about each; loads no torch.

Adding a formula, a model or a dataset takes three places: its function, its line here, and its
row of reference values in the test. Functions are named by `"module:function"` and loaded by
`load` at the moment they are used, so that `check`, `status` and `--help` stay fast.
"""

import importlib
import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sweeper.errors import PluginError
from sweeper.results import Scalar

Way = Literal["loss", "decoupled", "prox", "shrink"]


@dataclass(frozen=True, slots=True)
class Hyper:
    """A hyperparameter of a formula: a float in [low, high], or one of `choices` if given.

    Floats may differ within a pack; choices are static and split it.
    """

    default: Scalar
    low: float = -math.inf
    high: float = math.inf
    choices: tuple[Scalar, ...] = ()


@dataclass(frozen=True, slots=True)
class Formula:
    """A penalty R(W): where its functions lie and what is known of it."""

    summary: str
    value: str
    """`module:function`, (weight [pack, out, in], **hyper) -> [pack]."""
    default_way: Way
    shrinkage: str | None = None
    """`module:function`, (weight, **hyper) -> dR/d|w| [pack, out, in]."""
    prox: str | None = None
    """`module:function`, (weight, *, step, strength, **hyper) -> weight."""
    hyper: Mapping[str, Hyper] = field(default_factory=dict)
    sees_arrangement: bool = False
    scale_invariant: bool = False
    gives_zeros: bool = True
    """Whether `prox` or `shrink` sets weights to exactly 0; the other ways never do."""
    why_not: Mapping[str, str] = field(default_factory=dict)
    """Way -> reason, for the ways that do not exist."""

    @property
    def ways(self) -> tuple[Way, ...]:
        """The ways in which the formula can be applied."""
        found: list[Way] = ["loss", "decoupled"]
        if self.prox:
            found.append("prox")
        if self.shrinkage:
            found.append("shrink")
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Model:
    """A network by name. Options and sizes are known here so that `check` needs no torch."""

    summary: str
    factory: str
    """`module:function`, (shape, classes, **options) -> nn.Module."""
    widths: tuple[int, ...] | None = None
    """Hidden widths of a fully connected network; None: the option `widths` gives them."""
    parameters: int | None = None
    """Total parameters where widths do not tell."""
    multiplications: int | None = None
    """Multiply-adds of one forward pass of one example, where widths do not tell."""
    shape: tuple[int, int, int] | None = None
    """The only input shape that it takes; None: any."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """A dataset by name, with the sizes that it is split into."""

    summary: str
    loader: str
    """`module:function`, (folder) -> raw images and labels."""
    shape: tuple[int, int, int]
    """Channels, height, width."""
    classes: int
    train: int
    validation: int
    test: int


_SCALED = Hyper(default=True, choices=(True, False))
_NO_PROX = "its proximal operator has no closed form; use shrink"
_REGULARIZERS = "sweeper.regularizers"

FORMULAS: Mapping[str, Formula] = {
    "none": Formula(
        summary="no penalty",
        value=f"{_REGULARIZERS}.norms:zero",
        default_way="loss",
        gives_zeros=False,
    ),
    "l1": Formula(
        summary="sum |w|",
        value=f"{_REGULARIZERS}.norms:l1",
        shrinkage=f"{_REGULARIZERS}.norms:l1_shrinkage",
        prox=f"{_REGULARIZERS}.norms:l1_prox",
        default_way="prox",
    ),
    "l2": Formula(
        summary="sum w^2",
        value=f"{_REGULARIZERS}.norms:l2",
        shrinkage=f"{_REGULARIZERS}.norms:l2_shrinkage",
        prox=f"{_REGULARIZERS}.norms:l2_prox",
        default_way="prox",
        gives_zeros=False,
    ),
    "joint_entropy": Formula(
        summary="H(P), entropy of the magnitudes of a matrix; blind to their arrangement",
        value=f"{_REGULARIZERS}.entropies:joint_entropy",
        shrinkage=f"{_REGULARIZERS}.entropies:joint_entropy_shrinkage",
        default_way="shrink",
        hyper={"scaled": _SCALED},
        scale_invariant=True,
        why_not={"prox": _NO_PROX},
    ),
    "marginal_entropy": Formula(
        summary="H(r) + H(c), entropies of the row and column sums of the magnitudes",
        value=f"{_REGULARIZERS}.entropies:marginal_entropy",
        shrinkage=f"{_REGULARIZERS}.entropies:marginal_entropy_shrinkage",
        default_way="shrink",
        hyper={"scaled": _SCALED},
        sees_arrangement=True,
        scale_invariant=True,
        why_not={"prox": _NO_PROX},
    ),
    "l1_marginal_entropy": Formula(
        summary="L1 + mix x S x (H(r) + H(c)), S = sum |w| held constant in the gradient",
        value=f"{_REGULARIZERS}.entropies:l1_marginal_entropy",
        shrinkage=f"{_REGULARIZERS}.entropies:l1_marginal_entropy_shrinkage",
        default_way="shrink",
        hyper={"mix": Hyper(default=0.5, low=0.0, high=10.0)},
        sees_arrangement=True,
        why_not={"prox": _NO_PROX},
    ),
}

MODELS: Mapping[str, Model] = {
    "lenet-300-100": Model(
        summary="fully connected, hidden layers of 300 and 100",
        factory="sweeper.models:lenet_300_100",
        widths=(300, 100),
    ),
    "mlp": Model(
        summary="fully connected with ReLU; option widths, such as mlp(64, 32)",
        factory="sweeper.models:mlp",
    ),
    "lenet-5": Model(
        summary="the Caffe LeNet-5: two convolutions of 20 and 50 kernels, a hidden layer of 500",
        factory="sweeper.models:lenet_5",
        parameters=431_080,
        multiplications=2_293_000,
        shape=(1, 28, 28),
    ),
}

DATASETS: Mapping[str, Dataset] = {
    "digits": Dataset(
        summary="8x8 digits, bundled with scikit-learn",
        loader="sweeper.datasets:read_digits",
        shape=(1, 8, 8),
        classes=10,
        train=1137,
        validation=300,
        test=360,
    ),
    "mnist": Dataset(
        summary="28x28 handwritten digits (LeCun et al. 1998), through torchvision",
        loader="sweeper.datasets:read_mnist",
        shape=(1, 28, 28),
        classes=10,
        train=50_000,
        validation=10_000,
        test=10_000,
    ),
    "fashion-mnist": Dataset(
        summary="28x28 pictures of clothes (Xiao et al. 2017), through torchvision",
        loader="sweeper.datasets:read_fashion_mnist",
        shape=(1, 28, 28),
        classes=10,
        train=50_000,
        validation=10_000,
        test=10_000,
    ),
}

OPTIMIZERS = ("sgd", "adam")
SCHEDULES = ("constant", "cosine", "linear")

SAMPLERS: Mapping[str, int] = {
    "tpe": 10,
    "nsga2": 50,
    "gp": 10,
    "qmc": 0,
    "random": 0,
    "grid": 0,
}
"""Sampler -> trials before it learns: its start-up or population; 0 for those that never do."""

SLOT_SAMPLERS = frozenset({"qmc", "random", "grid"})
"""Samplers whose parameters are a function of the slot alone."""


def load(name: str) -> Any:
    """Return the object at `package.module:name`. Raises PluginError with the reason."""
    module_name, _, attribute = name.partition(":")
    try:
        return getattr(importlib.import_module(module_name), attribute)
    except Exception as error:  # a user's module may raise anything while it is imported
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise PluginError(f"{name}: cannot be loaded: {reason}") from error


def layer_sizes(widths: tuple[int, ...], dataset: Dataset) -> tuple[tuple[int, int], ...]:
    """Return (inputs, outputs) of each layer of a fully connected network."""
    sizes = (math.prod(dataset.shape), *widths, dataset.classes)
    return tuple(itertools.pairwise(sizes))


def count_parameters(widths: tuple[int, ...], dataset: Dataset) -> int:
    """Return all parameters of a fully connected network, biases included.

    >>> count_parameters((300, 100), DATASETS["mnist"])
    266610
    """
    return sum((inputs + 1) * outputs for inputs, outputs in layer_sizes(widths, dataset))
