"""Optuna's tables, several rows in one transaction: its public API takes one for each.

`RDBStorage` opens one SQLAlchemy session a thread for every call, which these functions share. The
tables are those that Optuna's migrations keep; tests read what is written here through its public
API, on every database.
"""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.study import StudyDirection
from optuna.trial import TrialState

MARK = "sweeper:study"
"""The system attribute that says whose a study is: see `study_owner`."""


@dataclass(frozen=True, slots=True)
class StudyRow:
    """A study with those of its system attributes that were asked for."""

    id: int
    name: str
    attributes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class StudyContents:
    """Contents of a study."""

    directions: tuple[StudyDirection, ...]
    system_attributes: Mapping[str, Any]
    user_attributes: int
    """Their number."""
    trials: int
    """Their number."""
    without_slot: int
    """Trials without a slot that nobody failed."""


def guard(storage: RDBStorage, study: int, mark: str, trial: int | None = None) -> None:
    """Have the next call of this thread write to a study that has a mark, or to a trial of it.

    Raises KeyError if the study is gone, or another has its number, as SQLite gives it out again.
    """
    model = models.StudySystemAttributeModel
    session = storage.scoped_session()
    session.close()  # of an attempt that came to nothing: what it held, and its lost connection
    query = session.query(model.value_json).filter(model.study_id == study, model.key == MARK)
    if trial is not None:
        query = query.join(models.TrialModel, models.TrialModel.study_id == model.study_id)
        query = query.filter(models.TrialModel.trial_id == trial)
    try:
        present = query.scalar()
        if present is None or json.loads(present) != mark:
            raise KeyError(study)
    except BaseException:
        session.close()
        raise


LONGEST = 65_535
"""Bytes of a text in Optuna's tables on MySQL. Of what is written here, only a choice is longer:
figures and notes come in pieces of 2,045 characters, which JSON writes in at most 24,540 bytes."""


def cuts(storage: RDBStorage) -> bool:
    """Tell whether no text may be longer than `LONGEST`."""
    return storage.engine.dialect.name in {"mysql", "mariadb"}


def studies(
    storage: RDBStorage, names: Collection[str], keys: Collection[str]
) -> tuple[StudyRow, ...]:
    """Return the studies that the database finds under names, with the attributes of those keys.

    MySQL finds some with other names, too: its collations do not tell `A` from `a`.
    """
    model, attribute = models.StudyModel, models.StudySystemAttributeModel
    with storage.scoped_session() as session:
        pairs = session.query(model.study_id, model.study_name).filter(
            model.study_name.in_(sorted(names))
        )
        rows = {int(id_): str(name) for id_, name in pairs}
        attributes: dict[int, dict[str, Any]] = {id_: {} for id_ in rows}
        written = session.query(attribute.study_id, attribute.key, attribute.value_json).filter(
            attribute.study_id.in_(list(rows)), attribute.key.in_(sorted(keys))
        )
        for id_, key, value in written if rows else ():
            attributes[id_][str(key)] = json.loads(value)
        session.commit()
    return tuple(StudyRow(id_, name, attributes[id_]) for id_, name in rows.items())


def make(
    storage: RDBStorage,
    name: str,
    directions: Sequence[StudyDirection],
    attributes: Callable[[int], Mapping[str, Any]],
) -> int:
    """Create a study and its system attributes in one transaction; return its id.

    `attributes` is called with the id. Raises an IntegrityError where the name is taken.
    """
    with storage.scoped_session() as session:
        study = models.StudyModel(
            study_name=name,
            directions=[
                models.StudyDirectionModel(objective=number, direction=direction)
                for number, direction in enumerate(directions)
            ],
        )
        session.add(study)
        session.flush()
        id_ = int(study.study_id)
        session.add_all(
            models.StudySystemAttributeModel(study_id=id_, key=key, value_json=json.dumps(value))
            for key, value in attributes(id_).items()
        )
        session.commit()
    return id_


def mark(storage: RDBStorage, study: int, value: str) -> None:
    """Mark a study, unless it is marked. Raises KeyError if it is gone."""
    model = models.StudySystemAttributeModel
    with storage.scoped_session() as session:
        models.StudyModel.find_or_raise_by_id(study, session)
        marks = session.query(model).filter(model.study_id == study, model.key == MARK)
        if marks.first() is None:
            session.add(model(study_id=study, key=MARK, value_json=json.dumps(value)))
        session.commit()


def contents(storage: RDBStorage, study: int) -> StudyContents:
    """Return the contents of a study. Raises KeyError if it is gone."""
    trial, attribute = models.TrialModel, models.TrialUserAttributeModel
    with storage.scoped_session() as session:
        models.StudyModel.find_or_raise_by_id(study, session)
        directions: list[Any] = models.StudyDirectionModel.where_study_id(study, session)
        system: list[Any] = models.StudySystemAttributeModel.where_study_id(study, session)
        user = models.StudyUserAttributeModel.where_study_id(study, session)
        trials = session.query(trial).filter(trial.study_id == study)
        slot = session.query(attribute).filter(
            attribute.trial_id == trial.trial_id, attribute.key.in_(("slot", "network"))
        )
        others = trials.filter(trial.state != TrialState.FAIL, ~slot.exists())
        contents = StudyContents(
            directions=tuple(
                row.direction for row in sorted(directions, key=lambda row: row.objective)
            ),
            system_attributes={str(row.key): json.loads(row.value_json) for row in system},
            user_attributes=len(user),
            trials=trials.count(),
            without_slot=others.count(),
        )
        session.commit()
    return contents


def study_ids(storage: RDBStorage, names: Collection[str]) -> dict[str, int]:
    """Return the ids of studies with one query; those that are not there are left out."""
    model = models.StudyModel
    with storage.scoped_session() as session:
        rows = session.query(model.study_name, model.study_id).filter(
            model.study_name.in_(sorted(names))
        )
        # MySQL finds `A`, too, where `a` is asked for.
        ids = {str(name): int(id_) for name, id_ in rows if name in names}
        session.commit()
    return ids


def study_name(storage: RDBStorage, study: int) -> str | None:
    """Return the name of a study by its id; None if there is none."""
    model = models.StudyModel
    with storage.scoped_session() as session:
        name = session.query(model.study_name).filter(model.study_id == study).scalar()
        session.commit()
    return None if name is None else str(name)


def replace(storage: RDBStorage, study: int, mark: str, attributes: Mapping[str, Any]) -> None:
    """Write system attributes of a study in one transaction; None takes one away.

    Raises KeyError as `guard` does.
    """
    model = models.StudySystemAttributeModel
    guard(storage, study, mark)
    with storage.scoped_session() as session:
        present = {
            str(row.key): row
            for row in session.query(model).filter(
                model.study_id == study, model.key.in_(list(attributes))
            )
        }
        for key, value in attributes.items():
            if value is None and key in present:
                session.delete(present[key])
            elif value is not None and key in present:
                present[key].value_json = json.dumps(value)
            elif value is not None:
                session.add(model(study_id=study, key=key, value_json=json.dumps(value)))
        session.commit()


def attach(storage: RDBStorage, trial: int, key: str, value: str) -> None:
    """Write a system attribute of a trial, finished or not, unless it has it already.

    `guard` comes before it.
    """
    model = models.TrialSystemAttributeModel
    with storage.scoped_session() as session:
        present = session.query(model).filter(model.trial_id == trial, model.key == key)
        if present.first() is None:
            session.add(model(trial_id=trial, key=key, value_json=json.dumps(value)))
        session.commit()
