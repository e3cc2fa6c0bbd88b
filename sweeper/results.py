"""The values that everything exchanges: `TrialConfig` in, `TrialResult` out, `Fact` on record.

All are frozen and made of numbers, strings and tuples, so that they can be compared, hashed and
written to a database or another process without loss. Accuracies lie in [0, 1], times are in
seconds, counts are whole numbers of parameters.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Scalar = float | int | str | bool
Options = tuple[tuple[str, "Scalar | tuple[int, ...]"], ...]

TrialState = Literal["complete", "diverged", "collapsed"]
"""`diverged`: NaN or infinity in the loss or weights. `collapsed`: accuracy under the floor."""

Track = Literal["pruned", "as_trained"]
"""Which network of a trial is judged: after pruning and fine-tuning, or with its own zeros."""

Accuracy = Literal["val_accuracy", "test_accuracy"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """What all networks of one pack share. Two trials fit one pack if their recipes are equal."""

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
    """How matrices are multiplied: `float32`, or `tf32` on a GPU that has it."""
    finetuned_curve: tuple[float, ...] = ()
    """Further densities at which the trained network is fine-tuned, and judged then."""


@dataclass(frozen=True, slots=True)
class Term:
    """A penalty, the way it is applied, its strength and its further hyperparameters."""

    penalty: str
    """Name in the catalogue, or `package.module:function`."""
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
    def steady(self) -> bool:
        """Whether it acts in the same way at every step."""
        return self.during == (0.0, 1.0) and not self.ramp


@dataclass(frozen=True, slots=True)
class MethodConfig:
    """What an arm does to training: a sum of penalties, and one further method or none."""

    terms: tuple[Term, ...] = ()
    name: str = "plain"
    """Name of a method in the catalogue; `plain` for training as usual."""
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

    recipe: Recipe
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
class Judged:
    """One network: its size and its accuracies, of the very same weights."""

    nonzero: int
    """Parameters, biases included, that are not exactly 0."""
    weights: int
    biases: int
    effective: int
    """`nonzero` after removing what cannot reach the output; see `training.counting`."""
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


@dataclass(frozen=True, slots=True)
class TrialResult:
    """The outcome of one trial. A diverged one has no networks and empty curves."""

    state: TrialState
    total: int
    """All parameters of the network, biases included."""
    pruned: Judged | None
    as_trained: Judged | None
    curve: tuple[CurvePoint, ...]
    """Without fine-tuning, at the densities of `Recipe.curve`."""
    steps: int
    """Optimizer steps behind each of the two networks, fine-tuning included."""
    seconds: float
    """Wall time of the pack divided by its size: what this trial cost."""
    pack: int
    """Number of trials that were trained together."""
    finetuned: tuple[CurvePoint, ...] = ()
    """With fine-tuning, at the densities of `Recipe.finetuned_curve`. One that diverged in its
    fine-tuning labels nothing rightly: its accuracies are 0."""

    def judged(self, track: Track) -> Judged | None:
        """Return the network of a track, or None for a diverged trial."""
        return self.pruned if track == "pruned" else self.as_trained


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a result comes from. Equal provenance on one kind of CPU means equal bits."""

    sweeper: str
    python: str
    torch: str
    optuna: str
    git_commit: str
    """Commit of the checkout that sweeper runs from, `-dirty` if changed; empty if none."""
    device: str
    """`cpu` or `cuda`."""
    processor: str
    """Name of the GPU, or of the CPU with the vector instructions that PyTorch takes on it."""
    threads: int
    data_hash: str
    """sha256 over the tensors and the split, in the order train, validation, test."""
    host: str


@dataclass(frozen=True, slots=True)
class Fact:
    """One trial on record. Facts are never updated."""

    sweep: str
    arm: str
    repeat: int
    slot: int
    study: str
    """Name of the Optuna study, `<sweep>/<arm>/<repeat>`."""
    trial: int
    """Number of the trial in that study."""
    params: Mapping[str, Scalar]
    """The searched parameters only."""
    config: TrialConfig
    result: TrialResult
    provenance: Provenance
    recorded_at: float
    """Seconds since 1970 by the database's clock."""


@dataclass(frozen=True, slots=True)
class ProbePoint:
    """One network of a probe, judged as trained."""

    strength: float
    """0 for the first point: training without the penalty."""
    state: TrialState
    val_accuracy: float
    nonzero: int
    moved: float
    """Distance of its weights from those of the first point, relative to how far training moved
    these; 0 for the first, infinite for a diverged one."""


