"""Training without torch: a pure function of the configuration, as the real one is.

`python tests/support/fakes.py NAME [--delay SECONDS,...] [--pack K]` is a worker that trains so;
storage by SWEEPER_STORAGE, as for the real command.
"""

import argparse
import datetime
import hashlib
import math
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import RDBStorage
from sqlalchemy.pool import NullPool

from sweeper.config import Sweep
from sweeper.config.registry import FOLDER
from sweeper.errors import DataError, SweeperError
from sweeper.search import SweepStudies
from sweeper.store import Store
from sweeper.types import (
    CurvePoint,
    Evaluation,
    LayerCount,
    ProbePoint,
    TrialConfig,
    TrialResult,
    TrialState,
)
from sweeper.worker.time_budget import parse_until
from sweeper.worker.worker_loop import work

TOTAL = 266_610
BIASES = 410


def small_sweep(name: str = "tiny", **changes: Any) -> Sweep:
    """Return a sweep of three arms, one of them without any searched parameter of its own."""
    search = {"sampler": "tpe", "trials": 6, "in_flight": 3, **changes.pop("search", {})}
    spec: dict[str, Any] = {
        "name": name,
        "dataset": "digits",
        "model": "mlp(32)",
        "training": {"epochs": 1, "learning_rate": {"log_uniform": [0.01, 0.2]}},
        "search": search,
        "arms": {
            "dense": {},
            "l1": {"penalty": "l1", "strength": {"log_uniform": [1e-4, 1e-1]}},
            "mix": {
                "penalty": "l1_marginal_entropy",
                "strength": {"log_uniform": [1e-4, 1e-1]},
                "mix": {"uniform": [0, 1]},
            },
        },
    }
    return Sweep.model_validate({**spec, **changes})


def ladder_sweep(name: str = "tiny", **changes: Any) -> Sweep:
    """Return a small sweep whose slots bring three networks of each of two seeds."""
    search = {"seeds": 2, **changes.pop("search", {})}
    rule = {"densities": [0.2, 0.1, 0.05], **changes.pop("sparsification", {})}
    return small_sweep(name, search=search, sparsification=rule, **changes)


def grid_sweep(name: str = "tiny", **changes: Any) -> Sweep:
    """Return a sweep of two arms over choices and integers only."""
    search = {"sampler": "grid", "trials": 6, **changes.pop("search", {})}
    return small_sweep(
        name,
        search=search,
        training={"epochs": 1, "learning_rate": {"choice": [0.01, 0.05, 0.1]}},
        arms={
            "l1": {"penalty": "l1", "strength": {"choice": [1e-4, 1e-3, 1e-2]}},
            "l2": {"penalty": "l2", "strength": {"choice": [1e-4, 1e-3]}},
        },
        **changes,
    )


def fake_result(config: TrialConfig, pack: int = 1) -> TrialResult:
    """Return what `config` would give: a learning rate over 0.15 diverges, 0.13 collapses."""
    if config.learning_rate > 0.15:
        return TrialResult("diverged", TOTAL, None, None, (), 10, 0.5, pack)
    digest = hashlib.sha256(repr(config).encode()).digest()
    noise = int.from_bytes(digest[:4], "big") / 2**32
    strength = max(config.method.strength, 1e-6)
    closeness = math.exp(-((math.log10(strength) + 2.5) ** 2) / 4)
    density = min(1.0, config.density * (1.3 - closeness) * (0.9 + 0.2 * noise))
    accuracy = (
        0.99 - 0.02 * (1 - closeness) - 0.004 * noise - 0.02 * abs(config.learning_rate - 0.05)
    )
    collapsed = config.learning_rate > 0.13
    # What a training has once, its first network has.
    first = config.training_density in (None, config.density)
    accuracy = 0.1 if collapsed else round(accuracy, 4)
    return TrialResult(
        state="collapsed" if collapsed else "complete",
        total=TOTAL,
        pruned=judged(round(density * (TOTAL - BIASES)), accuracy),
        as_trained=judged(TOTAL - BIASES, accuracy) if first else None,
        curve=(CurvePoint(0.1, 26_000, accuracy - 0.1, accuracy - 0.1),) if first else (),
        steps=10,
        seconds=0.5,
        pack=pack,
    )


def judged(weights: int, accuracy: float) -> Evaluation:
    """Return a network of `weights` weights and all biases."""
    layer = LayerCount("fc", (1, TOTAL - BIASES), weights, TOTAL - BIASES, BIASES, BIASES)
    return Evaluation(
        weights + BIASES, weights, BIASES, weights // 2, accuracy, accuracy - 0.01, (layer,)
    )


def fake_train(
    configs: Sequence[TrialConfig],
    data: object = None,
    device: str = "cpu",
    *,
    tick: Callable[[], None] = lambda: None,
    delay: float = 0.0,
) -> list[TrialResult]:
    """Train in `delay` seconds, ticking; results depend on each configuration alone."""
    until = time.monotonic() + delay
    tick()
    while time.monotonic() < until:
        time.sleep(min(0.02, delay))
        tick()
    return [fake_result(config, len(configs)) for config in configs]


