"""One process of a contestant, which `contests.py` starts: python rivals.py NAME TASK PROCESS."""

import os
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
    dataset = task.configs[0].recipe.dataset
    if name in {"loop", "ladder"}:
        from handwritten import RUNGS, Loop
        from sweeper.training import datasets

        hand = Loop(datasets.load(dataset, device=task.device))
        if name == "loop":
            for slot, config in task.share(int(process)).items():
                hand.run(slot, config).report()
            return
        trials = list(enumerate(task.configs))
        for start in range(int(process) * RUNGS, len(trials), task.processes * RUNGS):
            for trial in hand.climb(trials[start : start + RUNGS]):
                trial.report()
    elif name == "jax":
        os.environ["JAX_PLATFORMS"] = task.device
        from stacked_jax import StackedLoop, restrict
        from sweeper.training import datasets

        if task.device == "cpu":
            restrict(int(process))
        share = task.share(int(process))
        stacked = StackedLoop(datasets.load(dataset), task.configs[0], task.device)
        stacked.warm_up([*share.values()])
        for trial in stacked.run([*share.items()]):
            trial.report()
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
