"""Trials per hour beside what else one could use, and beside the floor; all in one run.

    python tests/bench/throughput.py [--part all] [--only ours,loop,...] [--trials 8] [--rounds 2]
        [--epochs 5] [--finetune-epochs 1] [--pack N] [--precision bfloat16] [--json] [--quick]
    python tests/bench/throughput.py --device cuda [--gpu-full]

The second measures a GPU: packs there, the loop on that GPU, steps beside the products they hold;
`--gpu-full` 1,000 trials of 20 epochs, those of fine-tuning among them.

Contestants do the same work one after the other, each with all cores, one thread a process:

- ours: a sweep through `sweeper.api.run` with SQLite; curve: the same with the usual 20 densities;
- loop: a loop as a competent person writes it, all data in memory, one network at a time;
- ladder: that loop, a network trained once, then pruned and fine-tuned at each of five densities,
  each of which counts as a trial;
- jax: the same trials in JAX, compiled, one network at a time on a CPU and stacked on a GPU;
- optuna: the pattern of Optuna's PyTorch example, a DataLoader over torchvision's MNIST;
- ray: Ray Tune with Optuna's search over that loop.

MNIST is looked for where sweeper does: SWEEPER_DATA. `--quick` takes the digits instead.
On two cores the defaults take some 25 minutes; use a machine that does nothing else.
"""

import argparse
import json
import platform
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from types import FrameType
from typing import Any

import torch

import contests
import floor
import growth
import memory
import tables
from sweeper.errors import SweeperError
from sweeper.training.determinism import deterministic_numerics
from sweeper.worker.launch.machine import cores
from work import Work

PARTS = ("rates", "step", "growth", "memory")


@dataclass(frozen=True)
class Options:
    """What was asked for."""

    part: str
    only: tuple[str, ...]
    work: Work
    trials: int
    rounds: int
    pack: int | None
    device: str
    quick: bool
    ours: int | None
    """Trials that ours runs, if not a multiple of `trials`."""

    @property
    def processes(self) -> int:
        return cores() if self.device == "cpu" else 1

    def has(self, part: str) -> bool:
        return self.part in {part, "all"}


def measure(options: Options, show: Callable[[str], None]) -> dict[str, Any]:
    """Return what was measured, for JSON; `show` is given each table as soon as it is known."""
    work, device = options.work, options.device
    step_rounds = 3 if options.quick else 20
    measured: dict[str, Any] = {"machine": machine(options), "work": asdict(work)}
    limits = None
    if options.has("step"):
        say("step: matrix products and steps in turns")
        packs = (1, 16) if options.quick else floor.PACKS[device]
        with deterministic_numerics(torch.device(device)):
            limits = floor.measure(
                work.widths, work.batch_size, packs, step_rounds, device, work.precision
            )
        measured["step"] = {**asdict(limits), "best": limits.best.pack}
    if options.has("rates"):
        contest = contests.Contest(
            work, device, options.processes, options.trials, options.pack, say, options.ours
        )
        found = contest.rates(options.only, options.rounds)
        measured["rates"] = [described(one, options) for one in found]
        show(tables.rates(found, work, options.processes, options.rounds, limits))
    if limits:
        show(tables.steps(limits))
    if options.has("growth"):
        say("growth: arms in a pack")
        sizes = (0, 20) if options.quick else growth.TRIALS
        with deterministic_numerics(torch.device(device)):
            arms = growth.mixed(work.widths, work.batch_size, step_rounds // 3, device)
            seconds = growth.training_seconds(work, step_rounds, device)
        trials = growth.bookkeeping(work, sizes, seconds, say)
        measured["growth"] = {
            "arms": [asdict(one) for one in arms],
            "training_seconds": seconds,
            "bookkeeping": [asdict(one) for one in trials],
        }
        show(tables.growth(arms, trials, seconds))
    if options.has("memory") and device == "cpu":
        peaks = memory.measure(work.dataset, say)
        measured["memory"] = [asdict(one) for one in peaks]
        show(tables.memory(peaks))
    return measured


def described(one: contests.Rate, options: Options) -> dict[str, Any]:
    """Return a rate for JSON."""
    if one.skipped:
        return {"name": one.name, "skipped": one.skipped}
    return {
        **asdict(one),
        "per_hour": one.per_hour,
        "per_hour_with_start": one.per_hour_with_start,
        "step_milliseconds": one.step_milliseconds(options.work, options.processes),
        "differs": one.differs,
    }


def machine(options: Options) -> dict[str, Any]:
    """Return what figures depend on."""
    gpu = torch.cuda.get_device_name() if options.device != "cpu" else ""
    return {
        "device": options.device,
        "gpu": gpu,
        "processor": platform.machine(),
        "processes": options.processes,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def say(text: str) -> None:
    """Show progress, beside the figures."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def parse(arguments: list[str] | None = None) -> tuple[Options, bool]:
    """Return the options, and whether JSON is wanted."""
    parser = argparse.ArgumentParser(description="trials per hour, beside others and the floor")
    parser.add_argument("--part", choices=(*PARTS, "all"), default="all")
    parser.add_argument("--only", default=",".join(contests.NAMES), help="contestants, by comma")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--finetune-epochs", type=int, default=1)
    parser.add_argument("--trials", type=int, default=8, help="of the loop; ours runs 4 times that")
    parser.add_argument("--rounds", type=int, default=2, help="of the contest; the best counts")
    parser.add_argument("--pack", type=int, help="trials that ours trains together")
    parser.add_argument(
        "--precision",
        choices=("float32", "bfloat16"),
        default="float32",
        help="of the products of ours",
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument(
        "--gpu-full", action="store_true", help="1,000 trials of 20 epochs on a GPU"
    )
    parser.add_argument("--quick", action="store_true", help="a minute, on the digits")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    only = tuple(name.strip() for name in given.only.split(","))
    if unknown := [name for name in only if name not in contests.NAMES]:
        parser.error(f"--only: no such contestant: {unknown[0]}; there are {given.only}")
    if given.gpu_full and given.device != "cuda":
        parser.error("--gpu-full: needs --device cuda")
    if given.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: there is no CUDA device here")
    work = Work("mnist", given.epochs, given.finetune_epochs, precision=given.precision)
    if given.quick:
        work = Work("digits", epochs=20, finetune_epochs=5, precision=given.precision)
    if given.gpu_full:
        work = Work("mnist", epochs=19, finetune_epochs=1, precision=given.precision)
    ours = None
    if given.device == "cuda":
        ours = 1000 if given.gpu_full else 1024
    options = Options(
        given.part,
        only,
        work,
        2 if given.quick else given.trials,
        1 if given.quick else given.rounds,
        given.pack,
        given.device,
        given.quick,
        ours,
    )
    return options, given.json


def main() -> None:
    options, as_json = parse()
    signal.signal(signal.SIGTERM, _leave)
    try:
        measured = measure(options, _nothing if as_json else _print)
    except KeyboardInterrupt:
        sys.exit("stopped")
    except (SweeperError, RuntimeError) as error:
        sys.exit(f"error: {error}")
    if as_json:
        print(json.dumps(measured, indent=2))


def _print(table: str) -> None:
    print(f"{table}\n", flush=True)


def _nothing(table: str) -> None:
    pass


def _leave(number: int, frame: FrameType | None) -> None:
    """End as usual, so that processes and folders are cleared up."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
