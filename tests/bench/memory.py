"""Peak memory of each further network in a pack, by processes that train few and many.

    python tests/bench/memory.py DATASET PACK {sgd,adam} {train,steps}

is such a process; it prints the most memory, in MB, that it held beside its data.
"""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

PACKS = 4, 36
TARGET = 10.0
"""MB for each network beyond the shared data, under SGD."""


@dataclass(frozen=True)
class Memory:
    """Peak memory of each further network, in MB."""

    optimizer: str
    what: str
    """`train`: trained, pruned, fine-tuned and judged with a curve; `steps`: training alone."""
    megabytes: float


def measure(dataset: str, say: Callable[[str], None]) -> list[Memory]:
    """Measure all, one process after the other."""
    found = []
    for optimizer in ("sgd", "adam"):
        for what in ("steps", "train"):
            say(f"memory: {optimizer}, {what}")
            few, many = (_peak(dataset, pack, optimizer, what) for pack in PACKS)
            found.append(Memory(optimizer, what, (many - few) / (PACKS[1] - PACKS[0])))
    return found


def _peak(dataset: str, pack: int, optimizer: str, what: str) -> float:
    command = [sys.executable, __file__, dataset, str(pack), optimizer, what]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise RuntimeError(f"memory: {' '.join(command[2:])}: {last}")
    return float(done.stdout)


def main() -> None:
    dataset, pack, optimizer, what = sys.argv[1:]
    program = _steps if what == "steps" else _train
    run = program(dataset, optimizer)
    run(1)  # what is loaded and compiled once is no network's
    before = held("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak of loading
    run(int(pack))
    print(held("VmHWM") - before)


def _train(dataset: str, optimizer: str) -> Callable[[int], object]:
    from sweeper.training import datasets
    from sweeper.training.pack import train_pack
    from work import Work, part_of

    # Enough for whole chunks of judging; more images would take longer and no more memory.
    data = part_of(datasets.load(dataset), 1280, 2000)
    first = Work(dataset, epochs=1).configs(1)[0]
    recipe = replace(first.recipe, optimizer=optimizer, curve=(0.02, 0.1))
    config = replace(first, recipe=recipe)
    return lambda pack: train_pack([replace(config, init_seed=k) for k in range(pack)], data)


def _steps(dataset: str, optimizer: str) -> Callable[[int], object]:
    import torch

    from floor import L1, mixed_step
    from work import Work

    torch.set_num_threads(1)
    work = Work(dataset)

    def run(pack: int) -> None:
        program = mixed_step([L1] * pack, work.widths, work.batch_size, "cpu", optimizer)
        for _ in range(5):
            program()

    return run


def held(key: str) -> float:
    """Return a line of /proc/self/status in MB: VmRSS is held now, VmHWM was at the most."""
    found = re.search(rf"^{key}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024 / 1e6


if __name__ == "__main__":
    main()
