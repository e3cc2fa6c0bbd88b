"""Where Optuna's dashboard shows the studies of a sweep."""

import threading
from collections.abc import Iterable

from optuna.storages import BaseStorage

from sweeper.dashboard.sweeps.reading import Known


class Studies:
    """Ids of Optuna's studies by their names, asked for once per sweep."""

    def __init__(self, storage: BaseStorage) -> None:
        self._storage = storage
        self._ids: dict[tuple[str, float], dict[str, int]] = {}
        self._guard = threading.Lock()

    def of(self, known: Known) -> dict[str, int]:
        """Return the ids of a sweep's studies that have facts; deleted ones are left out."""
        key = known.mark.name, known.mark.created_at
        wanted = {fact.study for fact in known.facts} | {known.sweep.name}
        with self._guard:
            found = self._ids.setdefault(key, {})
            for name in wanted - found.keys():
                found |= dict(self._ask(name))
            return dict(found)

    def _ask(self, name: str) -> Iterable[tuple[str, int]]:
        try:
            yield name, self._storage.get_study_id_from_name(name)
        except KeyError:
            return
