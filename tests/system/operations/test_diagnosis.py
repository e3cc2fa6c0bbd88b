"""The doctor: what it finds wrong, that one check stops no other, and that it leaves nothing."""

import json
import math
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from optuna.storages import RDBStorage

from support.postgres import Postgres
from sweeper.cli import main
from sweeper.config import Sweep
from sweeper.errors import LeaseLost
from sweeper.kernels import jit_cache
from sweeper.kernels.jit_cache import LoopCache
from sweeper.operations.doctor import Finding, diagnosis, examine_machine, storage_checks
from sweeper.store import Store, filesystem
from sweeper.store.diagnostics import DatabaseServer, ServerLink, StorageDiagnostics

Doctor = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """Run the command on a data folder that is in order; returns exit code and all it says."""
    for name in ("SWEEPER_STORAGE", "SWEEPER_PASSWORD_FILE", "SWEEPER_DATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    monkeypatch.setenv("SWEEPER_DATA", str(tmp_path / "data"))

    def command(url: str, *words: str) -> tuple[int, str]:
        monkeypatch.setenv("SWEEPER_STORAGE", url)
        with pytest.raises(SystemExit) as ended:
            main(["doctor", *words])
        caught = capsys.readouterr()
        assert not caught.err
        return int(ended.value.code or 0), caught.out

    return command


@pytest.fixture
def doctor(said: Callable[..., tuple[int, str]]) -> Doctor:
    """Return exit code and findings: `state: result -> todo` by check."""

    def command(url: str, *words: str) -> tuple[int, dict[str, Any]]:
        code, out = said(url, "--json", *words)
        found = {
            one["check"]: f"{one['state']}: {one['result']} -> {one['todo']}"
            for one in json.loads(out)
        }
        assert code == any(line.startswith("wrong") for line in found.values())
        return code, found

    return command


@pytest.fixture
def stored(store: Store, storage_url: str, sweep: Sweep) -> str:
    """The URL of a database with a sweep and one worker."""
    store.register(sweep)
    store.join(sweep.name, device="cpu")
    return storage_url


def execute(url: str, *statements: str) -> None:
    engine = sa.create_engine(Store(url).url)
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(sa.text(statement))
    engine.dispose()


def everything(url: str) -> dict[str, list[Any]]:
    """Return all rows of all tables."""
    engine = sa.create_engine(Store(url).url)
    with engine.connect() as connection:
        names = sa.inspect(connection).get_table_names()
        rows = {
            name: connection.execute(sa.select(sa.text("*")).select_from(sa.table(name))).all()
            for name in names
        }
    engine.dispose()
    return {name: list(map(tuple, found)) for name, found in rows.items()}


# In order


def test_what_is_in_order_is_ok_and_nothing_is_left_behind(
    stored: str, doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    for limit in ("SLOW_READ", "SLOW_WRITE"):  # whatever else this machine does meanwhile
        monkeypatch.setattr(storage_checks, limit, 60.0)
    made = RDBStorage(Store(stored).url)
    made.remove_session()
    made.engine.dispose()
    before = everything(stored)
    code, found = doctor(stored)
    assert code == 0
    assert [check for check, line in found.items() if not line.startswith("ok")] == []
    common = {"storage", "reach", "version", "tables", "optuna", "rights", "reading", "writing"}
    common |= {"clock", "workers", "sweeps", "processors", "memory", "torch", "data folder"}
    common.add("webhook")
    kind = {"journal", "file system", "free space", "folder"}
    kind = kind if stored.startswith("sqlite") else {"encryption"}
    assert set(found) == common | kind | {"datasets", "versions", "compiled loops"}
    assert found["workers"] == "ok: 1 at work -> "
    assert found["sweeps"] == "ok: 1 open -> "
    assert re.match(r"ok: tables v\d", found["optuna"])
    assert re.match(r"ok: takes \d+\.\d ms", found["writing"])
    assert everything(stored) == before


def test_an_empty_database_may_be_used(storage_url: str, tmp_path: Path, doctor: Doctor) -> None:
    code, found = doctor(storage_url)
    assert code == 0
    if storage_url.startswith("sqlite"):
        assert found["reach"] == "warning: there is no such file yet -> sweeper run makes it"
        assert not (tmp_path / "sweeps.db").exists()
        assert "rights" not in found
        return
    assert found["tables"] == "warning: none yet -> sweeper run or sweeper db upgrade"
    assert found["rights"] == "ok: tables can be created -> "
    assert not {"writing", "workers", "sweeps"} & set(found)
    assert everything(storage_url) == {}


def test_the_table_fits_eighty_columns(
    said: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    code, out = said(f"sqlite:///{tmp_path}/{'long' * 30}/{'name' * 30}.db", "--data", "/proc/x")
    assert code == 1
    lines = out.splitlines()
    assert re.match(r"check +result +what to do", lines[0])
    assert max(map(len, lines)) <= 80
    for line in (r"^processors +ok  \d+ for workers", r"^data folder +wrong ", r"^reach +warning "):
        assert re.search(line, out, re.M)


def test_torch_is_not_loaded(tmp_path: Path) -> None:
    program = (
        "import sys\nfrom sweeper.cli import main\n"
        "try: main(['doctor'])\n"
        "finally: print({'torch', 'numba'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", program]
    out = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert out.endswith("set()\n")


# Reach and rights


def test_nothing_that_listens_is_told_beside_the_rest(doctor: Doctor) -> None:
    code, found = doctor("postgresql://me:geheim@127.0.0.1:1/sweeps")
    assert code == 1
    assert found["storage"].startswith("ok: postgresql+psycopg://me:***@127.0.0.1:1/sweeps, driver")
    assert re.match("wrong: connection failed.* -> is it running", found["reach"])
    assert "rights" not in found
    assert {"processors", "torch", "datasets", "versions"} <= set(found)
    assert "geheim" not in str(found)


def test_a_wrong_url_is_told_beside_the_rest(doctor: Doctor, tmp_path: Path) -> None:
    code, found = doctor("postgresq://me:geheim@h/d")
    assert code == 1
    assert "did you mean 'postgresql'? -> mend SWEEPER_STORAGE" in found["storage"]
    assert "versions" in found
    assert "geheim" not in str(found)
    os.environ["SWEEPER_PASSWORD_FILE"] = str(tmp_path / "missing")
    try:
        code, found = doctor("postgresql://me@h/d")
    finally:
        del os.environ["SWEEPER_PASSWORD_FILE"]
    assert code == 1
    assert found["storage"].startswith("wrong: SWEEPER_PASSWORD_FILE: ")


def test_a_file_that_is_no_database_is_told(doctor: Doctor, tmp_path: Path) -> None:
    (tmp_path / "x.db").write_text("This is a letter and not a database." * 40)
    assert doctor(f"sqlite:///{tmp_path}/x.db")[1]["reach"].startswith(
        "wrong: file is not a database -> is it a database of sweeper"
    )


@pytest.fixture
def role(postgres: Postgres, postgres_url: str) -> Iterator[str]:
    """The URL of an account without rights, with the password `geheim`."""
    postgres.execute("DROP ROLE IF EXISTS locked", "CREATE ROLE locked LOGIN PASSWORD 'geheim'")
    yield postgres_url.replace("postgres@", "locked:geheim@")
    execute(postgres_url, "DROP OWNED BY locked")
    postgres.execute("DROP ROLE locked")


@pytest.mark.postgres
def test_a_wrong_password_is_told_without_it(role: str, doctor: Doctor) -> None:
    code, found = doctor(role.replace("geheim", "falsch"))
    assert code == 1
    assert "password authentication failed" in found["reach"]
    assert "falsch" not in str(found)


@pytest.mark.postgres
def test_who_may_create_no_tables_is_told(role: str, doctor: Doctor) -> None:
    code, found = doctor(role)
    assert code == 1
    assert re.match("wrong: permission denied for schema public.* -> GRANT SELE", found["rights"])
    assert found["encryption"] == "ok: none, within this machine -> "
    assert "clock" in found


@pytest.mark.postgres
@pytest.mark.parametrize("missing", ["SELECT", "INSERT", "UPDATE", "DELETE", "USAGE", ""])
@pytest.mark.parametrize("name", ["sweeper_fact", "sweeper_turn"])
def test_each_missing_right_is_told(
    name: str, missing: str, role: str, postgres_url: str, doctor: Doctor
) -> None:
    owner = Store(postgres_url)
    owner.upgrade()
    owner.close()
    execute(
        postgres_url,
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO locked",
        "GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO locked",
    )
    if missing == "USAGE":
        name = "sweeper_failure_id_seq"
        execute(postgres_url, "REVOKE USAGE ON ALL SEQUENCES IN SCHEMA public FROM locked")
    elif missing:
        execute(postgres_url, f"REVOKE {missing} ON {name} FROM locked")
    code, found = doctor(role)
    assert code == bool(missing)
    if missing:
        assert re.match(f"wrong: permission denied for (table|sequence) {name} ", found["rights"])
    else:
        assert found["rights"] == "ok: select, insert, update and delete -> "
    assert "geheim" not in str(found)


@pytest.mark.postgres
def test_a_check_that_raises_stops_no_other_and_tells_no_password(
    role: str, doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> float:
        raise RuntimeError("with geheim")

    monkeypatch.setattr(StorageDiagnostics, "read_seconds", broken)
    monkeypatch.setattr("sweeper.trainers.cgroups.memory", broken)
    code, found = doctor(role)
    assert code == 1
    assert found["reading"] == "wrong: RuntimeError: with *** -> "
    assert found["memory"].startswith("wrong: RuntimeError")
    assert {"clock", "torch", "versions"} <= set(found)
    monkeypatch.setattr(Store, "__init__", broken)
    code, found = doctor(role)
    assert found["storage"].startswith("wrong: RuntimeError -> ")
    assert "versions" in found


# Versions, speed, clock


@pytest.mark.parametrize(
    ("version", "todo"), [("0001", "sweeper db upgrade"), ("9999", "install a newer sweeper")]
)
def test_tables_of_another_version_are_told(
    version: str, todo: str, stored: str, doctor: Doctor
) -> None:
    execute(stored, f"UPDATE sweeper_alembic_version SET version_num = '{version}'")
    code, found = doctor(stored)
    assert code == 1
    assert re.match(rf"wrong: version {version}, this .* \d+ -> {todo}$", found["tables"])
    assert not {"writing", "workers", "sweeps"} & set(found)


def test_the_oldest_tables_can_be_tried(storage_url: str, doctor: Doctor) -> None:
    from alembic import command

    from sweeper.store import migrations

    engine = sa.create_engine(Store(storage_url).url)
    with engine.begin() as connection:
        settings = migrations.config()
        settings.attributes["connection"] = connection
        command.upgrade(settings, "0001")
    engine.dispose()
    found = doctor(storage_url)[1]
    assert found["tables"].startswith("wrong: version 0001")
    assert found["rights"] == "ok: select, insert, update and delete -> "


def test_optunas_tables_of_another_version_are_told(stored: str, doctor: Doctor) -> None:
    made = RDBStorage(Store(stored).url)
    # Oracle: Optuna itself.
    assert diagnosis.optuna_head() == made.get_head_version()
    made.remove_session()
    made.engine.dispose()
    assert doctor(stored)[1]["optuna"].startswith(f"ok: tables {diagnosis.optuna_head()} ")
    execute(stored, "UPDATE alembic_version SET version_num = 'v2.6.0.a'")
    code, found = doctor(stored)
    assert code == 1
    assert found["optuna"].startswith("wrong: tables v2.6.0.a, the one here needs v")


def test_an_old_server_is_told() -> None:
    for product, version, fits in (
        ("PostgreSQL", (11, 22), False),
        ("PostgreSQL", (12, 0), True),
        ("MySQL", (5, 7, 44), False),
        ("MySQL", (8, 0, 11), True),
        ("MariaDB", (10, 4, 34), False),
        ("MariaDB", (10, 5), True),
        ("SQLite", (3, 34, 1), False),
        ("SQLite", (3, 35), True),
    ):
        found = diagnosis.server(DatabaseServer(product, version))
        assert found.state == ("ok" if fits else "wrong"), found
    assert diagnosis.server(DatabaseServer("MySQL", (5, 7))).todo == "use MySQL 8 or newer"


@pytest.mark.parametrize(
    ("here", "encrypted", "password", "state"),
    [
        (True, False, True, "ok"),
        (False, True, True, "ok"),
        (False, False, False, "ok"),
        (False, False, True, "warning"),
    ],
)
def test_a_password_that_travels_unencrypted_is_told(
    here: bool, encrypted: bool, password: bool, state: str
) -> None:
    assert diagnosis.encryption(ServerLink(here, encrypted, password)).state == state


@pytest.mark.postgres
def test_only_addresses_of_this_machine_are_here(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for url, here in (
        (postgres_url, True),
        ("postgresql://me:geheim@localhost/d", True),
        ("postgresql://me:geheim@db.example.org/d", False),
        ("postgresql://me:geheim@/d?host=db.example.org", False),
        ("mysql://me:geheim@/d?unix_socket=/run/mysql", True),
        ("mysql://me:geheim@10.0.0.1/d", False),
    ):
        store = Store(url)
        with monkeypatch.context() as patch:
            if url != postgres_url:
                patch.setattr(store._database, "read", lambda ask: False)
            assert store.health().link() == ServerLink(here, False, "geheim" in url)
        store.close()


def test_a_slow_database_is_told(
    stored: str, doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sweeper.store.diagnostics._timed", lambda connection: 0.03)
    monkeypatch.setattr(storage_checks, "SLOW_WRITE", 0.0)
    code, found = doctor(stored)
    assert code == 0
    assert found["reading"].startswith("warning: takes 30.0 ms, more than 20 -> bring")
    assert found["writing"].startswith("warning: takes ")


def test_the_time_of_a_question_is_the_median_of_twenty(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter([9.0] * 9 + [0.5] + [0.25] * 10)
    monkeypatch.setattr("sweeper.store.diagnostics._timed", lambda connection: next(times))
    assert store.health().read_seconds() == 0.375
    assert next(times, None) is None


@pytest.mark.parametrize(("shift", "word"), [(3600, "behind"), (-3600, "ahead of")])
def test_a_clock_an_hour_off_is_told(
    shift: int, word: str, stored: str, doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + shift)
    code, found = doctor(stored)
    assert code == 0
    assert re.match(rf"warning: the database's is 3,\d+ s {word} this machine's", found["clock"])


# SQLite, workers, sweeps


def test_sqlite_on_a_network_is_not_even_opened(
    sqlite_url: str, doctor: Doctor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Store(sqlite_url).upgrade()
    (tmp_path / "mounts").write_text(f"30 27 0:40 / {tmp_path} rw - nfs4 server:/home rw\n")
    monkeypatch.setattr(filesystem, "MOUNTS", tmp_path / "mounts")
    code, found = doctor(sqlite_url)
    assert code == 1
    assert found["file system"].startswith("wrong: nfs4: ")
    assert not {"reach", "journal", "rights"} & set(found)
    assert "versions" in found


def test_another_journal_and_a_full_disk_are_told(
    sqlite_url: str, doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(Store(sqlite_url)) as store:
        store.upgrade()
    engine = sa.create_engine(sqlite_url)
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA journal_mode=DELETE")
    engine.dispose()
    usage = type("Usage", (), {"free": 2**29})
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    code, found = doctor(sqlite_url)
    assert code == 0
    assert found["journal"].startswith("warning: delete -> ")
    assert found["free space"].startswith("warning: 0.5 GiB -> make room in ")


def test_a_file_where_none_can_be_made_is_told(doctor: Doctor) -> None:
    code, found = doctor("sqlite:////proc/nowhere/sweeps.db")
    assert code == 1
    assert found["folder"].startswith("wrong: cannot be written: /proc: ")


JOIN = "import sys; from sweeper.store import Store; Store(sys.argv[1]).join('tiny', device='cpu')"


def test_workers_that_are_gone_are_told(stored: str, doctor: Doctor) -> None:
    subprocess.run([sys.executable, "-c", JOIN, stored], check=True)
    store = Store(stored, lease_seconds=0.0)
    late = store.join("tiny", device="cpu")
    code, found = doctor(stored)
    assert code == 0
    assert found["workers"].startswith("warning: 1 at work, 2 gone whose leases nobody has ended")
    store.reap("tiny")
    with pytest.raises(LeaseLost):
        store.renew(late)
    assert doctor(stored)[1]["workers"] == "ok: 1 at work -> "
    store.close()


def test_sweeps_are_counted_by_state(stored: str, sweep: Sweep, doctor: Doctor) -> None:
    store = Store(stored)
    for name in ("ended", "still", "broken"):
        store.register(sweep.model_copy(update={"name": name}))
    store.stop("still")
    store.close()
    execute(
        stored,
        "UPDATE sweeper_slot SET state = 'told' WHERE sweep = 'ended'",
        "UPDATE sweeper_sweep SET state = 'failed' WHERE name = 'broken'",
    )
    assert doctor(stored)[1]["sweeps"] == (
        "warning: 1 failed, 1 finished, 1 open, 1 stopped -> sweeper status NAME says why they "
        "failed"
    )


# This machine and its data


def test_data_folders_that_are_missing_or_no_use_are_told(
    doctor: Doctor, sqlite_url: str, tmp_path: Path
) -> None:
    code, found = doctor(sqlite_url, "--data", str(tmp_path / "new" / "er"))
    assert code == 0
    assert found["data folder"].startswith(f"warning: {tmp_path}/new/er is not there yet")
    assert not (tmp_path / "new").exists()
    # One that can be read may hold what is needed.
    for folder, level in (("/proc/data", "wrong"), ("/proc", "warning")):
        code, found = doctor(sqlite_url, "--data", folder)
        assert code == (level == "wrong")
        assert found["data folder"].startswith(f"{level}: cannot be written: /proc: ")
        assert "versions" in found
    (tmp_path / "file").touch()
    assert doctor(sqlite_url, "--data", str(tmp_path / "file"))[1]["data folder"].startswith("wro")


def test_datasets_are_found_and_damage_is_told(
    doctor: Doctor, sqlite_url: str, tmp_path: Path
) -> None:
    def write(kind: str, name: str, *shape: int, cut: int = 0) -> None:
        folder = tmp_path / "data" / kind / "raw"
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / name).open("wb") as file:
            file.write(bytes((0, 0, 8, len(shape))))
            file.write(b"".join(size.to_bytes(4, "big") for size in shape))
            file.truncate(file.tell() + math.prod(shape) - cut)

    def examined(data: Path | None) -> list[Finding]:
        nothing: Callable[[], int] = lambda: 0  # noqa: E731
        found = examine_machine(data, cores=nothing, gpus=nothing, usable=nothing)
        return [one for one in found if one.check == "datasets"]

    assert doctor(sqlite_url)[1]["datasets"].startswith(
        "ok: digits, wine, breast-cancer; not there: mnist, fashion-mnist, kmnist"
    )
    for kind in ("MNIST", "FashionMNIST"):
        write(kind, "train-images-idx3-ubyte", 60_000, 28, 28)
        write(kind, "train-labels-idx1-ubyte", 60_000)
        write(kind, "t10k-images-idx3-ubyte", 10_000, 28, 28)
        write(kind, "t10k-labels-idx1-ubyte", 10_000)
    damaged, there = examined(tmp_path / "data")
    assert damaged.state == "wrong"
    assert there.result.startswith("digits, wine, breast-cancer, fashion-mnist; not there: kmnist")
    assert damaged.result.startswith(
        "mnist: damaged: train-images-idx3-ubyte has another checksum;"
    )
    shutil.rmtree(tmp_path / "data" / "MNIST")
    mine = tmp_path / "my data"
    mine.symlink_to(tmp_path / "data")
    for shape, cut, said in (
        ((10_000,), 1, "is cut off: 10,007 bytes, expected 10,008"),
        ((5, 1, 1), 0, "is no file of this kind"),
        ((10_000,), 0, "has another checksum"),
    ):
        write("MNIST", "t10k-labels-idx1-ubyte", *shape, cut=cut)
        out = examined(None)
        assert [one.state for one in out] == ["wrong", "ok"]
        assert out[0].result == f"mnist: damaged: t10k-labels-idx1-ubyte {said}"
        assert out[0].todo == f"rm -r {tmp_path}/data/MNIST/raw; sweeper data mnist"
        todo = examined(mine)[0].todo
        assert todo == f"rm -r '{mine}/MNIST/raw'; sweeper data mnist --data '{mine}'"


def test_the_cache_of_compiled_loops_is_looked_at_and_left_as_it_is(
    doctor: Doctor, sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    [folder] = jit_cache.folders()
    assert doctor(sqlite_url)[1]["compiled loops"] == f"ok: in {folder} -> "
    assert not (tmp_path / "cache").exists()
    cache = LoopCache()
    cache.write("add-1-2.nbc", b"code")
    assert doctor(sqlite_url)[1]["compiled loops"] == f"ok: in {folder} -> "
    (folder / "add-1-2.nbc").write_bytes(b"")
    code, found = doctor(sqlite_url)
    said = f"warning: {folder}/add-1-2.nbc: damaged, compiled again -> rm -r {folder}"
    assert (code, found["compiled loops"]) == (0, said)
    folder.chmod(0o777)
    said = f"warning: compiled at each start: {folder}: others can write it -> NUMBA_CACHE_DIR="
    assert doctor(sqlite_url)[1]["compiled loops"].startswith(said)


def test_gpus_that_torch_is_not_built_for_are_told(
    doctor: Doctor, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sweeper.worker.launch.machine.visible_gpus", lambda: ("0", "1"))
    for built, line in (
        (
            False,
            r"warning: .*, not built for the 2 GPUs here -> install a build of torch with CUDA",
        ),
        (True, r"ok: .*, 2 GPUs -> $"),
    ):
        monkeypatch.setattr(
            "sweeper.worker.launch.machine._torch_knows_gpus", lambda built=built: built
        )
        assert re.match(line, doctor(sqlite_url)[1]["torch"])


def test_little_memory_is_told(
    doctor: Doctor, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sweeper.trainers.cgroups.memory", lambda: 2**28)
    assert doctor(sqlite_url)[1]["memory"].startswith("warning: 0.2 GiB free -> fewer workers")
