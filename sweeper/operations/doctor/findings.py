"""Findings of the doctor, a line each, from checks that do not stop one another."""

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
    """The result of one check, and the advice that follows."""

    check: str
    state: Literal["ok", "warning", "wrong"]
    result: str
    todo: str = ""


Check = tuple[str, str, Callable[[], Iterable[Finding] | Finding]]
"""Name of a check, advice if it raises, and its function."""


def findings(checks: Iterable[Check], redact: Callable[[str], str] = str) -> Iterator[Finding]:
    """Yield the findings of each check, or its error, without the secrets `redact` takes out."""
    for name, todo, check in checks:
        try:
            result = check()
            yield from [result] if isinstance(result, Finding) else result
        except SweeperError as error:
            yield Finding(name, "wrong", redact(_line(error)), todo)
        except Exception as error:
            message = redact(f"{type(error).__name__}: {_line(error)}")
            yield Finding(name, "wrong", message, todo)


def refusal(folder: Path) -> str:
    """Return the reason why a folder, or files in it, cannot be made; '' if they can."""
    folder = folder.absolute()
    nearest = next(path for path in (folder, *folder.parents) if os.path.exists(path))  # noqa: PTH110
    try:
        with tempfile.TemporaryFile(dir=nearest):
            return ""
    except OSError as error:
        return f"{nearest}: {error.strerror or 'cannot be written'}"


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:400]
