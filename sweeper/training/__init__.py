"""Train a pack of trials as one stacked program: `train(configs, data, device)`.

`probe` trains a short pack that tells the range of a strength; `compare` holds a module of a user's
against the same in plain PyTorch.
"""

from sweeper.training.comparison import compare
from sweeper.training.pack import train
from sweeper.training.probing import probe

__all__ = ["compare", "probe", "train"]
