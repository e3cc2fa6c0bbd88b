"""Plain parts of a study that Python gives as a dict: the values that YAML has, and no others."""

import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from sweeper.config.file_limits import DEEPEST, MOST_VALUES
from sweeper.errors import SpecError, shown

_WANTED = "must be a number, a word, true or false, a list or a dict"


def plain_parts(parts: Mapping[str, Any], place: str) -> dict[str, Any]:
    """Return the same as dicts, lists, numbers and words; raises SpecError with every problem.

    Tuples become lists, paths words, numbers of NumPy those of Python. What has no order, such as a
    set, or is no value, such as a function, is refused.
    """
    problems: dict[str, None] = {}
    left = iter(range(MOST_VALUES))

    def plain(value: Any, path: tuple[str, ...]) -> Any:
        if next(left, None) is None:
            raise SpecError([f"{place}: stands for more than {MOST_VALUES:,} values"])
        if len(path) > DEEPEST:
            raise SpecError([f"{place}: is nested more than {DEEPEST} levels deep"])
        match value:
            case np.generic():
                return plain(value.item(), path)
            case bool() | int() | float() | str() | None:
                return value
            case os.PathLike():
                return os.fspath(value)
            case list() | tuple():
                return [plain(part, (*path, str(index))) for index, part in enumerate(value)]
            case Mapping():
                return dict(pairs(value, path))
        problems[f"{place}: {'.'.join(path)}: {_fault(value)}"] = None
        return None

    def pairs(mapping: Mapping[Any, Any], path: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
        for key, value in mapping.items():
            if isinstance(key, str):
                yield str(key), plain(value, (*path, str(key)))
            else:
                where = f"{'.'.join(path)}: " if path else ""
                problems[f"{place}: {where}a key must be a word, got {shown(key)}"] = None

    checked = dict(pairs(parts, ()))
    if problems:
        raise SpecError(problems)
    return checked


def _fault(value: Any) -> str:
    if callable(value):
        name = getattr(value, "__qualname__", type(value).__name__)
        return f"name it as module:{name}, in a file that workers can import, got {shown(value)}"
    return f"{_WANTED}, got {shown(value)}"
