"""READMEs against the program: commands are run, tables compared, names and links looked up."""

import os
import re
import shlex
import subprocess
import tomllib
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors import safe_open

from support.fakes import fake_probe, fake_train
from support.paths import ROOT
from support.readmes import (
    BENCHMARKS,
    DASHBOARD,
    HOUSE,
    PROJECT,
    READMES,
    REGULARIZERS,
    STUDIES,
    WORKERS,
    blocks,
    cells,
    rows,
)
from sweeper import lifecycle
from sweeper.cli import main
from sweeper.cli.init_command import template
from sweeper.config import Sweep
from sweeper.config.registry import FORMULAS, METHODS, Formula, Hyperparameter
from sweeper.config.script import GIVEN
from sweeper.settings import DEFAULT_STORAGE
from sweeper.store import Store
from sweeper.worker.worker_loop import work

SOURCES = [
    path
    for folder in ("sweeper", "db", "tests/bench")
    for path in (ROOT / folder).rglob("*")
    if path.suffix in {".py", ".yaml", ".js"}
]
WORDS = {word for path in SOURCES for word in re.findall(r"\w+", path.read_text(encoding="utf-8"))}
GIVEN_TO_COMMANDS = {f"SWEEPER_{name.upper()}" for name in (*GIVEN, "params", "penalty")}
"""Variables that a command of a user's own reads; the program makes their names."""
OF_USERS = {"my_penalties", "sum_of_roots", "dashboard_token"}
"""Names that stand for a reader's own."""
MADE = {
    "mine.py",
    ".secrets/dashboard_token",
    "sweep/arm/confirmed",
    "sweep/arm/repeat",
    "sweeper.db",
    "sweeper/NAME",
    "sweeper/_db",
    "sweeps/NAME/trials/ARM/REPEAT-SLOT",
    "sweeps/my-first-sweep/report.html",
}
"""Files, and names like paths, that exist once the program has run."""
FILE = r"[\w.-]*\w\.(?:py|yaml|yml|md|toml|csv|db|html|svg)"
PATH = re.compile(rf"(?:[\w.-]+/)+(?:{FILE}|[\w-]+)?|{FILE}")
DOWNLOADS = {"confirmed.csv", "facts.csv", "fronts.csv"}


def console_commands() -> list[list[str]]:
    """Return what follows each `$ ` in the console blocks."""
    lines = [
        line
        for text in READMES.values()
        for block in blocks(text, "console")
        for line in block.splitlines()
    ]
    return [shlex.split(line.removeprefix("$ ")) for line in lines if line.startswith("$ ")]


