"""Passwords of storage URLs, and what a SQLite file is refused for."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import Connection

from support.fakes import small_sweep
from support.postgres import Postgres
from sweeper import api
from sweeper.cli import main
from sweeper.config import Sweep
from sweeper.errors import InputError, StorageError
from sweeper.redact import holds_password
from sweeper.store import Store, filesystem
from sweeper.store.storage_url import parse_storage_url

URL = "postgresql://me@db/sweeps"


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("SWEEPER_STORAGE", "SWEEPER_PASSWORD_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that SWEEPER_PASSWORD_FILE names."""
    file = tmp_path / "secret"
    file.write_text("ge@h:e/im \n")
    monkeypatch.setenv("SWEEPER_PASSWORD_FILE", str(file))
    return file


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    with pytest.raises(SystemExit) as ended:
        main(words)
    caught = capsys.readouterr()
    return int(ended.value.code or 0), caught.out + caught.err


# The file of the password


def test_the_password_is_the_files_line_without_its_end(secret: Path) -> None:
    for url in (URL, "mysql://me@db/sweeps"):
        found = parse_storage_url(url)
        assert found.url.password == "ge@h:e/im "
        assert found.secrets == ("ge@h:e/im ",)
        assert "me:***@db" in found.safe
        # Worker processes and Optuna get the full form, which is understood without the file.
        assert parse_storage_url(found.full).url.password == "ge@h:e/im "


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:own@db/sweeps",
        "postgresql://me@db/sweeps?password=own",
        "postgresql://db/sweeps",
        "sqlite:////tmp/x.db",
    ],
)
def test_the_file_is_for_a_user_without_a_password(url: str, secret: Path) -> None:
    secret.unlink()
    assert "ge@h" not in parse_storage_url(url).full


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (None, "No such file or directory"),
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"geheim\nand more\n", "holds more than one line"),
        (b"\xff\xfe", "is no text in UTF-8"),
    ],
)
def test_a_file_that_is_no_use_is_one_line(
    content: bytes | None, what: str, secret: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    secret.unlink()
    if content is not None:
        secret.write_bytes(content)
    line = (
        f"error: SWEEPER_PASSWORD_FILE: {secret}: {what}; must name a file that holds the "
        "storage's password in one line\n"
    )
    assert said(capsys, "list", "--storage", URL) == (2, line)


def test_a_folder_is_no_password_file(secret: Path) -> None:
    secret.unlink()
    secret.mkdir()
    with pytest.raises(InputError, match="Is a directory"):
        parse_storage_url(URL)


@pytest.mark.postgres
def test_a_server_lets_in_who_has_the_file(
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    postgres.execute("DROP ROLE IF EXISTS locked", "CREATE ROLE locked LOGIN PASSWORD 'right'")
    for word, message in (("right", "no tables|no schema"), ("wrong", "authentication failed")):
        (tmp_path / "file").write_text(f"{word}\r\n")
        monkeypatch.setenv("SWEEPER_PASSWORD_FILE", str(tmp_path / "file"))
        store = Store(postgres.url("postgres", "locked"))
        with pytest.raises(StorageError, match=message) as caught:
            store.check()
        assert word not in str(caught.value)
        store.close()


# Passwords that everybody can see


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:geheim@db/sweeps",
        "postgresql://me:geh@eim@db/sweeps",
        "postgresql://me:geh/eim@db/sweeps",
        "mysql://me@db/sweeps?passwd=geheim",
        "postgresql://db/sweeps?user=me&p%61ssword=geheim",
        "nonsense://me:geheim@db",
    ],
)
def test_a_password_on_the_command_line_is_refused(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert holds_password(url)
    for words in (("list",), ("status", "x"), ("db", "upgrade")):
        code, text = said(capsys, *words, "--storage", url)
        assert code == 2
        assert text.startswith("error: --storage: arguments can be seen by everybody")
        assert "SWEEPER_STORAGE" in text
        assert "SWEEPER_PASSWORD_FILE" in text
        assert len(text.splitlines()) == 1
        assert "eim" not in text


def test_a_password_in_the_variable_is_fine(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWEEPER_STORAGE", "postgresql://me:geheim@127.0.0.1:1/sweeps")
    code, text = said(capsys, "list")
    assert code == 1
    assert "me:***@127.0.0.1:1" in text
    assert "geheim" not in text


@pytest.mark.parametrize(
    "url",
    [
        URL,
        "postgresql://db:5432/sweeps",
        "postgresql://me@db/sweeps?passfile=/home/me/.pgpass",
        "sqlite:///a:b@c.db",
        "postgresql://me@/sweeps?host=%2Ftmp%2Fsocket",
    ],
)
def test_a_url_without_a_password_may_be_an_argument(url: str) -> None:
    assert not holds_password(url)


# The file system of a SQLite file

MOUNTS = """\
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
31 30 0:41 / /home/me/my\\040disk rw master:1 propagate_from:2 - xfs /dev/vdb rw
30 27 0:40 / /home rw - nfs4 server:/home rw
32 27 0:42 / /cloud rw - fuse.sshfs me@host: rw
33 27 0:43 / /twice rw - nfs server:/twice rw
34 27 0:44 / /twice rw - btrfs /dev/vdc rw
35 27 0:45 / /usb rw - fuseblk /dev/sda rw
"""


@pytest.fixture
def mounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with these mounts, and this test's own folder on NFS."""
    file = tmp_path / "mountinfo"
    folder = str(tmp_path).replace(" ", "\\040")
    file.write_text(f"{MOUNTS}40 27 0:50 / {folder}/far rw - nfs server:/far rw\n")
    monkeypatch.setattr(filesystem, "MOUNTS", file)
    return file


@pytest.mark.parametrize(
    ("path", "kind", "network"),
    [
        ("/x.db", "ext4", False),
        ("/homes/x.db", "ext4", False),
        ("/home/x.db", "nfs4", True),
        ("/home/me/my disk/x.db", "xfs", False),
        ("/home/me/my/x.db", "nfs4", True),
        ("/cloud/new/x.db", "fuse.sshfs", True),
        ("/twice/x.db", "btrfs", False),
        ("/usb/x.db", "fuseblk", False),
    ],
)
def test_the_file_system_is_that_of_the_longest_mount_point(
    path: str, kind: str, network: bool, mounts: Path
) -> None:
    assert filesystem.filesystem(Path(path), mounts) == kind
    assert filesystem.is_between_machines(kind) == network


def test_a_link_is_followed(tmp_path: Path, mounts: Path) -> None:
    (tmp_path / "near.db").symlink_to(tmp_path / "far" / "x.db")
    assert filesystem.filesystem(tmp_path / "near.db", mounts) == "nfs"


def test_no_list_of_mounts_refuses_nothing(tmp_path: Path) -> None:
    assert filesystem.filesystem(tmp_path, tmp_path / "missing") == ""
    filesystem.refuse_network(tmp_path / "x.db", tmp_path / "missing")


NETWORKS = """
nfs nfs4 cifs smb3 smbfs 9p fuse.sshfs fuse.glusterfs ceph fuse.ceph lustre gpfs beegfs afs ocfs2
gfs2 davfs fuse.s3fs fuse.rclone
"""


@pytest.mark.parametrize("kind", NETWORKS.split())
def test_what_reaches_over_a_network_is_known(kind: str) -> None:
    assert filesystem.is_between_machines(kind)


def test_this_machines_disks_are_fine() -> None:
    for kind in ("ext4", "xfs", "btrfs", "zfs", "overlay", "tmpfs", "apfs", "fuseblk", ""):
        assert not filesystem.is_between_machines(kind)


def test_sqlite_on_a_network_is_refused_before_anything_is_made(
    tmp_path: Path, mounts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store(f"sqlite:///{tmp_path}/far/sweeps.db")  # understanding touches nothing
    for use in (store.upgrade, store.check):
        with pytest.raises(StorageError, match=r"lies on nfs, where .* use .*PostgreSQL$"):
            use()
    store.close()
    for words in (("list",), ("db", "upgrade")):
        code, text = said(capsys, *words, "--storage", store.url)
        assert code == 1
        assert len(text.splitlines()) == 1
    assert not (tmp_path / "far").exists()
    near = Store(f"sqlite:///{tmp_path}/near.db")
    near.upgrade()
    near.close()


# The number of workers on SQLite


def test_the_ninth_worker_is_refused_on_sqlite(sqlite_url: str, sweep: Sweep) -> None:
    store = Store(sqlite_url)
    store.upgrade()
    for name in ("tiny", "other"):  # the limit is the file's, not the sweep's
        store.register(sweep.model_copy(update={"name": name}))
    workers = [store.join(("tiny", "other")[number % 2], device="cpu") for number in range(8)]
    with pytest.raises(InputError, match="at most 8, and so many are at work: use PostgreSQL"):
        store.join("tiny", device="cpu")
    assert sum(one.alive for name in store.names() for one in store.status(name).workers) == 8
    store.leave(workers[3])
    store.join("tiny", device="cpu")
    store.close()


JOIN = "import sys; from sweeper.store import Store; Store(sys.argv[1]).join('tiny', device='cpu')"


def test_workers_that_were_killed_do_not_count(sqlite_url: str, sweep: Sweep) -> None:
    store = Store(sqlite_url)
    store.upgrade()
    store.register(sweep)
    for _ in range(7):
        store.join("tiny", device="cpu")
    for _ in range(2):  # gone without a word, their leases hold for a minute
        subprocess.run([sys.executable, "-c", JOIN, sqlite_url], check=True, env=os.environ)
    store.join("tiny", device="cpu")
    with pytest.raises(InputError):
        store.join("tiny", device="cpu")
    store.close()


@pytest.mark.postgres
def test_a_server_takes_any_number_of_workers(postgres_url: str, sweep: Sweep) -> None:
    store = Store(postgres_url)
    store.upgrade()
    store.register(sweep)
    assert store.most_workers is None
    assert len({store.join("tiny", device="cpu") for _ in range(9)}) == 9
    store.close()


def test_nine_workers_on_sqlite_are_refused_before_anything_is_made(
    tmp_path: Path, sqlite_url: str
) -> None:
    with pytest.raises(InputError, match=r"^workers: SQLite is for at most 8, got 9: use Postgr"):
        api.run(small_sweep(), sqlite_url, workers=9)
    assert not (tmp_path / "sweeps.db").exists()


def test_more_gpus_than_sqlite_has_workers_for_are_no_error(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def run_workers(
        name: str, store: Store, *, devices: tuple[str, ...], **options: object
    ) -> None:
        asked.append(len(devices))

    monkeypatch.setattr("sweeper.worker.launch.local_workers.run_workers", run_workers)
    monkeypatch.setattr(
        "sweeper.worker.launch.machine.visible_gpus", lambda: (*"0123456789abcdef",)
    )
    monkeypatch.setattr("sweeper.worker.launch.machine._torch_knows_gpus", lambda: True)
    api.run(small_sweep(), sqlite_url)
    assert asked == [8]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("ssl_ca=/nowhere/of/it.pem", "(ssl_ca): [Errno 2] No such file or directory"),
        ("charset=nope", "(charset): "),
    ],
)
def test_options_that_a_driver_cannot_take_are_named(
    options: str, said: str, mariadb_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["list", "--storage", f"{mariadb_url}?{options}"])
    error = capsys.readouterr().err
    assert ended.value.code == StorageError.exit_code
    assert f"cannot connect with the options of its URL {said}" in error
    assert "a bug in sweeper" not in error


@pytest.mark.parametrize(
    ("url", "line"),
    [
        (f"{URL}?prepare_threshold=often", "prepare_threshold: must be a whole number >= 0, or no"),
        (f"{URL}?connect_timeout=5s", "connect_timeout: must be a whole number, got '5s'"),
        (f"{URL}?sslmode=require&sslmode=disable", "sslmode: is given twice"),
        (f"{URL}?conect_timeout=5", "got 'conect_timeout'; allowed: .*did you mean 'connect_time"),
        (f"{URL}?autocommit=true", "no such option in the URL: got 'autocommit'; allowed: applic"),
        (f"{URL}?port=abc", "options of the URL: .*non-integer port"),
        (f"{URL}?host=one,two&port=1,2,3", "options of the URL: .*don't match"),
        (f"{URL}?plugin=mine", "no such option in the URL: got 'plugin'; allowed"),
        ("mysql://me@db/sweeps?sslmode=require", "got 'sslmode'; allowed: bind_address, charset"),
        ("mysql://me@db/sweeps?read_timeout=1.5", "read_timeout: must be a whole number, got '1.5"),
        ("mysql://me@db/sweeps?ssl_check_hostname=maybe", "must be true or false, got 'maybe'"),
    ],
)
def test_options_of_a_url_are_checked_before_anything_connects(url: str, line: str) -> None:
    with pytest.raises(InputError, match=line) as caught:
        Store(url)
    assert str(caught.value).startswith("storage: ")


@pytest.mark.postgres
def test_options_of_a_url_reach_the_driver_with_their_type(postgres_url: str) -> None:
    for option, threshold in (("prepare_threshold=0", 0), ("prepare_threshold=None", None)):
        store = Store(f"{postgres_url}&{option}&connect_timeout=5")
        assert store.engine_options["connect_args"]["connect_timeout"] == 5

        def given(connection: Connection) -> object:
            driver = connection.connection.driver_connection
            return driver.prepare_threshold if driver else ""

        assert store._database.read(given) == threshold
        store.close()


def test_options_of_a_mysql_url_reach_the_driver_with_their_type(mariadb_url: str) -> None:
    store = Store(f"{mariadb_url}?read_timeout=5&charset=utf8mb4&ssl_disabled=false")
    assert store.engine_options["connect_args"]["read_timeout"] == 5
    store.upgrade()
    assert store.names() == ()
    store.close()
