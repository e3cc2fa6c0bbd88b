"""Finished slots of a study, as Optuna has them: each trial is read once."""

from dataclasses import dataclass, field

from optuna.storages import RDBStorage

from sweeper.search import optuna_trials
from sweeper.search.observations import FinishedSlot, Values
from sweeper.search.optuna_trials import SlotTrial
from sweeper.types import Scalar


@dataclass(slots=True)
class FinishedSlots:
    """What a worker has read of a study."""

    _last: SlotTrial | None = None
    """The trial with the greatest id that was read."""
    _unfinished: frozenset[int] = frozenset()
    """Those that were not finished then."""
    _values: dict[int, dict[int, Values | None]] = field(default_factory=dict)
    """Of each slot those of its networks, by the numbers of their trials."""
    _params: dict[int, dict[str, Scalar]] = field(default_factory=dict)

    def read(self, storage: RDBStorage, study: int) -> list[FinishedSlot]:
        """Return the slots that have finished trials, with what was told since the last call."""
        last = self._last
        rows = self._new(storage, study)
        if last is not None and not any(row.is_same(last) for row in rows):
            # The study was deleted and made again: SQLite gives ids out again.
            self._forget()
            rows = self._new(storage, study)
        firsts: dict[int, int] = {}
        for row in rows:
            if row.finished:
                if row.slot not in self._params:
                    firsts.setdefault(row.slot, row.id)
                pair = (row.values[0], row.values[1]) if row.values else None
                self._values.setdefault(row.slot, {})[row.number] = pair
        params = optuna_trials.parameters(storage, list(firsts.values()))
        self._params |= {slot: params.get(id_, {}) for slot, id_ in firsts.items()}
        self._last = rows[-1] if rows else None
        self._unfinished = frozenset(row.id for row in rows if row.running)
        return [
            # In the order of their numbers, which is that of the networks.
            FinishedSlot(slot, self._params[slot], tuple(of_slot[n] for n in sorted(of_slot)))
            for slot, of_slot in self._values.items()
        ]

    def _forget(self) -> None:
        self._last, self._unfinished = None, frozenset()
        self._values.clear()
        self._params.clear()

    def _new(self, storage: RDBStorage, study: int) -> list[SlotTrial]:
        after = -1 if self._last is None else self._last.id
        return optuna_trials.slot_trials(storage, study, after, self._unfinished)
