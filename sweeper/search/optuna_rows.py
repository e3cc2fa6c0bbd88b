"""Rows of trials in Optuna's tables, many in one transaction.

They are written by SQLAlchemy's Core. As objects of its ORM, and read back through Optuna's API, a
network of a ladder of eight took 3.5 ms of a worker's processor in place of 1.6, with all else.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from optuna.distributions import distribution_to_json
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial
from sqlalchemy import Table, delete, func, insert, inspect, select, update
from sqlalchemy.orm import Session

from sweeper.search.optuna_tables import MARK

STUDIES: Table = models.StudyModel.__table__
TRIALS: Table = models.TrialModel.__table__
PARAMETERS: Table = models.TrialParamModel.__table__
VALUES: Table = models.TrialValueModel.__table__
ATTRIBUTES: Table = models.TrialUserAttributeModel.__table__
_PARTS = (
    models.TrialParamModel,
    models.TrialValueModel,
    models.TrialUserAttributeModel,
    models.TrialSystemAttributeModel,
    models.TrialIntermediateValueModel,
    models.TrialHeartbeatModel,
)
_TRIAL_COLUMNS = tuple(
    (name.key, name.columns[0])
    for name in inspect(models.TrialModel).column_attrs
    if name.key != "trial_id"
)


def lock_study(session: Session, study: int, mark: str) -> None:
    """Lock a study that has a mark: who numbers trials of it does. Raises KeyError."""
    attributes = models.StudySystemAttributeModel.__table__
    if session.get_bind().dialect.name == "sqlite":
        # It knows no FOR UPDATE, but lets one write at a time: this is one that changes nothing.
        same = update(STUDIES).where(STUDIES.c.study_id == study)
        session.execute(same.values(study_name=STUDIES.c.study_name))
    query = (
        select(attributes.c.value_json)
        .join(STUDIES, STUDIES.c.study_id == attributes.c.study_id)
        .where(STUDIES.c.study_id == study, attributes.c.key == MARK)
        .with_for_update(of=STUDIES)
    )
    present = session.scalar(query)
    if present is None or json.loads(present) != mark:
        raise KeyError(study)


def insert_trials(
    session: Session, study: int, templates: Sequence[FrozenTrial]
) -> tuple[int, list[int]]:
    """Insert trials of a locked study; return the number of the first, and the ids of all."""
    of_study = TRIALS.c.study_id == study
    first = int(session.scalar(select(func.count()).select_from(TRIALS).where(of_study)) or 0)
    _insert(session, TRIALS, [trial_row(study, first + n, t) for n, t in enumerate(templates)])
    new = select(TRIALS.c.number, TRIALS.c.trial_id).where(of_study, TRIALS.c.number >= first)
    ids = {number: int(id_) for number, id_ in session.execute(new)}
    numbered = [(ids[first + place], trial) for place, trial in enumerate(templates)]
    _insert(session, PARAMETERS, [row for pair in numbered for row in _parameter_rows(*pair)])
    insert_outcomes(
        session, [(id_, trial.values or (), trial.user_attrs) for id_, trial in numbered]
    )
    return first, [id_ for id_, _ in numbered]


def delete_trials(storage: RDBStorage, study: int, mark: str) -> None:
    """Delete the trials of a study, in one transaction. Raises KeyError as `lock_study` does.

    Optuna deletes them one by one, as objects: 20,000 trials took it 210 s of a busy machine.
    """
    of_study = select(TRIALS.c.trial_id).where(TRIALS.c.study_id == study)
    session = storage.scoped_session()
    session.close()  # as `guard` does
    with session:
        lock_study(session, study, mark)
        for model in _PARTS:
            session.execute(delete(model.__table__).where(model.trial_id.in_(of_study)))
        session.execute(delete(TRIALS).where(TRIALS.c.study_id == study))
        session.commit()


def insert_outcomes(
    session: Session, outcomes: Iterable[tuple[int, Sequence[float], Mapping[str, Any]]]
) -> None:
    """Insert values and user attributes of trials."""
    values, attributes = list[dict[str, Any]](), list[dict[str, Any]]()
    for trial, of_trial, its_attributes in outcomes:
        for objective, value in enumerate(of_trial):
            stored, kind = models.TrialValueModel.value_to_stored_repr(value)
            values.append(
                {"trial_id": trial, "objective": objective, "value": stored, "value_type": kind}
            )
        for key, content in its_attributes.items():
            attributes.append({"trial_id": trial, "key": key, "value_json": json.dumps(content)})
    _insert(session, VALUES, values)
    _insert(session, ATTRIBUTES, attributes)


def trial_row(study: int, number: int, template: FrozenTrial) -> dict[str, Any]:
    """Return the row of a trial in the table of trials."""
    # The model knows in which zone times are stored.
    model = models.TrialModel(study_id=study, number=number, state=template.state)
    model.datetime_start = template.datetime_start
    model.datetime_complete = template.datetime_complete
    return {column.name: getattr(model, key) for key, column in _TRIAL_COLUMNS}


def _parameter_rows(trial: int, template: FrozenTrial) -> list[dict[str, Any]]:
    return [
        {
            "trial_id": trial,
            "param_name": name,
            "param_value": template.distributions[name].to_internal_repr(value),
            "distribution_json": distribution_to_json(template.distributions[name]),
        }
        for name, value in template.params.items()
    ]


def _insert(session: Session, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:
        session.execute(insert(table), rows)
