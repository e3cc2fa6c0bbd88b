"""Differences between two study files of one name, and whether the new one only appends."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sweeper.config.dataset import DatasetFacts
from sweeper.config.domains import DOMAIN_KEYS
from sweeper.config.sweep import Sweep

_MISSING: Any = object()


@dataclass(frozen=True, slots=True)
class Difference:
    """One key that two sweeps do not agree on."""

    path: str
    """Its place, such as `arms.l1.strength`."""
    old: str
    """The registered value as it would be written, or `not there`."""
    new: str
    appends: bool
    """Whether what is on record stays right: more trials, more repeats, another arm, other targets;
    for a confirmation more seeds, and what was chosen in further repeats or arms."""
    is_of_data: bool = False
    """Whether the file is the same in this, and the data that it names are others."""

    def __str__(self) -> str:
        return f"{self.path}: registered {self.old}, now {self.new}"


def differences(old: Sweep, new: Sweep) -> tuple[Difference, ...]:
    """Return each key that differs, in the order of the file; empty for equal digests.

    Facts of a dataset, which no file says, are one difference.
    """
    before, now = old.model_dump(mode="json"), new.model_dump(mode="json")
    before.pop("facts", None)
    now.pop("facts", None)
    walk = tuple(_walk(before, now, ()))
    # Other data are expected where the file itself names others, or splits them otherwise.
    if old.facts == new.facts or (old.dataset, old.split) != (new.dataset, new.split):
        return walk
    registered, loaded = _data_text(old.facts), _data_text(new.facts)
    return (*walk, Difference("dataset", registered, loaded, appends=False, is_of_data=True))


def _data_text(facts: DatasetFacts | None) -> str:
    if facts is None:
        return "not loaded"
    shape = " x ".join(map(str, facts.shape))
    sizes = f"{facts.train:,} + {facts.validation:,} + {facts.test:,}"
    return f"{sizes} examples of {shape} {facts.targets_text}, hash {facts.hash[:12]}"


def _walk(old: Any, new: Any, path: tuple[str, ...]) -> Iterator[Difference]:
    if _is_part(old) and _is_part(new):
        for key in dict.fromkeys([*old, *new]):
            yield from _walk(old.get(key, _MISSING), new.get(key, _MISSING), (*path, key))
    elif type(old) is not type(new) or old != new:
        yield Difference(".".join(path), _shown(old), _shown(new), _appends(old, new, path))


def _is_part(value: Any) -> bool:
    """A mapping of keys; a domain such as {uniform: [0, 1]} is one value."""
    return isinstance(value, Mapping) and not (len(value) == 1 and set(value) <= set(DOMAIN_KEYS))


def _appends(old: Any, new: Any, path: tuple[str, ...]) -> bool:
    if path in (("search", "trials"), ("search", "repeats"), ("confirms", "seeds")):
        return bool(new > old)
    if path[:2] == ("confirms", "chosen") and len(path) == 3:
        # What was chosen in further arms or repeats; the search has another digest then.
        return old is _MISSING or (isinstance(new, list) and new[: len(old)] == old)
    if path[0] in ("targets", "compare") or path == ("confirms", "digest"):
        return True  # they say where fronts are read off, and by whom: no trial knows of them
    if path[0] in ("time_limit", "resources"):
        return True  # of a script: when an attempt is given up, and where it is placed
    if path[0] == "arms" and path[2:] == ("family",):
        return True
    return len(path) == 2 and path[0] == "arms" and old is _MISSING


def _shown(value: Any) -> str:
    return "not there" if value is _MISSING else json.dumps(value)
