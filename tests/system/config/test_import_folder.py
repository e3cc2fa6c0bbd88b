"""Modules of the folder that sweeper is started in: found for study files, and for nobody else."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.fakes import small_sweep
from sweeper import lifecycle
from sweeper.store import Store

OPTIONAL = (
    "org",
    "redis",
    "psycopg_c",
    "psycopg_pool",
    "setproctitle",
    "cupy",
    "apport_python_hook",
)
"""Modules that libraries look for and do without."""
RAN = "open(__file__ + '.ran', 'w').close()\n"


def traps(folder: Path) -> None:
    for name in OPTIONAL:
        (folder / f"{name}.py").write_text(RAN)


def sprung(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.ran"))


def run(folder: Path, program: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-c", program],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


PROGRAM = Path(sys.executable).with_name("sweeper")


@pytest.mark.parametrize("program", [[str(PROGRAM)], [sys.executable, "-m", "sweeper"]])
@pytest.mark.postgres
def test_what_libraries_look_for_is_not_taken_from_the_current_folder(
    tmp_path: Path, postgres_url: str, program: list[str]
) -> None:
    store = Store(postgres_url)
    lifecycle.register(store, small_sweep())
    store.close()
    traps(tmp_path)
    done = subprocess.run(
        [*program, "front", "tiny"],
        cwd=tmp_path,
        env={**os.environ, "SWEEPER_STORAGE": postgres_url},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    assert sprung(tmp_path) == []


def test_modules_of_the_folder_find_one_another_whenever_they_import(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import first\n"
        "def make():\n"
        "    import importlib\n"
        "    import second\n"
        "    return [first.X, second.X, importlib.import_module('loose.part').X]\n"
    )
    (tmp_path / "first.py").write_text("X = 1\n")
    (tmp_path / "second.py").write_text("from parts.inner import X\n")
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "__init__.py").touch()
    (tmp_path / "parts" / "inner.py").write_text("import third\nX = third.X\n")
    (tmp_path / "third.py").write_text("X = 2\n")
    (tmp_path / "loose").mkdir()  # a package without __init__.py
    (tmp_path / "loose" / "part.py").write_text("X = 3\n")
    traps(tmp_path)
    found = run(
        tmp_path,
        "import os, sys\n"
        "from sweeper.config.registry import FOLDER, load\n"
        "FOLDER.begin()\n"
        "os.chdir('/')\n"
        "make = load('mine:make')\n"
        "print(make(), load('loose.part:X'))\n"
        "for name in ('redis', 'first_of_nobody', 'parts_of_nobody'):\n"
        "    try: __import__(name)\n"
        "    except ImportError as error: print(error.name)\n"
        "assert not set(sys.path) & {'', os.getcwd(), FOLDER.folder, str(FOLDER.folder)}\n",
    )
    assert found.stderr == ""
    said = ["[1, 2, 3] 3", "redis", "first_of_nobody", "parts_of_nobody"]
    assert found.stdout.splitlines() == said
    assert sprung(tmp_path) == []


@pytest.mark.parametrize(
    ("module", "content", "names", "said"),
    [
        ("statistics", "def make(): pass\n", ["statistics:make"], "the standard library"),
        ("yaml", "def make(): pass\n", ["yaml:make"], "another package"),
        ("yaml", "X = 1\n", ["mine:make"], "another package"),
    ],
)
def test_a_module_of_the_folder_takes_no_others_place_and_that_is_said(
    tmp_path: Path, module: str, content: str, names: list[str], said: str
) -> None:
    (tmp_path / f"{module}.py").write_text(content)
    (tmp_path / "mine.py").write_text(f"from {module} import X\ndef make(): pass\n")
    for name in names:
        found = run(
            tmp_path,
            "from sweeper.config.registry import load\n"
            "from sweeper.errors import PluginError\n"
            f"try: load({name!r})\n"
            "except PluginError as error: print(error)\n",
        )
        [line] = found.stdout.splitlines()
        assert line.startswith(f"{name}: cannot be loaded: ")
        here = tmp_path / f"{module}.py"
        assert line.endswith(f"; {here} is not used, for {said} has a module {module}: rename it")


def test_a_name_that_both_have_is_warned_of_once(tmp_path: Path) -> None:
    (tmp_path / "statistics.py").write_text("def mean(): pass\n")
    found = run(
        tmp_path,
        "import statistics\n"
        "from sweeper.config.registry import load\n"
        "assert load('statistics:mean') is load('statistics:mean') is statistics.mean\n",
    )
    [line] = found.stderr.splitlines()
    assert line.startswith(f"statistics:mean: {tmp_path}/statistics.py is not used, for the standa")


def test_a_deleted_folder_holds_no_modules(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    found = run(
        gone,
        "import os\n"
        "from sweeper.config.registry import FOLDER, load\n"
        "os.rmdir(os.getcwd())\n"
        "FOLDER.begin()\n"
        "try: load('mine:make')\n"
        "except Exception as error: print(error)\n",
    )
    expected = "mine:make: cannot be loaded: ModuleNotFoundError: No module named 'mine'\n"
    assert (found.stdout, found.stderr) == (expected, "")