def fake_probe(
    config: TrialConfig, data: object = None, *, tick: Callable[[], None] = lambda: None
) -> tuple[tuple[ProbePoint, ...], float]:
    """Return a probe of 15 strengths: below 1e-4 they do nothing, beyond 0.3 they collapse."""
    tick()
    found = [ProbePoint(0.0, "complete", 0.98, TOTAL, 0.0)]
    for exponent in range(-13, 2):
        strength = 10 ** (exponent / 2)
        state: TrialState = "complete" if strength < 0.3 else "collapsed"
        found.append(
            ProbePoint(strength, state, 0.9, TOTAL // 2, 0.1 if strength < 1.1e-4 else 1.0)
        )
    return tuple(found), 0.5


def auto_sweep(name: str = "tiny", **changes: Any) -> Sweep:
    """Return a sweep in which two arms need a range for their strengths."""
    arms = {
        "dense": {},
        "l1": {"penalty": "l1", "strength": "auto"},
        "both": {"sum": {"l1": {"strength": "auto"}, "marginal_entropy": {"strength": "auto"}}},
    }
    return small_sweep(name, arms=arms, **changes)


@lru_cache(maxsize=1)  # to make one takes longer than to read a small study
def optuna_storage(url: str) -> RDBStorage:
    """Return Optuna's own view of a database; it keeps no connection open."""
    return RDBStorage(url, engine_kwargs={"poolclass": NullPool})


def optuna_study(url: str, name: str) -> optuna.Study:
    """Return a study as any user of Optuna would load it."""
    return optuna.load_study(study_name=name, storage=optuna_storage(url))


def study_names(url: str) -> list[str]:
    """Return the names of all studies."""
    return optuna.get_all_study_names(optuna_storage(url))


def die(when: str, method: str, times: str = "1") -> None:
    """Have this process killed before or after the so-manieth call of a method."""
    owner: Any = Store if hasattr(Store, method) else SweepStudies
    wrapped, calls = getattr(owner, method), 0

    def call(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if when == "before" and calls == int(times):
            os.kill(os.getpid(), signal.SIGKILL)
        result = wrapped(*arguments, **named)
        if when == "after" and calls == int(times):
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, method, call)


def set_clock(seconds: float) -> None:
    """Have this process believe that it is later, or earlier."""
    right, real = time.time, datetime.datetime

    class Wrong(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:  # type: ignore[override]
            return real.now(tz) + datetime.timedelta(seconds=seconds)

    time.time = lambda: right() + seconds
    datetime.datetime = Wrong  # type: ignore[misc]
    for module in list(sys.modules.values()):
        if module.__name__.startswith("optuna.") and getattr(module, "datetime", None) is real:
            module.datetime = Wrong  # type: ignore[attr-defined]


def main() -> None:
    """Work on a sweep as a process of its own."""
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("--delay", default="0", help="seconds of each pack, by comma")
    parser.add_argument("--hold", default="", help="file before which no training ends")
    parser.add_argument("--until", type=parse_until, help="end of its time")
    parser.add_argument("--tell", type=float, default=0.0, help="seconds to tell one trial")
    parser.add_argument("--pack", type=int, default=2)
    parser.add_argument("--lease", type=float, default=60.0)
    parser.add_argument("--fail", default="", help="how training fails: raise, input or kill")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--die", default="", help="method, before or after which it is killed")
    parser.add_argument("--script", default="", help="folder of a script, which trains instead")
    parser.add_argument("--trials", type=Path, help="folder of the files of scripts")
    parser.add_argument("--artifacts", help="place of checkpoints")
    parser.add_argument("--clock", type=float, default=0.0, help="seconds that its clock is off")
    options = parser.parse_args()
    held = Path(options.hold)  # this folder, unless told otherwise
    delays = [float(delay) for delay in options.delay.split(",")]

    def train(
        configs: Sequence[TrialConfig], data: Any, device: str, *, tick: Callable[[], None]
    ) -> list[TrialResult]:
        match options.fail:
            case "raise":
                raise ValueError("no such thing")
            case "input":
                raise DataError("mnist: files are missing")
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
        while not held.exists():
            time.sleep(0.02)
            tick()
        delay = delays.pop(0) if len(delays) > 1 else delays[0]
        return fake_train(configs, data, device, tick=tick, delay=delay)

    if options.script:
        os.chdir(options.script)
        FOLDER.begin()
    if options.die:
        die(*options.die.split(","))
    if options.clock:
        set_clock(options.clock)
    tell = SweepStudies.tell

    def slowly(*arguments: Any) -> None:
        time.sleep(options.tell)
        tell(*arguments)

    SweepStudies.tell = slowly  # type: ignore[method-assign, assignment]
    store = Store(os.environ["SWEEPER_STORAGE"], lease_seconds=options.lease)
    try:
        work(
            options.name,
            store,
            pack=options.pack,
            train=None if options.script else train,
            probe=None if options.script else fake_probe,
            trials=options.trials,
            artifacts=options.artifacts,
            on_event=print,
            alone=True,
            until=options.until and options.until.timestamp(),
        )
    except SweeperError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    finally:
        store.close()
    print("torch" if "torch" in sys.modules else "no torch")


ONE = {"l1": {"penalty": "l1", "strength": {"log_uniform": [1e-4, 1e-1]}}}


def one_arm(name: str = "tiny", **changes: Any) -> Sweep:
    return small_sweep(name, arms=ONE, **changes)


if __name__ == "__main__":
    main()
