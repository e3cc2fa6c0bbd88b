"""Limits of study files, checked before anything is built: size, depth, aliases.

A line of aliases can stand for more values than memory holds, and a line of brackets for more
levels than the stack does.
"""

import os
import stat
from pathlib import Path
from typing import IO, Any

import yaml

from sweeper.errors import SpecError, shown

LARGEST = 1_000_000
"""Bytes of a file. One with a choice of 7,000 values takes a tenth of it."""
DEEPEST = 30
"""Mappings and lists within each other; no key of a study file lies deeper than eight."""
MOST_VALUES = 100_000
"""Values and keys of a file, with its aliases written out."""
MOST_KEYS = 5_000
"""Keys of one mapping: of the arms, most of all."""


def read(path: Path) -> str:
    """Return the text of a study file. Raises SpecError for what is none, before it is read."""
    content = content_of(path, LARGEST)
    try:
        return content.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise SpecError([f"{path}: is not UTF-8 text (byte {error.start})"]) from error


def content_of(path: Path, most: int) -> bytes:
    """Return the content of a regular file. Raises SpecError for another kind or more bytes."""
    with open_regular(path) as file:
        try:
            content = file.read(most + 1)
        except OSError as error:
            raise SpecError([f"{path}: cannot be read: {error.strerror}"]) from error
    if len(content) > most:
        raise SpecError([f"{path}: is larger than {most:,} bytes, which no such file is"])
    return content


def open_regular(path: Path) -> IO[bytes]:
    """Open a file to be read. Raises SpecError for what is none, which might never end."""
    try:
        # Not opened before: that alone waits for ever where nobody writes into a FIFO.
        _refuse_other_kinds(path, path.stat().st_mode)
        file = open(path, "rb", opener=_at_once)  # noqa: SIM115  # the caller closes it
    except (OSError, ValueError) as error:  # a ValueError: a NUL in its name
        reason = getattr(error, "strerror", None) or str(error)
        raise SpecError([f"{path}: cannot be read: {reason}"]) from error
    try:
        _refuse_other_kinds(path, os.fstat(file.fileno()).st_mode)
    except SpecError:
        file.close()
        raise
    return file


def _at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)


def _refuse_other_kinds(path: Path, mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise SpecError([f"{path}: is a folder; a file is wanted"])
    if not stat.S_ISREG(mode):
        raise SpecError([f"{path}: is no regular file (a pipe, a device or a socket)"])


class TooMuch(yaml.MarkedYAMLError):
    """A bound that a text exceeds, and where it does."""

    def __init__(self, text: str, mark: Any) -> None:
        super().__init__(None, None, text, mark)


def refuse_too_much(text: str, loader: Any) -> None:
    """Raise TooMuch for YAML that is too deep, or too large with its aliases written out.

    Events are counted as the parser finds them, so that nothing is built of what is refused. Other
    mistakes of syntax raise what the parser does.
    """
    sizes: dict[str, int] = {}
    """Of what each anchor stands for."""
    stack: list[tuple[str | None, list[int], Any]] = []
    """Of each mapping and list that is open: anchor, values and parts in it, event."""
    for event in yaml.parse(text, loader):
        size, anchor = 1, getattr(event, "anchor", None)
        if isinstance(event, yaml.CollectionStartEvent):
            if len(stack) == DEEPEST:
                raise TooMuch(f"is nested more than {DEEPEST} levels deep", event.start_mark)
            stack.append((anchor, [1, 0], event))
            if anchor is not None:
                sizes[anchor] = 0
            continue
        if isinstance(event, yaml.CollectionEndEvent):
            anchor, (size, _), _ = stack.pop()
        elif isinstance(event, yaml.AliasEvent):
            size = sizes.get(anchor or "", 1)
            if size == 0:
                raise TooMuch(f"*{_cut(anchor)} stands in what it stands for", event.start_mark)
            anchor = None
        elif not isinstance(event, yaml.ScalarEvent):
            continue
        if anchor is not None:
            sizes[anchor] = size
        if stack:
            counts, outer = stack[-1][1], stack[-1][2]
            counts[0] += size
            counts[1] += 1
            size = counts[0]
            if isinstance(outer, yaml.MappingStartEvent) and counts[1] > 2 * MOST_KEYS:
                raise TooMuch(f"a mapping of more than {MOST_KEYS:,} keys", event.start_mark)
        if size > MOST_VALUES:
            raise TooMuch(f"stands for more than {MOST_VALUES:,} values", event.start_mark)


def _cut(name: str | None) -> str:
    return shown(name or "").strip("'")
