"""Trials of slots in Optuna's tables: made and finished many at a time, and read for samplers."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from optuna.distributions import BaseDistribution, json_to_distribution
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy import delete, or_, select, update
from sqlalchemy.orm import Session

from sweeper.search.objectives import OUTCOME
from sweeper.search.optuna_rows import (
    ATTRIBUTES,
    PARAMETERS,
    TRIALS,
    VALUES,
    insert_outcomes,
    insert_trials,
    lock_study,
    trial_row,
)
from sweeper.search.optuna_tables import guard

_FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)  # PRUNED: collapsed, by older versions
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
        lock_study(session, study, mark)
        first = insert_trials(session, study, templates)[0]
        session.commit()
    return first


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
            select(TRIALS.c.trial_id, TRIALS.c.number)
            .where(
                TRIALS.c.study_id == study,
                TRIALS.c.number.in_(sorted(by_number)),
                TRIALS.c.state.in_(_UNFINISHED),
            )
            .with_for_update()
        )
        running = {int(id_): by_number[number] for id_, number in rows}
        _delete_attributes(session, running)
        insert_outcomes(
            session, [(id_, end.values, end.attributes) for id_, end in running.items()]
        )
        now = trial_row(study, 0, create_trial(state=TrialState.FAIL))["datetime_complete"]
        for state in {end.state for end in running.values()}:
            ids = [id_ for id_, end in running.items() if end.state == state]
            session.execute(
                update(TRIALS)
                .where(TRIALS.c.trial_id.in_(ids))
                .values(state=state, datetime_complete=now)
            )
        session.commit()


def _delete_attributes(session: Session, ends: Mapping[int, TrialEnd]) -> None:
    """Delete what trials say already under the names of what they are told."""
    keys = sorted({key for end in ends.values() for key in end.attributes})
    query = select(ATTRIBUTES.c.trial_user_attribute_id, ATTRIBUTES.c.trial_id, ATTRIBUTES.c.key)
    query = query.where(ATTRIBUTES.c.trial_id.in_(sorted(ends)), ATTRIBUTES.c.key.in_(keys))
    # Looked for first: MySQL locks the gap where a DELETE finds nothing.
    rows = session.execute(query) if keys else ()
    if old := [id_ for id_, trial, key in rows if key in ends[trial].attributes]:
        session.execute(delete(ATTRIBUTES).where(ATTRIBUTES.c.trial_user_attribute_id.in_(old)))


@dataclass(frozen=True, slots=True)
class SlotTrial:
    """A trial of a slot. Its values are read where it is finished."""

    id: int
    number: int
    slot: int
    state: TrialState
    values: tuple[float, ...]
    outcome: bool
    """It left nothing to judge, but is on record: its attribute `outcome` says why."""

    def is_same(self, other: "SlotTrial") -> bool:
        """Tell whether it is another reading of a trial."""
        return (self.id, self.number, self.slot) == (other.id, other.number, other.slot)

    @property
    def finished(self) -> bool:
        """Whether it has told something that counts."""
        return self.state in _FINISHED or (self.state == TrialState.FAIL and self.outcome)

    @property
    def running(self) -> bool:
        """Whether it may still be told."""
        return self.state in _UNFINISHED


def slot_trials(
    storage: RDBStorage, study: int, after: int, among: Collection[int]
) -> list[SlotTrial]:
    """Return the trials of slots with ids from `after` on, or among some, in the order of ids."""
    new = TRIALS.c.trial_id >= after
    chosen = TRIALS.c.study_id == study, or_(new, TRIALS.c.trial_id.in_(sorted(among)))
    outcomes = ATTRIBUTES.alias()
    its_outcome = (outcomes.c.trial_id == TRIALS.c.trial_id) & (outcomes.c.key == OUTCOME)
    states = select(
        TRIALS.c.trial_id,
        TRIALS.c.number,
        TRIALS.c.state,
        ATTRIBUTES.c.value_json,
        outcomes.c.trial_id.is_not(None),
    )
    states = states.join(ATTRIBUTES, ATTRIBUTES.c.trial_id == TRIALS.c.trial_id)
    states = states.outerjoin(outcomes, its_outcome)
    states = states.where(*chosen, ATTRIBUTES.c.key == "slot").order_by(TRIALS.c.trial_id)
    told = select(VALUES.c.trial_id, VALUES.c.value, VALUES.c.value_type)
    told = told.join(TRIALS, VALUES.c.trial_id == TRIALS.c.trial_id)
    told = told.where(*chosen).order_by(VALUES.c.trial_id, VALUES.c.objective)
    values: dict[int, tuple[float, ...]] = {}
    with storage.scoped_session() as session:
        # What is told between the two has values here that are read again, with its state, then.
        rows = session.execute(states).all()
        for id_, value, kind in session.execute(told) if rows else ():
            read = models.TrialValueModel.stored_repr_to_value(value, kind)
            values[id_] = (*values.get(id_, ()), read)
        session.commit()
    return [
        SlotTrial(id_, number, json.loads(slot), state, values.get(id_, ()), bool(outcome))
        for id_, number, state, slot, outcome in rows
    ]


def parameters(storage: RDBStorage, trials: Sequence[int]) -> dict[int, dict[str, Any]]:
    """Return the parameters of trials by their ids."""
    by_trial: dict[int, dict[str, Any]] = {}
    table = PARAMETERS.c
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
