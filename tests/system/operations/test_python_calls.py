"""Calls from Python as a notebook makes them: a dict, a bar, one line for a mistake."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import sweeper
from sweeper.errors import InputError

STUDY: dict[str, Any] = {
    "name": "mine",
    "dataset": "digits",
    "model": "mlp(12)",
    "training": {"epochs": 2, "learning_rate": {"log_uniform": (0.05, 0.2)}},
    "sparsification": {"density": {"log_uniform": (0.1, 0.5)}, "finetune_epochs": 1, "floor": 0.1},
    "search": {"trials": 3},
    "targets": {"accuracy": [0.3], "nonzero": [400, 1000]},
    "arms": {"dense": {}, "l1": {"penalty": "l1", "strength": {"log_uniform": (1e-4, 1e-2)}}},
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder, without variables that name another storage."""
    for name in ("SWEEPER_STORAGE", "SWEEPER_ARTIFACTS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_a_study_goes_from_a_dict_to_a_network_without_any_command(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fronts = sweeper.run(STUDY, workers=1, device="cpu", progress=True)
    assert list(fronts) == ["dense", "l1"]
    assert sum(front.candidates for front in fronts.values()) == 6
    assert "6/6, trials" in capsys.readouterr().err
    again = sweeper.run(STUDY)  # silent: nobody looks
    assert {arm: front.points for arm, front in again.items()} == {
        arm: front.points for arm, front in fronts.items()
    }
    confirmed = sweeper.confirm("mine", seeds=2, workers=1, device="cpu", artifacts="networks")
    assert confirmed
    assert capsys.readouterr().err == ""
    with pytest.raises(InputError, match="artifacts: say where"):
        sweeper.verify("mine")
    verification = sweeper.verify("mine", artifacts="networks", progress=True)
    assert verification.passed
    assert str(verification) == f"mine: {len(verification.networks)} networks as on record"
    assert "100%" in capsys.readouterr().err
    assert sweeper.report("mine", artifacts="networks") == Path("sweeps/mine/report.html")
    assert "<html" in Path("sweeps/mine/report.html").read_text()
    with pytest.raises(InputError, match="mine/confirmed: is part of another"):
        sweeper.report("mine/confirmed")
    network = sweeper.load_network("mine", artifacts="networks", arm="l1")
    assert not network.training
    for file in [path for path in Path("networks").rglob("*") if path.is_file()]:
        file.unlink()
    lost = sweeper.verify("mine", artifacts="networks")
    assert not lost.passed
    assert len(lost.missing) == len(lost.networks)


def in_ipython(here: Path, code: str) -> str:
    """Run code in IPython and return all that it shows."""
    environment = {**os.environ, "IPYTHONDIR": str(here / "ipython"), "NO_COLOR": "1"}
    environment.pop("VIRTUAL_ENV", None)  # IPython warns where it names another environment
    done = subprocess.run(
        [sys.executable, "-m", "IPython", "--no-banner", "--colors=NoColor", "-c", code],
        cwd=here,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    ("code", "lines"),
    [
        ("sweeper.front('mine')", ["error: storage sqlite:///"]),
        (
            "sweeper.run({'name': 'x', 'dataset': 'digit', 'model': 'mlp(8)', 'search': "
            "{'trials': 0}, 'training': {'epochs': 1}, 'arms': {'d': {}}})",
            ["error: x: dataset: no such dataset: got 'digit'", "error: x: search.trials: must be"],
        ),
        ("sweeper.run('nowhere.yaml')", ["error: nowhere.yaml: cannot be read: No such file"]),
    ],
)
def test_a_notebook_shows_a_mistake_as_one_line_each(
    here: Path, code: str, lines: list[str]
) -> None:
    said = in_ipython(here, f"import sweeper; {code}").splitlines()
    assert len(said) == len(lines), said
    for line, beginning in zip(said, lines, strict=True):
        assert line.startswith(beginning)


def test_a_notebook_shows_a_bug_with_its_traceback(here: Path) -> None:
    assert "Traceback" in in_ipython(here, "import sweeper; sweeper.front(1, 2, 3, 4)")
