"""The wheel works outside the checkout, and what the program imports is declared."""

import ast
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

from support.paths import ROOT

# Where a package on the index is not named like the module that it brings.
DISTRIBUTIONS = {
    "PIL": "pillow",
    "llvmlite": "numba",  # whose own it is
    "mlflow": "mlflow-skinny",
    "pydantic_core": "pydantic",
    "sklearn": "scikit-learn",
    "triton": "torch",  # which brings it where it can use it
    "yaml": "pyyaml",
}


def project() -> dict[str, Any]:
    """Return the [project] table of pyproject.toml."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        return dict(tomllib.load(file)["project"])


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from the checkout without any network."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=240)
    [built] = folder.glob("sweeper-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which the wheel was unpacked, as installing a pure one does."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def sweeper(installed: Path, cwd: Path, *words: str) -> str:
    """Run a command of the installed wheel and return its output."""
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith("SWEEPER_")
    }
    done = subprocess.run(
        [sys.executable, "-m", "sweeper", *words],
        cwd=cwd,
        env={**environment, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_holds_migrations_template_and_type_marker(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    migrations = {path.name for path in (ROOT / "db" / "versions").glob("*.py")}
    assert migrations
    assert {f"sweeper/_db/versions/{name}" for name in migrations} <= names
    assert {"sweeper/_db/env.py", "sweeper/py.typed", "sweeper/cli/study.yaml"} <= names
    assert not {name for name in names if name.startswith(("tests/", "studies/", "db/"))}
    tracked = {str(path.relative_to(ROOT)) for path in (ROOT / "sweeper").rglob("*.py")}
    assert tracked <= names


def test_the_wheel_declares_the_command(installed: Path) -> None:
    [metadata] = installed.glob("sweeper-*.dist-info")
    assert "sweeper = sweeper.cli:main" in (metadata / "entry_points.txt").read_text()


def test_the_wheel_works_outside_the_checkout(installed: Path, tmp_path: Path) -> None:
    where = subprocess.run(
        [sys.executable, "-c", "import sweeper; print(sweeper.__file__)"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(where.stdout.strip()).is_relative_to(installed)
    assert "Usage: sweeper" in sweeper(installed, tmp_path, "--help")
    assert "gradual_magnitude" in sweeper(installed, tmp_path, "regularizers")
    sweeper(installed, tmp_path, "init", "mine")
    assert "36 trials" in sweeper(installed, tmp_path, "check", "mine/study.yaml")
    assert "up to date" in sweeper(installed, tmp_path, "db", "upgrade")
    assert "in order" in sweeper(installed, tmp_path, "db", "check")
    assert "no sweeps yet" in sweeper(installed, tmp_path, "list")


def test_every_dependency_has_a_lower_and_an_upper_bound() -> None:
    extras = project()["optional-dependencies"]
    lines = [*project()["dependencies"], *(line for extra in extras.values() for line in extra)]
    for line in lines:
        assert line.startswith("sweeper[") or re.search(r">=[\d.]+,<\d", line), line


def test_every_import_is_declared() -> None:
    extras = project()["optional-dependencies"]
    lines = [*project()["dependencies"]]
    lines += [
        line
        for name in ("figures", "mlflow", "mysql", "onnx", "ray", "server", "wandb")
        for line in extras[name]
    ]
    declared = {re.split(r"[\[><=]", line)[0] for line in lines}
    for path in [*(ROOT / "sweeper").rglob("*.py"), *(ROOT / "db").rglob("*.py")]:
        for module in imported(path) - set(sys.stdlib_module_names) - {"sweeper", "_typeshed"}:
            name = DISTRIBUTIONS.get(module, module).replace("_", "-")
            assert name in declared, f"{path.relative_to(ROOT)} imports {module}"


def imported(path: Path) -> set[str]:
    """Return the top-level modules that a file imports anywhere."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module.partition(".")[0])
    return found
