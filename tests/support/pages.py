"""A client of the dashboard without a network, and sweeps for it to show."""

import gzip
import io
import json
from typing import Any, NamedTuple
from wsgiref.headers import Headers
from wsgiref.util import setup_testing_defaults

from support.fakes import fake_probe, fake_train, small_sweep
from sweeper import lifecycle
from sweeper.analysis.confirmation import confirmation_sweep
from sweeper.config import Sweep
from sweeper.store import Store
from sweeper.worker.worker_loop import work

TARGETS = {"accuracy": [0.9, 0.97], "nonzero": [5000, 20_000, 100_000]}


class Page(NamedTuple):
    status: int
    headers: Headers
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def unpacked(self) -> bytes:
        return gzip.decompress(self.body)


def get(app: Any, path: str, method: str = "GET", **headers: str) -> Page:
    """Ask a WSGI application; headers by their names in lower case with `_`."""
    path, _, query = path.partition("?")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "HTTP_HOST": "localhost",
        **{f"HTTP_{name.upper()}": value for name, value in headers.items()},
    }
    setup_testing_defaults(environ)
    environ["wsgi.errors"] = errors = io.StringIO()
    told: list[Any] = []
    body = b"".join(app(environ, lambda status, headers, *_: told.extend([status, headers])))
    assert not errors.getvalue(), errors.getvalue()
    return Page(int(told[0].split()[0]), Headers(told[1]), body)


def searched(store: Store, name: str = "tiny", **changes: Any) -> Sweep:
    """Register a sweep and work it off; one of two repeats unless told otherwise."""
    search = {"repeats": 2, **changes.pop("search", {})}
    sweep = small_sweep(name, search=search, targets=TARGETS, **changes)
    lifecycle.register(store, sweep)
    work(name, store, pack=8, train=fake_train, probe=fake_probe)
    return sweep


def confirmed(store: Store, sweep: Sweep, seeds: int = 3) -> Sweep:
    """Confirm a finished sweep."""
    facts = store.records(sweep.name)
    again = confirmation_sweep(sweep, store.status(sweep.name), facts, seeds=seeds)
    lifecycle.register(store, again)
    work(again.name, store, pack=8, train=fake_train)
    return again
