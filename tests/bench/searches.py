"""Searches in memory: samplers and trainings without a database, side by side in packs."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sweeper.analysis.front import hypervolume
from sweeper.config import Sweep
from sweeper.search.observations import FinishedSlot
from sweeper.search.samplers import ParameterSource
from sweeper.settings import data_folder
from sweeper.types import TrialConfig, TrialResult, nothing

AT_ONCE = 32
"""Trainings of a pack."""


@dataclass(slots=True)
class Search:
    """One search of an arm and repeat."""

    sweep: Sweep
    arm: str
    repeat: int
    source: ParameterSource
    label: str = ""
    finished: list[FinishedSlot] = field(default_factory=list)
    results: list[list[TrialResult]] = field(default_factory=list)
    """Of the networks of each slot."""

    def ask(self, slot: int) -> tuple[dict[str, Any], list[TrialConfig]]:
        params = self.source.params(self.arm, self.repeat, slot, lambda: self.finished)
        numbers = range(self.sweep.networks_of_slot)
        return params, [self.sweep.config(self.arm, self.repeat, slot, params, n) for n in numbers]

    def tell(self, params: dict[str, Any], results: list[TrialResult]) -> None:
        values = tuple(values_of(result) for result in results)
        self.finished.append(FinishedSlot(len(self.finished), params, values))
        self.results.append(results)

    def volume(self, trainings: int) -> float:
        """Return the hypervolume of what the first trainings brought."""
        values = [v for slot in self.finished[:trainings] for v in slot.values if v]
        return hypervolume(values, corner(self.sweep))


def corner(sweep: Sweep) -> tuple[int, float]:
    """Return the corner of hypervolumes."""
    return sweep.reference.nonzero or sweep.total_parameters or 1, sweep.reference.error


def values_of(result: TrialResult) -> tuple[float, float] | None:
    """Return size and validation accuracy; None of what is no result."""
    if result.state != "complete" or result.pruned is None:
        return None
    return float(result.pruned.nonzero), result.pruned.val_accuracy


def train(configs: Sequence[TrialConfig], networks: int) -> list[TrialResult]:
    """Return the results of configurations of one recipe, `networks` a training."""
    from sweeper.training.pack import train_pack
    from sweeper.training.recipe_data import RecipeData

    data = RecipeData(data_folder(), "cpu").of(configs[0].recipe)
    size = AT_ONCE * networks
    results: list[TrialResult] = []
    for start in range(0, len(configs), size):
        results += train_pack(configs[start : start + size], data, tick=nothing, learning=False)
    return results


def advance(searches: Sequence[Search], trials: int) -> float:
    """Take searches of one repeat a generation further; return the CPU seconds of training.

    They share packs, which change no result.
    """
    asked = []
    for search in searches:
        start = len(search.finished)
        end = min(start + search.sweep.search.in_flight, trials)
        asked += [(search, *search.ask(slot)) for slot in range(start, end)]
    configs = [config for *_, of_slot in asked for config in of_slot]
    began = time.process_time()
    results = iter(train(configs, searches[0].sweep.networks_of_slot))
    seconds = time.process_time() - began
    for search, params, of_slot in asked:
        search.tell(params, [next(results) for _ in of_slot])
    return seconds
