"""One process of a contestant, which `contests.py` starts: python rivals.py NAME TASK PROCESS."""

import signal
import sys
from pathlib import Path
from types import FrameType

import torch

from task import Task


def main() -> None:
    signal.signal(signal.SIGTERM, _leave)
    name, file, process = sys.argv[1:]
    task = Task.read(Path(file))
    torch.set_num_threads(1)
    if name == "loop":
        from handwritten import Loop
        from sweeper.training import datasets

        hand = Loop(datasets.load(task.configs[0].recipe.dataset, device=task.device))
        for slot, config in task.share(int(process)).items():
            hand.run(slot, config).report()
    elif name == "optuna":
        import dataloader

        dataloader.run(task, int(process))
    elif name == "ray":
        import raytune

        raytune.run(task)


def _leave(number: int, frame: FrameType | None) -> None:
    """End as usual, so that Ray is shut down."""
    sys.exit(128 + number)


if __name__ == "__main__":
    main()
