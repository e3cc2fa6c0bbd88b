"""Penalties, pruning and counts of any PyTorch module, for anybody's training loop."""

from sweeper.modules.masks import Masks
from sweeper.modules.module_count import ModuleCount, count, effective
from sweeper.modules.module_penalty import Penalty
from sweeper.modules.module_pruning import prune_

__all__ = ["Masks", "ModuleCount", "Penalty", "count", "effective", "prune_"]
