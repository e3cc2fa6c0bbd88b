"""Trainer of packs: a training function with its data on a device, within its memory."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from sweeper.analysis.strength_range import GRID
from sweeper.config import Sweep
from sweeper.config.registry import MODELS
from sweeper.errors import DeviceLost, SweeperError, TrainingError, typed_line
from sweeper.trainers import pack_size
from sweeper.trainers.devices import activate, fallback_devices, resolve_device, takes_work
from sweeper.trainers.pack_size import PackSize
from sweeper.trainers.provenance import gather_provenance
from sweeper.trainers.trainer import Probe, Train, TrainingFailed
from sweeper.training.out_of_memory import free_memory, is_out_of_memory
from sweeper.types import (
    ProbePoint,
    Provenance,
    SharedConfig,
    Tick,
    TrialConfig,
    TrialResult,
    TrialTask,
    by_training,
    tick_of_part,
)

_log = logging.getLogger("sweeper.worker")
T = TypeVar("T")


class _OutOfMemory(Exception):
    """Memory ran out; its text is the allocator's."""


class PackTrainer:
    """A training function with its data on a device. Loads torch only if no function is given."""

    def __init__(
        self,
        sweep: Sweep,
        *,
        device: str = "auto",
        pack: PackSize = "auto",
        folder: Path | None = None,
        train: Train | None = None,
        probe: Probe | None = None,
        data: Any = None,
        on_event: Callable[[str], None] = _log.info,
    ) -> None:
        self._on_event = on_event
        self._fallbacks: list[str] = []
        """Devices to go to, one after the other, when a single network does not fit."""
        self._open: Callable[[str], Callable[[SharedConfig], Any]]
        """Opens the data on a device: a function of the recipe, by which repeats may differ."""
        self._open = lambda device: lambda recipe: data
        self._processor: Callable[[str], str] = lambda device: ""
        is_measured = train is None
        if train is None:
            from sweeper.training.pack import train_pack
            from sweeper.training.recipe_data import RecipeData
            from sweeper.training.strength_probe import probe_strengths
            from sweeper.training.validate_formulas import try_out

            try_out(sweep.examples())
            train, probe = train_pack, probe_strengths
            device = resolve_device(device)
            self._fallbacks, self._processor = fallback_devices(device), activate
            if data is None:
                known_hash = sweep.facts.hash if sweep.facts else ""
                self._open = lambda device: (
                    RecipeData(folder, device, known_hash=known_hash, on_progress=on_event).of
                )
        self._first_recipe = sweep.recipe(0)
        self._train, self._probe = train, probe
        self.pack = pack_size.DEFAULT if pack == "auto" else pack
        """Most trials that are trained together; fewer once memory has run out."""
        self.trial_seconds: float | None = None
        """Expected of a trial within a pack; None unless its size was measured."""
        self._use("cpu" if device == "auto" else device)
        if is_measured and sweep.model.name not in MODELS:
            from sweeper.training.plain_pytorch import compare_with_plain

            # Here too: where this worker runs, the module may be another version.
            compare_with_plain(sweep.recipe(0), self._data)
        if pack == "auto" and is_measured:
            self._measure_pack(sweep)

    def _use(self, device: str) -> None:
        """Train on a device from now on."""
        self.device = device
        processor = self._processor(device)
        self._data: Any = None  # not two at a time
        self._data_of = self._open(device)
        self._data = self._data_of(self._first_recipe)
        self.provenance: Provenance = gather_provenance(
            device=device,
            processor=processor,
            threads=1,
            data_hash=getattr(self._data, "hash", ""),
            normalisation=getattr(self._data, "normalisation", None),
        )

    def _take(self, recipe: SharedConfig) -> None:
        """Have the data of a recipe, and the provenance of what is trained on them."""
        self._data = None
        self._data = self._data_of(recipe)
        normalisation = getattr(self._data, "normalisation", None)
        self.provenance = replace(self.provenance, normalisation=normalisation)

    def train(
        self,
        tasks: Sequence[TrialTask],
        tick: Tick,
        on_memory: Callable[[str], None] = lambda message: None,
        networks: dict[int, Any] | None = None,
    ) -> list[TrialResult]:
        """Train trials; results in their order, finished networks into `networks`.

        In smaller packs if memory runs out, and on another device if there is none for a single
        network; `on_memory` is told of each time. Raises TrainingFailed for what is not an error
        of our own tree.
        """
        results: list[TrialResult] = []
        configs = [task.config for task in tasks]
        for config in configs[:1]:
            self._take(config.recipe)
        trainings = by_training(configs)
        while len(results) < len(configs):
            some = [places for places in trainings if places.start >= len(results)][: self.pack]
            part = configs[some[0].start : some[-1].stop]
            try:
                within = tick_of_part(tick, len(results), len(part), len(configs))
                results += self._train_part(part, within, len(results), networks)
                continue
            except _OutOfMemory as error:
                message = str(error)
            # Here, where nothing holds the error any more: its frames hold the pack.
            free_memory()
            if len(some) == 1:
                failure = self._memory_message("a single network", message)
                on_memory(failure)
                if not self._fallbacks:
                    raise TrainingFailed(failure)
                self._use(self._fallbacks.pop(0))
                self._take(configs[0].recipe)
                self._on_event(f"{failure}; on {self.device} from now on")
                results.clear()  # all of them there, for they are recorded with one provenance
                continue
            on_memory(f"out of memory with a pack of {len(some)} on {self.device}: {message}")
            self.pack = -(-len(some) // 2)
            text = f"out of memory with a pack of {len(some)}: packs of {self.pack} from now on"
            self._on_event(f"{self.device}: {text}")
        return results

    def probe(self, config: TrialConfig, tick: Tick) -> tuple[tuple[ProbePoint, ...], float]:
        """Train the probe of a strength. Raises TrainingFailed like `train`."""
        probe = self._probe
        if probe is None:
            raise TrainingError("strength: auto needs a probe, and none was given")
        self._take(config.recipe)
        try:
            return _classified(lambda: probe(config, self._data, tick=tick), self.device)
        except _OutOfMemory as error:
            message = str(error)
        free_memory()
        networks = (
            f"the {len(GRID) + 1} networks of a probe, which finds the range of strength: auto"
        )
        raise TrainingFailed(self._memory_message(networks, message))

    def note_recorded(self, tasks: Sequence[TrialTask]) -> None:
        """Nothing: no attempt leaves anything to another."""

    def close(self) -> None:
        """Nothing: what it holds goes with it."""

    def _train_part(
        self,
        configs: Sequence[TrialConfig],
        tick: Tick,
        start: int,
        networks: dict[int, Any] | None,
    ) -> list[TrialResult]:
        keeping: dict[str, Any] = {}
        if networks is not None:
            keeping["keep"] = lambda place, network: networks.update({start + place: network})
        results = _classified(
            lambda: self._train(configs, self._data, self.device, tick=tick, **keeping),
            self.device,
        )
        if len(results) != len(configs):
            raise TrainingError(f"training gave {len(results)} results for {len(configs)} trials")
        return results

    def _measure_pack(self, sweep: Sweep) -> None:
        """Measure the best size of packs. A failure here counts when training fails, too."""
        try:
            device = self.device
            estimate = _classified(lambda: pack_size.measure(sweep, self._data, device), device)
        except (TrainingFailed, _OutOfMemory) as error:
            self._on_event(f"packs of {self.pack}: no other size could be measured: {error}")
        else:
            self.pack = estimate.pack
            self.trial_seconds = estimate.seconds * sweep.steps_in_all * sweep.seeds
            self._on_event(str(estimate))
        free_memory()

    def _memory_message(self, networks: str, message: str) -> str:
        return (
            f"out of memory on {self.device} with {networks} ({message}); fewer workers on it, "
            "a smaller batch_size or a smaller model may help"
        )


def _classified(training: Callable[[], T], device: str) -> T:
    """Return the result; raise TrainingFailed or _OutOfMemory for errors not of our own tree.

    Raises DeviceLost where the device has taken no more work since.
    """
    try:
        return training()
    except SweeperError:
        raise
    except Exception as error:
        if not is_out_of_memory(error):
            if not takes_work(device):
                raise DeviceLost(
                    f"{device} takes no more work from this process: {typed_line(error)}"
                ) from error
            raise TrainingFailed(typed_line(error)) from error
        message = typed_line(error)
    raise _OutOfMemory(message)
