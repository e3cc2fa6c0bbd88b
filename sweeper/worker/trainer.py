"""What trains: the real thing on a device, or a function that a test passes in."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from sweeper.errors import InputError, SweeperError, TrainingError
from sweeper.results import ProbePoint, Provenance, TrialConfig, TrialResult
from sweeper.spec import Sweep
from sweeper.worker.provenance import gather


class Train(Protocol):
    """Results of configurations that share one recipe, in their order. `tick` may raise."""

    def __call__(
        self,
        configs: Sequence[TrialConfig],
        data: Any,
        device: str,
        /,
        *,
        tick: Callable[[], None],
    ) -> list[TrialResult]: ...


class Probe(Protocol):
    """The networks of a probe, and the seconds it took. `tick` may raise."""

    def __call__(
        self, config: TrialConfig, data: Any, /, *, tick: Callable[[], None]
    ) -> tuple[tuple[ProbePoint, ...], float]: ...


class TrainingFailed(Exception):
    """Training raised; the worker decides whether to try again."""


class Trainer:
    """A training function with its data on a device. Loads torch only if no function is given."""

    def __init__(
        self,
        sweep: Sweep,
        *,
        device: str = "auto",
        folder: Path | None = None,
        train: Train | None = None,
        probe: Probe | None = None,
        data: Any = None,
    ) -> None:
        processor = ""
        if train is None:
            import torch

            from sweeper import datasets, training
            from sweeper.regularizers.probation import try_out

            try_out(sweep.examples())
            train, probe = training.train, training.probe
            device = _known_device(device)
            if device != "cpu":
                processor = torch.cuda.get_device_name(device)
            data = datasets.load(sweep.dataset, folder, device) if data is None else data
        self.device = "cpu" if device == "auto" else device
        self._train, self._probe, self._data = train, probe, data
        self.provenance: Provenance = gather(
            device=self.device,
            processor=processor,
            threads=1,
            data_hash=getattr(data, "hash", ""),
        )

    def train(self, configs: Sequence[TrialConfig], tick: Callable[[], None]) -> list[TrialResult]:
        """Train one pack. Raises TrainingFailed for what is not an error of our own tree."""
        with _told_apart():
            results = self._train(configs, self._data, self.device, tick=tick)
        if len(results) != len(configs):
            raise TrainingError(f"training gave {len(results)} results for {len(configs)} trials")
        return results

    def probe(
        self, config: TrialConfig, tick: Callable[[], None]
    ) -> tuple[tuple[ProbePoint, ...], float]:
        """Train the probe of a strength. Raises TrainingFailed like `train`."""
        if self._probe is None:
            raise TrainingError("strength: auto needs a probe, and none was given")
        with _told_apart():
            return self._probe(config, self._data, tick=tick)


@contextmanager
def _told_apart() -> Iterator[None]:
    """Turn what is not an error of our own tree into TrainingFailed."""
    try:
        yield
    except SweeperError:
        raise
    except Exception as error:
        raise TrainingFailed(_line(error)) from error


def _known_device(name: str) -> str:
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    known = ["cpu", *(f"cuda:{number}" for number in range(torch.cuda.device_count()))]
    if name not in known and not (name == "cuda" and len(known) > 1):
        raise InputError(f"no such device: got {name!r}; here: auto, {', '.join(known)}")
    return name


def _line(error: Exception) -> str:
    text = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
