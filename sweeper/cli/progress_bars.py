"""Progress display of a sweep: a table that renews itself on a terminal, plain lines elsewhere."""

import time
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Self

from sweeper.cli.activity import activity
from sweeper.cli.common import console, count, duration, percent, table
from sweeper.errors import pluralize
from sweeper.operations.progress_lines import paused_text
from sweeper.operations.remaining_time import seconds_left
from sweeper.types import ArmProgress, SweepStatus

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

QUIET_SECONDS = 5.0
"""Between two plain lines that tell of another trial."""
IDLE_SECONDS = 60.0
"""Between two plain lines while packs are trained."""


class ProgressDisplay:
    """Shows each status handed to `update`: in place on a terminal, else a line now and then."""

    def __init__(self) -> None:
        from rich.live import Live

        self.console = console()
        # What others print meanwhile is not for rich, which would obey the escapes in it.
        self._live = Live(
            console=self.console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._is_open = self._is_ending = False
        self._end = ExitStack()
        """Of the activity that follows the last trial: its workers leave, fronts are drawn."""
        self._last_line: tuple[int, float] = (-1, float("-inf"))
        """Ranges and trials that were done at the last plain line, and its time."""
        self._paused = ""
        """What the last plain line said of paused arms."""

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self._live.start()
        self._is_open = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()
        self._end.close()

    def update(self, status: SweepStatus) -> None:
        """Show the present progress of the sweep."""
        if self._is_ending:
            return
        if self.console.is_terminal:
            self._live.update(progress_view(status), refresh=True)
        else:
            self._print(status)
        if status.finished and self._is_open:
            self._is_ending = True
            self._live.stop()
            self._end.enter_context(activity(f"{status.name}: putting what it brought in order"))

    def _print(self, status: SweepStatus) -> None:
        """Print a plain line, if one is due."""
        done, shown_at = self._last_line
        now = time.monotonic()
        has_advanced = status.probed + status.done != done
        if status.finished:
            due = has_advanced
        else:
            due = now - shown_at >= (QUIET_SECONDS if has_advanced else IDLE_SECONDS)
        if due or paused_text(status) != self._paused:
            self._last_line = (status.probed + status.done, now)
            self._paused = paused_text(status)
            self.console.print(progress_line(status), soft_wrap=True)


def progress_table(status: SweepStatus) -> "Table":
    """Return a table with one line for each arm, at most 80 columns wide."""
    arms = table("arm", ">done", ">failed", ">best val %", ">smallest", ">left")
    for arm in status.arms:
        arms.add_row(
            arm.arm,
            f"{arm.done}/{arm.budget}",
            arm.failed_text,
            percent(arm.best_accuracy),
            count(arm.smallest_nonzero),
            _left(status, arm),
        )
    return arms


def _left(status: SweepStatus, arm: ArmProgress) -> str:
    if arm.arm in status.paused:
        return "paused"
    return duration(seconds_left(status, arm)) if arm.done < arm.budget else "-"


def progress_view(status: SweepStatus) -> "Group":
    """Return the table with the line below it."""
    from rich.console import Group

    return Group(progress_table(status), progress_line(status))


def progress_line(status: SweepStatus) -> str:
    """Return one line: ranges, trials, workers, time left."""
    alive = sum(worker.alive for worker in status.workers)
    parts = [f"{status.done:,} of {pluralize(status.budget, 'trial')} done"]
    if status.probed < status.probes:
        parts.insert(0, f"{status.probed} of {pluralize(status.probes, 'range')} found")
    if not status.finished:
        parts.append(pluralize(alive, "worker") + _packs(status))
    left = max((seconds_left(status, arm) or 0.0 for arm in status.arms), default=0.0)
    if left and not status.finished:
        parts.append(f"about {duration(left)} left")
    if text := paused_text(status):
        parts.append(text)
    if status.state != "open" and not status.finished:
        parts.append(status.state)
    lost = sum(status.lost.values())
    if lost:
        kinds = ", ".join(f"{number} {kind}" for kind, number in status.lost.items())
        parts.append(f"{pluralize(lost, 'attempt')} lost and tried again ({kinds})")
    return ", ".join(parts)


def _packs(status: SweepStatus) -> str:
    """Return ` (each at 12 %, 80 %)`, or their range where there are many."""
    busy = sorted(worker.progress for worker in status.workers if worker.alive and worker.slots)
    if not any(busy):
        return ""
    shown = [f"{share:.0%}".replace("%", " %") for share in busy]
    return f" (each at {', '.join(shown) if len(shown) <= 4 else f'{shown[0]} to {shown[-1]}'})"
