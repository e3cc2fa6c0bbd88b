"""The dashboard under gunicorn, as its README says to start it; and what it is configured by."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from support.dashboard_server import filled
from support.fakes import small_sweep
from support.http_client import HALF, RIGHT, TOKEN, ask, cookie, holding, is_served, log_in
from support.metrics_text import scraped, value
from support.processes import wait_for
from support.readmes import DASHBOARD
from sweeper.dashboard import wsgi
from sweeper.settings import TOKEN_FILE_VARIABLE, TOKEN_VARIABLE
from sweeper.store import Store


def command() -> list[str]:
    """Return README's line for gunicorn, on a free port."""
    (line,) = re.findall(
        r"^gunicorn (.*) 'sweeper\.dashboard\.wsgi:application\(\)'$",
        DASHBOARD.replace("\\\n", ""),
        re.M,
    )
    options = line.split()
    assert options[-2:] == ["--bind", "127.0.0.1:8080"]
    program = [sys.executable, "-m", "gunicorn", *options[:-1], "127.0.0.1:0"]
    return [*program, "sweeper.dashboard.wsgi:application()"]


def environment(**own: str) -> dict[str, str]:
    usual = {name: text for name, text in os.environ.items() if not name.startswith("SWEEPER_")}
    return {**usual, **own}


@contextmanager
def gunicorn(
    store: Store, lines: list[str], *, folder: Path | None = None, **own: str
) -> Iterator[str]:
    """Serve under a real gunicorn; gives its URL, and adds what it says to `lines`."""
    with subprocess.Popen(
        command(),
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(SWEEPER_STORAGE=store.url, **own),
    ) as process:
        assert process.stderr is not None
        reader = threading.Thread(target=lines.extend, args=(process.stderr,))
        reader.start()
        try:
            wait_for(lambda: any("Listening at" in line for line in lines))
            (url,) = {found[0] for line in lines if (found := re.search(r"http://\S+:\d+", line))}
            yield url
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=240) == 0
        finally:
            process.kill()
            reader.join(timeout=240)


@pytest.mark.slow
def test_gunicorn_serves_what_readme_says_and_leaves_nothing_behind(tmp_path: Path) -> None:
    store = filled(tmp_path)
    store.register(small_sweep())
    token = tmp_path / "token"
    token.write_text(f"{TOKEN}\n")
    lines: list[str] = []
    own = {TOKEN_FILE_VARIABLE: str(token), "SWEEPER_DASHBOARD_ACCESS_LOG": "1"}
    folder = tmp_path / "current"  # gunicorn puts it before all else
    folder.mkdir()
    (folder / "redis.py").write_text("open(__file__ + '.ran', 'w').close()")
    with gunicorn(store, lines, folder=folder, **own) as url:
        assert ask(url, "GET", "/healthz")[::2] == (200, "ok")
        assert ask(url, "GET", "/metrics").status == 401
        session = {"Cookie": cookie(log_in(url))}
        assert ask(url, "GET", "/api/studies", session).status == 200
        assert ask(url, "GET", "/dashboard", session).status == 200
        assert ask(url, "GET", "/static/bundle.js", session).status == 200
        assert ask(url, "DELETE", "/api/studies/1", RIGHT).status == 403
        found = scraped(url, RIGHT)
        assert value(found, "sweeper_budget_trials", sweep="tiny", arm="l1") == 6
        (pid,) = re.findall(r"Booting worker with pid: (\d+)", "".join(lines))
        assert Path(f"/proc/{pid}").exists()
    assert not Path(f"/proc/{pid}").exists()
    with pytest.raises(ConnectionRefusedError):
        ask(url, "GET", "/healthz")
    said = [json.loads(line) for line in lines if line.startswith("{")]
    events = [one["event"] for one in said if "event" in one]
    assert events == ["started", "stopped"]
    seen = {(one["path"], one["status"], one["who"]) for one in said if "path" in one}
    assert {
        ("/healthz", 200, "open"),
        ("/metrics", 401, "refused"),
        ("/login", 303, "token"),
    } < seen
    size = next(one["bytes"] for one in said if one.get("path") == "/static/bundle.js")
    assert size > 100_000
    assert TOKEN not in "".join(lines)
    # Only the file and SQLite's own beside it.
    left = {path.name.partition("-")[0] for path in tmp_path.iterdir()}
    assert left == {"filled.db", "token", "current"}
    assert [path.name for path in folder.iterdir()] == ["redis.py"]


