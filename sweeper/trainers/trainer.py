"""Trainer: the door between a worker and what trains, packs of networks or a user's script."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, TypedDict

from sweeper.trainers.pack_size import PackSize
from sweeper.types import ProbePoint, Provenance, Tick, TrialConfig, TrialResult, TrialTask


class TrainingFailed(Exception):
    """Training raised; the worker decides if it is tried again."""


def _unheard(message: str) -> None:
    pass


class Trainer(Protocol):
    """Trains what a worker has claimed, on a device that it has to itself."""

    pack: int
    """Most trials that are trained together."""
    trial_seconds: float | None
    """Expected of a trial within a pack, where it was measured before any was trained."""
    device: str
    provenance: Provenance
    """Of all that it trains from now on."""

    def train(
        self,
        tasks: Sequence[TrialTask],
        tick: Tick,
        on_memory: Callable[[str], None] = _unheard,
        networks: dict[int, Any] | None = None,
    ) -> list[TrialResult]:
        """Train trials that share one recipe; results in their order.

        `tick` is called often, and may raise: what is in training is given up then. `on_memory` is
        told each time that memory runs out. Finished networks go into `networks`, by their place.
        Raises TrainingFailed for what is not an error of our own tree.
        """
        ...

    def probe(self, config: TrialConfig, tick: Tick) -> tuple[tuple[ProbePoint, ...], float]:
        """Train the probe of a strength: its points, and the seconds. Raises as `train` does."""
        ...

    def note_recorded(self, tasks: Sequence[TrialTask]) -> None:
        """Take note that trials are on record: what only another attempt would need may go."""
        ...

    def close(self) -> None:
        """End what it has started."""
        ...


class Train(Protocol):
    """Trains configurations that share one recipe; results in their order. `tick` may raise."""

    def __call__(
        self,
        configs: Sequence[TrialConfig],
        data: Any,
        device: str,
        /,
        *,
        tick: Tick,
    ) -> list[TrialResult]: ...


class Probe(Protocol):
    """Trains the networks of a probe; returns their points and the seconds. `tick` may raise."""

    def __call__(
        self, config: TrialConfig, data: Any, /, *, tick: Tick
    ) -> tuple[tuple[ProbePoint, ...], float]: ...


class TrainerOptions(TypedDict, total=False):
    """What a worker is told of its trainer; all of it may be left out."""

    device: str
    """`auto`, `cpu`, `cuda` or `cuda:1`."""
    pack: PackSize
    """Most networks that are trained together."""
    folder: Path | None
    """Folder of datasets."""
    train: Train | None
    """In place of the training in packs."""
    probe: Probe | None
    """In place of its probe of a strength."""
    data: Any
    """In place of the dataset."""
