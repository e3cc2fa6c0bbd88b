"""Point of a front: one network with its size, its accuracies and its configuration."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from sweeper.types import Accuracy, Scalar, SizeMeasure, TrialRecord


@dataclass(frozen=True, slots=True)
class FrontPoint:
    """One network of a front: where it comes from, its size and its accuracies."""

    arm: str
    repeat: int
    slot: int
    study: str
    trial: int
    params: Mapping[str, Scalar]
    """The searched parameters, and the density of a network of a ladder."""
    nonzero: int
    total: int
    effective: int | None
    """None of a network whose effective parameters are not counted."""
    val_accuracy: float
    test_accuracy: float
    weights: int
    biases: int

    def size(self, measure: SizeMeasure) -> int:
        """Return one of the two counts of parameters by its name.

        Raises ValueError where the network has no such count.
        """
        size = self.nonzero if measure == "nonzero" else self.effective
        if size is None:
            raise ValueError("effective parameters were not counted")
        return size

    def accuracy(self, name: Accuracy) -> float:
        """Return one of the two accuracies by its name."""
        return self.val_accuracy if name == "val_accuracy" else self.test_accuracy

    def columns(self) -> dict[str, Scalar]:
        """Return its fields as a flat row; searched parameters are called `params_<name>`."""
        row = asdict(self)
        params = row.pop("params")
        return {**row, **{f"params_{name}": value for name, value in params.items()}}


def network_params(record: TrialRecord) -> Mapping[str, Scalar]:
    """Return the searched parameters, and the density of a network of a ladder."""
    if record.config.training_density is None:
        return record.params
    return {**record.params, "density": record.config.density}


def describe_point(params: Mapping[str, Scalar]) -> str:
    """Return searched parameters as short text, such as `strength 0.003, density 0.02`."""
    return ", ".join(
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in params.items()
    )
