"""Ray workers: each is a task of Ray, which runs one worker process on the node that it gets.

Ray places the tasks, and starts one again elsewhere when its node dies. How a worker process is
started, watched and ended is the affair of `local_workers`, on every node as on one machine.
"""

import os
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sweeper.errors import InputError, Interrupted, StorageError, SweeperError, TrainingError
from sweeper.settings import SHARED_BY_VARIABLE
from sweeper.store import Store
from sweeper.trainers.pack_size import PackSize
from sweeper.types import SweepStatus
from sweeper.worker.launch import local_workers
from sweeper.worker.launch.machine import Machine, WorkerResources, amounts
from sweeper.worker.launch.ray_connection import connected
from sweeper.worker.stop_signals import handle_signals, stoppable_policy

LEAVE_SECONDS = 30.0
"""That tasks have to end by themselves once nothing is left to do."""
NOTICE_SECONDS = 30.0
"""After which it is said that workers have not begun; to start takes some, too."""
COMMAND = (sys.executable, "-P", "-m", "sweeper", "worker")

_ERRORS = {kind.__name__: kind for kind in (InputError, StorageError, TrainingError)}


@dataclass(frozen=True, slots=True)
class RayTask:
    """The order to one task. It travels as an argument, which Ray shows to nobody."""

    name: str
    url: str = field(repr=False)
    share: WorkerResources
    workers: int
    pack: PackSize
    data: Path | None
    trials: Path | None
    artifacts: str | None
    folder: Path
    """In which workers run where a node has it: modules of the user's own are found there."""
    every: float
    command: tuple[str, ...] | None
    variables: Mapping[str, str] = field(default_factory=dict)
    """Further ones for the environment of its worker."""
    until: float | None = None
    """End of its time, in seconds since 1970."""


def run_on_ray(
    name: str,
    store: Store,
    *,
    share: WorkerResources,
    variables: Mapping[str, str] | None = None,
    address: str | None = None,
    workers: int | None = None,
    pack: PackSize = "auto",
    folder: Path | None = None,
    trials: Path | None = None,
    artifacts: str | None = None,
    until: float | None = None,
    on_status: Callable[[SweepStatus], None] = lambda status: None,
    on_note: Callable[[str], None] = lambda line: None,
    every: float = 0.5,
    command: Sequence[str] | None = None,
) -> None:
    """Run workers as tasks of Ray until the sweep is finished or stopped.

    Without an address Ray is started for this, on this machine alone, and ended with it. There are
    as many workers as there is room for, unless told otherwise. `until` is the end of their time,
    in seconds since 1970. Raises what `run_workers` does, and InputError where there is no Ray, no
    cluster or no room.
    """
    machine = Machine.here()
    here = (machine.cores, machine.gpus, machine.memory)
    if address is None and not share.fits(*here):
        raise InputError(_no_room(share, [here]))
    # Outside, since Ray has its own way with SIGTERM; inside, for after it has set that.
    with handle_signals() as early, connected(address, machine) as ray, handle_signals() as stop:
        early.check()
        nodes = [node for node in ray.nodes() if node["Alive"]]
        check_storage(store, nodes)
        room = [share.fits(*_resources(node)) for node in nodes]
        if not any(room):  # of a cluster that grows, perhaps
            on_note(f"{_no_room(share, map(_resources, nodes))}: waiting for one that has")
        usual = min(sum(room), store.most_workers or sum(room))
        task = RayTask(
            name=name,
            url=store.url,
            share=share,
            workers=workers or max(1, usual),
            pack=pack,
            data=None if folder is None else folder.absolute(),
            trials=trials,
            artifacts=artifacts,
            until=until,
            folder=Path.cwd(),
            every=every,
            command=None if command is None else tuple(command),
            variables=variables or {},
        )
        running = RayWorkers(ray, task)
        launch_store = store.reconnect(stoppable_policy(stop, on_note))
        notice = PlacementNotice(task.workers)
        all_gone = None  # by when, once there is nothing to do
        try:
            running.start()
            while True:
                count = running.settle()
                status = launch_store.status(name)
                on_status(status)
                now = time.monotonic()
                if status.finished or status.state != "open":
                    all_gone = all_gone or now + LEAVE_SECONDS
                elif line := notice.line(status, count, now):
                    on_note(line)
                if not count or (all_gone and now > all_gone):
                    if status.state == "failed":
                        raise TrainingError(status.error)
                    return
                stop.check()
                stop.wait(every)
        finally:
            if stop.is_set:
                on_note(local_workers.LEAVING_NOTE)
            running.end()
            with suppress(StorageError, Interrupted):
                launch_store.reap(name)
            launch_store.close()


