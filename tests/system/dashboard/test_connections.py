"""Clients that take their time, on real sockets: others are answered meanwhile."""

import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from support.dashboard_server import filled, running
from support.http_client import FORM, HALF, RIGHT, TOKEN, ask, connected, holding, is_served
from support.processes import wait_for
from sweeper.dashboard.server import connections
from sweeper.settings import TOKEN_VARIABLE
from sweeper.store import Store

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse

BODY = b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900\r\n\r\ntoken="


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of `sweeper dashboard`, a process of its own that asks for a token."""
    folder = tmp_path_factory.mktemp("site")
    own = {"SWEEPER_STORAGE": filled(folder).url, TOKEN_VARIABLE: TOKEN, "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "sweeper", "dashboard", "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, **own}
    ) as process:
        try:
            assert process.stdout is not None
            (url,) = re.findall(r"http://\S+", process.stdout.readline())
            yield url
        finally:
            process.terminate()


def is_closed(line: socket.socket) -> bool:
    """Send one more byte; return whether the other end has closed."""
    time.sleep(0.2)
    try:
        line.sendall(b"a")
    except ConnectionError:
        return True
    return False


SLOW = {
    "nothing": b"",
    "half a request": HALF,
    "a body that does not come": BODY,
    "a body in pieces that does not come": BODY.replace(
        b"Content-Length: 900", b"Transfer-Encoding: chunked"
    ),
    "an answer that is not taken": (
        "GET /static/bundle.js HTTP/1.1\r\nHost: localhost\r\n"
        f"Authorization: Bearer {TOKEN}\r\n\r\n"
    ).encode(),
    "an open connection": b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
}


@pytest.mark.parametrize("sent", SLOW.values(), ids=SLOW)
def test_slow_clients_of_one_address_hold_up_nobody(site: str, sent: bytes) -> None:
    with ExitStack() as stack:
        # More than there are threads, and more than an address may have connections.
        holding(stack, site, connections.MOST_OF_ONE + 40, sent)
        assert is_served(site)


def test_slow_clients_of_many_addresses_hold_up_nobody(site: str) -> None:
    with ExitStack() as stack:
        for number in range(6):
            holding(stack, site, 100, HALF, f"127.0.1.{number + 1}")
        assert is_served(site)


def test_the_connections_of_an_address_are_so_many_and_the_oldest_one_makes_room(
    site: str,
) -> None:
    with ExitStack() as stack:
        first = stack.enter_context(connected(site, "127.0.0.3"))
        first.sendall(HALF)
        time.sleep(0.2)
        holding(stack, site, connections.MOST_OF_ONE - 1, HALF, "127.0.0.3")
        assert not is_closed(first)
        holding(stack, site, 1, HALF, "127.0.0.3")
        wait_for(lambda: is_closed(first))


@pytest.mark.parametrize("kind", ["half a request", "a body that does not come"])
def test_who_sends_a_byte_now_and_then_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(connections, "SECONDS", 2.0)
    with running(filled(tmp_path), monkeypatch, token=TOKEN.encode()) as url:
        line = connected(url)
        line.sendall(SLOW[kind])
        with closing(line):
            wait_for(lambda: is_closed(line))
        assert is_served(url)


def test_who_takes_a_byte_now_and_then_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "SECONDS", 2.0)
    monkeypatch.setattr(connections, "BYTES_A_SECOND", 10**7)
    with running(filled(tmp_path), monkeypatch, token=TOKEN.encode()) as url:
        line = connected(url)
        # Not as few as 4096: the rest, megabytes in the server's socket, would take minutes.
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        line.sendall(SLOW["an answer that is not taken"])
        taken = b""
        with closing(line):
            began = time.monotonic()
            while True:
                slow = time.monotonic() - began < 4.0  # then what is on its way, at once
                try:
                    part = line.recv(100 if slow else 65_536)
                except ConnectionError:
                    break
                if not part:
                    break
                taken += part
                time.sleep(0.1 if slow else 0)
        whole = ask(url, "GET", "/static/bundle.js", RIGHT).text
        assert 0 < len(taken) < len(whole)


def test_a_connection_that_is_open_is_used_again(site: str) -> None:
    place = urlsplit(site)
    with closing(HTTPConnection(place.hostname or "", place.port, timeout=240)) as line:
        for _ in range(3):
            line.request("GET", "/healthz")
            assert line.getresponse().read() == b"ok"
            first = line.sock
        assert line.sock is first is not None


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 12_000 + b"\r\n", 431),
        (b"GET /\x1b[2J<b> HTTP/1.1\r\nHost: a\r\nEvil <b>\x1b: 1\r\n\r\n", 400),
        (b"get / HTTP/1.1\r\nHost: a\r\n\r\n", 400), (b"\x16\x03\x01\r\n\r\n", 400),
        (b"POST /login HTTP/1.1\r\nContent-Length: 65537\r\n\r\n", 413),
        (b"POST /login HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400),
        (b"POST /login HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501),
        (b"POST /login HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"POST /login HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfffff\r\n"
         + b"a" * 0xFFFFF, 413),
    ],
)  # fmt: skip
def test_what_is_no_request_is_refused_in_words_of_our_own(
    site: str, sent: bytes, status: int
) -> None:
    with closing(connected(site)) as line:
        thread = threading.Thread(target=_sent, args=(line, sent))
        thread.start()
        answer = line.recv(65_536)
        thread.join(timeout=240)
    assert re.match(rf"HTTP/1.[01] {status} ".encode(), answer)
    assert b"X-Content-Type-Options: nosniff" in answer
    assert b"\x1b" not in answer
    assert b"<b>" not in answer


def _sent(line: socket.socket, sent: bytes) -> None:
    try:
        line.sendall(sent)
    except ConnectionError:
        return  # it was refused before it was sent


def test_a_large_body_is_taken_from_who_has_the_token_where_changes_are_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = "x" * 300_000
    headers = {**FORM, "Content-Type": "application/json"}
    store = filled(tmp_path)
    for allow_edit, statuses in ((True, [413, 400]), (False, [413, 413])):
        with running(store, monkeypatch, token=TOKEN.encode(), allow_edit=allow_edit) as url:
            asked = [
                ask(url, "PUT", "/api/studies/1/note", {**headers, **more}, body).status
                for more in ({}, RIGHT)
            ]
        assert asked == statuses


def test_who_waits_for_the_database_is_not_cut_off_and_others_are_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "SECONDS", 2.0)
    monkeypatch.setattr(connections, "IDLE_SECONDS", 2)
    over = threading.Event()
    store, usual = filled(tmp_path), Store.names
    monkeypatch.setattr(Store, "names", lambda store: (over.wait(240), usual(store))[1])
    with running(store, monkeypatch, token=TOKEN.encode()) as url:
        answers: list[int] = []
        path = "/sweeps/index.json"
        thread = threading.Thread(
            target=lambda: answers.append(ask(url, "GET", path, RIGHT).status)
        )
        thread.start()
        time.sleep(4)
        assert ask(url, "GET", "/healthz").status == 200
        over.set()
        thread.join()
        assert answers == [200]


def test_an_address_of_a_unix_socket_is_none(tmp_path: Path) -> None:
    def app(environ: dict[str, str], start: object) -> list[bytes]:
        start("200 OK", [("Content-Length", "2")])  # type: ignore[operator]
        return [f"<{environ['REMOTE_ADDR']}>".encode()]

    with closing(socket.socket(socket.AF_UNIX)) as listening:
        listening.bind(str(tmp_path / "socket"))
        listening.listen()
        with connections.HTTPServer(listening, app) as server:
            thread = threading.Thread(target=server.serve)
            thread.start()
            with closing(socket.socket(socket.AF_UNIX)) as line:
                line.settimeout(240)
                line.connect(str(tmp_path / "socket"))
                line.sendall(b"GET / HTTP/1.0\r\n\r\n")
                assert line.makefile("rb").read().endswith(b"\r\n\r\n<>")
            server.shutdown()
            thread.join()


def test_a_server_that_ends_leaves_no_file_of_an_answer_open() -> None:
    def large(environ: object, start: "StartResponse") -> list[bytes]:
        start("200 OK", [("Content-Length", str(4 << 20))])
        return [bytes(4 << 20)]

    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        connections.HTTPServer(listening, large) as server,
    ):
        turns = threading.Thread(target=server.serve)
        turns.start()
        with socket.create_connection(listening.getsockname()) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            client.recv(1000)
            wait_for(lambda: any(one.outbufs[0].overflowed for one in open_ones(server)))
            [connection] = open_ones(server)
            server.shutdown()
            turns.join()
            assert not connection.outbufs[0].buf.getfile().closed
            server.end(1)
            assert connection.outbufs[0].buf.getfile().closed


def open_ones(server: connections.HTTPServer) -> list[Any]:
    return list(server.active_channels.values())
