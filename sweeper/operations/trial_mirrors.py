"""Mirrors of finished trials in other trackers, such as MLflow: each trial once, beside the run.

A mirror is a class that an entry point of the group `sweeper.mirrors` names. It is made with the
sweep, asked for the trials that its target holds, and given the others. What fails in it is one
warning, and never fails the sweep.
"""

import logging
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Protocol

from sweeper.analysis import network_params
from sweeper.config import Sweep
from sweeper.config.registry import load
from sweeper.errors import InputError, SweeperError, choices, typed_line
from sweeper.plots import whole_curves
from sweeper.redact import hide, hide_passwords
from sweeper.settings import MIRRORS_VARIABLE
from sweeper.store import Store
from sweeper.types import Scalar, TrialRecord

_log = logging.getLogger("sweeper.mirrors")
GROUP = "sweeper.mirrors"
"""Entry points of this group name mirrors, those of a user's own packages too."""
BUILT_IN: Mapping[str, str] = {
    "mlflow": "sweeper.operations.mlflow_mirror:MlflowMirror",
    "wandb": "sweeper.operations.wandb_mirror:WandbMirror",
}
EVERY = 5.0
"""Seconds between two looks for new trials."""
LAST = 60.0
"""Seconds that the last trials of a run have to reach their mirror."""
_SECRET_NAMES = ("KEY", "TOKEN", "PASSWORD", "SECRET")
"""Ends of names of variables whose values are not told, such as WANDB_API_KEY."""


@dataclass(frozen=True, slots=True)
class MirroredTrial:
    """A finished trial as a mirror is given it: plain values by name."""

    key: str
    """Equal for the same trial alone: `study#number`."""
    name: str
    """For people: arm, repeat and number."""
    params: Mapping[str, Scalar]
    """The searched parameters, and the density of a network of a ladder."""
    metrics: Mapping[str, float]
    """Sizes, qualities in [0, 1], seconds, and as `numbers/...` what a script measured further.

    Without networks where it diverged.
    """
    curve: tuple[tuple[float, Mapping[str, float]], ...]
    """Its learning curve: epochs done, and what was measured then."""
    tags: Mapping[str, str]
    """Where it comes from: sweep, arm, repeat, state, machine."""
    finished_at: float
    """Seconds since 1970."""

    @classmethod
    def of(cls, record: TrialRecord, sweep: Sweep) -> "MirroredTrial":
        """Return a record as plain values, of the network on the track that is searched for."""
        slot, result, origin = record.slot, record.result, record.provenance
        network = result.judged(sweep.sparsification.track)
        metrics: dict[str, float] = {"seconds": result.seconds, "total": result.total}
        if network is not None:
            metrics |= {
                sweep.size_key: network.nonzero,
                f"val_{sweep.measure_key}": network.val_accuracy,
                f"test_{sweep.measure_key}": network.test_accuracy,
            }
            metrics |= {} if network.effective is None else {"effective": network.effective}
        metrics |= {f"numbers/{name}": value for name, value in result.numbers}
        return cls(
            key=f"{slot.study}#{record.trial}",
            name=f"{slot.arm}/{slot.repeat}#{record.trial}",
            params=dict(network_params(record)),
            metrics=metrics,
            curve=tuple((point.epoch, dict(point.values)) for point in result.learning),
            tags={
                "sweep": slot.sweep,
                "arm": slot.arm,
                "repeat": str(slot.repeat),
                "state": result.state,
                "digest": sweep.digest[:12],
                "processor": origin.processor,
                "git_commit": origin.git_commit,
            },
            finished_at=record.recorded_at,
        )

    def learning(self) -> Iterator[tuple[int, dict[str, float]]]:
        """Give the points of the curve as `learning/...`, each with its step.

        A step is the epochs done where all of them are whole, else the place in the curve: trackers
        have whole steps only.
        """
        epochs = [epoch for epoch, _ in self.curve]
        is_whole = all(0 <= epoch < 2**53 and epoch == int(epoch) for epoch in epochs)
        for place, (epoch, values) in enumerate(self.curve):
            named = {f"learning/{name}": value for name, value in values.items()}
            yield int(epoch) if is_whole else place, {**named, "learning/epoch": epoch}


class Mirror(Protocol):
    """A target of finished trials; made with the sweep."""

    def keys(self) -> set[str]:
        """Return the keys of the trials that the target holds, whoever put them there."""

    def add(self, trial: MirroredTrial) -> None:
        """Put a trial there; again after a crash in between, it goes on with the same."""


