"""Data of recipes: a dataset on a device, read once, split as the recipe of each repeat says."""

import logging
from collections.abc import Callable
from pathlib import Path

import torch

from sweeper.errors import DataError
from sweeper.training import datasets
from sweeper.training.datasets import Data
from sweeper.training.raw_dataset import RawDataset
from sweeper.training.target_values import check_range
from sweeper.types import SharedConfig, SplitConfig

_log = logging.getLogger("sweeper.datasets")


class RecipeData:
    """The dataset that the recipes of one sweep share. Of several splits the last one is kept.

    `known_hash` is that of the data which the sweep was registered with; empty if it is not known.
    `on_progress` is told a line now and then where reading takes long.
    """

    def __init__(
        self,
        folder: str | Path | None = None,
        device: str | torch.device = "cpu",
        *,
        known_hash: str = "",
        on_progress: Callable[[str], None] = _log.info,
    ) -> None:
        self._folder, self._device, self._known_hash = folder, device, known_hash
        self._on_progress = on_progress
        self._raw: RawDataset | None = None
        """As it was read: kept where repeats have splits of their own."""
        self._split: SplitConfig | None = None
        self._data: Data | None = None

    def of(self, recipe: SharedConfig) -> Data:
        """Return the data of a recipe. Raises DataError for other data than those known."""
        if self._data is None or recipe.split != self._split:
            self._data = None  # not two at a time
            self._data, self._split = self._divided(recipe), recipe.split
        return self._data

    def _divided(self, recipe: SharedConfig) -> Data:
        if recipe.split.by_repeat:
            if self._raw is None:
                self._raw = datasets.read(
                    recipe.dataset,
                    self._folder,
                    options=recipe.dataset_options,
                    on_progress=self._on_progress,
                )
            data = datasets.divide(self._raw, recipe.split, self._device)
            check_range(data, recipe.loss)
        else:
            data = datasets.load_for(
                recipe, self._folder, self._device, on_progress=self._on_progress
            )
        if self._known_hash not in ("", data.hash):
            raise DataError(
                f"{data.name}: the data are other ones than when the sweep was registered (hash "
                f"{data.hash[:12]}, then {self._known_hash[:12]}): bring those back, or give the "
                "study of these another name"
            )
        return data
