"""Wrong tokens: whoever guesses has to wait, and the owner of the right one never."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from support.dashboard_server import filled, running
from support.http_client import RIGHT, TOKEN, WRONG, ask, cookie, log_in
from sweeper.dashboard.server import login_attempts, serve
from sweeper.errors import InputError
from sweeper.store import Store


@pytest.fixture
def kept(tmp_path: Path) -> Store:
    """A storage to be looked at."""
    return filled(tmp_path)


def test_whoever_guesses_is_told_to_wait_and_the_right_token_always_passes(
    kept: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(login_attempts, "time", SimpleNamespace(monotonic=lambda: now))
    with running(kept, monkeypatch, token=TOKEN.encode()) as url:
        statuses = [
            ask(url, "GET", "/api/studies", WRONG).status for _ in range(login_attempts.BURST)
        ]
        assert set(statuses) == {401}
        # A header that anybody may write makes no other address.
        other = {"X-Forwarded-For": "203.0.113.9"}
        late = ask(url, "GET", "/api/studies", {**WRONG, **other})
        assert (late.status, late.headers["Retry-After"]) == (429, "1")
        assert log_in(url, "correct-horse-batterx").status == 429
        # From the same address, for its owner may share it; and from another.
        assert ask(url, "GET", "/api/studies", RIGHT).status == 200
        session = log_in(url)
        assert session.status == 303
        assert ask(url, "GET", "/api/studies", {"Cookie": cookie(session)}).status == 200
        assert ask(url, "GET", "/api/studies").status == 401
        assert ask(url, "GET", "/api/studies", WRONG, source="127.0.0.2").status == 401
        now += 2
        assert [ask(url, "GET", "/api/studies", WRONG).status for _ in range(3)] == [401, 401, 429]


def test_behind_proxies_wrong_tokens_are_counted_by_the_address_that_the_outermost_one_saw(
    kept: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(login_attempts, "BURST", 2)

    def statuses(url: str, *forwarded: str) -> list[int]:
        headers = [{**WRONG, "X-Forwarded-For": one} for one in forwarded]
        return [ask(url, "GET", "/api/studies", each).status for each in headers]

    monkeypatch.setattr(login_attempts, "time", SimpleNamespace(monotonic=lambda: 1000.0))
    with running(kept, monkeypatch, token=TOKEN.encode(), proxies=2) as url:
        assert statuses(url, *["198.51.100.1, 10.0.0.1"] * 3) == [401, 401, 429]
        # What a client writes itself stands further to the left.
        assert statuses(url, "192.0.2.7, 198.51.100.1, 10.0.0.1") == [429]
        assert statuses(url, "198.51.100.2, 10.0.0.1") == [401]
        assert statuses(url, *["2001:db8::1, 10.0.0.1", "[2001:db8::2]:80, x"] * 2)[2:] == [429] * 2


@pytest.mark.parametrize(
    ("peer", "header", "proxies", "expected"),
    [
        ("192.0.2.1", "203.0.113.9", 0, "192.0.2.1"),
        ("10.0.0.1", "203.0.113.9", 1, "203.0.113.9"),
        ("10.0.0.1", "evil, 203.0.113.9:4711", 1, "203.0.113.9"),
        ("10.0.0.1", "203.0.113.9, 10.0.0.2", 2, "203.0.113.9"),
        ("10.0.0.1", "203.0.113.9", 2, "10.0.0.1"), ("10.0.0.1", "", 1, "10.0.0.1"),
        ("10.0.0.1", "203.0.113.9, unknown", 1, "10.0.0.1"),
        ("2001:db8:1:2:3:4:5:6", "", 0, "2001:db8:1:2::/64"),
        ("10.0.0.1", "[2001:db8:1:2::9]:80", 1, "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.1", "", 0, "192.0.2.1"), ("", "", 0, ""),
    ],
)  # fmt: skip
def test_an_address_is_the_peer_or_what_the_outermost_proxy_saw(
    peer: str, header: str, proxies: int, expected: str
) -> None:
    environ = {"REMOTE_ADDR": peer, **({"HTTP_X_FORWARDED_FOR": header} if header else {})}
    assert login_attempts.client(environ, proxies) == expected


def test_a_million_addresses_that_guess_take_little_memory_and_forget_nobody_at_work() -> None:
    seen = login_attempts.LoginAttempts()
    for number in range(1_000_000):
        seen.wrong(f"2001:db8:{number >> 16:x}:{number & 0xFFFF:x}::/64")
        assert len(seen) <= login_attempts.ADDRESSES
    assert [seen.wrong("198.51.100.1") for _ in range(login_attempts.BURST)] == [
        0
    ] * login_attempts.BURST
    assert seen.wrong("198.51.100.1") > 0


@pytest.mark.parametrize("text", ["-1", "11", "one", "", "1.0", "\u0661"])
def test_a_number_of_proxies_is_checked(text: str) -> None:
    with pytest.raises(InputError, match=r"^SWEEPER_DASHBOARD_PROXIES: got .*; allowed: 0 to 10$"):
        login_attempts.proxies({"SWEEPER_DASHBOARD_PROXIES": text})
    assert (
        login_attempts.proxies({}),
        login_attempts.proxies({"SWEEPER_DASHBOARD_PROXIES": "10"}),
    ) == (0, 10)


def test_behind_a_proxy_a_token_is_needed(kept: Store) -> None:
    with pytest.raises(InputError, match=r"^SWEEPER_DASHBOARD_PROXIES: .*needs a token"):
        serve.serve(kept, "127.0.0.1", 0, proxies=1)
