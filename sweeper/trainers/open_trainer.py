"""Opening of the trainer of a sweep: of packs, or of the user's script."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Unpack

from sweeper.config import Sweep
from sweeper.settings import trials_folder
from sweeper.trainers.pack_trainer import PackTrainer
from sweeper.trainers.script_trainer import ScriptTrainer
from sweeper.trainers.trainer import Trainer, TrainerOptions

_log = logging.getLogger("sweeper.worker")


def open_trainer(
    sweep: Sweep,
    *,
    trials: Path | None = None,
    artifacts: str | None = None,
    identity: str = "",
    on_event: Callable[[str], None] = _log.info,
    **options: Unpack[TrainerOptions],
) -> Trainer:
    """Return the trainer of a sweep.

    A script has its files in `trials`, its checkpoints in `artifacts` too; `identity` tells the
    sweep from others of its name. Raises InputError and DataError.
    """
    if sweep.script is not None and options.get("train") is None:
        return ScriptTrainer(
            sweep,
            sweep.script,
            trials=trials_folder(sweep.name, trials),
            device=options.get("device", "auto"),
            identity=identity,
            folder=options.get("folder"),
            artifacts=artifacts,
            on_event=on_event,
        )
    return PackTrainer(sweep, on_event=on_event, **options)
