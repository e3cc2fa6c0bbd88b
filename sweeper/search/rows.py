"""Rows of Optuna's tables, several in one transaction: its public API takes one for each.

`RDBStorage` opens one SQLAlchemy session a thread for every call. What waits in that session is
written by the next call of the same thread, or taken back with it: so `join_trial` adds to a public
call, whose own checks decide. The tables are those that Optuna's migrations keep; tests read what
is written here through its public API, on every database.
"""

import json
from collections.abc import Collection, Mapping
from typing import Any

from optuna.storages import RDBStorage
from optuna.storages._rdb import models

LONGEST = 65_535
"""Bytes of a text in Optuna's tables on MySQL. Of what is written here, only a choice is longer:
figures and notes come in pieces of 2,045 characters, which JSON writes in at most 24,540 bytes."""


def cuts(storage: RDBStorage) -> bool:
    """Tell whether no text may be longer than `LONGEST`."""
    return storage.engine.dialect.name in {"mysql", "mariadb"}


def join_trial(storage: RDBStorage, trial: int, attributes: Mapping[str, Any]) -> None:
    """Have the next call of this thread write user attributes that a trial does not have yet."""
    session = storage.scoped_session()
    session.expunge_all()  # of an attempt that came to nothing
    session.add_all(
        models.TrialUserAttributeModel(trial_id=trial, key=key, value_json=json.dumps(value))
        for key, value in attributes.items()
    )


def study_ids(storage: RDBStorage, names: Collection[str]) -> dict[str, int]:
    """Return the ids of studies with one query; those that are not there are left out."""
    model = models.StudyModel
    with storage.scoped_session() as session:
        rows = session.query(model.study_name, model.study_id).filter(
            model.study_name.in_(sorted(names))
        )
        found = {str(name): int(id_) for name, id_ in rows}
        session.commit()
    return found


def replace(storage: RDBStorage, study: int, attributes: Mapping[str, Any]) -> None:
    """Write system attributes of a study in one transaction; None takes one away.

    Raises KeyError if the study is gone.
    """
    model = models.StudySystemAttributeModel
    with storage.scoped_session() as session:
        models.StudyModel.find_or_raise_by_id(study, session)
        known = {
            str(row.key): row
            for row in session.query(model).filter(
                model.study_id == study, model.key.in_(list(attributes))
            )
        }
        for key, value in attributes.items():
            if value is None and key in known:
                session.delete(known[key])
            elif value is not None and key in known:
                known[key].value_json = json.dumps(value)
            elif value is not None:
                session.add(model(study_id=study, key=key, value_json=json.dumps(value)))
        session.commit()


def attach(storage: RDBStorage, trial: int, key: str, value: str) -> None:
    """Write a system attribute of a trial, finished or not, unless it has it already."""
    model = models.TrialSystemAttributeModel
    with storage.scoped_session() as session:
        known = session.query(model).filter(model.trial_id == trial, model.key == key)
        if known.first() is None:
            session.add(model(trial_id=trial, key=key, value_json=json.dumps(value)))
        session.commit()
