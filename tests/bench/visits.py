"""Servers of pages as processes, and viewers that ask them."""

import http.client
import os
import re
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

SERVERS = ("stock", "ours", "stock, gunicorn", "ours, gunicorn")
_WORKER = "sweeper.dashboard.gunicorn_worker.Worker"
_WSGI = "sweeper.dashboard.wsgi:application()"


@dataclass
class Times:
    """Milliseconds of the same request, and what it was answered."""

    milliseconds: list[float] = field(default_factory=list)
    statuses: set[int] = field(default_factory=set)
    size: int = 0

    def quantile(self, share: float) -> float:
        ordered = sorted(self.milliseconds)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    @property
    def median(self) -> float:
        return statistics.median(self.milliseconds)

    @property
    def failed(self) -> str:
        """The statuses that are no answers, '' if all are."""
        return ",".join(str(one) for one in sorted(self.statuses - {200, 304}))


@contextmanager
def serving(name: str, url: str) -> Iterator["Client"]:
    """Start a server on a storage in a `with` block; it was asked for no data yet."""
    port = _free_port()
    here = ["--host", "127.0.0.1", "--port", str(port)]
    bind = ["-m", "gunicorn", "--workers", "1", "--threads", "16", "--bind", f"127.0.0.1:{port}"]
    stock = Path(sys.executable).with_name("optuna-dashboard")
    commands: dict[str, list[str | Path]] = {
        "stock": [stock, url, *here, "--server", "wsgiref"],
        "stock, gunicorn": [stock, url, *here, "--server", "gunicorn", "--quiet"],
        "ours": [sys.executable, "-m", "sweeper", "dashboard", *here],
        "ours, gunicorn": [sys.executable, *bind, "--worker-class", _WORKER, _WSGI],
    }
    environment = {**os.environ, "SWEEPER_STORAGE": url, "SWEEPER_DASHBOARD_OPEN": "1"}
    quiet = subprocess.DEVNULL
    client = Client(f"http://127.0.0.1:{port}")
    began = time.monotonic()
    with subprocess.Popen(
        commands[name], env=environment, stdout=quiet, stderr=quiet, start_new_session=True
    ) as process:
        try:
            _wait(client, process)
            client.start_milliseconds = 1e3 * (time.monotonic() - began)
            yield client
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(20)
            process.kill()


class Client:
    """Asks one server."""

    def __init__(self, url: str) -> None:
        self._place = urlsplit(url)
        self.start_milliseconds = 0.0
        """From the start of its process to its first answer."""

    def get(self, path: str, times: Times, tag: str = "") -> tuple[bytes, str]:
        """Ask once, on a connection of its own as stock's are; returns body and entity tag."""
        headers = {"Accept-Encoding": "gzip", **({"If-None-Match": tag} if tag else {})}
        began = time.perf_counter()
        host, port = self._place.hostname or "", self._place.port
        with closing(http.client.HTTPConnection(host, port, timeout=120)) as connection:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            body = answer.read()
        times.milliseconds.append(1e3 * (time.perf_counter() - began))
        times.statuses.add(answer.status)
        times.size = max(times.size, len(body))
        return body, answer.headers.get("ETag", "")

    def at_once(self, paths: Sequence[str], viewers: int, rounds: int, pause: float) -> Times:
        """Let viewers ask for all the paths at the same moment, again after a pause."""
        times = Times()
        barrier = threading.Barrier(viewers, timeout=300)

        def view() -> None:
            tags = dict.fromkeys(paths, "")
            for _ in range(rounds):
                barrier.wait()
                for path in paths:
                    tags[path] = self.get(path, times, tags[path])[1]
                time.sleep(pause)

        _together([view] * viewers)
        return times

    def poll_until(self, over: threading.Event, paths: Sequence[str], viewers: int) -> None:
        """Let viewers ask for all the paths every second."""

        def view() -> None:
            while not over.is_set():
                for path in paths:
                    self.get(path, Times())
                over.wait(1)

        _together([view] * viewers)


def study_id(body: bytes, name: str) -> int:
    """Return the id of a study from what /api/studies answered."""
    found = re.search(rb'"study_id": ?(\d+), ?"study_name": ?"%b"' % re.escape(name.encode()), body)
    if found is None:
        raise RuntimeError(f"{name}: not among the studies")
    return int(found[1])


def _together(calls: Sequence[Callable[[], None]]) -> None:
    failed: list[BaseException] = []

    def call(one: Callable[[], None]) -> None:
        try:
            one()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=call, args=(one,)) for one in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(client: Client, process: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + 120
    while True:
        # A small file; to listen is not enough, for some do so before they are loaded.
        with suppress(OSError):
            client.get("/static/bundle.js.LICENSE.txt", Times())
            return
        if process.poll() is not None or time.monotonic() > until:
            raise RuntimeError(f"the server does not start, exit status {process.poll()}")
        time.sleep(0.05)
