"""Control groups: memory and processors that this process may use, by the files of Linux.

`root` is the folder in which these files lie: another one in tests.
"""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

ROOT = Path("/")
ENDLESS = 2**62
"""Bytes from which on a limit of cgroup v1 is none: it has no word for that."""


def memory(root: Path = ROOT) -> int | None:
    """Return the bytes of memory that are left; None where the system does not tell."""
    limits = [_left(group) for group in _groups(root, "memory")]
    limits.append(_available(root / "proc/meminfo"))
    return min((max(0, left) for left in limits if left is not None), default=None)


def processors(root: Path = ROOT) -> float | None:
    """Return the processors whose time a container may use; None where it may use all."""
    quotas = [_quota(group) for group in _groups(root, "cpu")]
    return min((quota for quota in quotas if quota is not None), default=None)


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """Yield the folders of this process's control group and of those around it, v2 and v1.

    Inside of a container the group's own path is often not there, but its outermost folder is.
    """
    base = root / "sys/fs/cgroup"
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = (*line.split(":", 2), "", "")[:3]
        if not path or (controllers and controller not in controllers.split(",")):
            continue
        inside = PurePosixPath(path.lstrip("/"))
        for part in (inside, *inside.parents):
            yield base / (controller if controllers else "") / part


def _left(group: Path) -> int | None:
    """Return the bytes that a group's limit leaves; a cache of files gives way, so it is left."""
    limit = _number(group / "memory.max")
    used = _number(group / "memory.current")
    cache = "inactive_file"
    if limit is None:
        limit = _number(group / "memory.limit_in_bytes")
        used = _number(group / "memory.usage_in_bytes")
        cache = "total_inactive_file"
    if limit is None or used is None or limit >= ENDLESS:
        return None
    return limit - used + (_entry(group / "memory.stat", cache) or 0)


def _quota(group: Path) -> float | None:
    words = _text(group / "cpu.max").split()
    if not words:
        names = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
        words = [_text(group / name).strip() for name in names]
    # No limit is `max` in v2 and -1 in v1.
    quota, period = map(_whole, words) if len(words) == 2 else (None, None)
    return quota / period if quota and period else None


def _available(meminfo: Path) -> int | None:
    kibibytes = _entry(meminfo, "MemAvailable:")
    return None if kibibytes is None else 1024 * kibibytes


def _entry(path: Path, name: str) -> int | None:
    """Return the number beside a name at the beginning of a line, None if there is none."""
    lines = (line.split() for line in _text(path).splitlines())
    return next((_whole(words[1]) for words in lines if len(words) > 1 and words[0] == name), None)


def _number(path: Path) -> int | None:
    return _whole(_text(path).strip())


def _whole(text: str) -> int | None:
    return int(text) if text.isdecimal() else None


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
