"""Judging plan: the examples that each judgement of a trial sees, by counts alone.

All judging together costs at most a fifth of the trial's training, in forward passes of one example
through one network. The examples are counted as if every fine-tuning were dense: what each
judgement sees follows from the recipe, not from how fast sparse networks are trained. First come
the two whole judgings, of the networks as trained and as pruned, which are the record: always on
all validation and test examples. What is left over is the density curve's: the same number of
examples at each of its points, for all arms and on any machine. Never fewer than `LEAST` of each
part, so that a short training may miss the fifth: LeNet-5 on MNIST, an epoch and no fine-tuning,
comes to 0.33 of its training, an epoch and one of fine-tuning to 0.20.

Learning curves come on top, with a hundredth of the training: a network is looked at after epochs,
on validation examples alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sweeper.types import SharedConfig

SHARE = 0.2
"""Of the training: what judging may cost."""
STEP_PASSES = 3
"""Forward passes that a training step costs for each of its examples: there, and twice back.
Measured on one thread: LeNet-5 2.8, a convolutional network of three layers 3.2."""
LEAST = 250
"""Validation, and test, examples that a point sees at the least, if there are as many."""
LEARNING_SHARE = 0.01
"""Of the training: what learning curves may cost. The fewest looks of LEAST examples may cost more:
of 20 + 10 epochs on 1,137 digits 3 %."""
LEARNING = 1000
"""Validation examples that a look sees at the most."""
FEWEST_LOOKS, MOST_LOOKS = 8, 30
"""Looks of a phase, training or fine-tuning, that there are if it has as many epochs, and at the
most: a curve of more points says no more."""
STATISTICS, POINT_STATISTICS = 2000, 1000
"""Training examples that running statistics are taken from for a whole judging, and for a point."""
_SPARSE_START, _SPARSE_SLOPE, _SPARSE_MOST = 0.06, 2.6, 0.17
"""Cost of an MLP of few weights, in dense passes: start + slope x density, up to a density.

Measured with LeNet-300-100 on a CPU with fast products, where it saves least: 0.06 of a dense pass
at a density of 0.0015, 0.13 at 0.04, 0.5 at 0.17, 1 beyond."""

_SPARSE_STEP_START, _SPARSE_STEP_SLOPE, _SPARSE_STEP_MOST = 0.05, 2.1, 0.35
"""Cost of a step of an MLP of few weights, in dense steps, likewise: measured in
`training/sparse_fine_tuning.py`, whose bound it is."""


@dataclass(frozen=True, slots=True)
class PartSizes:
    """Examples of the parts of a dataset."""

    train: int
    validation: int
    test: int


@dataclass(frozen=True, slots=True)
class JudgedExamples:
    """Examples that one judgement of a network sees, and those its running statistics see."""

    validation: int
    test: int
    statistics: int = 0

    @property
    def judged(self) -> int:
        return self.validation + self.test


@dataclass(frozen=True, slots=True)
class LearningPlan:
    """Looks at networks while they are trained."""

    examples: int
    """Validation examples that each sees."""
    most: int
    """Looks of a phase, at the most."""

    def looks(self, epochs: int) -> tuple[int, ...]:
        """Return the epochs of a phase after which there is a look, the last among them.

        >>> LearningPlan(examples=1000, most=3).looks(10)
        (4, 8, 10)
        """
        every = -(-epochs // self.most)
        return tuple(
            epoch for epoch in range(1, epochs + 1) if not epoch % every or epoch == epochs
        )

    def passes(self, phases: Sequence[int]) -> int:
        """Return the forward passes of phases of so many epochs."""
        return self.examples * sum(len(self.looks(epochs)) for epochs in phases)


@dataclass(frozen=True, slots=True)
class JudgingPlan:
    """Judging of a trial, and its cost beside that of the training."""

    whole: JudgedExamples
    curve: JudgedExamples
    """At each density of the curve without fine-tuning."""
    finetuned: JudgedExamples
    """At each density that is fine-tuned."""
    training_passes: float
    """Forward passes that the training steps cost, those of all fine-tuning among them: of the
    trial's own density as if it were dense, see `saved`."""
    finetuning_passes: int
    """Those of them that one fine-tuning costs where it is dense."""
    judging_passes: float
    learning: LearningPlan
    learning_passes: int
    network_passes: float
    """All work of one more network that is cut from the same training, as if it were dense."""
    is_mlp: bool

    @property
    def passes(self) -> float:
        """All work of a trial that is fine-tuned through dense products."""
        return self.training_passes + self.judging_passes + self.learning_passes

    def saved(self, density: float) -> float:
        """Return the passes that one fine-tuning at a density costs less than a dense one."""
        return self.finetuning_passes * (1 - step_cost(density, is_mlp=self.is_mlp))

    def is_whole(self, examples: JudgedExamples) -> bool:
        """Tell whether a judgement sees all validation and test examples."""
        return examples.judged == self.whole.judged


