"""One line of what the doctor says, and checks that do not stop one another."""

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sweeper.errors import SweeperError

GIB = 2**30


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found, and what to do about it."""

    check: str
    state: Literal["ok", "warning", "wrong"]
    result: str
    todo: str = ""


Check = tuple[str, str, Callable[[], Iterable[Finding] | Finding]]
"""Its name, what to do if it raises, and what it does."""


def findings(checks: Iterable[Check], redact: Callable[[str], str] = str) -> Iterator[Finding]:
    """Yield what each check finds, or what it raised, without what `redact` takes out."""
    for name, todo, check in checks:
        try:
            found = check()
            yield from [found] if isinstance(found, Finding) else found
        except SweeperError as error:
            yield Finding(name, "wrong", redact(_line(error)), todo)
        except Exception as error:
            said = redact(f"{type(error).__name__}: {_line(error)}")
            yield Finding(name, "wrong", said, todo)


def refusal(folder: Path) -> str:
    """Return why files cannot be made in a folder, or it cannot be made itself; '' if they can."""
    folder = folder.absolute()
    nearest = next(each for each in (folder, *folder.parents) if os.path.exists(each))  # noqa: PTH110
    try:
        with tempfile.TemporaryFile(dir=nearest):
            return ""
    except OSError as error:
        return f"{nearest}: {error.strerror or 'cannot be written'}"


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:400]
