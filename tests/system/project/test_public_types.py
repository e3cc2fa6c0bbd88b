"""Public names as a user's type checker sees them, in the installed package."""

import subprocess
import sys
from pathlib import Path

import pytest

import sweeper

SCRIPT = """\
from pathlib import Path

import sweeper
from sweeper import Sweep, SweepFront, SweepFronts, compare, front, load_network, run, verify

fronts = run({"name": "mine"}, progress=False)
reveal_type(fronts)
reveal_type(fronts["l1"])
reveal_type(fronts["l1"].at(0.97))
reveal_type([point.nonzero for point in fronts["l1"]])
reveal_type(fronts["l1"][0])
reveal_type(fronts["l1"][:2])
reveal_type(compare("a", "b").notes)
reveal_type(front("a", "l1", track="pruned"))
reveal_type(sweeper.confirm("a", seeds=3, workers=2, on="ray"))
reveal_type(verify("a", artifacts="networks").passed)
reveal_type(sweeper.report("a"))
reveal_type(load_network("net.safetensors").training)
reveal_type(Sweep.load("study.yaml").name)


def smallest(one: SweepFront, all_fronts: SweepFronts) -> list[int]:
    return [len(one), *(len(other) for other in all_fronts.values())]


smallest(fronts["l1"], run(Path("study.yaml")))
"""
REVEALED = (
    "sweeper.operations.sweep_fronts.SweepFronts",
    "sweeper.operations.sweep_fronts.SweepFront",
    "sweeper.analysis.front_point.FrontPoint | None",
    "list[int]",
    "sweeper.analysis.front_point.FrontPoint",
    "tuple[sweeper.analysis.front_point.FrontPoint, ...]",
    "tuple[str, ...]",
    "sweeper.operations.sweep_fronts.SweepFront",
    "list[sweeper.analysis.confirmation.ConfirmedConfig]",
    "bool",
    "pathlib.Path",
    "bool",
    "str",
)
WRONG = """\
import sweeper

sweeper.run(3)
sweeper.front("a", track="cut")
sweeper.confirm("a", wrokers=2)
sweeper.compare("a", "b").at(0.97)
"""


def checked(folder: Path, text: str) -> "tuple[int, list[str]]":
    """Return the exit code of mypy and its lines, for a script in a folder of its own."""
    (folder / "script.py").write_text(text)
    command = [sys.executable, "-m", "mypy", "--strict", "--no-pretty", "--config-file", ""]
    command += ["--cache-dir", str(folder / "cache"), "script.py"]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=600, check=False
    )
    return done.returncode, [line for line in done.stdout.splitlines() if "script.py:" in line]


@pytest.mark.slow
def test_a_users_checker_knows_what_calls_return_and_what_they_take(tmp_path: Path) -> None:
    code, lines = checked(tmp_path, SCRIPT)
    revealed = [line.partition('Revealed type is "')[2].rstrip('"') for line in lines]
    assert code == 0, lines
    assert tuple(name.replace("builtins.", "") for name in revealed) == REVEALED
    _, refused = checked(tmp_path, WRONG)
    kinds = {line.split("[")[-1].rstrip("]") for line in refused if ": error:" in line}
    places = {int(line.split(":")[1]) for line in refused if ": error:" in line}
    assert places == {3, 4, 5, 6}
    assert kinds == {"arg-type", "call-arg", "attr-defined"}


def test_every_public_name_is_there_and_says_what_it_is() -> None:
    for name in sweeper.__all__:
        assert getattr(sweeper, name).__doc__ or name == "__version__", name


@pytest.mark.parametrize(
    "name",
    ["run", "launch", "confirm", "front", "compare", "report", "verify", "load_network"],
)
def test_every_function_has_an_example_that_runs(name: str) -> None:
    text = getattr(sweeper, name).__doc__
    assert ">>> " in text
    assert "+SKIP" not in text
