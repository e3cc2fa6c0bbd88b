"""Owner of a study: known by a mark that is made with it, never by its name.

The mark names the sweep's identity and the study's own number, so that a copy of a study is not
taken for it. A study and its mark are one transaction: there is none that is half made.

Sweeps that were registered before there were marks have no identity. Their studies are known by
what older versions put into them, and marked when they are next written to.
"""

from dataclasses import dataclass

from optuna.storages import RDBStorage

from sweeper.search import optuna_tables
from sweeper.search.attributes import METRIC_NAMES
from sweeper.search.objectives import DIRECTIONS, are_ours
from sweeper.search.optuna_tables import MARK, StudyRow


@dataclass(frozen=True, slots=True)
class StudyOwner:
    """A sweep, as the one that studies belong to."""

    sweep: str
    identity: str | None
    """None: it was registered before there were any."""

    def mark(self, study: int) -> str:
        """Return the mark of a study of this sweep."""
        return f"{self.identity or f'unnamed {self.sweep}'} {study}"

    def has(self, storage: RDBStorage, row: StudyRow) -> bool:
        """Tell whether a study under one of the sweep's names is its own."""
        if MARK in row.attributes:
            return bool(row.attributes[MARK] == self.mark(row.id))
        return self.identity is None and _made_by_an_older_version(storage, row.id)

    def adopt(self, storage: RDBStorage, row: StudyRow) -> None:
        """Mark a study of this sweep, unless it is marked. Raises KeyError if it is gone."""
        if MARK not in row.attributes:
            optuna_tables.mark(storage, row.id, self.mark(row.id))


def _made_by_an_older_version(storage: RDBStorage, study: int) -> bool:
    """Tell whether a study has what older versions gave it, and no trials of others.

    They named the values in a transaction of its own: one that died before left nothing in it.
    """
    try:
        contents = optuna_tables.contents(storage, study)
    except KeyError:
        return False
    if contents.directions != DIRECTIONS or contents.without_slot:
        return False
    empty = not (contents.trials or contents.system_attributes or contents.user_attributes)
    return empty or are_ours(contents.system_attributes.get(METRIC_NAMES))