class RayWorkers:
    """The tasks of a launch."""

    def __init__(self, ray: Any, task: RayTask) -> None:
        self._ray, self._task = ray, task
        self._running: list[Any] = []
        """References to the tasks that have not ended."""
        self._remote = ray.remote(work_on_node).options(
            name=f"sweeper worker {task.name}",
            num_cpus=task.share.cpus,
            num_gpus=task.share.gpus,
            **({"memory": task.share.memory} if task.share.memory else {}),
            max_retries=-1,
            scheduling_strategy="SPREAD",
        )

    def start(self) -> None:
        """Start as many tasks as workers are wanted."""
        for _ in range(self._task.workers):
            self._running.append(self._remote.remote(self._task))

    def settle(self) -> int:
        """Return the number of tasks that have not ended. Raises the error that one reports."""
        for reference in self._wait(0.0):
            self._running.remove(reference)
            try:
                kind, text = self._ray.get(reference)
            except self._ray.exceptions.RayError as error:
                lines = str(error).strip().splitlines() or [type(error).__name__]
                raise TrainingError(f"ray: a task cannot be run: {lines[-1].strip()}") from None
            if kind in _ERRORS:
                raise _ERRORS[kind](text)
            if kind:  # Its node is being emptied; another one may have room.
                self._running.append(self._remote.remote(self._task))
        return len(self._running)

    def end(self) -> None:
        """End what runs. It is as a Ctrl-C for `run_workers`, which ends its worker; then force."""
        for force in (False, True):
            for reference in self._running:
                with suppress(Exception):  # one that has ended since, or Ray itself has
                    self._ray.cancel(reference, force=force)
            for reference in self._wait(local_workers.GRACE + 5.0):
                self._running.remove(reference)

    def _wait(self, seconds: float) -> list[Any]:
        if not self._running:
            return []
        count = len(self._running)
        ended, _ = self._ray.wait(list(self._running), num_returns=count, timeout=seconds)
        return list(ended)


class PlacementNotice:
    """Notice, now and then, that workers wait for their place."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._placed = workers
        """Workers that had their place at the last notice."""
        self._since: float | None = None

    def line(self, status: SweepStatus, running: int, now: float) -> str:
        """Return the notice that is due, mostly none; `running` tasks have not ended."""
        placed = sum(worker.alive for worker in status.workers)
        if placed >= running or placed == self._placed:
            self._since = None
            return ""
        if self._since is None:
            self._since = now
        if now - self._since < NOTICE_SECONDS:
            return ""
        self._placed = placed
        return f"{placed} of {self._workers} workers have begun, the others start or wait for room"


def check_storage(store: Store, nodes: Sequence[Mapping[str, Any]]) -> None:
    """Raise InputError for a file that not all nodes have."""
    if not store.url.startswith("sqlite"):
        return
    if len(nodes) > 1:
        reason = f"has {len(nodes)} nodes"
    elif nodes[0]["NodeManagerHostname"] != socket.gethostname():
        reason = "is another"
    else:
        return
    raise InputError(f"storage: SQLite is for one machine, this cluster {reason}: use PostgreSQL")


_Room = tuple[float, float, float | None]
"""CPUs, GPUs and bytes of memory."""


def _no_room(share: WorkerResources, nodes: Iterable[_Room]) -> str:
    def size(room: _Room) -> tuple[float, ...]:
        cpus, gpus, memory = room
        return gpus if share.gpus else 0.0, (memory or 0.0) if share.memory else 0.0, cpus

    cpus, gpus, memory = max(nodes, key=size)
    largest = amounts(cpus, gpus, memory if share.memory else None)
    return f"ray: no node has room for a worker of {share}, the largest has {largest}"


def _resources(node: Mapping[str, Any]) -> _Room:
    amount = node["Resources"].get
    return amount("CPU", 0.0), amount("GPU", 0.0), amount("memory")


def work_on_node(task: RayTask) -> tuple[str, str]:
    """Run one worker on this node until it leaves: the body of a task.

    Returns the name of an error and its text, for errors do not all pickle; else two empty texts.
    """
    import ray

    # Ray puts the folder of its driver before all else: see config.registry.import_folder.
    sys.path[:] = [entry for entry in sys.path if entry != str(task.folder)]
    if threading.current_thread() is threading.main_thread():
        # Cancelling comes as one; it is ignored where the cluster was started by a script with &.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    with suppress(OSError):
        os.chdir(task.folder)
    try:
        store = Store(task.url)
        try:
            is_late = task.until is not None and time.time() >= task.until
            if is_late or store.finished(task.name) or store.state(task.name) != "open":
                return "", ""  # its place came free when the others left
            local_workers.run_workers(
                task.name,
                store,
                devices=["cuda" if task.share.gpus else "cpu"],
                variables=[task.variables],
                pack=task.pack,
                folder=task.data,
                trials=task.trials,
                artifacts=task.artifacts,
                until=task.until,
                logs=_logs(ray, task.name),
                every=task.every,
                command=[*environment(ray, task), *(task.command or COMMAND)],
            )
        finally:
            store.close()
    except SweeperError as error:
        kinds = [kind for kind in _ERRORS if isinstance(error, _ERRORS[kind])]
        return (kinds or [Interrupted.__name__])[0], str(error)
    return "", ""


def environment(ray: Any, task: RayTask) -> list[str]:
    """Return the start of a command that tells a worker how many share its device."""
    number = task.share.of_a_gpu
    if not number:
        here = ray.get_runtime_context().get_node_id()
        nodes = [node for node in ray.nodes() if node["NodeID"] == here]
        number = max(task.share.fits(*_resources(node)) for node in nodes)
    # `run_workers` knows of its own only. env gives its place to the worker: no process between.
    return ["env", f"{SHARED_BY_VARIABLE}={max(1, min(number, task.workers))}"]


def _logs(ray: Any, name: str) -> Path:
    """Return a folder for this worker's log: beside Ray's own, which its tools show."""
    context = ray.get_runtime_context()
    folder = Path(tempfile.gettempdir())
    with suppress(AttributeError):  # an older Ray does not tell
        session = Path(context.get_temp_dir(), context.get_session_name(), "logs")
        folder = session if session.is_dir() else folder
    return folder / f"sweeper-{name}-{context.get_task_id()[:16]}"
