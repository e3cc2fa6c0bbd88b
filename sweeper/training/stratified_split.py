"""Stratified split: some examples held out, of every class its share."""

import numpy as np

from sweeper.training.raw_dataset import Array

SPLIT_SEED = 0
_SEEDS = 2**32
"""Number of seeds that NumPy's RandomState takes."""


def stratified_split(labels: Array, held_out: int, seed: int = SPLIT_SEED) -> tuple[Array, Array]:
    """Return the indices that stay and those that are held out, both ascending.

    Every class gives its share, rounded so that the sizes are exact. NumPy promises that
    RandomState keeps its stream, so that the split is the same for everybody for good.
    """
    random = np.random.RandomState(seed % _SEEDS)
    classes, counts = np.unique(labels, return_counts=True)
    exact = counts * held_out / len(labels)
    take = np.floor(exact).astype(int)
    short = held_out - take.sum()
    take[np.argsort(take - exact, kind="stable")[:short]] += 1
    shares = [
        random.permutation(np.flatnonzero(labels == label))[:share]
        for label, share in zip(classes, take, strict=True)
    ]
    chosen = np.sort(np.concatenate(shares))
    return np.setdiff1d(np.arange(len(labels)), chosen), chosen