@dataclass(frozen=True, slots=True)
class ProbeTask:
    """A range that has to be found before slots of an arm can be claimed."""

    sweep: str
    arm: str
    parameter: str
    """The searched parameter that is `auto`: `strength`, or `l1.strength` in a sum."""
    key: str
    """Equal for probes that would give the same: sha256 of the probe's configuration."""


@dataclass(frozen=True, slots=True)
class Bracket:
    """The range of a strength, from where it does nothing to where networks collapse."""

    low: float
    high: float
    points: tuple[ProbePoint, ...]
    """Ascending in strength."""
    open_below: bool
    """No strength of the probe did nothing: the range may go on below."""
    open_above: bool
    """No strength of the probe collapsed: the range may go on above."""
    seconds: float
    """Wall time of the probe."""


@dataclass(frozen=True, slots=True)
class FoundBracket:
    """A bracket on record. Like facts they are never updated."""

    arm: str
    parameter: str
    bracket: Bracket
    provenance: Provenance
    reused: bool
    """Whether it comes from another sweep, whose probe was the same."""


@dataclass(frozen=True, slots=True)
class Redone:
    """A trial on record that was trained again elsewhere, and what it came to there."""

    arm: str
    repeat: int
    slot: int
    state: TrialState
    nonzero: int
    """On the objective's track, as is the accuracy; 0 for a diverged one."""
    val_accuracy: float


@dataclass(frozen=True, slots=True)
class DriftCheck:
    """Trials of other machines, trained again on one."""

    provenance: Provenance
    """Of the machine that trained them again."""
    redone: tuple[Redone, ...]


@dataclass(frozen=True, slots=True)
class Slot:
    """The right to one trial of an (arm, repeat), as claimed by one worker."""

    sweep: str
    arm: str
    repeat: int
    number: int
    """0 ... budget - 1 within the (arm, repeat)."""
    study: str
    """Name of the Optuna study, `<sweep>/<arm>/<repeat>`."""


FailureKind = Literal["killed", "lease over", "given back", "memory", "error"]
"""Classes of attempts that came to nothing, see `store.failures`."""


SweepState = Literal["open", "stopped", "failed"]
"""Slots are given out only while it is open. `failed`: the same error came again and again."""


@dataclass(frozen=True, slots=True)
class LastError:
    """What training said when it failed, and when (seconds since 1970, the database's clock)."""

    text: str
    at: float


@dataclass(frozen=True, slots=True)
class ArmProgress:
    """How far one arm is: what `run` and `status` show."""

    arm: str
    budget: int
    done: int
    claimed: int
    diverged: int
    collapsed: int
    failures: Mapping[FailureKind, int]
    """Attempts that came to nothing, by class; classes that never came up are left out."""
    last_error: LastError | None
    """What training said when it failed last."""
    best_accuracy: float | None
    """Best validation accuracy on the objective's track."""
    smallest_nonzero: int | None
    """Smallest network of the objective's track over the floor."""
    seconds: float
    """Sum of the seconds of its trials."""
    pace: float | None
    """Mean of those of workers that are alive: a sweep may have begun on another machine."""


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """One worker that holds or held a lease."""

    id: str
    host: str
    pid: int
    device: str
    alive: bool
    slots: int
    done: int
    started_at: float
    progress: float = 0.0
    """Share of its present pack that it has trained, in [0, 1]; seconds old."""


@dataclass(frozen=True, slots=True)
class SweepStatus:
    """Progress of a sweep: the one value behind `run`, `status`, `list` and the dashboard."""

    name: str
    digest: str
    state: SweepState
    created_at: float
    now: float
    """The database's clock when this was read."""
    arms: tuple[ArmProgress, ...]
    workers: tuple[WorkerStatus, ...] = field(default=())
    probes: int = 0
    """Ranges of strengths that this sweep needs, and those that are found."""
    probed: int = 0
    error: str = ""
    """Why a failed sweep was given up."""

    @property
    def failures(self) -> dict[FailureKind, int]:
        """Attempts that came to nothing, of all arms."""
        found: dict[FailureKind, int] = {}
        for arm in self.arms:
            for kind, number in arm.failures.items():
                found[kind] = found.get(kind, 0) + number
        return found

    @property
    def budget(self) -> int:
        return sum(arm.budget for arm in self.arms)

    @property
    def done(self) -> int:
        return sum(arm.done for arm in self.arms)

    @property
    def finished(self) -> bool:
        return self.done == self.budget
