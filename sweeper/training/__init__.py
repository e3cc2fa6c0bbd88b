"""Train a pack of trials as one stacked program: `train(configs, data, device)`.

`probe` trains a short pack that tells the range of a strength.
"""

from sweeper.training.pack import train
from sweeper.training.probing import probe

__all__ = ["probe", "train"]
