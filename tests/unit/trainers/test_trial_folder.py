"""Folders of trials: whose they are, what is put aside, what is kept elsewhere."""

import os
from pathlib import Path

import pytest

from sweeper.errors import InputError, SweeperError
from sweeper.trainers.attempt_mark import AttemptMark
from sweeper.trainers.trial_checkpoint import TrialCheckpoints
from sweeper.trainers.trial_folder import TrialFolder


def folder(path: Path, attempt: int = 1, trial: str = "mine") -> TrialFolder:
    return TrialFolder(path / "0-0", AttemptMark(trial, attempt))


def test_a_later_attempt_takes_the_folder_and_the_earlier_one_sees_it(tmp_path: Path) -> None:
    first, second = folder(tmp_path), folder(tmp_path, 2)
    first.begin()
    (first.path / "weights").write_text("1")
    first.log.write_text("printed")
    assert not first.is_superseded
    second.begin()
    assert first.is_superseded
    assert not second.is_superseded
    assert (second.path / "weights").read_text() == "1"
    assert (second.path / "output-1.log").read_text() == "printed"
    assert second.latest_attempt() == 2


def test_the_folder_of_a_deleted_sweep_of_this_name_is_put_aside(tmp_path: Path) -> None:
    for number in (0, 1, 2):
        old = folder(tmp_path, trial=f"sweep {number}")
        old.begin()
        (old.path / "weights").write_text(str(number))
    new = folder(tmp_path)
    new.begin()
    assert not (new.path / "weights").exists()
    assert old.is_superseded
    aside = [(tmp_path / f"0-0.old-{number}/weights").read_text() for number in (1, 2, 3)]
    assert aside == ["0", "1", "2"]


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "0-0").write_text("a file")
    with pytest.raises(InputError, match=r"0-0: cannot be written: "):
        folder(tmp_path).begin()


def kept(path: Path, attempt: int, place: Path, text: str) -> TrialCheckpoints:
    """Keep a checkpoint of an attempt on a machine of its own."""
    mine = folder(path, attempt)
    mine.begin()
    (mine.path / "weights").write_text(text)
    (mine.path / "deep").mkdir(exist_ok=True)
    (mine.path / "deep/er").write_text("")
    mine.log.write_text("printed")
    checkpoints = TrialCheckpoints(str(place), mine)
    assert checkpoints.save() == ""
    return checkpoints


def restored(path: Path, attempt: int, place: Path) -> str | None:
    """Return what an attempt on another machine finds."""
    mine = folder(path, attempt)
    beside = TrialCheckpoints(str(place), mine).restore()
    mine.begin(beside)
    file = mine.path / "weights"
    return file.read_text() if file.exists() else None


def test_another_machine_has_the_last_checkpoint(tmp_path: Path) -> None:
    place = tmp_path / "artifacts"
    kept(tmp_path / "a", 1, place, "first")
    assert restored(tmp_path / "b", 3, place) == "first"  # the second one kept nothing
    assert sorted(path.name for path in (tmp_path / "b/0-0").iterdir()) == [
        ".sweeper",
        "deep",
        "weights",
    ]
    assert restored(tmp_path / "c", 1, place) is None


def test_an_attempt_that_was_given_up_cannot_overwrite_a_later_one(tmp_path: Path) -> None:
    place = tmp_path / "artifacts"
    late = kept(tmp_path / "a", 1, place, "first")
    kept(tmp_path / "b", 2, place, "second")
    assert len(list(place.glob("checkpoint-*"))) == 1  # the first one's is removed
    assert late.save() == ""
    assert restored(tmp_path / "c", 3, place) == "second"


def test_a_machine_s_own_folder_is_used_where_it_is_the_newest(tmp_path: Path) -> None:
    place = tmp_path / "artifacts"
    kept(tmp_path / "a", 1, place, "kept")
    (tmp_path / "a/0-0/weights").write_text("newer")
    assert restored(tmp_path / "a", 2, place) == "newer"
    kept(tmp_path / "b", 3, place, "newest")
    assert restored(tmp_path / "a", 4, place) == "newest"


def test_what_cannot_be_kept_is_said_and_ends_nothing(tmp_path: Path) -> None:
    mine = folder(tmp_path)
    mine.begin()
    blocked = tmp_path / "file"
    blocked.write_text("")
    said = TrialCheckpoints(str(blocked), mine).save()
    assert said.startswith("nothing was kept: InputError: artifacts: ")
    assert TrialCheckpoints(None, mine).save() == ""


def test_a_link_out_of_the_folder_does_not_keep_a_checkpoint_from_being_restored(
    tmp_path: Path,
) -> None:
    mine, place = folder(tmp_path / "a"), tmp_path / "artifacts"
    mine.begin()
    (mine.path / "weights").write_text("kept")
    (mine.path / "data").symlink_to(tmp_path)
    (mine.path / "last").symlink_to("weights")
    os.mkfifo(mine.path / "pipe")
    assert TrialCheckpoints(str(place), mine).save() == ""
    assert restored(tmp_path / "b", 2, place) == "kept"
    there = tmp_path / "b/0-0"
    assert sorted(path.name for path in there.iterdir()) == [".sweeper", "last", "weights"]
    assert (there / "last").read_text() == "kept"


def test_a_damaged_checkpoint_is_one_line(tmp_path: Path) -> None:
    place = tmp_path / "artifacts"
    kept(tmp_path / "a", 1, place, "first")
    [file] = place.glob("checkpoint-*")
    file.write_bytes(file.read_bytes()[:700])
    with pytest.raises(SweeperError, match=r"^\S*0-0: a checkpoint cannot be read: [^\n]+$"):
        restored(tmp_path / "b", 2, place)
    assert [path.name for path in (tmp_path / "b").iterdir()] == []
