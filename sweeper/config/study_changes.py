"""Changes of single keys of a study file: of `--set search.trials=48`, or a dict of Python's."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sweeper.config.parsing import parse_text
from sweeper.config.plain_parts import plain_parts
from sweeper.errors import SHOWN, SpecError, shown

OPTION = "--set"


@dataclass(frozen=True, slots=True)
class StudyChange:
    """Another value of one key, and the place that errors about it name."""

    path: tuple[str, ...]
    value: Any
    place: str

    @property
    def key(self) -> str:
        """The key with its sections, such as `search.trials`."""
        return ".".join(self.path)


def parse_changes(texts: Iterable[str]) -> tuple[StudyChange, ...]:
    """Return the changes of `key=value` texts, whose values are YAML. Raises SpecError.

    >>> [(change.path, change.value) for change in parse_changes(["arms.l1.strength=1e-5"])]
    [(('arms', 'l1', 'strength'), 1e-05)]
    """
    return _checked(map(_parsed, texts))


def changes_of_mapping(changes: Mapping[str, Any]) -> tuple[StudyChange, ...]:
    """Return the changes of a dict of dotted keys and values. Raises SpecError."""
    parts = plain_parts(changes, "changes")
    return _checked(
        StudyChange(_path(key, f"changes: {key}"), value, f"changes: {key}")
        for key, value in parts.items()
    )


def with_changes(raw: Any, changes: Iterable[StudyChange]) -> Any:
    """Return the parts of a study file with other values; sections that are absent are made.

    Parts that YAML's aliases share are changed in their named place alone. Raises SpecError.
    """
    for change in changes:
        raw = _changed(raw, change, 0)
    return raw


def _parsed(text: str) -> StudyChange:
    key, equals, value = text.partition("=")
    place = f"{OPTION} {text if len(text) <= SHOWN else f'{text[: SHOWN - 3]}...'}"
    if not equals or not value.strip():
        raise SpecError([f"{place}: must be KEY=VALUE, such as search.trials=48"])
    return StudyChange(_path(key, place), parse_text(value, place), place)


def _path(key: str, place: str) -> tuple[str, ...]:
    path = tuple(key.strip().split("."))
    if not all(path):
        raise SpecError([f"{place}: a key is words with dots between, got {shown(key)}"])
    return path


def _checked(changes: Iterable[StudyChange]) -> tuple[StudyChange, ...]:
    by_key: dict[str, StudyChange] = {}
    for change in changes:
        if change.key in by_key:
            raise SpecError([f"{change.place}: the key {shown(change.key)} is set twice"])
        by_key[change.key] = change
    return tuple(by_key.values())


def _changed(part: Any, change: StudyChange, depth: int) -> Any:
    if depth == len(change.path):
        return change.value
    key = change.path[depth]
    if part is None:
        part = {}
    if isinstance(part, dict):
        return {**part, key: _changed(part.get(key), change, depth + 1)}
    outer = ".".join(change.path[:depth]) or "the file"
    if not isinstance(part, list):
        text = f"{outer} is {shown(part)}, which has no keys: set it as a whole"
        raise SpecError([f"{change.place}: {text}"])
    if not key.isdecimal() or int(key) >= len(part):
        places = f"from 0 to {len(part) - 1}" if part else "none yet"
        raise SpecError([f"{change.place}: {outer} is a list, its places are {places}, got {key}"])
    number = int(key)
    return [*part[:number], _changed(part[number], change, depth + 1), *part[number + 1 :]]


def place_of_key(key: str, place: str, raw: Any, changes: Iterable[StudyChange]) -> str:
    """Return how a line about a key begins: with the change that said it, or the file's place.

    `raw` has the parts of the file as they were: a section that was not there is of its change.
    """
    said = [change for change in changes if _says(change, key, raw)]
    if not key or not said:
        return f"{place}: {key}" if key else place
    change = max(said, key=lambda each: len(each.path))
    return change.place if key == change.key else f"{change.place}: {key}"


def _says(change: StudyChange, key: str, raw: Any) -> bool:
    if f"{key}.".startswith(f"{change.key}."):
        return True
    return f"{change.key}.".startswith(f"{key}.") and not _is_there(raw, key.split("."))


def _is_there(raw: Any, path: Iterable[str]) -> bool:
    for key in path:
        if isinstance(raw, list):
            return True
        if not isinstance(raw, dict) or raw.get(key) is None:
            return False
        raw = raw[key]
    return True
