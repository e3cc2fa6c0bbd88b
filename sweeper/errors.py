"""Error tree. Every error prints as one line; `--debug` adds the traceback.

SweeperError              exit code 1
├── InputError            exit code 2: a file, option, URL or name that the user gave
│   ├── SpecError         the study file; carries every problem of the file at once
│   ├── DigestError       another study file under the name of a registered sweep
│   ├── DataError         a dataset that is missing or damaged
│   ├── PluginError       a `package.module:name` that cannot be used
│   └── UnknownSweepError a sweep that the storage does not hold
├── StorageError          the database cannot be reached or refuses
│   ├── SchemaError       its schema is older or newer than this program
│   ├── UnreadableError   a sweep that another version of this program has registered
│   └── LeaseLost         this worker's lease ran out; its slots belong to others now
├── TrainingError         training cannot go on (not a diverged trial: that is a result)
│   └── DeviceLost        a GPU takes no more work from this process, which must end
└── Interrupted           asked to stop; slots are given back
"""

from collections.abc import Iterable
from datetime import date
from difflib import get_close_matches

from sweeper.redact import visible


class SweeperError(Exception):
    """Any error that sweeper raises on purpose. Its text is one line for the user."""

    exit_code = 1

    def _render_traceback_(self) -> list[str]:
        """Return what IPython, and so a notebook, shows in place of a traceback."""
        return [f"error: {visible(line)}" for line in str(self).splitlines()]


class InputError(SweeperError):
    """Something that the user gave is wrong; the text names it, its value and what is allowed."""

    exit_code = 2


class SpecError(InputError):
    """A study file is wrong. `problems` holds one line for each thing to mend."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class DigestError(InputError):
    """A sweep of this name is registered from another study file; the text says what differs."""


class DataError(InputError):
    """A dataset is missing or damaged; the text says which files are expected where."""


class PluginError(InputError):
    """A `package.module:name` cannot be imported or does not do what is asked of it."""


class UnknownSweepError(InputError):
    """The storage holds no sweep of this name."""


class StorageError(SweeperError):
    """The database cannot be reached, or refused. The text never holds a password."""


class SchemaError(StorageError):
    """The schema of the database does not fit this program; the text says what to run."""


class UnreadableError(StorageError):
    """A sweep was registered by another version of this program, and cannot be read by this."""


class LeaseLost(StorageError):
    """The worker's lease ran out and its slots may have been given away: drop them."""


class TrainingError(SweeperError):
    """Training cannot go on, for a reason that is not the trial's own."""


class DeviceLost(TrainingError):
    """A GPU takes no more work from this process: an illegal access, a memory error of its own.

    No trial is to blame, and only another process can go on.
    """


class Interrupted(SweeperError):
    """The worker was asked to stop (SIGTERM, Ctrl-C, `sweeper stop`)."""

    exit_code = 130


SHOWN = 60
"""Characters of a value that an error line shows."""


def shown(value: object) -> str:
    """Return a value as an error line shows it, cut where it is long.

    >>> shown("adam"), shown([1.5, None]), len(shown("a" * 1_000_000))
    ("'adam'", '[1.5, None]', 60)
    """
    if isinstance(value, str | bytes | list | tuple) and len(value) > SHOWN:
        value = value[:SHOWN]  # at least as long when it is written
        text = f"{value!r}".ljust(SHOWN + 1)
    elif isinstance(value, int) and abs(value) >= 10**SHOWN:
        return f"a number of more than {SHOWN} digits"
    else:
        text = str(value) if isinstance(value, date) else repr(value)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text, or its type where it has none.

    >>> first_line(ValueError("too long\\nby far")), first_line(MemoryError())
    ('too long', 'MemoryError')
    """
    return (str(error).splitlines() or [""])[0] or type(error).__name__


def typed_line(error: BaseException) -> str:
    """Return an error of somebody else's code in one line: its type and its first line.

    >>> typed_line(ValueError("too long\\nby far")), typed_line(MemoryError())
    ('ValueError: too long', 'MemoryError')
    """
    name, line = type(error).__name__, first_line(error)
    return line if line == name else f"{name}: {line}"


def choices(value: object, allowed: Iterable[str]) -> str:
    """Return `got 'x'; allowed: a, b, c; did you mean 'a'?` for the end of an error line."""
    names = sorted(allowed)
    text = str(value)
    near = get_close_matches(text, names, n=1) if len(text) <= SHOWN else []
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"got {shown(value)}; allowed: {', '.join(names)}{hint}"


def meant_share(value: object) -> str:
    """Return `; did you mean 0.97?` for the end of an error line on 97 in place of a share, or ''.

    >>> meant_share(97.5), meant_share(250), meant_share("much")
    ('; did you mean 0.975?', '', '')
    """
    if not isinstance(value, int | float) or not 2 <= value < 100:
        return ""
    return f"; did you mean {value / 100:.10g}?"


def pluralize(number: int, word: str) -> str:
    """Return '1 repeat' or '2,000 trials'.

    >>> pluralize(1, "repeat"), pluralize(2000, "trial")
    ('1 repeat', '2,000 trials')
    """
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"
