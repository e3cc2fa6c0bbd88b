"""README says what the program does: its commands are run, its tables compared with the code."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from support.fakes import fake_train
from support.paths import README, ROOT
from sweeper import lifecycle
from sweeper.cli import main
from sweeper.cli.init_command import template
from sweeper.config import Sweep
from sweeper.config.registry import FORMULAS, METHODS, Formula, Hyperparameter
from sweeper.settings import DEFAULT_STORAGE
from sweeper.store import Store
from sweeper.worker.worker_loop import work


def blocks(language: str) -> list[str]:
    """Return the code blocks of a language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def console_commands() -> list[list[str]]:
    """Return what follows each `$ ` in the console blocks."""
    lines = [line for block in blocks("console") for line in block.splitlines()]
    return [shlex.split(line.removeprefix("$ ")) for line in lines if line.startswith("$ ")]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which the quickstart sweep has been run, by a training that takes no time."""
    monkeypatch.chdir(tmp_path)
    for name in ("SWEEPER_STORAGE", "SWEEPER_DATA"):
        monkeypatch.delenv(name, raising=False)
    studies = tmp_path / "studies"
    studies.mkdir()
    text = (ROOT / "studies" / "quickstart.yaml").read_text(encoding="utf-8")
    assert "trials: 24" in text
    (studies / "quickstart.yaml").write_text(text.replace("trials: 24", "trials: 4"))
    store = Store(DEFAULT_STORAGE)
    lifecycle.register(store, Sweep.load(studies / "quickstart.yaml"))
    work("quickstart", store, train=fake_train, data=None)
    store.close()
    return tmp_path


def shrink(study: Path) -> None:
    """Make the study file that `init` wrote small enough for a test."""
    text = study.read_text(encoding="utf-8")
    for old, new in [("trials: 24", "trials: 2"), ("epochs: 20", "epochs: 2"), (": 10 ", ": 1 ")]:
        assert old in text
        text = text.replace(old, new)
    study.write_text(text, encoding="utf-8")


@pytest.mark.slow
def test_every_command_of_the_console_blocks_works(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Those about the committed results have tests of their own, in test_evidence.
    commands = [words for words in console_commands() if "lenet300-mnist" not in " ".join(words)]
    assert len(commands) >= 10
    for program, *words in commands:
        assert program == "sweeper"
        with pytest.raises(SystemExit) as ended:
            main(words)
        said = capsys.readouterr()
        assert ended.value.code in {0, None}, (words, said.err)
        if words[0] == "init":
            shrink(folder / words[1] / "study.yaml")
    # `sweeper run` was one of them: it trained for real, in processes of its own.
    main_report = folder / "sweeps" / "my-first-sweep" / "report.html"
    assert "my-first-sweep" in main_report.read_text(encoding="utf-8")


def test_the_notebook_works(folder: Path) -> None:
    names: dict[str, object] = {}
    notebook = next(block for block in blocks("python") if "from sweeper import" in block)
    exec(compile(notebook, "README.md", "exec"), names)
    fronts = names["fronts"]
    assert isinstance(fronts, dict)
    assert "l1" in fronts


def test_the_two_commands_are_those_that_were_asked_for() -> None:
    start = "python3 -m venv .venv && .venv/bin/pip install -e"
    found = [block.strip() for block in blocks("sh")]
    assert f"{start} . && .venv/bin/sweeper run studies/quickstart.yaml" in found
    assert f"{start} '.[test]' && .venv/bin/pytest" in found


def test_the_gate_runs_readmes_test_command() -> None:
    gate = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    [reading] = re.findall(r"^tests=.*$", gate, re.MULTILINE)
    script = f'{reading}\necho "$tests"'
    found = subprocess.run(
        ["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert found.stdout == "pytest\n"


def test_the_study_file_is_the_one_that_init_writes() -> None:
    assert blocks("yaml")[0] == template()


def test_the_arms_that_are_shown_can_be_run() -> None:
    _, *shown, job, scraping = blocks("yaml")
    assert len(shown) == 2
    [container] = yaml.safe_load(job)["spec"]["template"]["spec"]["containers"]
    assert container["command"][:2] == ["sweeper", "worker"]
    [scraped] = yaml.safe_load(scraping)["scrape_configs"]
    assert scraped["authorization"].keys() == {"credentials_file"}
    for text in shown:
        sweep = yaml.safe_load(template())
        found = Sweep.model_validate({**sweep, "arms": yaml.safe_load(text)["arms"]})
        assert all(found.domains(arm) for arm in found.arms)


def test_the_line_of_a_new_formula_is_one() -> None:
    [text] = re.findall(r'^  (  )?("sum_of_roots": Formula\(.*?^  \)),', README, re.M | re.S)
    made = eval(f"{{{text[1]}}}", {"Formula": Formula, "Hyperparameter": Hyperparameter})[
        "sum_of_roots"
    ]
    assert made.modes == ("loss", "decoupled", "shrink")


def test_the_table_of_commands_holds_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out.partition("Commands:")[2]
    commands = set(re.findall(r"^  ([a-z]+)\s", text, re.MULTILINE))
    described = set(re.findall(r"^\| `sweeper ([a-z]+)", README, re.MULTILINE))
    assert described == commands


def rows(heading: str) -> list[str]:
    """Return the lines of the table whose head starts so."""
    _, _, after = README.partition(f"\n{heading}")
    return [line for line in after.partition("\n\n")[0].splitlines()[2:] if line.startswith("|")]


def test_the_table_of_formulas_is_the_catalogue() -> None:
    expected = []
    for name, formula in FORMULAS.items():
        value = formula.formula.removeprefix("R(W) = ").replace("|", "&#124;")
        ways = (f"**{way}**" if way == formula.default_mode else way for way in formula.modes)
        row = f"| `{name}` | {value} | {', '.join(ways)} | {', '.join(formula.hyper)} |"
        if name != "none":
            expected.append(row)
    assert rows("| penalty | R(W) |") == expected


def test_the_table_of_methods_is_the_catalogue() -> None:
    assert rows("| method |") == [
        f"| `{name}` | {entry.summary} | {', '.join(entry.hyper)} |"
        for name, entry in METHODS.items()
    ]


def test_every_file_that_readme_points_at_is_there() -> None:
    for target in re.findall(r"\]\(([^)]+)\)", README):
        assert "://" in target or (ROOT / target).exists(), target