def mirror_names(given: Sequence[str] | None) -> tuple[str, ...]:
    """Return the mirrors that are asked for: those given, else those of SWEEPER_MIRRORS.

    Raises InputError for one that there is not.
    """
    words = os.environ.get(MIRRORS_VARIABLE, "").split(",") if given is None else given
    names = tuple(dict.fromkeys(word.strip() for word in words if word.strip()))
    for name in names:
        if name not in (known := _targets()):
            raise InputError(f"mirror: no such mirror: {choices(name, known)}")
    return names


def mirror_all(store: Store, name: str, target: str) -> tuple[int, int]:
    """Put all finished trials of a sweep into a mirror; return how many are new there, and all.

    Raises InputError for a mirror that there is not, and SweeperError where it fails.
    """
    [target] = mirror_names([target])
    sweep, records = store.sweep(name), store.records(name)
    try:
        mirror = _made(target, sweep)
        return _add_new(mirror, sweep, records), len(records)
    except InputError:
        raise
    except Exception as error:  # a tracker and its network fail in many ways
        raise SweeperError(f"{target}: {_reason(error)}") from error


@contextmanager
def mirrored(
    store: Store,
    sweep: Sweep,
    names: Sequence[str],
    on_note: Callable[[str], None],
) -> Iterator[None]:
    """Mirror the trials that finish in a `with` block, in a thread for each mirror.

    At its end the last ones have a minute; what is missing then is told with the command that adds
    it. Two processes that mirror one sweep at the same time may add a trial twice. Raises
    InputError for a mirror that is not installed.
    """
    made = [(name, _made_if_it_answers(name, sweep)) for name in names]
    stop = threading.Event()
    notes: list[str] = []
    threads = [
        threading.Thread(
            target=_follow, args=(store, sweep, *pair, stop, notes.append), daemon=True
        )
        for pair in made
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread, (name, _) in zip(threads, made, strict=True):
            thread.join(LAST)
            if thread.is_alive():
                notes.append(_missing(sweep.name, name, "it does not answer"))
        for note in dict.fromkeys(notes):
            on_note(note)


def _follow(
    store: Store,
    sweep: Sweep,
    name: str,
    mirror: Mirror | None,
    stop: threading.Event,
    tell: Callable[[str], None],
) -> None:
    """Add what is new every few seconds, and once more at the end; what failed is tried again."""
    seen, is_last = -1, False
    with closing(store.reconnect()) as mirror_store:
        while not is_last:
            is_last = stop.wait(EVERY)
            try:
                done = mirror_store.status(sweep.name).done
                if is_last or done != seen:
                    records = mirror_store.records(sweep.name)
                    mirror = mirror or _made(name, sweep)
                    _add_new(mirror, sweep, records)
                    seen = done
            except Exception as error:  # of a tracker or its network: tried again
                if is_last:
                    tell(_missing(sweep.name, name, _reason(error)))


def _add_new(mirror: Mirror, sweep: Sweep, records: Sequence[TrialRecord]) -> int:
    """Add the trials that are not there yet, in the order in which they finished."""
    there = mirror.keys()
    trials = [MirroredTrial.of(record, sweep) for record in whole_curves(records)]
    new = sorted(
        (trial for trial in trials if trial.key not in there), key=lambda one: one.finished_at
    )
    for trial in new:
        mirror.add(trial)
    return len(new)


def _targets() -> dict[str, str]:
    return {**{point.name: point.value for point in entry_points(group=GROUP)}, **BUILT_IN}


def _made(name: str, sweep: Sweep) -> Mirror:
    """Return a mirror of a sweep. Raises InputError, PluginError."""
    mirror: Mirror = load(_targets()[name])(sweep)
    return mirror


def _made_if_it_answers(name: str, sweep: Sweep) -> Mirror | None:
    """Return a mirror, or None where its target fails, which is tried again later."""
    try:
        return _made(name, sweep)
    except SweeperError:
        raise
    except Exception:
        return None


def _missing(sweep: str, mirror: str, reason: str) -> str:
    command = f"sweeper mirror {sweep} --to {mirror}"
    return f"mirror {mirror}: trials may be missing there ({reason}): {command} adds them"


def _reason(error: Exception) -> str:
    secrets = [
        value
        for name, value in os.environ.items()
        if name.upper().endswith(_SECRET_NAMES) and value.strip()
    ]
    return hide(hide_passwords(typed_line(error)), secrets)