def backticked(text: str) -> list[str]:
    """Return what stands between backticks outside of code blocks."""
    prose = re.sub(r"^ *```.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"`([^`]+)`", prose)


@pytest.fixture
def one_core(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of one core, where `sweeper run` starts one worker: each loads PyTorch first."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0})


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which the quickstart sweep has been run, by a training that takes no time."""
    monkeypatch.chdir(tmp_path)
    for name in ("SWEEPER_STORAGE", "SWEEPER_DATA"):
        monkeypatch.delenv(name, raising=False)
    text = (ROOT / "studies" / "quickstart.yaml").read_text(encoding="utf-8")
    train(tmp_path / "studies" / "quickstart.yaml", text)
    return tmp_path


def train(study: Path, text: str) -> None:
    """Write a study file, made small, and run it by trainings that take no time."""
    study.parent.mkdir()
    study.write_text(shrunk(text, trials=4), encoding="utf-8")
    sweep = Sweep.load(study)
    store = Store(DEFAULT_STORAGE)
    lifecycle.register(store, sweep)
    work(sweep.name, store, train=fake_train, probe=fake_probe, data=None)
    store.close()


def shrunk(text: str, *, trials: int) -> str:
    """Return a study file of few trials and epochs: some commands train for real."""
    for old, new in [
        ("trials: 12", f"trials: {trials}"),
        ("epochs: 20", "epochs: 2"),
        ("finetune_epochs: 8", "finetune_epochs: 1"),
    ]:
        assert old in text
        text = text.replace(old, new)
    return text


@pytest.mark.slow
@pytest.mark.usefixtures("one_core")
def test_every_command_of_the_console_blocks_works(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Those about the committed results have tests of their own, in test_evidence.
    # So have those about a network of one's own.
    commands = [
        words
        for words in console_commands()
        if "lenet300-mnist" not in " ".join(words) and not {"own", "own.yaml"} & {*words}
    ]
    assert len(commands) >= 10
    for program, *words in commands:
        assert program == "sweeper"
        with pytest.raises(SystemExit) as ended:
            main(words)
        said = capsys.readouterr()
        assert ended.value.code in {0, None}, (words, said.err)
        if words[0] == "init":
            study = folder / words[1] / "study.yaml"
            study.write_text(shrunk(study.read_text("utf-8"), trials=2), encoding="utf-8")
    # `sweeper run` was one of them: it trained for real, in processes of its own.
    main_report = folder / "sweeps" / "my-first-sweep" / "report.html"
    assert "my-first-sweep" in main_report.read_text(encoding="utf-8")


def test_the_notebook_works(folder: Path) -> None:
    study, notebook = blocks(PROJECT, "yaml")[0], blocks(PROJECT, "python")[0]
    train(folder / "my-study" / "study.yaml", study)
    names: dict[str, object] = {}
    exec(compile(notebook, "README.md", "exec"), names)
    fronts = names["fronts"]
    assert isinstance(fronts, Mapping)
    assert "l1" in fronts


@pytest.mark.slow
@pytest.mark.usefixtures("one_core")
def test_data_and_a_network_of_ones_own_go_in_and_come_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("SWEEPER_STORAGE", "SWEEPER_DATA", "SWEEPER_ARTIFACTS"):
        monkeypatch.delenv(name, raising=False)
    study, lines, _ = blocks(PROJECT, "yaml")
    _, mine, loading, _ = blocks(PROJECT, "python")
    (tmp_path / "mine.py").write_text(mine, encoding="utf-8")
    for line in lines.splitlines():
        key = line.partition(":")[0]
        study = re.sub(rf"^{key}:.*$", line, study, flags=re.MULTILINE)
    study = shrunk(study.replace("my-first-sweep", "own"), trials=2)
    (tmp_path / "own.yaml").write_text(study, encoding="utf-8")
    commands = [words for words in console_commands() if {"own", "own.yaml"} & {*words}]
    assert [words[1] for words in commands] == ["run", "confirm", "network"]
    for _, *words in commands:
        with pytest.raises(SystemExit) as ended:
            main(words)
        said = capsys.readouterr()
        assert ended.value.code in {0, None}, (words, said.err)
    names: dict[str, Any] = {}
    exec(compile(loading, "README.md", "exec"), names)
    monkeypatch.syspath_prepend(tmp_path)
    inputs, labels = import_module("mine").moons(None, noise=0.25).test
    right = (names["network"](torch.tensor(inputs)).argmax(1).numpy() == labels).sum()
    with safe_open(tmp_path / "net.safetensors", framework="numpy") as file:
        assert right / len(labels) == float(file.metadata()["test_accuracy"])


@pytest.mark.slow
def test_a_training_of_ones_own_in_fifteen_lines_is_a_trial(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine, lines = blocks(PROJECT, "python")[-1], blocks(PROJECT, "yaml")[-1]
    assert len([line for line in mine.splitlines() if line.strip()]) == 15
    (folder / "mine.py").write_text(mine, encoding="utf-8")
    study = yaml.safe_load(blocks(PROJECT, "yaml")[0])
    for key in ("dataset", "model", "training", "sparsification"):
        del study[key]
    arms = {"dense": {}, "l1": {"penalty": "l1", "strength": {"log_uniform": [1e-5, 1e-3]}}}
    study |= {**yaml.safe_load(lines), "arms": arms, "search": {"trials": 2, "sampler": "random"}}
    (folder / "own.yaml").write_text(yaml.safe_dump(study, sort_keys=False), encoding="utf-8")
    with pytest.raises(SystemExit) as ended:
        main(["run", "own.yaml", "--no-report"])
    assert ended.value.code in {0, None}, capsys.readouterr().err
    store = Store(f"sqlite:///{folder}/sweeper.db")
    records = store.records("my-first-sweep")
    store.close()
    networks = [record.result.pruned for record in records]
    assert all(network and network.val_accuracy > 0.8 for network in networks)
    assert min(network.nonzero for network in networks if network) < 650  # l1 sets some to 0


def test_the_two_commands_are_those_that_were_asked_for() -> None:
    start = "python3 -m venv .venv && .venv/bin/pip install -e"
    assert [block.strip() for block in blocks(PROJECT, "sh")] == [
        f"{start} . && .venv/bin/sweeper run studies/quickstart.yaml",
        f"{start} '.[test]' && .venv/bin/pytest",
    ]


def test_the_gate_runs_readmes_test_command() -> None:
    gate = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    [reading] = re.findall(r"^tests=.*$", gate, re.MULTILINE)
    script = f'{reading}\necho "$tests"'
    done = subprocess.run(
        ["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "pytest\n"


def test_the_study_file_that_is_shown_is_one() -> None:
    text = blocks(PROJECT, "yaml")[0]
    shown = yaml.safe_load(text)
    sweep = Sweep.model_validate(shown)
    assert list(sweep.arms) == list(shown["arms"])
    # `sweeper init` writes it with everything else.
    assert sweep.name == yaml.safe_load(template())["name"]


def test_the_arms_that_are_shown_can_be_run() -> None:
    shown = blocks(REGULARIZERS, "yaml")
    assert len(shown) == 4
    for text in shown:
        sweep = {**yaml.safe_load(template()), **yaml.safe_load(text)}
        checked = Sweep.model_validate(sweep)
        assert all(checked.domains(arm) for arm in checked.arms)


def test_the_files_for_kubernetes_and_prometheus_name_what_there_is() -> None:
    [job], [scraping] = blocks(WORKERS, "yaml"), blocks(DASHBOARD, "yaml")
    [container] = yaml.safe_load(job)["spec"]["template"]["spec"]["containers"]
    assert container["command"][:2] == ["sweeper", "worker"]
    [scraped] = yaml.safe_load(scraping)["scrape_configs"]
    assert scraped["authorization"].keys() == {"credentials_file"}


def test_the_line_of_a_new_formula_is_one() -> None:
    [text] = re.findall(r'^("sum_of_roots": Formula\(.*?^\)),', REGULARIZERS, re.M | re.S)
    made = eval(f"{{{text}}}", {"Formula": Formula, "Hyperparameter": Hyperparameter})
    assert made["sum_of_roots"].modes == ("loss", "decoupled", "shrink")


def test_every_command_that_is_named_exists(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out.partition("Commands:")[2]
    commands = set(re.findall(r"^  ([a-z]+)\s", text, re.MULTILINE))
    named = {
        word
        for text in READMES.values()
        for word in re.findall(r"(?:`|^\$ |^srun.* |^)sweeper ([a-z]+)", text, re.MULTILINE)
    }
    assert len(named) > 10
    assert named <= commands


