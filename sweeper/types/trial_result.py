"""Trial result: the networks that one training gave, counted and evaluated."""

from dataclasses import dataclass

from sweeper.types.trial_config import Track, TrialState

MOST_POINTS = 500
"""Of a learning curve that is kept."""
MOST_NUMBERS = 64
"""Further numbers of a trial that are kept, and names in a learning curve."""


@dataclass(frozen=True, slots=True)
class LayerCount:
    """Parameters of one layer that are not exactly 0, beside how many there are."""

    name: str
    shape: tuple[int, ...]
    weights: int
    total_weights: int
    biases: int
    total_biases: int


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One network: its size and its accuracies, of the very same weights."""

    nonzero: int
    """Parameters, biases included, that are not exactly 0."""
    weights: int
    biases: int
    effective: int | None
    """Nonzero parameters of an equal network without idle parts; see `training.parameter_counts`.

    None for a network that cannot be followed. Records of networks other than chains that are from
    before these were have `nonzero` here."""
    val_accuracy: float
    test_accuracy: float
    layers: tuple[LayerCount, ...]


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """The trained network pruned to `density`, and fine-tuned or not before it is judged."""

    density: float
    nonzero: int
    val_accuracy: float
    test_accuracy: float
    val_examples: int = 0
    """Validation examples that it was judged on; 0 for all of them."""
    test_examples: int = 0


@dataclass(frozen=True, slots=True)
class LearningPoint:
    """What was measured of a training after some of its epochs."""

    epoch: float
    """Epochs done; any number that grows, such as steps, for a script."""
    values: tuple[tuple[str, float], ...]
    """By name, such as `val_accuracy` in [0, 1] and `loss`, in the order of the names."""


@dataclass(frozen=True, slots=True)
class TrialResult:
    """The outcome of one trial. A diverged one has no networks and no curves but `learning`.

    Of trials that share their training the first that did not diverge has what the training has
    once: the network as trained, the curve without fine-tuning, and the learning curve up to there.
    """

    state: TrialState
    total: int
    """All parameters of the network, biases included."""
    pruned: Evaluation | None
    as_trained: Evaluation | None
    curve: tuple[CurvePoint, ...]
    """Without fine-tuning, at the densities of `SharedConfig.curve`."""
    steps: int
    """Optimizer steps behind each of the two networks, fine-tuning included."""
    seconds: float
    """Wall time of the pack divided by its networks: what this trial cost."""
    pack: int
    """Number of trainings that ran together."""
    finetuned: tuple[CurvePoint, ...] = ()
    """With fine-tuning, at the densities of `SharedConfig.finetuned_curve`.

    One that diverged in its fine-tuning labels nothing rightly: its accuracies are 0.
    """

    learning: tuple[LearningPoint, ...] = ()
    """Its learning curve, ascending in epochs; empty if there is none."""
    numbers: tuple[tuple[str, float], ...] = ()
    """Further numbers that a script measured, in the order of their names."""

    def judged(self, track: Track) -> Evaluation | None:
        """Return the network of a track; None for a diverged trial, or where another has it."""
        return self.pruned if track == "pruned" else self.as_trained
