"""Processes that begin together, and what each of them counts while it works.

Forked after all imports, so that the start of a process does not count.
"""

import multiprocessing
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from multiprocessing.connection import Connection
from typing import Any

from sqlalchemy import Engine, event

START_SECONDS = 240.0
"""Time for all processes to connect and to load what they need."""


@dataclass
class Phase:
    """What was spent under one name, by all processes."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    """Of the process, not of the server."""
    transactions: int = 0
    statements: int = 0

    def add(self, other: "Phase") -> None:
        self.seconds += other.seconds
        self.cpu_seconds += other.cpu_seconds
        self.transactions += other.transactions
        self.statements += other.statements


@dataclass
class Report:
    """What one process, or a crew of them, has done."""

    trials: int = 0
    began: float = float("inf")
    ended: float = 0.0
    ready_seconds: float = 0.0
    """From the start to the first trial: connections, studies."""
    cpu_seconds: float = 0.0
    """Of the processes from the first trial on."""
    server_seconds: float = 0.0
    """CPU time of the server meanwhile; 0 where it is another machine's."""
    phases: dict[str, Phase] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        return self.ended - self.began

    @property
    def milliseconds(self) -> float:
        """Of wall time for each trial."""
        return 1e3 * self.seconds / self.trials

    @property
    def cpu_milliseconds(self) -> float:
        """CPU time of all processes for each trial."""
        return 1e3 * (self.cpu_seconds + self.server_seconds) / self.trials

    def add(self, other: "Report") -> None:
        self.trials += other.trials
        self.cpu_seconds += other.cpu_seconds
        self.server_seconds += other.server_seconds
        self.began = min(self.began, other.began)
        self.ended = max(self.ended, other.ended)
        self.ready_seconds = max(self.ready_seconds, other.ready_seconds)
        for name, phase in other.phases.items():
            self.phases.setdefault(name, Phase()).add(phase)


class Counter:
    """Counts seconds, transactions and statements of this process by the method they are for."""

    def __init__(self) -> None:
        self.report = Report()
        self._now = threading.local()
        event.listen(Engine, "begin", self._transaction)
        event.listen(Engine, "before_cursor_execute", self._statement)

    def watch(self, owner: type, **methods: str) -> None:
        """Count what these methods of a class do, each under the name that is given."""
        for method, name in methods.items():
            setattr(owner, method, self._watched(name, getattr(owner, method)))

    def _watched(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        phase = self.report.phases.setdefault(name, Phase())

        @wraps(method)
        def watched(*args: Any, **kwargs: Any) -> Any:
            outer, self._now.phase = getattr(self._now, "phase", None), phase
            began, computed = time.monotonic(), time.thread_time()
            try:
                return method(*args, **kwargs)
            finally:
                self._now.phase = outer
                spent = Phase(time.monotonic() - began, time.thread_time() - computed)
                phase.add(spent)
                if outer is not None:  # what is inside of another phase counts once
                    outer.add(Phase(-spent.seconds, -spent.cpu_seconds))
                self.report.began = min(self.report.began, began)
                self.report.ended = time.monotonic()

        return watched

    def _phase(self) -> Phase:
        return getattr(self._now, "phase", None) or self.report.phases.setdefault("rest", Phase())

    def _transaction(self, *ignored: Any) -> None:
        self._phase().transactions += 1

    def _statement(self, *ignored: Any) -> None:
        self._phase().statements += 1


Work = Callable[[int, Callable[[], None]], Report]
"""What a process does: it gets its number, and calls the second when it is ready to begin."""


def crew(count: int, work: Work, seconds: float, meter: Callable[[], float]) -> Report:
    """Let `count` processes work side by side; `meter` tells the server's CPU seconds.

    Raises RuntimeError if one fails or takes longer than `seconds`.
    """
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(count)
    pipes = [context.Pipe(duplex=False) for _ in range(count)]
    crewmen = [
        context.Process(target=_body, args=(work, number, barrier, meter, pipes[number][1]))
        for number in range(count)
    ]
    total = Report()
    try:
        for one in crewmen:
            one.start()
        until = time.monotonic() + START_SECONDS + seconds
        for number, (ours, _) in enumerate(pipes):
            if not ours.poll(max(0.0, until - time.monotonic())):
                raise RuntimeError(f"process {number} of {count} did not end in time")
            said = ours.recv()
            if isinstance(said, str):
                raise RuntimeError(f"process {number} of {count} failed:\n{said}")
            total.add(said)
        for one in crewmen:
            one.join(10.0)
        total.server_seconds += meter()
    finally:
        for one in crewmen:
            one.kill()
            one.join()
        for ours, theirs in pipes:
            ours.close()
            theirs.close()
    return total


def _body(
    work: Work, number: int, barrier: Any, meter: Callable[[], float], end: Connection
) -> None:
    came = time.monotonic()
    ready = computed = metered = 0.0

    def start() -> None:
        nonlocal ready, computed, metered
        ready = time.monotonic() - came
        barrier.wait(START_SECONDS)
        metered = meter() if number == 0 else 0.0
        computed = time.process_time()

    try:
        report = work(number, start)
        report.ready_seconds = ready
        report.cpu_seconds = time.process_time() - computed
        report.server_seconds = -metered
        end.send(report)
    except BaseException:
        barrier.abort()
        end.send(traceback.format_exc())
