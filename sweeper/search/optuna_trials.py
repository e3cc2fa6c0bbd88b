"""Trials in Optuna's tables, many in one transaction; of those of slots, what samplers learn from.

Rows are written by SQLAlchemy's Core. As objects of its ORM, and read back through Optuna's API, a
network of a ladder of eight took 3.5 ms of a worker's processor in place of 1.6, with all else.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from optuna.distributions import BaseDistribution, distribution_to_json, json_to_distribution
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy import Table, delete, func, insert, inspect, or_, select, update
from sqlalchemy.orm import Session

from sweeper.search.optuna_tables import MARK, guard

_STUDIES: Table = models.StudyModel.__table__
_TRIALS: Table = models.TrialModel.__table__
_PARAMETERS: Table = models.TrialParamModel.__table__
_VALUES: Table = models.TrialValueModel.__table__
_ATTRIBUTES: Table = models.TrialUserAttributeModel.__table__
_TRIAL_COLUMNS = tuple(
    (name.key, name.columns[0])
    for name in inspect(models.TrialModel).column_attrs
    if name.key != "trial_id"
)
_FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
_UNFINISHED = (TrialState.RUNNING, TrialState.WAITING)


def create_trials(
    storage: RDBStorage, study: int, mark: str, templates: Sequence[FrozenTrial]
) -> int:
    """Create trials in one transaction; return the number of the first, whom the others follow.

    Raises KeyError as `guard` does.
    """
    session = storage.scoped_session()
    session.close()  # as `guard` does
    with session:
        _lock(session, study, mark)
        of_study = _TRIALS.c.study_id == study
        first = int(session.scalar(select(func.count()).select_from(_TRIALS).where(of_study)) or 0)
        rows = [_trial_row(study, first + n, trial) for n, trial in enumerate(templates)]
        _insert(session, _TRIALS, rows)
        new = select(_TRIALS.c.number, _TRIALS.c.trial_id).where(
            of_study, _TRIALS.c.number >= first
        )
        ids = {number: int(id_) for number, id_ in session.execute(new)}
        numbered = [(ids[first + place], trial) for place, trial in enumerate(templates)]
        _insert(session, _PARAMETERS, [row for pair in numbered for row in _parameter_rows(*pair)])
        _insert_outcomes(
            session, [(id_, trial.values or (), trial.user_attrs) for id_, trial in numbered]
        )
        session.commit()
    return first


def _lock(session: Session, study: int, mark: str) -> None:
    """Lock a study that has a mark: who numbers trials of it does. Raises KeyError."""
    studies, attributes = _STUDIES, models.StudySystemAttributeModel.__table__
    if session.get_bind().dialect.name == "sqlite":
        # It knows no FOR UPDATE, but lets one write at a time: this is one that changes nothing.
        same = update(studies).where(studies.c.study_id == study)
        session.execute(same.values(study_name=studies.c.study_name))
    query = (
        select(attributes.c.value_json)
        .join(studies, studies.c.study_id == attributes.c.study_id)
        .where(studies.c.study_id == study, attributes.c.key == MARK)
        .with_for_update(of=studies)
    )
    present = session.scalar(query)
    if present is None or json.loads(present) != mark:
        raise KeyError(study)


def _insert(session: Session, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:
        session.execute(insert(table), rows)


def _trial_row(study: int, number: int, template: FrozenTrial) -> dict[str, Any]:
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


def _insert_outcomes(
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
    _insert(session, _VALUES, values)
    _insert(session, _ATTRIBUTES, attributes)


@dataclass(frozen=True, slots=True)
class TrialEnd:
    """End of a trial: its state, the values that go with it, and what else was measured."""

    number: int
    state: TrialState
    values: tuple[float, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)


def finish_trials(storage: RDBStorage, study: int, mark: str, ends: Sequence[TrialEnd]) -> None:
    """Finish trials in one transaction; finished ones, and those that are gone, are left alone.

    Raises KeyError as `guard` does.
    """
    guard(storage, study, mark)
    by_number = {end.number: end for end in ends}
    with storage.scoped_session() as session:
        rows = session.execute(
            select(_TRIALS.c.trial_id, _TRIALS.c.number)
            .where(
                _TRIALS.c.study_id == study,
                _TRIALS.c.number.in_(sorted(by_number)),
                _TRIALS.c.state.in_(_UNFINISHED),
            )
            .with_for_update()
        )
        running = {int(id_): by_number[number] for id_, number in rows}
        _delete_attributes(session, running)
        _insert_outcomes(
            session, [(id_, end.values, end.attributes) for id_, end in running.items()]
        )
        now = _trial_row(study, 0, create_trial(state=TrialState.FAIL))["datetime_complete"]
        for state in {end.state for end in running.values()}:
            ids = [id_ for id_, end in running.items() if end.state == state]
            session.execute(
                update(_TRIALS)
                .where(_TRIALS.c.trial_id.in_(ids))
                .values(state=state, datetime_complete=now)
            )
        session.commit()


def _delete_attributes(session: Session, ends: Mapping[int, TrialEnd]) -> None:
    """Delete what trials say already under the names of what they are told."""
    keys = sorted({key for end in ends.values() for key in end.attributes})
    query = select(_ATTRIBUTES.c.trial_user_attribute_id, _ATTRIBUTES.c.trial_id, _ATTRIBUTES.c.key)
    query = query.where(_ATTRIBUTES.c.trial_id.in_(sorted(ends)), _ATTRIBUTES.c.key.in_(keys))
    # Looked for first: MySQL locks the gap where a DELETE finds nothing.
    rows = session.execute(query) if keys else ()
    if old := [id_ for id_, trial, key in rows if key in ends[trial].attributes]:
        session.execute(delete(_ATTRIBUTES).where(_ATTRIBUTES.c.trial_user_attribute_id.in_(old)))


@dataclass(frozen=True, slots=True)
class SlotTrial:
    """A trial of a slot. Its values are read where it is finished."""

    id: int
    number: int
    slot: int
    state: TrialState
    values: tuple[float, ...]

    def is_same(self, other: "SlotTrial") -> bool:
        """Tell whether it is another reading of a trial."""
        return (self.id, self.number, self.slot) == (other.id, other.number, other.slot)

    @property
    def finished(self) -> bool:
        """Whether it has told something that counts."""
        return self.state in _FINISHED

    @property
    def running(self) -> bool:
        """Whether it may still be told."""
        return self.state in _UNFINISHED


def slot_trials(
    storage: RDBStorage, study: int, after: int, among: Collection[int]
) -> list[SlotTrial]:
    """Return the trials of slots with ids from `after` on, or among some, in the order of ids."""
    new = _TRIALS.c.trial_id >= after
    chosen = _TRIALS.c.study_id == study, or_(new, _TRIALS.c.trial_id.in_(sorted(among)))
    states = select(_TRIALS.c.trial_id, _TRIALS.c.number, _TRIALS.c.state, _ATTRIBUTES.c.value_json)
    states = states.join(_ATTRIBUTES, _ATTRIBUTES.c.trial_id == _TRIALS.c.trial_id)
    states = states.where(*chosen, _ATTRIBUTES.c.key == "slot").order_by(_TRIALS.c.trial_id)
    told = select(_VALUES.c.trial_id, _VALUES.c.value, _VALUES.c.value_type)
    told = told.join(_TRIALS, _VALUES.c.trial_id == _TRIALS.c.trial_id)
    told = told.where(*chosen).order_by(_VALUES.c.trial_id, _VALUES.c.objective)
    values: dict[int, tuple[float, ...]] = {}
    with storage.scoped_session() as session:
        # What is told between the two has values here that are read again, with its state, then.
        rows = session.execute(states).all()
        for id_, value, kind in session.execute(told) if rows else ():
            read = models.TrialValueModel.stored_repr_to_value(value, kind)
            values[id_] = (*values.get(id_, ()), read)
        session.commit()
    return [
        SlotTrial(id_, number, json.loads(slot), state, values.get(id_, ()))
        for id_, number, state, slot in rows
    ]


def parameters(storage: RDBStorage, trials: Sequence[int]) -> dict[int, dict[str, Any]]:
    """Return the parameters of trials by their ids."""
    by_trial: dict[int, dict[str, Any]] = {}
    table = _PARAMETERS.c
    columns = table.trial_id, table.param_name, table.param_value, table.distribution_json
    with storage.scoped_session() as session:
        for start in range(0, len(trials), _IDS_AT_ONCE):
            some = trials[start : start + _IDS_AT_ONCE]
            query = select(*columns).where(table.trial_id.in_(some)).order_by(table.param_id)
            for id_, name, value, distribution in session.execute(query):
                params = by_trial.setdefault(int(id_), {})
                params[str(name)] = _distribution(distribution).to_external_repr(value)
        session.commit()
    return by_trial


_IDS_AT_ONCE = 500


@lru_cache(maxsize=256)
def _distribution(text: str) -> BaseDistribution:
    return json_to_distribution(text)
