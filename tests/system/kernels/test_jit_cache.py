"""Compiled loops are kept from one process to the next, and whatever is kept decides nothing."""

import hashlib
import os
import pickle
import resource
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FunctionType
from typing import Any, cast

import numpy as np
import pytest
from filelock import FileLock

from sweeper import settings
from sweeper.kernels import (
    fast_math,
    jit,
    jit_cache,
    reductions,
    slope_loops,
    sparse_products,
    vector_blocks,
    window_loops,
)
from sweeper.kernels.jit import Array, jit_inline
from sweeper.kernels.jit_cache import LoopCache, refusal

ADDED = 2.0


@jit_inline
def less(value: np.float32) -> np.float32:
    return value - np.float32(ADDED)


@jit_inline
def more(value: np.float32) -> np.float32:
    return value + np.float32(ADDED)


def total(values: Array) -> float:
    found = 0.0
    for index in range(values.shape[0]):
        found += float(more(values[index]))
    return found


VALUES = np.arange(5, dtype=np.float32)
TOTAL = 20.0


@pytest.fixture(name="folder")
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(settings.LOOPS_VARIABLE, str(tmp_path / "cache"))
    [folder] = jit_cache.folders()
    return folder


@pytest.fixture(name="start")
def _start(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Any]:
    """Compile as a process does that has just been started; returns what was compiled."""

    def start() -> Any:
        monkeypatch.setattr(jit, "_CACHE", LoopCache())
        loop = jit.jit(total)
        assert loop(VALUES) == TOTAL
        assert loop(VALUES) == TOTAL
        return loop

    return start


def was_kept(loop: Any) -> bool:
    """Tell whether what was called came from the cache."""
    return bool(loop.stats.cache_hits)


def kept(folder: Path) -> Path:
    [file] = folder.glob("*.nbc")
    return file


