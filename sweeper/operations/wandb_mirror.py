"""Mirror in Weights & Biases: a project for each sweep, a run for each trial.

Where it is, say W&B's own WANDB_BASE_URL, WANDB_ENTITY, WANDB_PROJECT, WANDB_MODE and WANDB_DIR. A
run's id follows from its trial, so that a trial that is put there again, or synchronised from two
folders, is the same run.
"""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

from sweeper.config import Sweep
from sweeper.errors import InputError
from sweeper.operations.trial_mirrors import MirroredTrial

CONFIG = "sweeper"
"""Key of a run's configuration under which its trial and tags stand."""
_MARK = "sweeper-trial.json"
"""File in the folder of an offline run once all of it is there."""
_TIMEOUT = 30
"""Seconds for an answer, and for the upload of a run."""


class WandbMirror:
    """The runs of a sweep's project, on the server or in a folder.

    Raises InputError where wandb is not installed, switched off, or has no API key.
    """

    def __init__(self, sweep: Sweep) -> None:
        try:
            import wandb
        except ImportError as error:
            raise InputError("mirror: wandb: pip install 'sweeper[wandb]'") from error
        # Silent, it asks nobody at the terminal for an API key either.
        settings = wandb.setup(settings=wandb.Settings(silent=True)).settings
        if settings.mode == "disabled":
            text = "got 'disabled'; allowed: online, offline (or leave out --mirror wandb)"
            raise InputError(f"mirror: wandb: WANDB_MODE: {text}")
        self._is_offline = settings.mode in {"offline", "dryrun"}
        if not self._is_offline and not wandb.login(prompt=False):
            text = "no API key: set WANDB_API_KEY, run `wandb login`, or set WANDB_MODE=offline"
            raise InputError(f"mirror: wandb: {text}")
        self._folder = Path(settings.wandb_dir)
        self._sweep = sweep.name
        self._project = settings.project or f"sweeper-{sweep.name}"

    def keys(self) -> set[str]:
        """Return the keys of finished runs."""
        return self._keys_in_folder() if self._is_offline else self._keys_on_server()

    def add(self, trial: MirroredTrial) -> None:
        """Log a trial as one run, in place of an unfinished one of the same id."""
        import wandb

        run_id = hashlib.sha256(trial.key.encode()).hexdigest()[:20]
        if self._is_offline:
            self._clear(run_id)
        run = wandb.init(
            project=self._project,
            id=run_id,
            name=trial.name,
            group=f"{self._sweep}/{trial.tags['arm']}",
            config={**trial.params, CONFIG: {**trial.tags, "trial": trial.key}},
            reinit="create_new",
            settings=wandb.Settings(
                silent=True,
                console="off",
                init_timeout=_TIMEOUT,
                finish_timeout=_TIMEOUT,
                finish_timeout_raises=True,
                # It is the trial that counts, not this process: its command line has passwords.
                x_disable_meta=True,
                x_disable_machine_info=True,
                x_disable_stats=True,
                x_save_requirements=False,
                disable_git=True,
                disable_code=True,
                disable_job_creation=True,
            ),
        )
        _log(run, trial)
        run.finish()
        if self._is_offline:
            mark = {"project": self._project, "trial": trial.key}
            (Path(run.dir).parent / _MARK).write_text(json.dumps(mark), encoding="utf-8")

    def _keys_in_folder(self) -> set[str]:
        texts = (mark.read_text(encoding="utf-8") for mark in self._folder.glob(f"*/{_MARK}"))
        marks = [json.loads(text) for text in texts]
        return {mark["trial"] for mark in marks if mark["project"] == self._project}

    def _keys_on_server(self) -> set[str]:
        import wandb

        runs = wandb.Api(timeout=_TIMEOUT).runs(self._project, per_page=500, lazy=False)
        try:
            known = [run.config.get(CONFIG) for run in runs if run.state == "finished"]
        except ValueError as error:
            if "Could not find project" in str(error):  # the first run makes it
                return set()
            raise
        return {one["trial"] for one in known if isinstance(one, dict) and "trial" in one}

    def _clear(self, run_id: str) -> None:
        """Remove what a crash left of a run: two folders would be synchronised into one run."""
        for folder in self._folder.glob(f"offline-run-*-{run_id}"):
            if not (folder / _MARK).exists():
                shutil.rmtree(folder)


def _log(run: Any, trial: MirroredTrial) -> None:
    """Log the learning curve by its steps, and what was measured at the end with its last."""
    run.define_metric("learning/epoch")
    run.define_metric("learning/*", step_metric="learning/epoch")
    for step, values in trial.learning():
        run.log(values, step=step)
    run.log(dict(trial.metrics))
