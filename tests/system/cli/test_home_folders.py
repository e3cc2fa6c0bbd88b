"""Accounts without a home folder, folders that are gone, disks that are full."""

import pwd
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from support.processes import mount_namespace
from sweeper import settings
from sweeper.cli import main
from sweeper.errors import InputError
from sweeper.store import Store
from sweeper.training import datasets

Said = Callable[..., tuple[int, str, str]]


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Said:
    """Run one command; returns exit code, output and errors."""

    def command(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(words)
        caught = capsys.readouterr()
        return int(ended.value.code or 0), caught.out, caught.err

    return command


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An account that the system knows no name and no home of, as in many containers."""

    def unknown(*_: object) -> None:
        raise KeyError("uid not found")

    for name in ("HOME", "USER", "LOGNAME", "XDG_CACHE_HOME", "SWEEPER_DATA", "SWEEPER_STORAGE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.setattr(pwd, "getpwnam", unknown)
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("homeless")
def test_bundled_data_needs_no_folder(said: Said) -> None:
    assert len(datasets.load("digits").train) == 1137
    assert said("data", "digits") == (0, "digits: ready, for it comes with scikit-learn\n", "")


@pytest.mark.usefixtures("homeless")
def test_other_data_says_which_folder_to_set(said: Said) -> None:
    code, _, err = said("data", "mnist")
    assert code == 2
    assert err == (
        "error: no folder for datasets: this account has no home folder: set SWEEPER_DATA to a "
        "folder, or HOME\n"
    )


@pytest.mark.usefixtures("homeless")
def test_a_home_that_is_not_there_is_one_line_wherever_it_is_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SWEEPER_PASSWORD_FILE", "~/password")
    for use, what in (
        (lambda: settings.data_folder("~/data"), "data folder: ~/data"),
        (lambda: Store("sqlite:///~/sweeps.db"), "storage: ~/sweeps.db"),
        (lambda: Store("sqlite:///~nobody/sweeps.db"), "storage: ~nobody/sweeps.db"),
        (lambda: Store("postgresql://me@h/d"), "SWEEPER_PASSWORD_FILE: ~/password"),
    ):
        with pytest.raises(InputError) as caught:
            use()
        allowed = "there is no such home folder: set HOME, or write the folder out"
        assert str(caught.value) == f"{what}: {allowed}"


@pytest.mark.usefixtures("homeless")
def test_the_doctor_says_so_and_goes_on(said: Said) -> None:
    _, out, err = said("doctor", "--json")
    assert "this account has no home folder: set SWEEPER_DATA to a folder, or HOME" in out
    assert "digits, wine, breast-cancer, which need no folder" in out
    assert not err


def test_a_home_is_written_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("XDG_CACHE_HOME", settings.DATA_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    assert settings.expand_home("~/x", "it") == tmp_path / "x"
    assert settings.data_folder() == tmp_path / ".cache" / "sweeper"


def test_the_current_folder_may_be_gone(
    said: Said, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert said("list") == (
        2,
        "",
        "error: the current folder does not exist any more: go to another\n",
    )
    for words in (("--help",), ("run", "--help"), ("-h",)):
        code, out, err = said(*words)
        assert (code, err) == (0, "")
        assert out.startswith("Usage: sweeper")
    assert said("--version")[:2][0] == 0


def test_nothing_is_left_of_a_file_that_a_full_disk_did_not_take(tmp_path: Path) -> None:
    namespace = mount_namespace()
    script = """
mount -t tmpfs -o size=64k tmpfs "$1" && cd "$1" && cat /dev/zero > filler 2> /dev/null
"$2" -m sweeper init
"$2" -c '
from pathlib import Path
from sweeper.errors import SweeperError
from sweeper.plots import images
from sweeper.plots.picture_size import parse_size
images._rendered = lambda *options: b"x" * 5000
try:
    images.save_image("", parse_size("column"), "figure.png")
except SweeperError as error:
    print(error)
'
ls -A
"""
    done = subprocess.run(
        [*namespace, "sh", "-c", script, "sh", str(tmp_path), sys.executable],
        capture_output=True,
        text=True,
        check=True,
        timeout=240,
    )
    full = "No space left on device"
    assert done.stderr == f"error: study.yaml: cannot be written: {full}\n"
    assert done.stdout == f"figure.png: writing failed: {full}\nfiller\n"
