"""The line that says what a silent command does: late, on stderr, and gone at the end."""

import time
from collections.abc import Callable

import pytest

from support.processes import wait_for
from sweeper.cli import activity as shown
from sweeper.cli.activity import activity
from sweeper.settings import PROGRESS_VARIABLE


@pytest.fixture(autouse=True)
def usual(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tests have nothing said on stderr."""
    monkeypatch.delenv(PROGRESS_VARIABLE)


@pytest.fixture
def err(capsys: pytest.CaptureFixture[str]) -> Callable[[], list[str]]:
    lines: list[str] = []

    def read() -> list[str]:
        out, err = capsys.readouterr()
        assert out == ""  # that is for data
        lines.extend(err.splitlines())
        return lines

    return read


def test_nothing_is_said_of_what_ends_soon(
    err: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shown, "FIRST_SECONDS", 1e9)
    with activity("tiny: reading"):
        time.sleep(0.3)
    assert err() == []


def test_nothing_is_said_where_that_is_asked(
    err: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shown, "FIRST_SECONDS", 0.0)
    monkeypatch.setenv(PROGRESS_VARIABLE, "0")
    with activity("tiny: reading") as doing:
        doing.count(1, 2)
        time.sleep(0.3)
    assert err() == []


def test_what_takes_long_is_told_in_lines_and_none_is_said_twice(
    err: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shown, "FIRST_SECONDS", 0.0)
    monkeypatch.setattr(shown, "NEXT_SECONDS", 0.0)
    with activity("tiny: reading") as doing:
        wait_for(lambda: err() == ["tiny: reading"])
        doing.count(3, 1200)
        wait_for(lambda: len(err()) == 2)
        doing("tiny: writing\x1b[2J")
        wait_for(lambda: len(err()) == 3)
        time.sleep(0.3)
    lines = ["tiny: reading", "tiny: reading: 3 of 1,200", "tiny: writing\\x1b[2J"]
    assert err() == lines


def test_the_line_ends_with_an_error(
    err: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shown, "FIRST_SECONDS", 0.0)
    monkeypatch.setattr(shown, "IDLE_SECONDS", 0.0)

    def broken() -> None:
        with activity("tiny: reading"):
            wait_for(lambda: len(err()) > 1)  # the same again
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        broken()
    said = len(err())
    time.sleep(0.3)
    assert len(err()) == said
