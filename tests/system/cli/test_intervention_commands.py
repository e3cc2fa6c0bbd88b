"""Commands that have a hand on a sweep: pause, resume."""

import json
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from support.commands import Command, command_here
from support.fakes import fake_train, small_sweep
from sweeper import lifecycle, settings
from sweeper.store import Store
from sweeper.worker.worker_loop import work


@pytest.fixture
def sweeper(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Commands in a folder of their own."""
    monkeypatch.chdir(tmp_path)
    return command_here(capsys)


@pytest.fixture
def store(sweeper: Command) -> Iterator[Store]:
    """The store of that folder, with the sweep `tiny` of three arms."""
    with closing(Store(settings.DEFAULT_STORAGE)) as opened:
        lifecycle.register(opened, small_sweep())
        yield opened


def test_pause_and_resume_say_what_they_did(sweeper: Command, store: Store) -> None:
    goes_on = "sweeper resume tiny goes on"
    assert sweeper("pause", "tiny", "--arm", "l1") == (0, f"tiny: paused l1; {goes_on}\n", "")
    assert sweeper("pause", "tiny", "--arm", "l1")[1] == "tiny: was paused already: l1\n"
    assert sweeper("pause", "tiny")[1] == f"tiny: paused dense, mix; {goes_on}\n"
    start = "no worker is alive: sweeper run FILE starts some"
    still = "still paused: l1, mix"
    assert sweeper("resume", "tiny", "--arm", "dense")[1] == (
        f"tiny: goes on: dense; {still}; {start}\n"
    )
    assert sweeper("resume", "tiny", "--arm", "dense")[1] == "tiny: dense was not paused\n"
    assert sweeper("resume", "tiny")[1] == f"tiny: goes on: l1, mix; {start}\n"
    assert sweeper("resume", "tiny")[1] == "tiny: nothing was paused\n"


def test_a_mistake_is_one_line_and_exit_code_2(sweeper: Command, store: Store) -> None:
    allowed = "allowed: dense, l1, mix; did you mean 'l1'?"
    line = f"error: tiny: no such arm: got 'l11'; {allowed}\n"
    for command in ("pause", "resume"):
        assert sweeper(command, "tiny", "--arm", "l11") == (2, "", line)
        assert sweeper(command, "tinny")[0] == 2
    work("tiny", store, pack=8, train=fake_train)
    line = "error: tiny: is finished, there is nothing to pause\n"
    assert sweeper("pause", "tiny") == (2, "", line)


def test_status_says_which_arms_are_paused(sweeper: Command, store: Store) -> None:
    sweeper("pause", "tiny", "--arm", "l1")
    out = sweeper("status", "tiny")[1]
    assert re.search(r"^ *l1 +0/6 .*paused$", out, re.MULTILINE)
    assert "1 arm paused: sweeper resume tiny goes on" in out
    assert "tiny: waiting for workers" in out
    sweeper("pause", "tiny")
    out = sweeper("status", "tiny")[1]
    assert "tiny: paused\n" in out
    assert "paused" in sweeper("list")[1]
    assert max(map(len, out.splitlines())) <= 80
    told = json.loads(sweeper("status", "tiny", "--json")[1])
    assert [arm["paused"] for arm in told["arms"]] == [True, True, True]
