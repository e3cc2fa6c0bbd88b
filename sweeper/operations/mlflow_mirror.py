"""Mirror in MLflow: an experiment for each sweep, a run for each trial.

Where it is, says MLflow's own MLFLOW_TRACKING_URI. The tag `sweeper.trial` of a run tells which
trial it is; a run that a crash left unfinished is gone on with.
"""

from typing import Any

from sweeper.config import Sweep
from sweeper.errors import InputError
from sweeper.operations.trial_mirrors import MirroredTrial

TAG = "sweeper.trial"
_PAGE = 1000
"""Runs that are asked for at a time."""
_MOST_METRICS = 1000
"""Of one request."""


class MlflowMirror:
    """The runs of a sweep's experiment. Raises InputError where MLflow is not installed."""

    def __init__(self, sweep: Sweep) -> None:
        try:
            from mlflow.tracking import MlflowClient
        except ImportError as error:
            raise InputError("mirror: mlflow: pip install 'sweeper[mlflow]'") from error
        self._client = MlflowClient()
        self._name = f"sweeper/{sweep.name}"
        self._unfinished: dict[str, str] = {}
        """Ids of runs that are not finished, by key."""

    def keys(self) -> set[str]:
        """Return the keys of finished runs."""
        keys, token = set(), None
        self._unfinished = {}
        while True:
            page = self._client.search_runs(
                [self._experiment()], max_results=_PAGE, page_token=token
            )
            for run in page:
                key = run.data.tags.get(TAG)
                if key and run.info.status == "FINISHED":
                    keys.add(key)
                elif key:
                    self._unfinished[key] = run.info.run_id
            token = page.token
            if not token:
                return keys

    def add(self, trial: MirroredTrial) -> None:
        """Log a trial as one run, finished once all of it is there."""
        from mlflow.entities import Param

        run = self._unfinished.pop(trial.key, None) or self._begun(trial)
        params = [Param(name, str(value)) for name, value in trial.params.items()]
        metrics = self._metrics(trial)
        self._client.log_batch(run, params=params, metrics=metrics[:_MOST_METRICS])
        for start in range(_MOST_METRICS, len(metrics), _MOST_METRICS):
            self._client.log_batch(run, metrics=metrics[start : start + _MOST_METRICS])
        self._client.set_terminated(run, "FINISHED", end_time=_milliseconds(trial.finished_at))

    def _begun(self, trial: MirroredTrial) -> str:
        start = trial.finished_at - trial.metrics["seconds"]
        tags = {f"sweeper.{name}": value for name, value in trial.tags.items()}
        run = self._client.create_run(
            self._experiment(),
            start_time=_milliseconds(start),
            tags={**tags, TAG: trial.key},
            run_name=trial.name,
        )
        return str(run.info.run_id)

    def _metrics(self, trial: MirroredTrial) -> list[Any]:
        from mlflow.entities import Metric

        at = _milliseconds(trial.finished_at)
        last = [Metric(name, float(value), at, 0) for name, value in trial.metrics.items()]
        curve = [
            Metric(name, float(value), at, step)
            for step, values in trial.learning()
            for name, value in values.items()
        ]
        return [*last, *curve]

    def _experiment(self) -> str:
        known = self._client.get_experiment_by_name(self._name)
        return str(known.experiment_id if known else self._client.create_experiment(self._name))


def _milliseconds(moment: float) -> int:
    return int(1000 * moment)
