"""Progress lines for Python: a bar while a long call goes on, in notebooks and terminals.

A notebook shows a widget where it can, a terminal a line that renews itself; elsewhere nothing is
written unless it is asked for.
"""

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sweeper.operations.remaining_time import seconds_left
from sweeper.redact import visible
from sweeper.types import SweepStatus

_FORMAT = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt}{postfix}"


class TrialBar:
    """The bar of a sweep: shows each status that it is called with."""

    def __init__(self, bar: Any) -> None:
        self._bar = bar

    def __call__(self, status: SweepStatus) -> None:
        """Show a status."""
        self._bar.total, self._bar.n = status.budget, status.done
        self.tell(status_text(status))

    def tell(self, text: str) -> None:
        """Show what goes on while no trial does."""
        self._bar.set_postfix_str(visible(text), refresh=False)
        self._bar.refresh()


@contextmanager
def trial_bar(label: str, wanted: bool | None) -> Iterator[TrialBar]:
    """Show the trials of a sweep in a `with` block; yield the bar that shows a status.

    `wanted` is True or False, or None for: where somebody looks.
    """
    with _bar(label, wanted, "trials") as bar:
        yield TrialBar(bar)


@contextmanager
def counting_bar(label: str, wanted: bool | None) -> Iterator[Callable[[int, int], None]]:
    """Show how many are done in a `with` block; yield `update(done, all_)`."""
    with _bar(label, wanted, "networks") as bar:

        def update(done: int, all_: int) -> None:
            bar.total, bar.n = all_, done
            bar.refresh()

        yield update


def status_text(status: SweepStatus) -> str:
    """Return ranges that are looked for, workers, and the time left, for the end of a line."""
    from tqdm import tqdm

    if status.finished:
        return "trials"
    parts = ["trials"]
    if status.probed < status.probes:
        parts.append(f"{status.probed} of {status.probes} ranges")
    alive = sum(worker.alive for worker in status.workers)
    parts.append(f"{alive} worker{'' if alive == 1 else 's'}" if alive else "workers start")
    if left := max((seconds_left(status, arm) or 0.0 for arm in status.arms), default=0.0):
        parts.append(f"{tqdm.format_interval(left)} left")
    if text := paused_text(status):
        parts.append(text)
    if lost := sum(status.lost.values()):
        parts.append(f"{lost} lost and tried again")
    return ", ".join(parts)


def paused_text(status: SweepStatus) -> str:
    """Return the arms that are paused in a few words, and the command that goes on."""
    if not status.paused or status.state != "open":
        return ""
    command = f"sweeper resume {status.name} goes on"
    if status.waits:
        return f"paused: {command}"
    many = len(status.paused)
    return f"{many} arm{'' if many == 1 else 's'} paused: {command}"


def is_watched() -> bool:
    """Tell whether somebody looks: in IPython, and so in notebooks, or on a terminal."""
    ipython = sys.modules.get("IPython")
    return (ipython is not None and ipython.get_ipython() is not None) or sys.stderr.isatty()


@contextmanager
def _bar(label: str, wanted: bool | None, unit: str) -> Iterator[Any]:
    from tqdm import TqdmWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TqdmWarning)  # a notebook without widgets gets a line
        from tqdm.auto import tqdm

        bar = tqdm(
            total=0,
            desc=visible(label),
            unit=unit,
            bar_format=_FORMAT,
            dynamic_ncols=True,
            disable=not (is_watched() if wanted is None else wanted),
        )
    try:
        yield bar
    finally:
        bar.close()
