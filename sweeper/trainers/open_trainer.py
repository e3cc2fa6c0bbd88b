"""Opening of the trainer of a sweep: of packs, or of the user's script."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sweeper.config import Sweep
from sweeper.settings import trials_folder
from sweeper.trainers.pack_size import PackSize
from sweeper.trainers.pack_trainer import PackTrainer
from sweeper.trainers.script_trainer import ScriptTrainer
from sweeper.trainers.trainer import Probe, Train, Trainer

_log = logging.getLogger("sweeper.worker")


def open_trainer(
    sweep: Sweep,
    *,
    device: str = "auto",
    pack: PackSize = "auto",
    folder: Path | None = None,
    train: Train | None = None,
    probe: Probe | None = None,
    data: Any = None,
    trials: Path | None = None,
    artifacts: str | None = None,
    identity: str = "",
    on_event: Callable[[str], None] = _log.info,
) -> Trainer:
    """Return the trainer of a sweep. `folder` is that of datasets.

    `train`, `probe` and `data` take the place of the training in packs, of its probe and its
    dataset. A script has its files in `trials`, its checkpoints in `artifacts` too; `identity`
    tells the sweep from others of its name. Raises InputError and DataError.
    """
    if sweep.script is not None and train is None:
        return ScriptTrainer(
            sweep,
            sweep.script,
            trials=trials_folder(sweep.name, trials),
            device=device,
            identity=identity,
            folder=folder,
            artifacts=artifacts,
            on_event=on_event,
        )
    return PackTrainer(
        sweep,
        device=device,
        pack=pack,
        folder=folder,
        train=train,
        probe=probe,
        data=data,
        on_event=on_event,
    )
