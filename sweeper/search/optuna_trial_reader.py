"""Reader of all trials of a study at once, as Optuna's API gives them.

Optuna reads them as objects of an ORM and parses the distribution of every parameter of every
trial, twice: of 10,000 trials that takes 5.5 s of a processor, at each poll of its dashboard.
"""

import json
from collections import defaultdict
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from optuna.distributions import BaseDistribution, json_to_distribution
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial
from sqlalchemy import Row, Table, select
from sqlalchemy.orm import Session

from sweeper.search.optuna_rows import ATTRIBUTES, PARAMETERS, TRIALS, VALUES

_SYSTEM: Table = models.TrialSystemAttributeModel.__table__
_INTERMEDIATE: Table = models.TrialIntermediateValueModel.__table__


def read_trials(storage: RDBStorage, study: int) -> list[FrozenTrial]:
    """Return all trials of a study in the order of their ids. Raises KeyError if it is gone.

    Distributions and choices are shared by trials: nobody may change one.
    """
    with storage.scoped_session() as session:
        models.StudyModel.find_or_raise_by_id(study, session)
        query = select(TRIALS).where(TRIALS.c.study_id == study).order_by(TRIALS.c.trial_id)
        trials = session.execute(query).all()
        params = _rows(session, PARAMETERS, study, "param_id")
        values = _rows(session, VALUES, study, "objective")
        user = _rows(session, ATTRIBUTES, study, "trial_user_attribute_id")
        system = _rows(session, _SYSTEM, study, "trial_system_attribute_id")
        intermediate = _rows(session, _INTERMEDIATE, study, "trial_intermediate_value_id")
        session.commit()
    read_value = models.TrialValueModel.stored_repr_to_value
    read_step = models.TrialIntermediateValueModel.stored_repr_to_intermediate_value
    frozen = []
    for trial in trials:
        id_ = trial.trial_id
        distributions = {
            row.param_name: _distribution(row.distribution_json) for row in params.get(id_, ())
        }
        frozen.append(
            FrozenTrial(
                number=trial.number,
                state=trial.state,
                value=None,
                values=[read_value(row.value, row.value_type) for row in values.get(id_, ())]
                or None,
                datetime_start=_local(trial.datetime_start),
                datetime_complete=_local(trial.datetime_complete),
                params={
                    row.param_name: distributions[row.param_name].to_external_repr(row.param_value)
                    for row in params.get(id_, ())
                },
                distributions=distributions,
                user_attrs={row.key: json.loads(row.value_json) for row in user.get(id_, ())},
                system_attrs={row.key: json.loads(row.value_json) for row in system.get(id_, ())},
                intermediate_values={
                    row.step: read_step(row.intermediate_value, row.intermediate_value_type)
                    for row in intermediate.get(id_, ())
                },
                trial_id=id_,
            )
        )
    return frozen


def _rows(session: Session, table: Table, study: int, order: str) -> dict[int, list[Row[Any]]]:
    """Return the rows of a table by their trials."""
    query = (
        select(table)
        .join(TRIALS, TRIALS.c.trial_id == table.c.trial_id)
        .where(TRIALS.c.study_id == study)
        .order_by(table.c[order])
    )
    of_trial: dict[int, list[Row[Any]]] = defaultdict(list)
    for row in session.execute(query):
        of_trial[row.trial_id].append(row)
    return of_trial


@lru_cache(maxsize=1024)
def _distribution(text: str) -> BaseDistribution:
    return json_to_distribution(text)


def _local(stored: datetime | None) -> datetime | None:
    """Return a time as Optuna has it: without a zone, that of this machine is meant."""
    return None if stored is None else stored.replace(tzinfo=UTC).astimezone().replace(tzinfo=None)
