"""Train a pack of trials as one stacked program: `train(configs, data, device)`."""

from sweeper.training.pack import train

__all__ = ["train"]
