"""The webhook, told to a real server on this machine."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from support.databases import on_sqlite
from support.fakes import fake_train, small_sweep
from support.processes import wait_for
from support.worker_processes import registered
from sweeper import __version__, api
from sweeper.errors import InputError
from sweeper.store import Store
from sweeper.worker import webhook
from sweeper.worker.stall_watch import StallWatch
from sweeper.worker.worker_loop import work


@dataclass
class Hook:
    url: str = ""
    answers: list[int] = field(default_factory=list)
    """Codes of the next answers, 200 after them; 0 for none at all."""
    told: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)


@contextmanager
def hook_server() -> Iterator[Hook]:
    hook, ended = Hook(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            hook.told.append(json.loads(body))
            hook.paths.append(self.path)
            code = hook.answers.pop(0) if hook.answers else 200
            if not code:
                ended.wait(60)
                return
            self.send_response(code)
            if code == 302:
                self.send_header("Location", f"{hook.url}/elsewhere")
            self.end_headers()

        do_GET = do_POST  # noqa: N815

        def log_message(self, *arguments: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hook.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hook
    finally:
        ended.set()
        server.shutdown()
        server.server_close()


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hook]:
    monkeypatch.setattr(webhook, "WAITS", (0.0, 0.0, 0.0))
    with hook_server() as server:
        monkeypatch.setenv("SWEEPER_WEBHOOK", f"{server.url}/T0/s3cret")
        yield server


@pytest.fixture
def finished(storage_url: str) -> Iterator[Store]:
    store = registered(storage_url, small_sweep())
    work("tiny", store, pack=8, train=fake_train)
    yield store
    store.close()


@on_sqlite
def test_an_end_is_told_once(finished: Store, hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWEEPER_DASHBOARD_URL", "https://sweeps.example.org/")
    for _ in range(3):
        webhook.tell_end(finished, "tiny")
    [message] = hook.told
    assert message["event"] == "finished"
    assert (message["sweep"], message["done"], message["budget"]) == ("tiny", 18, 18)
    assert message["front"].keys() == set(finished.sweep("tiny").arms)
    targets = finished.sweep("tiny").targets.accuracy
    for sizes in message["front"].values():
        assert [*sizes] == [f"nonzero_at_{target:g}" for target in targets]
    assert message["page"] == "https://sweeps.example.org/sweeps/tiny/"
    assert (message["sweeper"], message["error"]) == (__version__, None)


@on_sqlite
@pytest.mark.parametrize("address", ["", "sweeps.example.org", "https://me:geheim@example.org/"])
def test_a_page_without_an_address_is_not_told(
    finished: Store, hook: Hook, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("SWEEPER_DASHBOARD_URL", address)
    webhook.tell_end(finished, "tiny")
    [message] = hook.told
    assert message["page"] is None


@on_sqlite
def test_a_run_tells_at_its_end_and_a_later_one_does_not(
    storage_url: str, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run_workers(name: str, store: Store, **options: Any) -> None:
        work(name, store, pack=8, train=fake_train)

    monkeypatch.setattr("sweeper.worker.launch.local_workers.run_workers", run_workers)
    sweep = small_sweep()
    for _ in range(2):
        api.run(sweep, storage_url, workers=1)
        assert [(message["event"], message["done"]) for message in hook.told] == [("finished", 18)]


@on_sqlite
def test_what_was_finished_before_is_not_told(finished: Store, hook: Hook) -> None:
    webhook.tell_end(finished, "tiny", anew=False)
    assert hook.told == []


@on_sqlite
@pytest.mark.parametrize(
    ("answers", "line"),
    [
        ([500, 503, 500], "webhook: finished was not taken in 3 tries: answered 500"),
        ([302, 302, 302], "webhook: finished was not taken in 3 tries: answered 302"),
        ([0, 0, 0], "webhook: finished was not taken in 3 tries: no answer within 0 s"),
    ],
)
def test_a_hook_that_takes_nothing_is_given_up_in_one_line(
    finished: Store,
    hook: Hook,
    answers: list[int],
    line: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(webhook, "TIMEOUT", 0.4)
    hook.answers = answers
    lines: list[str] = []
    for _ in range(2):
        webhook.tell_end(finished, "tiny", lines.append)
    assert lines == [line]
    assert hook.paths == ["/T0/s3cret"] * 3  # nobody was led elsewhere


@on_sqlite
def test_a_hook_that_is_away_or_answers_late_is_tried_again(
    finished: Store, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook.answers = [500, 200]
    webhook.tell_end(finished, "tiny")
    assert len(hook.told) == 2
    assert hook.told[0] == hook.told[1]
    monkeypatch.setenv("SWEEPER_WEBHOOK", "http://127.0.0.1:9/T0/s3cret")
    lines: list[str] = []
    webhook.tell(finished, finished.status("tiny"), "stalled", lines.append)
    [line] = lines
    assert line.endswith("3 tries: Connection refused")


KILLED = """
import os
from sweeper.store import Store
from sweeper.worker import webhook
webhook.tell_end(Store(os.environ["SWEEPER_STORAGE"]), "tiny")
"""


@on_sqlite
def test_who_is_killed_while_it_tells_leaves_it_to_the_next(
    finished: Store, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook.answers = [0]
    environment = {**os.environ, "SWEEPER_STORAGE": finished.url}
    process = subprocess.Popen([sys.executable, "-c", KILLED], env=environment)
    wait_for(lambda: hook.told)
    process.kill()
    process.wait()
    webhook.tell_end(finished, "tiny", anew=False)
    assert len(hook.told) == 1  # it may still be at it
    monkeypatch.setattr(webhook, "SENDING_SECONDS", 0.0)
    for _ in range(2):
        webhook.tell_end(finished, "tiny", anew=False)
    assert [message["id"] for message in hook.told] == [hook.told[0]["id"]] * 2


@on_sqlite
def test_a_failure_is_told_each_time_and_without_passwords(storage_url: str, hook: Hook) -> None:
    store = registered(storage_url, small_sweep())
    for _ in range(3):
        worker = store.join("tiny", device="cpu")
        error = "OSError: no postgresql://me:geheim@db/x"
        store.release(worker, store.claim(worker, 1), error=error)
    webhook.tell_end(store, "tiny")
    webhook.tell_end(store, "tiny")
    [message] = hook.told
    assert message["event"] == "failed"
    assert "OSError" in message["error"]
    assert "geheim" not in json.dumps(message)
    store.close()


@on_sqlite
def test_a_sweep_that_stands_still_is_told_once_by_who_watches(
    storage_url: str, hook: Hook
) -> None:
    store = registered(storage_url, small_sweep())
    watch = StallWatch(0.0)
    watch.look(store, "tiny")
    watch.look(store, "tiny")
    assert hook.told == []  # nobody was seen at work
    worker = store.join("tiny", device="cpu")
    store.claim(worker, 2)

    def looked() -> bool:
        watch.look(store, "tiny")
        return bool(hook.told)

    wait_for(looked)
    for _ in range(3):
        watch.look(store, "tiny")
    [message] = hook.told
    assert (message["event"], message["done"]) == ("stalled", 0)
    assert message["error"].endswith("with 2 trials in training")
    store.close()


def test_an_address_that_is_none_is_refused_and_never_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for url in ("ftp://h/s3cret", "h/s3cret", "http://", "http://h:x/s3cret", "file:///s3cret"):
        monkeypatch.setenv("SWEEPER_WEBHOOK", url)
        with pytest.raises(InputError) as raised:
            webhook.webhook_url()
        assert str(raised.value) == "SWEEPER_WEBHOOK: must be an address of http:// or https://"
