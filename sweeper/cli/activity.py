"""Activity of a command while it is silent: a line that renews itself, or plain lines now and then.

Both go to stderr, so that what is printed stays data. Nothing is shown of what ends soon.
"""

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sweeper.redact import visible
from sweeper.settings import PROGRESS_VARIABLE

if TYPE_CHECKING:
    from rich.console import Console

FIRST_SECONDS = 2.0
"""Of silence before the first plain line."""
NEXT_SECONDS = 5.0
"""Between two plain lines, if there is something new to tell."""
IDLE_SECONDS = 20.0
"""Between two plain lines that say the same."""
TERMINAL_SECONDS = 0.5
"""Of silence before a terminal shows anything."""
_LOOK_SECONDS = 0.1

_shown: "list[Console]" = []
"""The terminal on which a line renews itself at present: others print through it."""


class Activity:
    """Whatever goes on, told by `activity(text)` and `activity.count(done, all_)`."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._done = self._all = 0

    def __call__(self, text: str) -> None:
        """Say that something else goes on."""
        self._text, self._done, self._all = text, 0, 0

    def count(self, done: int, all_: int) -> None:
        """Say how many are done of it."""
        self._done, self._all = done, all_

    @property
    def line(self) -> str:
        """The present line, such as `networks: 12 of 130`."""
        counted = f": {self._done:,} of {self._all:,}" if self._all else ""
        return visible(f"{self._text}{counted}")


def shown_on() -> "Console | None":
    """Return the terminal on which an activity is shown at present, if there is one."""
    return _shown[-1] if _shown else None


@contextmanager
def activity(text: str) -> Iterator[Activity]:
    """Show what goes on in a `with` block in which nothing is printed, once it takes seconds.

    Nothing is shown where SWEEPER_PROGRESS is 0.
    """
    told, ended = Activity(text), threading.Event()
    if os.environ.get(PROGRESS_VARIABLE) == "0":
        yield told
        return
    show = _renew_line if sys.stderr.isatty() else _print_lines
    thread = threading.Thread(target=show, args=(told, ended), name="sweeper-activity", daemon=True)
    thread.start()
    try:
        yield told
    finally:
        ended.set()
        thread.join()


def _print_lines(told: Activity, ended: threading.Event) -> None:
    due = time.monotonic() + FIRST_SECONDS
    last, again = "", 0.0
    while True:
        now, line = time.monotonic(), told.line
        if now >= (due if line != last else again):
            print(line, file=sys.stderr, flush=True)
            last, due, again = line, now + NEXT_SECONDS, now + IDLE_SECONDS
        if ended.wait(_LOOK_SECONDS):
            return


def _renew_line(told: Activity, ended: threading.Event) -> None:
    if ended.wait(TERMINAL_SECONDS):
        return
    from rich.live import Live
    from rich.spinner import Spinner
    from rich.text import Text

    from sweeper.cli.terminal import Terminal

    terminal = Terminal(stderr=True, highlight=False, markup=False, emoji=False)
    spinner = Spinner("dots", Text(told.line))
    # What others print meanwhile is not for rich, which would obey the escapes in it.
    live = Live(
        spinner,
        console=terminal,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
    with live:
        _shown.append(terminal)
        try:
            while not ended.wait(_LOOK_SECONDS):
                spinner.update(text=Text(told.line))
        finally:
            _shown.remove(terminal)
