"""SQLite files that cannot be written: whoever looks can look, whoever writes is told."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.fakes import small_sweep
from support.pages import searched
from sweeper import lifecycle
from sweeper.config import Sweep
from sweeper.config.registry import DATASETS, dataset_files
from sweeper.errors import StorageError
from sweeper.store import Store
from sweeper.store import sqlite as files

# Each command of a list, its exit code and the last line of its errors, as JSON.
_COMMANDS = """
import contextlib, io, json, sys
from sweeper.cli import main
for command in json.loads(sys.argv[1]):
    said = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
        try:
            main(command)
        except SystemExit as ended:
            code = ended.code or 0
    print(json.dumps([code, (said.getvalue().splitlines() or [""])[-1]]))
"""
_PAGES = """
import sys
from sweeper.dashboard import Application
from sweeper.store import Store
app = Application(Store(sys.argv[1]))
for path in ("/sweeps/", "/sweeps/tiny/", "/api/studies", "/api/studies/1", "/dashboard"):
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": path, "SERVER_PROTOCOL": "HTTP/1.1"}
    list(app(environ, lambda status, headers, *_: print(path, status)))
app.close()
"""
_NAMES = """
import sys
from sweeper.store import Store
store = Store(sys.argv[1])
for _ in sys.stdin:
    print(*store.names(), flush=True)