def test_the_table_of_formulas_is_the_registry() -> None:
    expected = []
    for name, formula in FORMULAS.items():
        value = formula.formula.removeprefix("R(W) = ").replace("|", "&#124;")
        ways = (f"**{way}**" if way == formula.default_mode else way for way in formula.modes)
        row = f"| `{name}` | {value} | {', '.join(ways)} | {', '.join(formula.hyper)} |"
        if name != "none":
            expected.append(row)
    assert rows(REGULARIZERS, "| penalty | R(W) |") == expected


def test_the_table_of_methods_is_the_registry() -> None:
    assert rows(REGULARIZERS, "| method |") == [
        f"| `{name}` | {entry.summary} | {', '.join(entry.hyper)} |"
        for name, entry in METHODS.items()
    ]


def test_what_readme_says_shortly_is_what_the_others_say_at_length() -> None:
    fast = {what: rest for what, *rest in map(cells, rows(BENCHMARKS, "| | networks an hour |"))}
    networks, _ = fast["sweeper, ladders of five"]
    of_hand = "a hand-written ladder of five, trained once, fine-tuned with masks at each density"
    _, by_hand = fast[of_hand]
    _, pattern = fast["the pattern of Optuna's PyTorch example"]
    said = " ".join(PROJECT.split())
    assert f"make {networks} LeNet-300-100 on MNIST an hour, five of each training: " in said
    assert f"{by_hand} a hand-written ladder, {pattern} Optuna's PyTorch example" in said
    at_length = {
        first.partition(",")[0]: ratio
        for first, _, ratio, *_ in map(cells, rows(STUDIES, "| nonzero parameters as a multiple"))
        if "/" not in first
    }
    shown = dict(map(cells, rows(PROJECT, "| pruned and fine-tuned")))
    assert {title.partition(",")[0]: ratio for title, ratio in shown.items()} == at_length
    trained = {
        first: ratio.partition(" ")[0]
        for first, _, ratio, _ in map(cells, rows(STUDIES, "| nonzero parameters as trained"))
    }
    l1, l_half = trained["joint_entropy / l1"], trained["joint_entropy / l_half"]
    assert f"joint_entropy needs {l1} times L1's, and {l_half} times those of L_1/2" in PROJECT


