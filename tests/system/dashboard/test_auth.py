"""Access control of the dashboard, over HTTP, with every route that Optuna's dashboard has."""

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote, urlsplit

import pytest

from support.browsers import chromium, needs_chromium
from support.dashboard_server import filled, running
from support.http_client import FORM, PAGE, RIGHT, TOKEN, WRONG, Reply, ask, cookie, log_in
from sweeper.dashboard import Application
from sweeper.dashboard.server import connections, login_attempts, tokens
from sweeper.dashboard.server.metrics import SERVER_ROUTES
from sweeper.dashboard.server.tokens import AccessToken
from sweeper.errors import InputError, StorageError
from sweeper.settings import TOKEN_FILE_VARIABLE, TOKEN_VARIABLE
from sweeper.store import Store

READS = ("GET", "HEAD", "OPTIONS")


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A storage that no test changes."""
    return filled(tmp_path_factory.mktemp("kept"))


@pytest.fixture(scope="module")
def closed(kept: Store) -> Iterator[str]:
    """A read-only dashboard that asks for a token and lets guess as often as tests like."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(login_attempts, "BURST", 10_000)
        with running(kept, patch, token=TOKEN.encode()) as url:
            yield url


def routes(store: Store) -> list[tuple[str, str]]:
    """Return method and path of every route of both dashboards, from their own routers."""
    values = {
        "study_id:int": "1", "trial_id:int": "1", "history_id": "some", "plot_type": "edf",
        "filename:path": "bundle.js", "artifact_id:re:[0-9a-fA-F-]+": "0-a", ":re:(/.*)?": "",
        "name:re:[A-Za-z0-9][A-Za-z0-9._-]*": "tiny", "file": "page.css",
        "arm:re:[A-Za-z0-9][A-Za-z0-9._-]*": "l1", "repeat:re:[0-9]{1,9}": "0",
        "slot:re:[0-9]{1,9}": "0", "study:re:[0-9]{1,9}": "1",
    }  # fmt: skip
    found = []
    with closing(Application(store)) as made:
        for app in (made.optuna_app, made.sweep_app):
            for route in app.routes:
                path = re.sub(r"<(.*?[^)]?)>", lambda name: values[name[1]], route.rule)
                matched, _ = app.router.match({"PATH_INFO": path, "REQUEST_METHOD": route.method})
                assert matched is route
                found.append((route.method, path))
    assert len(found) > 40
    assert {("DELETE", "/api/studies/1"), ("GET", "/sweeps/tiny/status.json")} < set(found)
    return [*dict.fromkeys(found)]  # both have a route of /


OPEN = {("GET", "/healthz"): 200, ("POST", "/logout"): 303}
"""What anybody is answered: neither says or changes anything that is somebody's."""


def every_route(store: Store) -> list[tuple[str, str]]:
    """Return method and path of every route of both applications, but for the open ones."""
    found = [*routes(store), *SERVER_ROUTES]
    assert len(found) == len(set(found))
    return [one for one in found if one not in OPEN]


def dump(store: Store) -> list[str]:
    with closing(sqlite3.connect(store.url.removeprefix("sqlite:///"))) as database:
        return list(database.iterdump())


def test_every_route_is_closed_without_the_right_token(kept: Store, closed: str) -> None:
    every = every_route(kept)
    assert OPEN.keys() < set(SERVER_ROUTES)
    assert {key: ask(closed, *key).status for key in OPEN} == OPEN
    for headers in (
        {},
        WRONG,
        PAGE,
        {"Cookie": f"{AccessToken(TOKEN.encode()).cookie}=9999999999."},
    ):
        answers = {(method, path): ask(closed, method, path, headers) for method, path in every}
        assert {key for key, answer in answers.items() if answer.status != 401} == set()
        assert not any("<title>Optuna" in answer.text for answer in answers.values())