"""


def account() -> list[str]:
    """Return what begins a command of an account that may not write what is not its own."""
    if os.geteuid() != 0:
        return []
    words = ["unshare", "--user", "--map-user=54321", "--map-group=54321"]
    try:
        subprocess.run([*words, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this machine lends root no namespace of another account")
    return words


def run(code: str, *words: str, folder: Path) -> list[str]:
    done = subprocess.run(
        [*account(), sys.executable, "-c", code, *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def results(commands: list[list[str]], url: str, folder: Path) -> list[tuple[int, str]]:
    words = json.dumps([[*command, "--storage", url] for command in commands])
    return [(code, said) for code, said in map(json.loads, run(_COMMANDS, words, folder=folder))]


@contextmanager
def mode(path: Path, bits: int) -> Iterator[None]:
    before = path.stat().st_mode
    path.chmod(bits)
    try:
        yield
    finally:
        path.chmod(before)


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """A folder with the file of a finished sweep and one that nobody began, which is closed."""
    folder = tmp_path / "shared"
    folder.mkdir()
    with closing(Store(f"sqlite:///{folder}/sweeps.db")) as store:
        store.upgrade()
        searched(store)
        lifecycle.register(store, small_sweep("open"))
    assert os.listdir(folder) == ["sweeps.db"]  # noqa: PTH208
    return folder


@pytest.fixture
def own(tmp_path: Path) -> Path:
    folder = tmp_path / "own"
    folder.mkdir()
    return folder


def test_every_command_that_looks_reads_a_file_in_a_folder_that_only_reads(
    shared: Path, own: Path
) -> None:
    url = f"sqlite:///{shared}/sweeps.db"
    looking = [
        ["list"],
        ["status", "tiny"],
        ["front", "tiny"],
        ["report", "tiny", "--out", str(own / "report.html")],
        ["export", "tiny", "--out", str(own / "all")],
        ["doctor", "--data", str(own)],
        ["db", "check"],
    ]
    with mode(shared, 0o555):
        assert results(looking, url, own) == [(0, "")] * len(looking)
        assert [line.split(maxsplit=1)[1][:3] for line in run(_PAGES, url, folder=own)] == [
            "200"
        ] * 5
    assert os.listdir(shared) == ["sweeps.db"]  # noqa: PTH208


def test_every_command_that_writes_says_that_it_cannot(shared: Path, own: Path) -> None:
    url = f"sqlite:///{shared}/sweeps.db"
    (own / "tiny.yaml").write_text(yaml.safe_dump(small_sweep("other").model_dump(mode="json")))
    writing = [
        ["run", "tiny.yaml"],
        ["pause", "open"],
        ["drop", "tiny", "--trial", "l1/0/0", "--why", "too warm"],
        ["stop", "open"],
        ["delete", "tiny", "--yes"],
        ["restore", "all"],
    ]
    results([["export", "tiny", "--out", str(own / "all")]], url, own)
    line = (
        f"error: storage {shared}/sweeps.db: {shared} cannot be written by this account: use a "
        "file in a folder that it may write to"
    )
    with mode(shared, 0o555):
        assert results(writing, url, own) == [(1, line)] * len(writing)
        new = results([["run", "tiny.yaml"]], f"sqlite:///{shared}/new.db", own)
    assert new == [(1, line.replace("sweeps.db", "new.db"))]


def test_a_link_is_followed_to_the_folder_that_only_reads(shared: Path, own: Path) -> None:
    (own / "linked.db").symlink_to(shared / "sweeps.db")
    with mode(shared, 0o555):
        assert results([["list"]], f"sqlite:///{own}/linked.db", own) == [(0, "")]


def test_reading_leaves_nothing_beside_a_file_that_only_reads(shared: Path, own: Path) -> None:
    url = f"sqlite:///{shared}/sweeps.db"
    with mode(shared / "sweeps.db", 0o444):
        assert results([["list"]], url, own) == [(0, "")]
        ((code, line),) = results([["stop", "open"]], url, own)
    assert (code, os.listdir(shared)) == (1, ["sweeps.db"])  # noqa: PTH208
    assert f"{shared}/sweeps.db cannot be written by this account" in line


def test_whoever_reads_sees_what_others_write_meanwhile(
    shared: Path, own: Path, sweep: Sweep
) -> None:
    url = f"sqlite:///{shared}/sweeps.db"
    with (
        mode(shared, 0o555),
        subprocess.Popen(
            [*account(), sys.executable, "-c", _NAMES, url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=own,
        ) as reader,
    ):
        assert reader.stdin is not None
        assert reader.stdout is not None

        def names() -> str:
            assert reader.stdin is not None
            assert reader.stdout is not None
            reader.stdin.write("\n")
            reader.stdin.flush()
            return reader.stdout.readline().strip()

        assert names() == "tiny open"
        if os.geteuid() != 0:
            shared.chmod(0o755)
        with closing(Store(url)) as store:
            store.register(sweep.model_copy(update={"name": "second"}))
            if os.geteuid() != 0:
                shared.chmod(0o555)
            assert names() == "tiny open second"  # from the log, which its writer has open
            store.register(sweep.model_copy(update={"name": "third"}))
            assert names() == "tiny open second third"
            if os.geteuid() != 0:
                shared.chmod(0o755)
        assert names() == "tiny open second third"  # from the file, into which the log went


def test_a_log_that_cannot_be_read_is_told(shared: Path, own: Path) -> None:
    copied = own / "copied"
    copied.mkdir()
    with closing(sqlite3.connect(shared / "sweeps.db")) as writer:
        writer.execute("CREATE TABLE of_somebody (id INTEGER)")
        writer.commit()
        for name in ("sweeps.db", "sweeps.db-wal"):
            shutil.copy(shared / name, copied / name)
    with mode(copied, 0o555):
        assert results([["list"]], f"sqlite:///{copied}/sweeps.db", own) == [
            (
                1,
                f"error: storage {copied}/sweeps.db: was not closed, and SQLite cannot "
                "read sweeps.db-wal beside it without writing: copy all of its files to a folder "
                "of your own",
            )
        ]


def test_a_folder_that_lets_nobody_in_is_one_line(shared: Path, own: Path) -> None:
    line = f"error: storage {shared}/sweeps.db: cannot be read: Permission denied"
    for path in (shared, shared / "sweeps.db"):
        with mode(path, 0o000):
            found = results([["list"], ["run", "x.yaml"]], f"sqlite:///{shared}/sweeps.db", own)
            assert found[0] == (1, line)


def test_a_file_that_can_be_written_is_opened_as_ever(shared: Path) -> None:
    file = shared / "sweeps.db"
    assert files.unwritable(file) == files.unwritable(shared / "new.db") == ""
    with closing(files.connect(file, 1.0)) as connection:
        connection.execute("CREATE TABLE more (id INTEGER)")
        files.refuse_changed(connection)


def test_the_dashboard_makes_the_file_that_is_its_own_default_and_no_other(
    own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sweeper import dashboard
    from sweeper.cli import main

    monkeypatch.chdir(own)
    monkeypatch.delenv("SWEEPER_STORAGE", raising=False)
    served: list[Any] = []
    monkeypatch.setattr(dashboard, "serve", lambda store, *_, **__: served.append(store.names()))
    with pytest.raises(SystemExit) as ended:
        main(["dashboard"])
    assert (ended.value.code, served) == (0, [()])
    assert (own / "sweeper.db").exists()
    with pytest.raises(SystemExit) as ended:
        main(["dashboard", "--storage", "sqlite:///mistyped.db"])
    assert (ended.value.code, served) == (1, [()])
    assert not (own / "mistyped.db").exists()


@pytest.mark.postgres
def test_a_server_without_tables_says_how_to_make_them(
    postgres_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from sweeper.cli import main

    with pytest.raises(SystemExit) as ended:
        main(["dashboard", "--storage", postgres_url])
    assert ended.value.code == 1
    assert capsys.readouterr().err.endswith("has no schema yet; run: sweeper db upgrade\n")
    with closing(Store(postgres_url)) as store, pytest.raises(StorageError):
        store.check()


FETCH = """
import sys
from pathlib import Path
from sweeper.training import datasets
from sweeper.operations.doctor.machine_checks import examine_machine
from sweeper.config.registry import dataset_files
from sweeper.config.registry import DATASETS
from sweeper.errors import DataError

folder = Path(sys.argv[1])
assert not datasets.is_here("fashion-mnist", folder) or sys.argv[2] == "file"
try:
    datasets.load("fashion-mnist", folder)
except DataError as error:
    print(error)
for found in examine_machine(folder, cores=int, gpus=int, usable=int):
    if found.check == "datasets":
        print(found.state, found.result, found.todo)
"""


@pytest.mark.slow
def test_a_dataset_that_may_not_be_read_is_not_called_damaged(own: Path) -> None:
    raw = own / "data" / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    first, *rest = dataset_files.shapes(DATASETS["fashion-mnist"])
    for name in (first, *rest):
        (raw / name).write_bytes(b"")
    said = f"fashion-mnist: {raw}/{first}: cannot be read: Permission denied"
    for kind, path in (("file", raw / first), ("folder", raw)):
        with mode(path, 0o000):
            text, *found = run(FETCH, str(own / "data"), kind, folder=own)
        assert text.startswith(f"{said}; set SWEEPER_DATA")
        assert found[0].startswith(f"wrong {said} let this account read it")
        assert not any("damaged" in line or "rm -r" in line for line in (text, *found))