@pytest.mark.slow
@pytest.mark.parametrize("number", [16, 64, 200])
def test_under_gunicorn_half_requests_hold_up_nobody(tmp_path: Path, number: int) -> None:
    lines: list[str] = []
    own = {TOKEN_VARIABLE: TOKEN}
    with gunicorn(filled(tmp_path), lines, folder=None, **own) as url, ExitStack() as stack:
        holding(stack, url, number, HALF)
        assert is_served(url)
    assert "Traceback" not in "".join(lines)


@pytest.mark.parametrize(
    ("own", "problem"),
    [
        (
            {},
            f"the dashboard needs a token: set {TOKEN_VARIABLE}, or {TOKEN_FILE_VARIABLE} to a",
        ),
        ({"SWEEPER_DASHBOARD_OPEN": "0"}, "the dashboard needs a token"),
        ({"SWEEPER_DASHBOARD_OPEN": "yes"}, "SWEEPER_DASHBOARD_OPEN: got 'yes'; allowed: 0, 1"),
        ({TOKEN_VARIABLE: "short"}, f"{TOKEN_VARIABLE}: not a token"),
        ({TOKEN_VARIABLE: TOKEN, "SWEEPER_STORAGE": ""}, "SWEEPER_STORAGE: is not set"),
        (
            {TOKEN_VARIABLE: TOKEN, "SWEEPER_STORAGE": "sqlite:////nowhere/at/all.db"},
            "no schema yet",
        ),
        ({TOKEN_VARIABLE: TOKEN, "SWEEPER_DASHBOARD_ALLOW_EDIT": "no"}, "ALLOW_EDIT: got 'no'"),
        (
            {TOKEN_VARIABLE: TOKEN, "SWEEPER_DASHBOARD_PROXIES": "-1"},
            "PROXIES: got '-1'; allowed: 0 to",
        ),
        ({"SWEEPER_DASHBOARD_OPEN": "1", "SWEEPER_DASHBOARD_PROXIES": "1"}, "needs a token"),
    ],
)
def test_what_may_not_serve_ends_with_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], own: Mapping[str, str], problem: str
) -> None:
    store = Store(f"sqlite:///{tmp_path}/a.db")
    store.upgrade()
    with pytest.raises(SystemExit) as ended:
        wsgi.application({"SWEEPER_STORAGE": store.url, **own})
    assert ended.value.code == wsgi.CANNOT_LOAD
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert problem in said
    assert said.count("\n") == 1


@pytest.mark.slow
def test_gunicorn_does_not_start_without_a_token(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/a.db")
    store.upgrade()
    done = subprocess.run(
        command(),
        capture_output=True,
        text=True,
        timeout=240,
        env=environment(SWEEPER_STORAGE=store.url),
        check=False,
    )
    assert done.returncode not in {0, None}
    (line,) = (line for line in done.stderr.splitlines() if line.startswith("error:"))
    assert "needs a token" in line
    assert "Traceback" not in done.stderr


def asked(app: object, **own: str) -> str:
    """Ask an application itself; returns the status of its answer."""
    said: list[str] = []
    environ = {
        "REQUEST_METHOD": "GET", "PATH_INFO": "/metrics", "HTTP_HOST": "localhost",
        "REMOTE_ADDR": "127.0.0.1", "wsgi.input": io.BytesIO(), **own,
    }  # fmt: skip
    body = app(environ, lambda status, headers: said.append(status))  # type: ignore[operator]
    b"".join(body)
    return said[0]


def test_open_means_this_machine_alone_and_a_fork_does_not_serve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(f"sqlite:///{tmp_path}/a.db")
    store.upgrade()
    ends: list[object] = []
    monkeypatch.setattr(wsgi, "atexit", SimpleNamespace(register=ends.append))
    app = wsgi.application({"SWEEPER_STORAGE": store.url, "SWEEPER_DASHBOARD_OPEN": "1"})
    try:
        assert asked(app) == "200 OK"
        assert asked(app, REMOTE_ADDR="") == "200 OK"  # a Unix socket
        assert asked(app, REMOTE_ADDR="10.1.2.3") == "403 Forbidden"
        assert asked(app, HTTP_HOST="sweeps.example") == "403 Forbidden"
        monkeypatch.setattr(wsgi, "os", SimpleNamespace(getpid=lambda: -1))
        assert asked(app) == "503 Service Unavailable"
    finally:
        (close,) = ends
        close()  # type: ignore[operator]
