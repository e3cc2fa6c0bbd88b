"""Bundled datasets: those that come with scikit-learn; every fifth example is for the test.

Their readers do not use the folder of datasets.
"""

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from sweeper.training.raw_dataset import Array, RawDataset, RawPart


def read_digits(folder: Path) -> RawDataset:
    """Read the digits, images of 8 x 8 pixels from 0 to 16."""
    pixels, labels = _digits()
    examples = pixels.astype(np.uint8).reshape(-1, 1, 8, 8)
    return _every_fifth(examples, labels.astype(np.int64), "digits", (True,))


def _digits() -> tuple[Array, Array]:
    """Return pixels [n, 64] and labels [n] as scikit-learn's own reader does.

    Read from its file, for importing scikit-learn takes each worker a second of a CPU.
    """
    package = find_spec("sklearn")
    for folder in (package and package.submodule_search_locations) or ():
        file = Path(folder, "datasets", "data", "digits.csv.gz")
        if file.is_file():
            table = np.loadtxt(file, delimiter=",")
            return table[:, :-1], table[:, -1]
    from sklearn.datasets import load_digits  # a version that keeps it elsewhere

    bundle = load_digits()
    return bundle.data, bundle.target


def read_wine(folder: Path) -> RawDataset:
    """Read the wines, a table of 13 columns of numbers."""
    from sklearn.datasets import load_wine

    return _table("wine", load_wine())


def read_breast_cancer(folder: Path) -> RawDataset:
    """Read the tumours, a table of 30 columns of numbers."""
    from sklearn.datasets import load_breast_cancer

    return _table("breast-cancer", load_breast_cancer())


def _table(name: str, bundle: dict[str, Array]) -> RawDataset:
    """Return a table of scikit-learn's, all of whose columns are standardised."""
    features, labels = (
        tuple(str(name) for name in bundle[key]) for key in ("feature_names", "target_names")
    )
    standardised = (True,) * len(features)
    return _every_fifth(bundle["data"], bundle["target"], name, standardised, labels, features)


def _every_fifth(
    examples: Array,
    targets: Array,
    name: str,
    standardised: tuple[bool, ...],
    labels: tuple[str, ...] = (),
    features: tuple[str, ...] = (),
) -> RawDataset:
    whole = RawPart(examples, targets.astype(np.int64))
    test = np.arange(len(targets)) % 5 == 0
    return RawDataset(
        name,
        classes=len(np.unique(targets)),
        train=whole.subset(~test),
        test=whole.subset(test),
        standardised=standardised,
        labels=labels,
        features=features,
    )