def test_with_the_token_every_route_reads_and_none_changes_anything(
    kept: Store, closed: str
) -> None:
    before = dump(kept)
    statuses = {
        (method, path): ask(closed, method, path, RIGHT).status
        for method, path in every_route(kept)
    }
    # Who has the token changes nothing by the form that it is given to.
    assert statuses.pop(("POST", "/login")) == 401
    changing = {key for key in statuses if key[0] not in READS}
    assert {statuses[key] for key in changing} == {403}
    # No artifacts are stored, so Optuna's own answer to their routes is 400, and nothing is
    # confirmed: these pages are not there.
    allowed = {200, 301, 302, 400, 404}
    assert {key for key in statuses.keys() - changing if statuses[key] not in allowed} == set()
    assert dump(kept) == before  # no GET writes


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "TRACE", "FETCH"])
def test_any_other_method_is_refused_with_a_reason(closed: str, method: str) -> None:
    answer = ask(closed, method, "/api/studies", RIGHT, "{}")
    assert answer.status == 403
    assert "--allow-edit" in answer.reason


def test_on_this_machine_no_token_is_needed_to_read(
    kept: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(kept, monkeypatch) as url:
        assert ask(url, "GET", "/api/studies").status == 200
        assert ask(url, "DELETE", "/api/studies/1").status == 403
        assert ask(url, "POST", "/login", FORM, "token=").status == 403


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200), ("LOCALHOST:80", 200), ("127.0.0.1:8080", 200), ("[::1]", 200),
        ("[::1]:8080", 200), ("evil.example", 403), ("evil.example:8080", 403), ("", 403),
        ("localhost.evil.example", 403), ("127.0.0.1.evil.example", 403),
        ("localhost@evil.example", 403), ("evil.example#localhost", 403), ("10.0.0.1", 403),
        ("localhost:80.evil.example", 403), ("[::1].evil.example", 403),
    ],
)  # fmt: skip
def test_without_a_token_another_host_name_is_refused(
    kept: Store, monkeypatch: pytest.MonkeyPatch, host: str, status: int
) -> None:
    with running(kept, monkeypatch) as url:
        assert ask(url, "GET", "/api/studies", {"Host": host}).status == status


def test_with_a_token_any_host_name_serves(closed: str) -> None:
    headers = {**RIGHT, "Host": "sweeps.example"}
    assert ask(closed, "GET", "/api/studies", headers).status == 200