def test_readme_fits_one_screen_and_the_house_a_few() -> None:
    assert len(PROJECT.encode()) <= 10_000
    assert len(HOUSE.splitlines()) <= 120


def test_the_house_is_drawn_as_imports_are_held() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        contracts = tomllib.load(file)["tool"]["importlinter"]["contracts"]
    [layers] = [contract["layers"] for contract in contracts if contract["id"] == "layers"]
    assert blocks(HOUSE, "")[0].splitlines() == layers
    listed = [cells(row)[0].strip("`/").removesuffix(".py") for row in rows(HOUSE, "| room |")]
    floors = [re.findall(r"\w+", layer) for layer in layers]
    assert len(listed) == sum(map(len, floors))
    for floor in floors:  # from the top, floor by floor
        assert set(listed[: len(floor)]) == set(floor)
        del listed[: len(floor)]


@pytest.mark.parametrize("name", READMES)
def test_every_path_that_is_named_exists(name: str) -> None:
    places = (ROOT / name).parent, ROOT, ROOT / "sweeper"
    for text in backticked(READMES[name]):
        if PATH.fullmatch(text) and text not in MADE | DOWNLOADS:
            assert any((place / text).exists() for place in places), text


@pytest.mark.parametrize("name", READMES)
def test_every_name_of_the_program_exists(name: str) -> None:
    texts = backticked(READMES[name])
    if READMES[name] is HOUSE:
        texts += re.findall(r"\b[A-Z][a-z]+[A-Z]\w+", HOUSE)
    named = {
        part
        for text in texts
        if re.fullmatch(r"[\w.]+(?:\(\))?", text) and not PATH.fullmatch(text)
        for part in re.findall(r"\w+", text)
        if "_" in part.strip("_") or re.match("[A-Z][a-z]", part) or "." in text
    }
    assert named <= WORDS | OF_USERS | GIVEN_TO_COMMANDS


def test_every_variable_that_is_named_is_read() -> None:
    named = {word for text in READMES.values() for word in re.findall(r"\bSWEEPER_[A-Z_]+", text)}
    assert len(named) > 5
    read = {
        word for path in SOURCES for word in re.findall(r"SWEEPER_[A-Z_]+", path.read_text("utf-8"))
    }
    assert named <= read | GIVEN_TO_COMMANDS


def _anchors(text: str) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a page."""
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("name", READMES)
def test_every_link_leads_to_a_file_or_a_heading(name: str) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", READMES[name]):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        linked = (ROOT / name).parent / path if path else ROOT / name
        assert linked.exists(), target
        if anchor:
            assert anchor in _anchors(linked.read_text(encoding="utf-8")), target
