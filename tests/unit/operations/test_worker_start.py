"""The start of workers: what is said of a machine whose GPUs a script does not ask for."""

from typing import Any

import pytest

from support.scripts import script_sweep
from sweeper.operations.worker_start import worker_starter
from sweeper.worker.launch.machine import Machine


@pytest.mark.parametrize(
    ("gpus_of_the_file", "options", "is_told"),
    [(0, {}, True), (0.5, {}, False), (0, {"gpus": 0}, False), (0, {"device": "cpu"}, False)],
)
def test_gpus_that_would_be_idle_are_told_unless_the_command_says_so(
    gpus_of_the_file: float,
    options: dict[str, Any],
    is_told: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Machine, "here", classmethod(lambda cls: Machine(4, 1)))
    notes: list[str] = []
    usual: dict[str, Any] = {
        "workers": None, "cpus": None, "gpus": None, "address": None, "device": "auto",
    }  # fmt: skip
    sweep = script_sweep(resources={"gpus": gpus_of_the_file})
    worker_starter("local", sweep=sweep, on_note=notes.append, **{**usual, **options})
    line = (
        "tiny: resources.gpus: a trial sees no GPU, its GPU would be idle here: say gpus: 1, or a "
        "fraction"
    )
    assert notes == [line] * is_told