def test_edits_are_let_through_if_allowed(
    filled_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = {**RIGHT, "Content-Type": "application/json"}
    note = json.dumps({"version": 1, "body": "seen"})
    with running(filled_store, monkeypatch, token=TOKEN.encode(), allow_edit=True) as url:
        assert ask(url, "PUT", "/api/studies/1/note", {**usual, **WRONG}, note).status == 401
        for site, status in (("cross-site", 403), ("same-site", 403), ("same-origin", 204)):
            headers = {**usual, "Sec-Fetch-Site": site}
            assert ask(url, "PUT", "/api/studies/1/note", headers, note).status == status
        assert ask(url, "DELETE", "/api/studies/1", usual).status == 204
        left = json.loads(ask(url, "GET", "/api/studies", RIGHT).text)["study_summaries"]
        assert 1 not in [one["study_id"] for one in left]


@pytest.mark.parametrize(
    "path",
    [
        "/api/studies/1/rename", "/api/studies/1/rename/", "/api/studies/1/rename//",
        "/api/studies/01/rename", "/api/studies/1/ren%61me", "/api/studies/1/ren%FFame",
        "/api/studies/1/rename%0A", "//api/studies/1/rename", "/api/studies/1/rename?a=b",
        "/incompatible-rdb-schema", "/incompatible-rdb-schema/", "/incompatible-%FFrdb-schema",
    ],
)  # fmt: skip
def test_renaming_and_migrating_stay_refused(
    filled_store: Store, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    before = dump(filled_store)
    headers = {"Content-Type": "application/json"}
    with running(filled_store, monkeypatch, allow_edit=True) as url:
        answer = ask(url, "POST", path, headers, json.dumps({"study_name": "other"}))
        assert answer.status == 403
        assert "not done here" in answer.reason
    assert dump(filled_store) == before


def test_every_answer_has_the_security_headers(kept: Store, closed: str) -> None:
    answers = [ask(closed, method, path, RIGHT) for method, path in routes(kept)]
    answers += [
        ask(closed, "GET", "/dashboard", PAGE), ask(closed, "GET", "/healthz"),
        ask(closed, "GET", "/nowhere", RIGHT), log_in(closed), log_in(closed, "wrong"),
    ]  # fmt: skip
    for answer in answers:
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "same-origin"
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
        (policy,) = (v for k, v in answer.headers.items() if k == "Content-Security-Policy")
        assert policy.startswith("default-src 'none'; ")
        assert "frame-ancestors 'none'" in policy
        assert re.search(r"no-store|private, no-cache", answer.headers["Cache-Control"])


def test_a_browser_is_given_a_login_page_of_its_own(closed: str) -> None:
    answer = ask(closed, "GET", "/dashboard/studies/1?a=%22b%22&c=<i>", PAGE)
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert '<label for="token">' in answer.text
    assert 'value="/dashboard/studies/1?a=%22b%22&amp;c=&lt;i&gt;"' in answer.text
    assert not re.search(r"(src|href)=\"(?!data:,)|url\(|@import|<script", answer.text)
    assert ask(closed, "GET", "/dashboard").reason == "a token is needed"
    assert ask(closed, "GET", "/dashboard", WRONG).reason == "this is not the token"


def test_an_answer_to_head_has_no_body(closed: str) -> None:
    place = urlsplit(closed)
    with socket.create_connection((place.hostname or "", place.port or 0), timeout=240) as line:
        line.sendall(b"HEAD /dashboard HTTP/1.0\r\nAccept: text/html\r\n\r\n")
        whole = line.makefile("rb").read()
    assert whole.startswith(b"HTTP/1.0 401 ")
    assert whole.endswith(b"\r\n\r\n")


def test_the_form_opens_a_session_and_log_out_ends_it(closed: str) -> None:
    wrong = log_in(closed, "correct-horse-batterx", "/dashboard/studies/1")
    assert wrong.status == 401
    assert "Set-Cookie" not in wrong.headers
    assert '<p role="alert">' in wrong.text
    assert 'value="/dashboard/studies/1"' in wrong.text
    right = log_in(closed, following="/dashboard/studies/1?a=b")
    assert (right.status, right.headers["Location"]) == (303, "/dashboard/studies/1?a=b")
    assert re.fullmatch(
        r"sweeper_session_[0-9a-f]{8}=[0-9]+\.[0-9a-f]{16}\.[0-9a-f]{64}; "
        r"Max-Age=604800; Path=/; HttpOnly; SameSite=Lax",
        right.headers["Set-Cookie"],
    )
    session = {"Cookie": f"other=1; {cookie(right)}; more=a=b"}
    assert ask(closed, "GET", "/api/studies", session).status == 200
    assert ask(closed, "DELETE", "/api/studies/1", session).status == 403
    assert "Log out" in ask(closed, "GET", "/login", {**session, **PAGE}).text
    out = ask(closed, "POST", "/logout", session)
    assert (out.status, out.headers["Location"]) == (303, "/login")
    assert out.headers["Set-Cookie"].startswith(
        f"{cookie(right).partition('=')[0]}=; Max-Age=0; Path=/;"
    )
    assert ask(closed, "GET", "/api/studies", {"Cookie": cookie(out)}).status == 401
    # Whoever else has got hold of the cookie has lost it, too; other sessions go on.
    assert ask(closed, "GET", "/api/studies", session).status == 401
    other, again = cookie(log_in(closed)), cookie(log_in(closed))
    assert other != again
    ask(closed, "POST", "/logout", {"Cookie": other})
    assert ask(closed, "GET", "/api/studies", {"Cookie": again}).status == 200
    assert ask(closed, "POST", "/logout", {"Cookie": again, "Origin": "http://x"}).status == 403
    assert ask(closed, "GET", "/api/studies", {"Cookie": again}).status == 200
    assert ask(closed, "POST", "/logout", {"Sec-Fetch-Site": "cross-site"}).status == 403


@pytest.mark.parametrize("proto", ["https", "HTTPS", "https, http"])
def test_behind_https_the_cookie_is_secure(closed: str, proto: str) -> None:
    answer = log_in(closed, **{"X-Forwarded-Proto": proto})
    assert answer.headers["Set-Cookie"].endswith("; Secure")


def test_a_cookie_that_was_tampered_with_opens_nothing(closed: str) -> None:
    name, _, value = cookie(log_in(closed)).partition("=")
    expiry, number, signature = value.split(".")
    other = AccessToken(b"another-token-than-this").session()
    first = "0" if signature[0] != "0" else "1"
    for bad in (
        f"{int(expiry) + 1}.{number}.{signature}", f"{expiry}.{number}.{first}{signature[1:]}",
        f"{expiry}.{number}.{signature[:-1]}", f"{expiry}.{number}.{signature.upper()}", signature,
        f".{signature}", f"{expiry}.{number}.", f"{expiry}.{number[1:]}0.{signature}", f"{expiry}.",
        expiry, "", "é.é", "é.é.é", f"{value}.", f"0{value}", f"{expiry}.{signature}", other,
    ):  # fmt: skip
        headers = {"Cookie": f"{name}={bad}".encode().decode("latin-1")}
        assert ask(closed, "GET", "/api/studies", headers).status == 401, bad
    assert ask(closed, "GET", "/api/studies", {"Cookie": f"{name}={value}"}).status == 200


def test_a_session_outlives_a_restart_but_neither_its_week_nor_its_token(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    again, another = AccessToken(b"one-token-of-many"), AccessToken(b"another-token-of-many")
    session = f"{again.cookie}={AccessToken(b'one-token-of-many').session()}"
    assert again.has_session(session)
    assert not another.has_session(session.replace(again.cookie, another.cookie))
    # Browsers send the cookies of all ports of a host: two dashboards keep theirs apart.
    assert again.cookie != another.cookie
    assert again.has_session(f"{another.cookie}={another.session()}; {session}")
    now = time.time()
    for later, opened in ((7 * 24 * 3600 - 60, True), (7 * 24 * 3600 + 60, False)):
        clock = SimpleNamespace(time=lambda later=later: now + later)
        monkeypatch.setattr(tokens, "time", clock)
        assert again.has_session(session) == opened


@pytest.mark.parametrize(
    "following",
    [
        "https://evil.example", "//evil.example", "/\\evil.example", "\\\\evil.example",
        "/\t/evil.example", "\t//evil.example", " //evil.example", "evil.example",
        "javascript:alert(1)", "/a\r\nSet-Cookie: a=b", "/a\\b", "", "/\u00e9", "/" + "a" * 4000,
    ],
)  # fmt: skip
def test_after_login_nobody_is_sent_elsewhere(closed: str, following: str) -> None:
    answer = log_in(closed, following=following)
    assert (answer.status, answer.headers["Location"]) == (303, "/")


def test_the_login_page_of_an_odd_path_leads_nowhere_else(closed: str) -> None:
    for path in ("//evil.example/%2e%2e", "/%2F/evil.example", "/%5Cevil.example", "/login"):
        text = ask(closed, "GET", path, PAGE).text
        (following,) = re.findall(r'name="next" value="([^"]*)"', text)
        assert re.fullmatch(r"/(?![/\\]).*|/", following), path


def test_a_login_of_any_size_is_not_read(closed: str) -> None:
    headers = {**FORM, "Content-Length": "1000000000"}
    assert ask(closed, "POST", "/login", headers).status == 413
    many = "&".join(f"a{i}=b" for i in range(100))
    assert ask(closed, "POST", "/login", FORM, many).status == 401
    assert ask(closed, "POST", "/login", FORM, "token=%FF%00&next").status == 401
    for length in ("-1", "abc", "1, 1", "+1"):
        assert ask(closed, "POST", "/login", {**FORM, "Content-Length": length}).status == 400


def test_a_body_that_is_refused_is_taken_so_that_the_answer_arrives(closed: str) -> None:
    place = urlsplit(closed)
    head = f"POST /api/studies HTTP/1.1\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: 60\r\n"
    with socket.create_connection((place.hostname or "", place.port or 0), timeout=240) as line:
        line.sendall(f"{head}\r\n".encode())
        for _ in range(3):
            time.sleep(0.2)
            line.sendall(b"x" * 20)  # the second one fails once the other end has closed
        assert line.recv(1000).startswith(b"HTTP/1.1 403 ")


OTHER_SITES = (
    {"Origin": "http://evil.example"}, {"Origin": "null"}, {"Origin": "http://127.0.0.1:1"},
    {"Origin": "http://127.0.0.1"}, {"Origin": "{scheme}://{host}.evil.example"}, {"Origin": "x"},
    {"Origin": "http://{host}@evil.example"}, {"Origin": "file://"}, {"Origin": "http://[::"},
    {"Referer": "http://evil.example/{host}"}, {"Sec-Fetch-Site": "anything"},
    {"Origin": "http://{host}", "Sec-Fetch-Site": "cross-site"},
)  # fmt: skip


def test_what_changes_something_is_asked_for_by_our_own_pages_alone(
    filled_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = json.dumps({"version": 1, "body": "seen"})
    with running(filled_store, monkeypatch, token=TOKEN.encode(), allow_edit=True) as url:
        host = urlsplit(url).netloc
        session = {"Cookie": cookie(log_in(url)), "Content-Type": "application/json"}
        before = dump(filled_store)
        for signs in OTHER_SITES:
            given = {name: text.format(host=host, scheme="http") for name, text in signs.items()}
            for method, path, body in (
                ("PUT", "/api/studies/1/note", note), ("DELETE", "/api/studies/1", None),
                ("POST", "/logout", None), ("POST", "/api/studies", "{}"),
            ):  # fmt: skip
                assert ask(url, method, path, {**session, **given}, body).status == 403, given
            assert log_in(url, **given).status == 403, given
            assert ask(url, "GET", "/api/studies", {**session, **given}).status == 200
        assert dump(filled_store) == before
        for number, signs in enumerate(
            (
                {"Origin": f"http://{host}"}, {"Referer": f"http://{host}/dashboard"}, {},
                # A proxy may have put another name into Host; the browser knows better.
                {"Origin": "https://sweeps.example", "Sec-Fetch-Site": "same-origin"},
                {"Origin": "https://sweeps.example", "Host": "sweeps.example"},
                {"Origin": "https://sweeps.example:8443", "Host": "Sweeps.example:8443"},
            ), 1,
        ):  # fmt: skip
            body = json.dumps({"version": number, "body": "seen"})
            given = {**session, **signs}
            assert ask(url, "PUT", "/api/studies/1/note", given, body).status == 204, signs
            assert log_in(url, **signs).status == 303, signs


def test_a_token_comes_from_the_variable_or_the_file(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    assert tokens.token_from_environment({}) is None
    assert tokens.token_from_environment({TOKEN_VARIABLE: TOKEN}) == TOKEN.encode()
    assert tokens.token_from_environment({TOKEN_FILE_VARIABLE: str(file)}) == TOKEN.encode()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is empty"), ("\n", "is empty"), ("secret-of-15-ch", "not a token"),
        ("secret with blanks in it", "not a token"), ("secret-with-an-\u00e9-in-it", "not a token"),
        ("secret" * 1000, "not a token"), ("secret-of-one-line\nsecret", "not a token"),
    ],
)  # fmt: skip
def test_a_bad_token_is_one_line_that_does_not_show_it(
    tmp_path: Path, text: str, problem: str
) -> None:
    file = tmp_path / "token"
    file.write_text(text)
    for variable, value in ((TOKEN_VARIABLE, text), (TOKEN_FILE_VARIABLE, str(file))):
        with pytest.raises(InputError, match=rf"^{variable}: .*{problem}") as caught:
            tokens.token_from_environment({variable: value})
        assert "secret" not in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_token_file_must_be_readable_and_the_only_source(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path, Path("a\0b")):
        with pytest.raises(
            InputError, match=rf"^{TOKEN_FILE_VARIABLE}: .*cannot be read: "
        ) as caught:
            tokens.token_from_environment({TOKEN_FILE_VARIABLE: str(path)})
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="not both"):
        tokens.token_from_environment({TOKEN_VARIABLE: TOKEN, TOKEN_FILE_VARIABLE: "file"})


def test_health_needs_no_token_and_says_one_word(
    filled_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = Path(filled_store.url.removeprefix("sqlite:///"))
    with running(filled_store, monkeypatch, token=TOKEN.encode()) as url:
        assert ask(url, "GET", "/healthz")[::2] == (200, "ok")
        assert ask(url, "GET", "/healthz", {"Host": "dashboard:8080"})[::2] == (200, "ok")
        assert ask(url, "HEAD", "/healthz")[::2] == (200, "")
        assert ask(url, "POST", "/healthz").status == 401
        with closing(sqlite3.connect(file)) as database:
            database.execute("UPDATE sweeper_alembic_version SET version_num = '0000'")
            database.commit()
        assert ask(url, "GET", "/healthz")[::2] == (503, "schema")
        for part in file.parent.glob("filled.db*"):
            part.unlink()
        assert ask(url, "GET", "/healthz")[::2] == (503, "schema")
        assert not file.exists()


def test_a_database_that_does_not_answer_is_not_asked_twice_at_once(
    kept: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = threading.Semaphore(0)
    over = threading.Event()

    def check(_: Store) -> None:
        asked.release()
        over.wait(240)
        raise StorageError("postgresql://somewhere: no route to host")

    monkeypatch.setattr(Store, "check", check)
    with running(kept, monkeypatch, token=TOKEN.encode()) as url:
        first: list[Reply] = []
        thread = threading.Thread(target=lambda: first.append(ask(url, "GET", "/healthz")))
        thread.start()
        assert asked.acquire(timeout=240)
        assert ask(url, "GET", "/healthz")[::2] == (503, "unreachable")
        thread.join(200)  # a paused database says nothing: nobody waits until it does
        assert [one[::2] for one in first] == [(503, "unreachable")]
        over.set()
        assert not asked.acquire(blocking=False)


def test_in_a_container_it_serves_with_a_token_and_ends_at_once_with_sigterm(
    filled_store: Store, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    command = [sys.executable, "-m", "sweeper", "dashboard", "--host", "0.0.0.0", "--port", "0"]
    environment = {
        **os.environ,
        "SWEEPER_STORAGE": filled_store.url,
        TOKEN_FILE_VARIABLE: str(file),
    }
    with subprocess.Popen(
        [*command, "--allow-edit"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**environment, "PYTHONUNBUFFERED": "1"},
    ) as process:
        try:
            assert process.stdout is not None
            port = int(re.findall(r":(\d+)/", process.stdout.readline())[0])
            url = f"http://127.0.0.1:{port}"
            assert ask(url, "GET", "/api/studies").status == 401
            assert ask(url, "GET", "/api/studies", RIGHT).status == 200
            assert ask(url, "DELETE", "/api/studies/1", RIGHT).status == 204
            # A client that says nothing holds a thread, and must not hold up the end.
            with socket.create_connection(("127.0.0.1", port)) as silent:
                silent.sendall(b"GET / HTTP/1.1\r\n")
                time.sleep(0.3)
                begun = time.monotonic()
                process.send_signal(signal.SIGTERM)
                process.send_signal(signal.SIGTERM)
                assert process.wait(timeout=240) == 0
                assert time.monotonic() - begun < connections.SECONDS - 2  # until it is cut off
            assert process.stderr is not None
            assert process.stderr.read() == ""
        finally:
            process.kill()


@pytest.mark.slow
@needs_chromium
def test_in_a_browser_the_login_leads_to_a_dashboard_that_works(closed: str) -> None:
    with chromium() as browser:
        tab = browser.new_page()
        tab.set_default_timeout(240_000)
        tab.goto(f"{closed}dashboard/studies/1?from=link")
        tab.get_by_label("Token").fill("not-the-token-at-all")
        tab.get_by_role("button", name="Log in").click()
        tab.get_by_role("alert").wait_for()
        problems: list[str] = []
        tab.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
        tab.on("pageerror", lambda error: problems.append(str(error)))
        tab.get_by_label("Token").fill(TOKEN)
        tab.get_by_role("button", name="Log in").click()
        tab.locator("#graph-pareto-front .main-svg").first.wait_for()
        assert tab.url.endswith("/dashboard/studies/1?from=link")
        for page, shown in (
            ("", "text=toy"),
            ("/studies/1/analytics", "#plot-slice .main-svg"),
            ("/studies/1/smartSelection", "#plot-parallel-coordinate .main-svg"),
            ("/studies/1/trials", "text=Trial 0"),
        ):
            tab.goto(f"{closed}dashboard{page}")
            tab.locator(shown).first.wait_for()
            assert tab.locator("text=WebGL is not supported").count() == 0
        assert problems == []
        # Even a link from elsewhere finds the session.
        tab.goto(f"data:text/html,<a href='{quote(closed)}dashboard'>go</a>")
        tab.get_by_text("go").click()
        tab.locator("text=toy").first.wait_for()
        tab.goto(f"{closed}login")
        tab.get_by_role("button", name="Log out").click()
        tab.get_by_label("Token").wait_for()
