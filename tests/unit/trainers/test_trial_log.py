"""Log of a trial for pages: the end of a script's output, of the very sweep, and of no link."""

import os
from pathlib import Path

import pytest

from sweeper.trainers.attempt_mark import AttemptMark
from sweeper.trainers.trial_folder import CURVE, LOG, OURS, TrialFolder
from sweeper.trainers.trial_log import TAIL, read_trial_log
from sweeper.types import Slot

SLOT = Slot("mine", "l1", 0, 3, "mine/l1/0")
MARK = AttemptMark("identity/mine/l1/0/0/3/0123456789abcdef", 2)


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The log of a trial that has its folder."""
    monkeypatch.setenv("SWEEPER_TRIALS", str(tmp_path))
    folder = TrialFolder(tmp_path / "mine" / "l1" / "0-3", MARK)
    folder.begin()
    folder.log.write_text("epoch 1\nepoch 2\n", encoding="utf-8")
    return folder.log


def test_a_short_log_is_shown_whole_and_of_a_long_one_the_end(log: Path) -> None:
    shown = read_trial_log(SLOT, "identity")
    assert shown is not None
    assert (shown.text, shown.is_whole, shown.attempt) == ("epoch 1\nepoch 2\n", True, 2)
    assert shown.path == log
    log.write_bytes(b"x" * TAIL + b"the end \xff\n")
    shown = read_trial_log(SLOT, "identity")
    assert shown is not None
    assert not shown.is_whole
    assert len(shown.text) == TAIL
    assert shown.text.endswith("the end \ufffd\n")


def test_what_was_reported_so_far_is_shown_whatever_a_script_writes_there(log: Path) -> None:
    curve = log.parent / OURS / CURVE
    lines = (
        '[1, {"loss": 2.0}]', '[2, {"loss": "<b>"}]', "[3, [1]]", "[NaN, {}]", "{}", "null",
        f'[4, {{"loss": {10**400}}}]', '[5, {"loss": Infinity, "f1": 0.5}]', '[6, {"lo',
    )  # fmt: skip
    curve.write_text("\n".join(lines), encoding="utf-8")
    shown = read_trial_log(SLOT, "identity")
    assert shown is not None
    assert [(point.epoch, point.values) for point in shown.learning] == [
        (1.0, (("loss", 2.0),)),
        (5.0, (("f1", 0.5),)),
    ]
    curve.unlink()
    curve.symlink_to(log)
    again = read_trial_log(SLOT, "identity")
    assert again is not None
    assert again.learning == ()


def test_the_folder_of_another_sweep_of_that_name_is_not_shown(log: Path) -> None:
    assert read_trial_log(SLOT, "another") is None
    assert read_trial_log(SLOT, None) is None
    other = Slot("mine", "l1", 0, 4, "mine/l1/0")
    assert read_trial_log(other, "identity") is None


@pytest.mark.parametrize("kind", ["link", "pipe", "folder", "missing"])
def test_what_a_script_puts_in_place_of_its_log_is_not_read(log: Path, kind: str) -> None:
    log.unlink()
    if kind == "link":
        secret = log.with_name("secret")
        secret.write_text("a secret", encoding="utf-8")
        log.symlink_to(secret)
    elif kind == "pipe":
        os.mkfifo(log)
    elif kind == "folder":
        log.mkdir()
    assert log.name == LOG
    assert read_trial_log(SLOT, "identity") is None