def test_what_was_compiled_is_read_by_the_next_process(
    start: Callable[[], Any], folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert not was_kept(start())
    assert was_kept(start())
    assert folder.stat().st_mode & 0o777 == 0o700
    assert not caplog.records


def test_a_change_of_what_is_called_is_seen_and_the_older_code_removed(
    start: Callable[[], Any], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start()
    before = kept(folder)
    hashed = jit._hash
    own = str(Path(__file__))
    monkeypatch.setattr(jit, "_hash", lambda file: hashed(file) + b"!" * (file == own))
    assert not was_kept(start())
    assert kept(folder) != before
    assert was_kept(start())


def test_all_files_that_a_loop_is_compiled_from_count() -> None:
    for module in (reductions, window_loops):
        loops = [value for value in vars(module).values() if hasattr(value, "py_func")]
        files = {file for loop in loops for file in jit._files(loop.py_func)}
        assert files == {module.__file__, fast_math.__file__}
    for loop in MADE:
        assert set(jit._files(loop.py_func)) == {slope_loops.__file__, fast_math.__file__}
    product: Any = sparse_products.add_product
    assert set(jit._files(product.py_func)) == {sparse_products.__file__, vector_blocks.__file__}


MADE: list[Any] = [
    loop
    for loops in (slope_loops.FULL, slope_loops.AFFINE, slope_loops.LOGARITHMIC, slope_loops.POWER)
    for loop in loops
]


def test_loops_that_a_factory_makes_are_kept_apart() -> None:
    caches = [jit._OverloadCache(loop.py_func) for loop in MADE]
    assert len({loop.py_func.__qualname__ for loop in MADE}) == len(MADE)
    # Each by what its closure holds, too, whatever it is called.
    assert len({cache._sources for cache in caches}) == len(MADE)


def test_what_a_closure_holds_is_part_of_the_key() -> None:
    def made(inner: Any, number: float) -> Any:
        def loop(values: Array) -> float:
            return float(inner(values[0])) + number

        return jit._OverloadCache(cast(FunctionType, loop))._sources

    keys = [made(more, 1.0), made(more, 2.0), made(less, 1.0)]
    assert len(set(keys)) == len(keys)
    assert made(more, 1.0) == keys[0]


def cut(share: float) -> Callable[[Path], object]:
    return lambda file: os.truncate(file, int(share * file.stat().st_size))


def overwrite(content: bytes, at: int) -> Callable[[Path], object]:
    def write(file: Path) -> None:
        with file.open("r+b") as opened:
            opened.seek(at)
            opened.write(content)

    return write


def become_a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


class Evil:
    """Runs when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (os.environ["EVIL"],)


def from_another(file: Path) -> None:
    """Another user's file, with a checksum that fits."""
    content = pickle.dumps(Evil())
    file.write_bytes(hashlib.sha256(content).digest() + content)
    file.chmod(0o666)


def unpicklable(file: Path) -> None:
    content = b"cnowhere_to_be_found\nnothing\n."
    file.write_bytes(hashlib.sha256(content).digest() + content)


@pytest.mark.parametrize(
    "damage",
    [
        cut(0),
        cut(0.5),
        cut(0.99),
        overwrite(bytes(4096), 8192),  # a block that was never written
        overwrite(b"x", 12_000),
        overwrite(b"garbage", 0),
        become_a_folder,
        from_another,
        unpicklable,
    ],
)
def test_a_damaged_or_foreign_file_costs_one_warning_and_is_mended(
    start: Callable[[], Any],
    folder: Path,
    tmp_path: Path,
    damage: Callable[[Path], object],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("EVIL", str(tmp_path / "evil"))
    start()
    damage(kept(folder))
    assert not was_kept(start())
    assert not (tmp_path / "evil").exists()
    [record] = caplog.records
    assert "\n" not in record.getMessage()
    if damage is not unpicklable:
        assert str(folder) in record.getMessage()
    # What cannot be mended is compiled again in each process.
    assert was_kept(start()) == (damage is not become_a_folder)


def test_a_folder_that_others_can_write_is_not_read(
    start: Callable[[], Any], folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    start()
    folder.chmod(0o777)
    assert not was_kept(start())
    [record] = caplog.records
    assert f"{folder}: others can write it" in record.getMessage()
    folder.chmod(0o700)
    assert was_kept(start())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another user")
def test_another_users_folder_is_not_read(
    start: Callable[[], Any], folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    start()
    os.chown(folder, 65534, -1)
    assert not was_kept(start())
    assert f"{folder}: belongs to another user" in caplog.text


def test_a_file_where_the_folder_should_be_costs_one_warning(
    start: Callable[[], Any], folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder.parent.write_text("not a folder")
    assert not was_kept(start())
    [record] = caplog.records
    assert str(folder) in record.getMessage()
    assert settings.LOOPS_VARIABLE in record.getMessage()


def test_a_full_disk_costs_one_warning_and_leaves_nothing(
    start: Callable[[], Any], folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))  # as a quota: writing fails
    try:
        assert not was_kept(start())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    [record] = caplog.records
    assert str(folder) in record.getMessage()
    assert [file.name for file in folder.iterdir()] == [".lock"]
    assert not was_kept(start())
    assert was_kept(start())


def test_without_a_home_and_a_place_beside_the_code_loops_are_compiled_in_memory(
    start: Callable[[], Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (tmp_path / "__pycache__").write_text("in the way")
    monkeypatch.delenv(settings.LOOPS_VARIABLE)
    monkeypatch.setattr(jit_cache, "__file__", str(tmp_path / "loop_cache.py"))
    monkeypatch.setattr(jit_cache, "user_cache_dir", lambda name: f"~/.cache/{name}")
    assert not was_kept(start())
    [record] = caplog.records
    assert "not kept" in record.getMessage()
    # With a home they are kept there.
    monkeypatch.setattr(jit_cache, "user_cache_dir", lambda name: str(tmp_path / "home" / name))
    start()
    assert was_kept(start())
    assert len(caplog.records) == 1


def test_nothing_is_made_by_looking(tmp_path: Path) -> None:
    assert refusal(tmp_path / "a" / "b") == ""
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(name="program")
def _program(tmp_path: Path) -> list[str]:
    program = tmp_path / "program.py"
    program.write_text(
        "import sys, torch\n"
        "from sweeper.kernels import apply\n"
        "for line in sys.stdin:\n"
        "    weight, gradient = torch.ones(3, 5, 7), torch.zeros(3, 5, 7)\n"
        "    apply.add_(gradient, weight, torch.ones(3, 5, 7), torch.ones(3))\n"
        "    print(int(gradient.sum()), flush=True)\n"
    )
    return [sys.executable, str(program)]


def test_a_loop_that_another_process_compiles_is_waited_for(
    start: Callable[[], Any], folder: Path
) -> None:
    assert not jit_cache.any_kept()
    start()
    assert jit_cache.any_kept()
    name = kept(folder)
    aside = name.rename(folder / "aside")
    other = FileLock(folder / ".lock", thread_local=False)
    other.acquire()

    def finish() -> None:
        aside.rename(name)
        other.release()

    timer = threading.Timer(0.1, finish)
    timer.start()
    assert was_kept(start())
    timer.join()
    assert not other.is_locked


def test_nobody_waits_for_a_process_that_died_or_never_ends(
    start: Callable[[], Any], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start()
    for loop in folder.glob("*.nbc"):
        loop.unlink()
    program = (
        f"import filelock; lock = filelock.FileLock({str(folder / '.lock')!r}); lock.acquire(); "
        "print(flush=True); input()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=-1,
        stdout=-1,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.readline()
    monkeypatch.setattr(jit_cache, "LONGEST_WAIT", 0.01)
    assert not was_kept(start())
    kept(folder).unlink()
    process.kill()
    process.communicate()
    monkeypatch.setattr(jit_cache, "LONGEST_WAIT", 1e9)
    assert not was_kept(start())
    assert was_kept(start())


@pytest.mark.slow
def test_processes_that_compile_at_once_do_not_disturb_one_another(
    folder: Path, program: list[str]
) -> None:
    crew = [subprocess.Popen(program, stdin=-1, stdout=-1, stderr=-1, text=True) for _ in range(3)]
    said = [one.communicate("go\n", timeout=240) for one in crew]
    assert said == [("105\n", "")] * 3
    assert jit_cache.damaged(folder) == []
    os.truncate(kept(folder), 100)
    again = subprocess.run(program, input="go\n", capture_output=True, text=True, check=True)
    assert again.stdout == "105\n"
    [line] = again.stderr.splitlines()
    assert line.startswith("loops are compiled again: ")
    assert str(folder) in line
