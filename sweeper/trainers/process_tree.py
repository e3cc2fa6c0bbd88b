"""Process tree below a process, as /proc tells it: who is in it, and its end for sure."""

import ctypes
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")
_SET_DEATH_SIGNAL, _SET_SUBREAPER = 1, 36  # of prctl(2)
_PAUSE = 0.005
KILL_SECONDS = 1.0
"""For which processes are killed again and again: one may fork between a look and its end."""


def adopt_orphans() -> None:
    """Have processes below this one become its children when their parents end, daemons too."""
    _prctl(_SET_SUBREAPER, 1)


def die_with_parent() -> None:
    """Have this process killed when its parent ends, however that ends."""
    _prctl(_SET_DEATH_SIGNAL, signal.SIGKILL)


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def descendants(pid: int) -> list[int]:
    """Return the processes below one, without those that have ended and wait to be asked for."""
    below: list[int] = []
    for child in _children(pid):
        if _state(child) not in {"", "Z", "X"}:
            below.append(child)
        below += descendants(child)
    return below


def session_members(session: int) -> list[int]:
    """Return the living processes of a session."""
    return [pid for pid, (state, _, of) in _all() if of == session and state not in {"", "Z", "X"}]


def kill_all(members: Callable[[], list[int]], reap: Callable[[], None] = lambda: None) -> int:
    """Kill processes until there are none; return how many there were.

    `members` lists those that are left; `reap` takes note of children that have ended.
    """
    killed: set[int] = set()
    until = time.monotonic() + KILL_SECONDS
    while left := members():
        for pid in left:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        killed.update(left)
        reap()
        if time.monotonic() > until:
            break
        time.sleep(_PAUSE)
    return len(killed)


def _children(pid: int) -> list[int]:
    """Return the children of a process, of all its threads."""
    try:
        lists = [path.read_text() for path in PROC.glob(f"{pid}/task/*/children")]
    except OSError:  # it has ended meanwhile
        return []
    if lists or not (PROC / str(pid)).exists():
        return [int(child) for children in lists for child in children.split()]
    return [child for child, (_, parent, _) in _all() if parent == pid]  # a kernel without lists


def _all() -> Iterator[tuple[int, tuple[str, int, int]]]:
    for path in PROC.iterdir():
        if path.name.isdigit():
            yield int(path.name), _stat(int(path.name))


def _state(pid: int) -> str:
    return _stat(pid)[0]


def _stat(pid: int) -> tuple[str, int, int]:
    """Return state, parent and session of a process; an empty state if it is gone."""
    try:
        text = (PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return "", 0, 0
    state, parent, _, session = text.rpartition(")")[2].split()[:4]  # its name may hold anything
    return state, int(parent), int(session)
