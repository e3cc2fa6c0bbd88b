"""Study index: a sweep's studies by name in Optuna's tables, apart from those of others."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

from optuna.storages import RDBStorage

from sweeper.errors import InputError, UnknownSweepError
from sweeper.retry import RetryPolicy
from sweeper.search import optuna_tables
from sweeper.search.attributes import METRIC_NAMES, NOTE_VERSION
from sweeper.search.objectives import DIRECTIONS
from sweeper.search.optuna_retry import is_a_duplicate, retry
from sweeper.search.optuna_rows import delete_trials
from sweeper.search.optuna_tables import MARK, StudyRow
from sweeper.search.study_owner import StudyOwner

T = TypeVar("T")
_KEYS = (MARK, METRIC_NAMES, NOTE_VERSION)


class StudyIndex:
    """Ids of studies, remembered. `owner` is the sweep, unless a call names another one."""

    def __init__(
        self, backend: Callable[[], RDBStorage], owner: StudyOwner, patience: RetryPolicy
    ) -> None:
        self.owner = owner
        self._backend = backend
        self._patience = patience
        self._ids: dict[str, int] = {}

    def id(self, name: str, owner: StudyOwner | None = None, *, adopt: bool = True) -> int:
        """Return the id of a study. Without `adopt` nothing is written.

        Raises UnknownSweepError if it is gone, or another's study has its name.
        """
        if name in self._ids:
            return self._ids[name]
        owner = owner or self.owner
        rows, others = self.look([name], owner)
        if others:
            raise UnknownSweepError(_refused(others))
        with self.gone(name):
            row = rows[name]
            if adopt:
                self._retry(partial(owner.adopt, self._backend(), row))
                self._ids[name] = row.id
        return row.id

    def ids(self, names: Collection[str], owner: StudyOwner | None = None) -> dict[str, int]:
        """Return the ids of those that are there; nothing is written."""
        return {name: row.id for name, row in self.look(names, owner)[0].items()}

    def owned(self, names: Collection[str]) -> dict[str, StudyRow]:
        """Return those that are there. Raises InputError where another's study has a name."""
        rows, others = self.look(names)
        if others:
            raise InputError(_refused(others))
        return rows

    def look(
        self, names: Collection[str], owner: StudyOwner | None = None
    ) -> tuple[dict[str, StudyRow], list[StudyRow]]:
        """Return the owner's studies by name, and others' under names like these."""
        backend, owner = self._backend(), owner or self.owner

        def read() -> tuple[dict[str, StudyRow], list[StudyRow]]:
            rows, others = dict[str, StudyRow](), list[StudyRow]()
            for row in optuna_tables.studies(backend, names, _KEYS):
                if row.name in names and owner.has(backend, row):
                    rows[row.name] = row
                else:
                    others.append(row)
            return rows, others

        return self._retry(read)

    def open(
        self, name: str, row: StudyRow | None, attributes: Callable[[], Mapping[str, Any]]
    ) -> int:
        """Create a study with system attributes, or give one that is there what it lacks.

        Returns its id. It is created and marked in one transaction.
        """
        if row is None:
            made = self._retry(partial(self._make, name, attributes()))
            row = made or self.owned([name]).get(name)  # somebody made it meanwhile
        with self.gone(name):
            if row is None:
                raise KeyError(name)
            self._retry(partial(self.owner.adopt, self._backend(), row))
            self._ids[name] = row.id
            if not {METRIC_NAMES, NOTE_VERSION} <= set(row.attributes):
                missing = {k: v for k, v in attributes().items() if not _has(row, k)}
                if missing:
                    mark = self.owner.mark(row.id)
                    self._retry(
                        partial(optuna_tables.replace, self._backend(), row.id, mark, missing)
                    )
        return row.id

    def delete(self, names: Collection[str]) -> tuple[str, ...]:
        """Delete the owner's studies; return the names of others', which stay."""
        rows, others = self.look(names)
        for _ in range(3):  # Optuna keeps quiet about a study that got a trial meanwhile
            for row in rows.values():
                self._retry(partial(self._delete, row))
            rows, others = self.look(names) if rows else (rows, others)
        self._ids.clear()
        return tuple(row.name for row in others if row.name in names)

    def guard(self, name: str, trial: int | None = None) -> None:
        """Have the next call of this thread write to the owner's study alone. Raises KeyError."""
        id_ = self.id(name)
        optuna_tables.guard(self._backend(), id_, self.owner.mark(id_), trial)

    @contextmanager
    def gone(self, name: str) -> Iterator[None]:
        """Translate a KeyError of Optuna, for a study that was deleted, into UnknownSweepError."""
        try:
            yield
        except KeyError:
            self._ids.pop(name, None)
            text = f"{name}: Optuna's study is gone; `sweeper run FILE` makes it again"
            raise UnknownSweepError(text) from None

    def _make(self, name: str, attributes: Mapping[str, Any]) -> StudyRow | None:
        """Create a study; None if its name is taken."""

        def marked(id_: int) -> dict[str, Any]:
            return {**attributes, MARK: self.owner.mark(id_)}

        try:
            id_ = optuna_tables.make(self._backend(), name, DIRECTIONS, marked)
        except Exception as error:
            if is_a_duplicate(error):
                return None
            raise
        return StudyRow(id_, name, marked(id_))

    def _delete(self, row: StudyRow) -> None:
        backend = self._backend()
        try:
            self.owner.adopt(backend, row)
            mark = self.owner.mark(row.id)
            delete_trials(backend, row.id, mark)
            optuna_tables.guard(backend, row.id, mark)
            backend.delete_study(row.id)
        except KeyError:
            pass  # somebody else was faster

    def _retry(self, action: Callable[[], T]) -> T:
        return retry(action, self._patience)


def _has(row: StudyRow, key: str) -> bool:
    """Tell whether a study has an attribute; of a note it has all or nothing."""
    return NOTE_VERSION in row.attributes if key != METRIC_NAMES else key in row.attributes


def _refused(others: Sequence[StudyRow]) -> str:
    names = ", ".join(repr(row.name) for row in others[:3]) + (", ..." if len(others) > 3 else "")
    what = "a study" if len(others) == 1 else f"{len(others)} studies"
    # "like these": MySQL does not tell names that differ in case.
    return (
        f"Optuna has {what} named like this sweep's that sweeper did not make for it: {names}; "
        "give the sweep another name, or rename or delete what is there"
    )
