"""The work that every contestant does: which trials, on which data, judged how."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import optuna

from sweeper.config import Sweep
from sweeper.search.samplers import ParameterSource
from sweeper.training.datasets import Data, DataSplit
from sweeper.types import TrialConfig

ARM = "l1"
USUAL_CURVE = Sweep.model_fields["sparsification"].default.curve


@dataclass(frozen=True)
class Work:
    """Trials of LeNet-300-100: SGD, cosine, an L1 proximal step, pruning, masked fine-tuning."""

    dataset: str = "mnist"
    epochs: int = 5
    finetune_epochs: int = 1
    batch_size: int = 128
    precision: str = "float32"
    """Of ours; all others multiply in float32."""

    def sweep(self, trials: int, curve: Sequence[float] = (), rungs: int = 0) -> Sweep:
        """Return the work as a sweep; its first trials do not depend on their number.

        With `rungs`, each training is cut at as many densities.
        """
        training = {
            "epochs": self.epochs,
            "batch_size": self.batch_size,
            "optimizer": "sgd",
            "learning_rate": {"log_uniform": [0.03, 0.12]},
            "momentum": 0.9,
            "schedule": "cosine",
            "precision": self.precision,
        }
        sparsification = {
            **(
                {"densities": {"from": 0.08, "to": 0.02, "rungs": rungs}}
                if rungs
                else {"density": {"log_uniform": [0.02, 0.08]}}
            ),
            "finetune_epochs": self.finetune_epochs,
            "finetune_learning_rate_factor": 0.5,
            "floor": 0.0,
            "curve": list(curve),
        }
        # Weak enough that more weights stay than pruning leaves: then all contestants cut alike.
        strength = {"log_uniform": [1e-5, 2e-4]}
        return Sweep.model_validate(
            {
                "name": "throughput",
                "dataset": self.dataset,
                "model": "lenet-300-100",
                "training": training,
                "sparsification": sparsification,
                "search": {"sampler": "qmc", "trials": trials},
                "arms": {ARM: {"penalty": "l1", "apply": "prox", "strength": strength}},
            }
        )

    def configs(self, trials: int) -> list[TrialConfig]:
        """Return what the slots 0 ... trials - 1 of the sweep train."""
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sweep = self.sweep(trials)
        proposals = ParameterSource(sweep)
        return [
            sweep.config(ARM, 0, slot, proposals.params(ARM, 0, slot, list))
            for slot in range(trials)
        ]

    @property
    def steps(self) -> int:
        """Optimizer steps of a trial, fine-tuning included."""
        return self.sweep(1).steps_per_trial

    @property
    def widths(self) -> tuple[int, ...]:
        """Widths of the network, inputs and classes included."""
        data = self.sweep(1).data
        channels, height, width = data.shape
        return (channels * height * width, 300, 100, data.classes)


def part_of(data: Data, train: int, judged: int) -> Data:
    """Return the first images of each part, for measurements that need no accuracy."""

    def first(part: DataSplit, count: int) -> DataSplit:
        return DataSplit(part.examples[:count], part.labels[:count])

    return replace(
        data,
        train=first(data.train, train),
        validation=first(data.validation, judged),
        test=first(data.test, judged),
    )
