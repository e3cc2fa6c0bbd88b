"""The plan and the probation of a script, as `sweeper check` shows them before anything runs."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sweeper.config import Sweep
from sweeper.operations.script_plan import script_plan
from sweeper.operations.script_probation import (
    command_oddities,
    command_problems,
    function_problem,
)
from sweeper.operations.study_warnings import script_warnings
from sweeper.worker.launch.machine import Machine

RATE = {"log_uniform": [1e-4, 1e-1]}


def script(**keys: Any) -> Sweep:
    """Return a sweep of a script without anything to warn about, apart from `keys`."""
    usual = {"name": "mine", "search": {"trials": 24}, "parameters": {"rate": RATE, "epochs": 3}}
    run = {} if "command" in keys else {"trial": "my.training:run"}
    return Sweep.model_validate({**usual, **run, "arms": {"a": {}, "b": {}}, **keys})


def test_an_ordinary_script_gives_no_warning() -> None:
    assert script_plan(script(), Machine(2, 0)).warnings == ()


def test_the_plan_says_what_a_trial_is_given_and_how_long_all_take_at_most() -> None:
    arms = {"a": {}, "wide": {"parameters": {"width": 32, "epochs": 5, "lean": True}}}
    shared = {"rate": RATE, "width": {"choice": [8, 16]}, "epochs": 3, "depth": 2}
    limits = {"time_limit": "10m", "resources": {"cpus": 4}}
    sweep = script(arms=arms, parameters=shared, **limits)
    planned = script_plan(sweep, Machine(13, 0))
    assert planned.fixed == (("depth", 2),)
    assert planned.own_values == {
        "a": (("epochs", 3),),
        "wide": (("width", 32), ("epochs", 5), ("lean", True)),
    }
    assert planned.searched == ("rate",)  # in one arm the width is searched, in the other not
    assert [arm.searched for arm in planned.arms] == [("rate", "width"), ("rate",)]
    assert (planned.trials, planned.workers) == (48, 3)
    assert planned.most_seconds == 48 / 3 * 600
    assert script_plan(script(), Machine(13, 0)).most_seconds is None
    five = script(search={"trials": 5, "sampler": "random"}, time_limit=60)
    assert script_plan(five, Machine(4, 0)).most_seconds == 3 * 60  # 10 trials, four at a time


def test_a_machine_that_is_too_small_is_a_warning() -> None:
    planned = script_plan(script(resources={"gpus": 2}, time_limit=60), Machine(8, 0))
    assert (planned.workers, planned.most_seconds) == (0, None)
    line = "resources: a trial needs 2 GPUs, this machine has none: run it where there is more"
    assert planned.warnings == (line,)


def test_a_gpu_that_would_be_idle_is_a_warning() -> None:
    line = (
        "resources.gpus: a trial sees no GPU, its 2 GPUs would be idle here: say gpus: 1, or a "
        "fraction"
    )
    assert script_plan(script(), Machine(8, 2)).warnings == (line,)
    assert script_plan(script(resources={"gpus": 0.5}), Machine(8, 2)).warnings == ()


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ({"parameters": {}},
         "arms: a, b search nothing: their 24 trials differ by their seeds alone"),
        ({"arms": {"a": {}, "b": {"parameters": {"width": {"choice": [1, 2]}}}}},
         "arms: unequal numbers of searched parameters: a 1, b 2"),
        ({"search": {"trials": 4}},
         "search.trials: 4 trials do not exceed its random start-up of 10: tpe would never learn "
         "from a result"),
        ({"command": ["sh", "{rate}"], "parameters": {"rate": RATE, "width": RATE}},
         "command: does not name width: the environment has it in SWEEPER_PARAMS"),
    ],
)  # fmt: skip
def test_what_is_seldom_meant_is_a_warning(keys: dict[str, Any], line: str) -> None:
    assert script_warnings(script(**keys)) == [line]


def test_a_command_that_names_no_value_reads_its_environment() -> None:
    assert script_warnings(script(command=["sh", "{folder}"])) == []
    assert script_warnings(script(command=["sh", "--rate={ rate }"])) == []


def takes_a_trial(trial: object) -> dict[str, float]:
    return {}


def takes_more(trial: object, *, epochs: int = 3, **options: object) -> dict[str, float]:
    return {}


class Training:
    def __call__(self, trial: object) -> dict[str, float]:
        return {}


def takes_none() -> dict[str, float]:
    return {}


async def waits(trial: object) -> None: ...


def yields(trial: object) -> Iterator[int]:
    yield 1


def test_a_function_of_one_argument_is_taken() -> None:
    taken: list[Callable[..., object]] = [takes_a_trial, takes_more, Training(), len]
    assert [function_problem(function) for function in taken] == [""] * 4


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        (takes_none, "must take one argument, the trial, and takes ()"),
        (lambda a, b: {}, "must take one argument, the trial, and takes (a, b)"),
        (lambda *, trial: {}, "must take one argument, the trial, and takes (*, trial)"),
        (3, "must be a function of one argument, the trial, got 3"),
        (waits, "must be a plain function, and is async"),
        (yields, "must return what it measured, and yields instead"),
    ],
)
def test_what_cannot_train_a_trial_is_refused(function: Any, problem: str) -> None:
    assert function_problem(function) == problem


def test_the_program_of_a_command_is_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plain").write_text("#!/bin/sh\n")
    (tmp_path / "folder").mkdir()

    def said(*command: str) -> list[str]:
        return command_problems(script(command=list(command)), "s.yaml")

    assert said("sh", "-c", "true") == said("{folder}/program") == []
    assert said("shh") == ["s.yaml: command: 'shh': no such program on this machine"]
    assert said("./no") == ["s.yaml: command: './no': no such file"]
    assert said("./folder") == ["s.yaml: command: './folder': must be a file, and is none"]
    chmod = "cannot be executed: chmod +x makes it so"
    assert said("./plain") == [f"s.yaml: command: './plain': {chmod}"]
    (tmp_path / "plain").chmod(0o755)
    assert said("./plain") == []
    assert command_problems(script(), "s.yaml") == []


def test_a_missing_file_of_a_program_is_an_oddity(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here.py").write_text("")
    command = ["python", "-u", "here.py", "gone.py", "{folder}/out.py", "--config=x.r", "{rate}"]
    line = "command: 'gone.py': no such file in this folder, where workers look for it"
    assert command_oddities(script(command=command)) == [line]
