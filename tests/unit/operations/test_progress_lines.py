"""Progress of long calls from Python: what a line says, and who is shown one."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from support.factories import make_fact, make_status, make_sweep
from sweeper.operations.progress_lines import counting_bar, status_text, trial_bar
from sweeper.types import SweepStatus, WorkerStatus

SWEEP = make_sweep(search={"trials": 10})
WORKER = WorkerStatus("w", "host", 1, "cpu", True, 2, 1, 0.0)


def running(done: int = 4, *, workers: int = 2) -> SweepStatus:
    """Return the status of a running sweep of two arms; each trial took ten seconds."""
    facts = [make_fact(sweep=SWEEP, arm=arm, slot=n) for arm in SWEEP.arms for n in range(done)]
    return replace(make_status(SWEEP, facts), workers=(WORKER,) * workers)


Shown = Callable[[], str]


@pytest.fixture
def shown(capsys: pytest.CaptureFixture[str]) -> Shown:
    return lambda: capsys.readouterr().err.replace("\r", "\n")


def test_a_line_says_ranges_workers_and_the_time_left() -> None:
    # Oracle: 12 trials of ten seconds are left, for two workers.
    assert status_text(running()) == "trials, 2 workers, 01:00 left"
    assert status_text(running(0, workers=1)) == "trials, 1 worker"
    looking = replace(running(0), probes=3, probed=1)
    assert status_text(looking) == "trials, 1 of 3 ranges, 2 workers"
    arm, *others = running().arms
    lost = replace(running(), arms=(replace(arm, failures={"killed": 2}), *others))
    assert status_text(lost).endswith(", 2 lost and tried again")
    assert status_text(running(10)) == "trials"


def test_a_bar_shows_trials_that_are_done_of_all(shown: Shown) -> None:
    with trial_bar("mine\x1b[2J", True) as show:
        show(running())
        assert "8/20, trials, 2 workers, 01:00 left" in shown()
        show(running(10))
    last = shown()
    assert "100%" in last
    assert "20/20, trials" in last
    assert "mine\\x1b[2J" in last  # a name does nothing to a terminal


def test_a_bar_says_what_goes_on_before_there_is_a_trial(shown: Shown) -> None:
    with trial_bar("mine", True) as show:
        show.tell("trying data\x1b[2J")
        assert "trying data\\x1b[2J" in shown()
        show(running(0, workers=0))
        assert "0/20, trials, workers start" in shown()


def test_networks_are_counted(shown: Shown) -> None:
    with counting_bar("mine", True) as update:
        update(1, 4)
    assert "mine:  25%" in shown()


@pytest.mark.parametrize("wanted", [False, None])
def test_where_nobody_looks_nothing_is_written(shown: Shown, wanted: bool | None) -> None:
    with trial_bar("mine", wanted) as show:
        show(running())
    assert shown() == ""


def test_on_a_terminal_somebody_looks(shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    with trial_bar("mine", None) as show:
        show(running())
    assert "8/20" in shown()
