"""Measured network: size and speed of a network of a user's own, which only its code can tell."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MeasuredNetwork:
    """A network as it was found to be when it was tried."""

    parameters: int
    """All of them, biases included, tied ones once."""
    weights: int
    """Those of them that are pruned."""
    step_seconds: float
    """Processor time of a training step of one network, at the batch size of the study."""
