"""The cost of looking: pages and polls of our dashboard beside Optuna's own, on the same storage.

    python tests/bench/dashboard.py [--sqlite] [--gunicorn] [--sweeps 20] [--trials 500]
        [--arms 1] [--viewers 10] [--rounds 20] [--url URL] [--json] [--quick]

Each server is a process of its own, on a copy of the same storage of finished sweeps. Measured are:

- first: each request of a first visit, one after another, by a server that was asked nothing yet;
- poll: what open pages ask again, by many viewers at the same moment, while a writer records
  trials at a modest rate;
- first of a version: a sweep's fronts and progress asked for once after each new trial, by nobody
  else, so that nothing of them is stored; with `--sweeps 1 --trials 10000 --arms 20` a large one;
- writer: how fast trials are recorded, by one process, with nobody and with many looking.

PostgreSQL, a server of its own unless `--url` names a database of another (whose user may create
databases); SQLite with `--sqlite`. A page that a server does not have is shown by its status.
"""

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import dashboard_tables as tables
from dashboard_tables import Visit
from prefilled import Server
from shelf import Shelf, fill, writing
from support.postgres import Postgres
from sweeper.errors import SweeperError
from visits import SERVERS, Client, Times, serving, study_id

MODEST = 2.0
"""Trials a second that are recorded while polls are measured."""
PAUSE = 1.3
"""Seconds until all viewers ask again: longer than an answer of ours is kept."""
WRITE_SECONDS = 15.0


@dataclass(frozen=True)
class Options:
    """What was asked for."""

    shelf: Shelf
    servers: tuple[str, ...]
    viewers: int
    rounds: int
    seconds: float
    sqlite: bool
    url: str


class Storages(Protocol):
    """Lends a storage that is filled once and copied for each server."""

    def lend(self, what: Any, fill: Any) -> Any: ...


class Files:
    """SQLite files in a folder that goes at the end."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made = 0

    @contextmanager
    def lend(self, what: Any, fill: Any) -> Iterator[str]:
        whole = self._folder / "filled.db"
        if not whole.exists():
            fill(f"sqlite:///{whole}")
        self._made += 1
        copy = self._folder / f"copy-{self._made}.db"
        shutil.copyfile(whole, copy)  # closed: nothing is left in its WAL
        yield f"sqlite:///{copy}"


@contextmanager
def storages(options: Options) -> Iterator[Storages]:
    if options.sqlite:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            yield Files(Path(folder))
        return
    own = None if options.url else Postgres()
    server = Server(own.url("postgres") if own else options.url)
    try:
        yield server
    finally:
        server.close()
        if own:
            own.stop()


def visit(server: str, url: str, options: Options) -> Visit:
    """Measure one server on a fresh copy of the storage."""
    shelf = options.shelf
    sweep = f"/sweeps/{shelf.looked_at}/"
    live = [f"{sweep}fronts.json", f"{sweep}status.json"]
    first: dict[str, Times] = {}
    polls: dict[str, Times] = {}
    rates: dict[str, float] = {}
    with serving(server, url) as client:
        first[tables.START] = Times([client.start_milliseconds])

        def once(path: str) -> bytes:
            return client.get(path, first.setdefault(path, Times()))[0]

        for path in ("/dashboard", "/static/bundle.js", "/api/meta"):
            once(path)
        study = f"/api/studies/{study_id(_plain(once('/api/studies')), shelf.study)}"
        once(f"{study}?after=0")
        if server.startswith("ours"):
            for path in ("/sweeps/", "/sweeps/index.json", sweep, *live):
                once(path)
        poll = f"{study}?after={shelf.trials}"
        asked = {poll: [poll], f"{study}?after=0": [f"{study}?after=0"]}
        if server.startswith("ours"):
            asked["fronts.json + status.json"] = live
        with writing(url, shelf, MODEST):
            for name, paths in asked.items():
                say(f"{server}: {options.viewers} viewers ask for {name}")
                polls[name] = client.at_once(paths, options.viewers, options.rounds, PAUSE)
        if server.startswith("ours"):
            polls[tables.NEW] = _after_new_trials(client, url, options, live)
        rates = _writer(client, url, options, {"Optuna's poll": [poll]})
        if server.startswith("ours"):
            rates |= _writer(client, url, options, {"fronts.json + status.json": live})
    return Visit(server, _by_route(first, study), _by_route(polls, study), rates)


def _after_new_trials(client: Client, url: str, options: Options, paths: list[str]) -> Times:
    """Return the times of a viewer who asks once in a while, after a trial was recorded."""
    times = Times()
    with writing(url, options.shelf, MODEST):
        for _ in range(options.rounds):
            time.sleep(PAUSE)
            for path in paths:
                client.get(path, times)
    return times


def _writer(
    client: Client, url: str, options: Options, polled: dict[str, list[str]]
) -> dict[str, float]:
    """Return the writer's rates with nobody looking, and with viewers that ask every second."""
    rates = {}
    with writing(url, options.shelf, 0.0) as writer:
        time.sleep(options.seconds)
        rates["nobody"] = writer.rate
        for name, paths in polled.items():
            say(f"a writer beside {options.viewers} viewers that ask for {name}")
            over = threading.Event()
            viewers = threading.Thread(
                target=client.poll_until, args=(over, paths, options.viewers)
            )
            viewers.start()
            writer.restart()
            time.sleep(options.seconds)
            rates[name] = writer.rate
            over.set()
            viewers.join()
    return rates