def judging_plan(
    recipe: SharedConfig,
    sizes: PartSizes,
    *,
    is_mlp: bool,
    has_statistics: bool = False,
) -> JudgingPlan:
    """Plan the judging of a recipe on a dataset.

    `is_mlp` of fully connected networks, whose sparse points run through what is left of them;
    `has_statistics` of those whose running statistics are taken anew before each judgement.
    """
    train, validation, test = sizes.train, sizes.validation, sizes.test
    epoch = STEP_PASSES * recipe.batch_size * (train // recipe.batch_size)
    finetuning = recipe.finetune_epochs * epoch
    training = recipe.epochs * epoch + finetuning
    most = validation + test
    statistics = min(STATISTICS, train) if has_statistics else 0
    of_point = min(POINT_STATISTICS, train) if has_statistics else 0
    whole = JudgedExamples(validation, test, statistics)

    def part(passes: float, densities: int, cost: float) -> JudgedExamples:
        """Return the examples of each of some points that together cost so many passes."""
        if not densities:
            return whole
        judged = (passes - densities * of_point) / cost
        if judged < of_point:  # as many for the statistics as are judged
            judged = passes / (cost + densities)
        share = min(1.0, max(0.0, judged) / most)
        seen = [
            count if share == 1 else min(count, max(LEAST, int(share * count)))
            for count in (validation, test)
        ]
        return JudgedExamples(seen[0], seen[1], min(of_point, sum(seen)))

    costs = [point_cost(density, is_mlp=is_mlp) for density in recipe.curve]
    curve = part(SHARE * training - 2 * (most + statistics), len(costs), sum(costs))
    further = len(recipe.finetuned_curve)
    finetuned = part(SHARE * further * finetuning, further, further)
    phases = (recipe.epochs, recipe.finetune_epochs)
    learning = _learning_plan(LEARNING_SHARE * training, phases, validation)
    return JudgingPlan(
        whole,
        curve,
        finetuned,
        training_passes=training
        + finetuning * sum(step_cost(density, is_mlp=is_mlp) for density in recipe.finetuned_curve),
        finetuning_passes=finetuning,
        judging_passes=2 * (most + statistics)
        + sum(costs) * curve.judged
        + len(costs) * curve.statistics
        + further * (finetuned.judged + finetuned.statistics),
        learning=learning,
        learning_passes=learning.passes(phases),
        is_mlp=is_mlp,
        network_passes=finetuning + most + statistics + learning.passes(phases[1:]),
    )


def _learning_plan(passes: float, phases: Sequence[int], validation: int) -> LearningPlan:
    """Return as many looks as so many passes allow, of as many examples as they then allow."""
    least = min(LEAST, validation)
    most = min(MOST_LOOKS, max(FEWEST_LOOKS, int(passes / (least * len(phases)))))
    looks = LearningPlan(1, most).passes(phases)
    return LearningPlan(min(validation, LEARNING, max(least, int(passes / looks))), most)


def point_cost(density: float, *, is_mlp: bool) -> float:
    """Return the cost of a point on one example, in forward passes of the dense network."""
    is_sparse = is_mlp and density <= _SPARSE_MOST
    return _SPARSE_START + _SPARSE_SLOPE * density if is_sparse else 1.0


def step_cost(density: float, *, is_mlp: bool) -> float:
    """Return the cost of a step of fine-tuning at a density, in steps of the dense network."""
    is_sparse = is_mlp and density <= _SPARSE_STEP_MOST
    return _SPARSE_STEP_START + _SPARSE_STEP_SLOPE * density if is_sparse else 1.0
