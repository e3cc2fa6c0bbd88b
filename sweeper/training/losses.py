"""Losses: what training minimises, as one value for each example."""

from torch import Tensor
from torch.nn import functional


def cross_entropy(outputs: Tensor, labels: Tensor) -> Tensor:
    """Return the cross-entropy of each example, [batch]: logits [batch, classes], labels [batch].

    -log softmax(outputs)[label].
    """
    return functional.cross_entropy(outputs, labels, reduction="none")