def _plain(body: bytes) -> bytes:
    """Undo what a server may have compressed."""
    import gzip

    return gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body


def _by_route(times: dict[str, Times], study: str) -> dict[str, Times]:
    return {path.replace(study, "/api/studies/ID"): found for path, found in times.items()}


def measure(options: Options) -> list[Visit]:
    """Visit all servers, one after another."""
    found = []
    with storages(options) as lender:
        for server in options.servers:
            say(f"{server}: a storage of {options.shelf.sweeps} sweeps")
            with lender.lend(options.shelf, partial(_fill, options.shelf)) as url:
                found.append(visit(server, url, options))
    return found


def _fill(shelf: Shelf, url: str) -> None:
    fill(url, shelf)


def say(text: str) -> None:
    """Show progress, beside the figures."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def parse(arguments: list[str] | None = None) -> tuple[Options, bool]:
    """Return the options, and whether JSON is wanted."""
    parser = argparse.ArgumentParser(description="what looking costs")
    parser.add_argument("--sqlite", action="store_true")
    parser.add_argument("--gunicorn", action="store_true", help="both under gunicorn as well")
    parser.add_argument("--sweeps", type=int, default=20)
    parser.add_argument("--trials", type=int, default=500, help="finished ones of each sweep")
    parser.add_argument("--arms", type=int, default=1, help="of each sweep")
    parser.add_argument("--viewers", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=20, help="times that all viewers ask")
    parser.add_argument("--url", default="", help="a PostgreSQL database of another server")
    parser.add_argument("--quick", action="store_true", help="seconds, with few trials")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    quick = given.quick
    return Options(
        Shelf(2, 20) if quick else Shelf(given.sweeps, given.trials, given.arms),
        SERVERS if given.gunicorn else SERVERS[:2],
        2 if quick else given.viewers,
        2 if quick else given.rounds,
        1.0 if quick else WRITE_SECONDS,
        given.sqlite,
        given.url,
    ), given.json


def main() -> None:
    options, as_json = parse()
    signal.signal(signal.SIGTERM, _leave)
    try:
        visits = measure(options)
    except KeyboardInterrupt:
        sys.exit("stopped")
    except (SweeperError, RuntimeError) as error:
        sys.exit(f"error: {error}")
    if as_json:
        print(json.dumps([tables.described(one) for one in visits], indent=2))
    else:
        kind = "SQLite" if options.sqlite else "PostgreSQL"
        print(tables.whole(visits, options.shelf, options.viewers, kind))


def _leave(*_: object) -> None:
    """End as usual, so that processes and databases are cleared up."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
