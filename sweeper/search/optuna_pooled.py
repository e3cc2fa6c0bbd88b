"""Pooled trials in Optuna's tables: which networks a study holds, and those that it lacks."""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from optuna.distributions import CategoricalDistribution, distribution_to_json
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Select, delete, func, select, update
from sqlalchemy.orm import Session

from sweeper.search.optuna_rows import (
    ATTRIBUTES,
    PARAMETERS,
    TRIALS,
    VALUES,
    insert_outcomes,
    insert_trials,
    lock_study,
)

ARM = "arm"
"""The parameter that says of which arm a network is."""
NETWORK = "network"
"""The attribute that tells a network from the others of its sweep."""
DROPPED = "dropped"
"""The attribute that says why a network was dropped, if it was."""


@dataclass(slots=True)
class PooledNetworks:
    """Networks that a study was seen to hold: each is read once."""

    names: set[str] = field(default_factory=set)
    last: tuple[int, str] | None = None
    """The id of the last trial that was read, and its network."""

    def read(self, session: Session, study: int) -> None:
        """Read what has come since."""
        rows = self._after(session, study)
        if self.last is not None and rows[:1] != [self.last]:
            # The study was deleted and made again: SQLite gives ids out again.
            self.names.clear()
            self.last = None
            rows = self._after(session, study)
        if rows:
            self.names |= {name for _, name in rows}
            self.last = rows[-1]

    def _after(self, session: Session, study: int) -> list[tuple[int, str]]:
        query = (
            select(TRIALS.c.trial_id, ATTRIBUTES.c.value_json)
            .join(ATTRIBUTES, ATTRIBUTES.c.trial_id == TRIALS.c.trial_id)
            .where(TRIALS.c.study_id == study, ATTRIBUTES.c.key == NETWORK)
            .order_by(TRIALS.c.trial_id)
        )
        if self.last is not None:
            query = query.where(TRIALS.c.trial_id >= self.last[0])
        return [(int(id_), str(json.loads(name))) for id_, name in session.execute(query)]


def look(storage: RDBStorage, study: int, present: PooledNetworks) -> None:
    """Read what a study holds by now."""
    with storage.scoped_session() as session:
        present.read(session, study)
        session.commit()


Templates = Callable[[Collection[str], tuple[str, ...]], Sequence[FrozenTrial]]
"""Trials of networks by their names, with the arms that the study knows, in its order."""


def pool_trials(
    storage: RDBStorage,
    study: int,
    mark: str,
    present: PooledNetworks,
    wanted: Sequence[str],
    arms: Sequence[str],
    templates: Templates,
) -> int:
    """Create trials of those wanted networks that a study lacks; return their number.

    One transaction that locks the study: each network comes once, whoever else pools it at the
    same time. Raises KeyError as `guard` does.
    """
    session = storage.scoped_session()
    session.close()  # as `guard` does
    with session:
        lock_study(session, study, mark)
        present.read(session, study)
        lacking = [name for name in wanted if name not in present.names]
        if lacking:
            choices = _known_arms(session, study, arms)
            insert_trials(session, study, templates(lacking, choices))
        session.commit()
    return len(lacking)


def _known_arms(session: Session, study: int, arms: Sequence[str]) -> tuple[str, ...]:
    """Return the arms of a study, new ones at the end; trials that are there learn of these.

    All trials of a study have the same choices, or Optuna takes the parameter for several.
    """
    parameter = PARAMETERS.c
    any_trial = select(func.min(TRIALS.c.trial_id)).where(TRIALS.c.study_id == study)
    text = session.scalar(
        select(parameter.distribution_json).where(
            parameter.trial_id == any_trial.scalar_subquery(), parameter.param_name == ARM
        )
    )
    if text is None:
        return tuple(arms)
    known = tuple(map(str, json.loads(text)["attributes"]["choices"]))
    choices = (*known, *(arm for arm in arms if arm not in known))
    if choices != known:
        changed = distribution_to_json(CategoricalDistribution(choices))
        session.execute(
            update(PARAMETERS)
            .where(parameter.param_name == ARM, parameter.trial_id.in_(_trials_of(study)))
            .values(distribution_json=changed)
        )
    return choices


def _trials_of(study: int) -> Select[tuple[int]]:
    return select(TRIALS.c.trial_id).where(TRIALS.c.study_id == study)


Outcome = tuple[TrialState, Sequence[float]]
"""State and values of a trial."""


def mark_dropped(
    storage: RDBStorage,
    study: int,
    mark: str,
    dropped: Mapping[str, str],
    outcome: Callable[[str], Outcome],
) -> None:
    """Have trials say that their networks were dropped, with the reasons, and no others.

    A dropped one is a failed trial without values: neither a best trial nor in a plot. One that
    counts again has its `outcome`, by its network. Raises KeyError as `guard` does.
    """
    session = storage.scoped_session()
    session.close()  # as `guard` does
    with session:
        lock_study(session, study, mark)
        present = _texts(session, study, DROPPED)
        names = _texts(session, study, NETWORK) if present or dropped else {}
        for trial, name in names.items():
            if (why := dropped.get(name)) == present.get(trial):
                continue
            state, values = (TrialState.FAIL, ()) if why is not None else outcome(name)
            attribute = (ATTRIBUTES.c.trial_id == trial, ATTRIBUTES.c.key == DROPPED)
            session.execute(delete(VALUES).where(VALUES.c.trial_id == trial))
            session.execute(delete(ATTRIBUTES).where(*attribute))
            insert_outcomes(session, [(trial, values, {} if why is None else {DROPPED: why})])
            session.execute(update(TRIALS).where(TRIALS.c.trial_id == trial).values(state=state))
        session.commit()


def _texts(session: Session, study: int, key: str) -> dict[int, str]:
    """Return an attribute of the trials of a study, by their ids."""
    query = select(TRIALS.c.trial_id, ATTRIBUTES.c.value_json)
    query = query.join(ATTRIBUTES, ATTRIBUTES.c.trial_id == TRIALS.c.trial_id)
    query = query.where(TRIALS.c.study_id == study, ATTRIBUTES.c.key == key)
    return {int(id_): str(json.loads(text)) for id_, text in session.execute(query)}
