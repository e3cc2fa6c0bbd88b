"""CUDA graphs of training steps: captured once and replayed; elsewhere started one by one.

A step of a pack is some hundred small kernels; started from Python one by one they would leave the
device idle. A graph starts them all at once; within an epoch the host waits for nothing but steps
that lie well behind those it has started.
"""

import logging
import time
from collections.abc import Callable
from functools import cache
from typing import Any, Protocol

import torch
from torch import Tensor

from sweeper.errors import typed_line
from sweeper.training.datasets import DataSplit
from sweeper.training.out_of_memory import is_out_of_memory

_log = logging.getLogger("sweeper.worker")
Take = Callable[[Tensor, float | Tensor, int], None]
"""Takes a step: indices of the batch [batch], factor on the learning rates (of all networks, or
[pack]), number of the step."""
Gather = Callable[[Tensor], DataSplit]
"""Gives the examples of one step after the other, by their indices [batch] in a split."""
SECONDS_AHEAD = 0.05
"""Work that a GPU is given before it is done, at most. Less than several of Python's turns of 5 ms
would let it run dry while the thread beside training has its own."""
FIRST_AHEAD = 8
"""Steps of which at most twice as many are started ahead until their time is known."""
MOST_AHEAD = 1024
WARM_UP = 3
"""Steps that are taken as they come before one is captured, as libraries set themselves up."""


class Steps(Protocol):
    """The parts of a step of a stack in training: `training_loop.Stepper` has them.

    A protocol, for that module imports this one.
    """

    @property
    def capturable(self) -> bool: ...

    def draw_noise(self) -> None: ...

    def begin(self, examples: Tensor, labels: Tensor, now: Tensor) -> None: ...

    def end(self, now: Tensor, factor: float | Tensor, number: int) -> None: ...


def steps_on(
    steps: Steps, part: DataSplit, batch_size: int, rate: Tensor, changed: Gather | None = None
) -> Take:
    """Return the function that takes steps on a split, with learning rates `rate` [pack].

    `changed` gives the examples of each step where they are not those of the split.
    """
    if part.labels.device.type != "cuda":
        return one_by_one(steps, part, rate, changed)
    if steps.capturable:
        return paced(Captured(steps, part, batch_size, rate, _CudaGraph(), changed))
    return paced(one_by_one(steps, part, rate, changed))


def paced(take: Take, clock: Callable[[], float] = time.perf_counter) -> Take:
    """Keep the host from running far ahead of a GPU: only a little, so that the GPU never waits.

    Else it would start an epoch of steps at once and then be deaf: to signals, to a lost lease.
    """
    groups = _StepGroups(clock)

    def wait(index: Tensor, factor: float | Tensor, number: int) -> None:
        take(index, factor, number)
        groups.add_step()

    return wait


class _StepGroups:
    """Steps in groups: while one is in work on a GPU, the next one is started and no other."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._size, self._steps = FIRST_AHEAD, 0
        self._begun: tuple[Any, int] | None = None
        """The event behind the group before, and the steps in it."""
        self._done_at: float | None = None

    def add_step(self) -> None:
        """Take note of a step that was started; wait if it ends a group."""
        self._steps += 1
        if self._steps < self._size:
            return
        event: Any = torch.cuda.Event()  # type: ignore[no-untyped-call]
        event.record()
        before, self._begun = self._begun, (event, self._steps)
        self._steps = 0
        if before is not None:
            self._wait(*before)

    def _wait(self, event: Any, steps: int) -> None:
        event.synchronize()
        now, before = self._clock(), self._done_at
        self._done_at = now
        if before is not None:
            fitting = int(SECONDS_AHEAD / 2 * steps / max(now - before, 1e-9))
            self._size = max(1, min(fitting, 2 * self._size, MOST_AHEAD))


def one_by_one(steps: Steps, part: DataSplit, rate: Tensor, changed: Gather | None = None) -> Take:
    """Return a function that starts the halves of each step from Python."""

    def take(index: Tensor, factor: float | Tensor, number: int) -> None:
        now = rate * factor
        batch = part.at(index) if changed is None else changed(index)
        steps.draw_noise()
        steps.begin(batch.examples, batch.labels, now)
        steps.end(now, factor, number)

    return take


class Graph(Protocol):
    """A captured program of a device, replayed with whatever its tensors hold then."""

    def warm_up(self, program: Callable[[], None]) -> None:
        """Run a program where it can be captured later."""

    def capture(self, program: Callable[[], None]) -> None:
        """Capture a program without running it."""

    def replay(self) -> None:
        """Run the program that was captured."""


@cache
def _stream(device: int) -> Any:
    """Return the stream of all graphs of a GPU: libraries keep a workspace for each stream."""
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


class _CudaGraph:
    """A CUDA graph. Reference: torch.cuda.CUDAGraph."""

    def __init__(self) -> None:
        self._graph = torch.cuda.CUDAGraph()
        self._stream = _stream(torch.cuda.current_device())

    def warm_up(self, program: Callable[[], None]) -> None:
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            program()
        torch.cuda.current_stream().wait_stream(self._stream)

    def capture(self, program: Callable[[], None]) -> None:
        before = torch.cuda.current_stream()
        try:
            with torch.cuda.graph(self._graph, stream=self._stream):
                program()
        finally:
            # Where a capture fails, its end does, too, and would leave its stream the current one.
            torch.cuda.set_stream(before)

    def replay(self) -> None:
        self._graph.replay()


class Captured:
    """Steps through a graph; what changes between them lies in tensors that stay in place."""

    def __init__(
        self,
        steps: Steps,
        part: DataSplit,
        batch_size: int,
        rate: Tensor,
        graph: Graph,
        changed: Gather | None = None,
    ) -> None:
        self._steps, self._part, self._rate, self._graph = steps, part, rate, graph
        self._changed = changed
        self._batch: DataSplit | None = None
        """Where changed examples lie, which are made outside of the graph."""
        self._index = torch.zeros(batch_size, dtype=torch.int64, device=rate.device)
        self._now = torch.zeros_like(rate)
        self._taken = 0
        self._is_refused = False
        """Whether the steps cannot be captured after all."""

    def __call__(self, index: Tensor, factor: float | Tensor, number: int) -> None:
        if self._changed is None:
            self._index.copy_(index)
        else:
            self._put(self._changed(index))
        torch.mul(self._rate, factor, out=self._now)
        self._steps.draw_noise()
        if self._taken == WARM_UP:
            self._capture()
        if self._taken < WARM_UP or self._is_refused:
            self._graph.warm_up(self._begin)
        else:
            self._graph.replay()
        self._taken += 1
        self._steps.end(self._now, factor, number)

    def _capture(self) -> None:
        """Capture the steps; where a module of a user's does what cannot be, go on without."""
        try:
            self._graph.capture(self._begin)
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise
            self._is_refused = True
            _log.info("steps are started one by one, no graph holds them: %s", typed_line(error))

    def _put(self, batch: DataSplit) -> None:
        if self._batch is None:
            self._batch = batch
        else:
            self._batch.examples.copy_(batch.examples)
            self._batch.labels.copy_(batch.labels)

    def _begin(self) -> None:
        batch = self._batch or self._part.at(self._index)
        self._steps.begin(batch.examples, batch.labels, self._now)
